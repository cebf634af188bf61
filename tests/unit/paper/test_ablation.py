"""The ablation's table: means, spread over seeds, marks, and agreement of heads."""

import json

import numpy as np
import pytest
from paper.ablation import OURS, without_training
from paper.ablation_table import Ablation, Variant, ablation_json, ablation_markdown, agreement
from small_nets import small_params

from camfuse_jax.metrics.compare import significance
from camfuse_jax.metrics.table import score

KEYS = ("EN", "SSIM", "TONE")


def _tables():
    rng = np.random.default_rng(0)
    pairs = [(f"p{i}", *rng.integers(0, 256, (2, 24, 24), dtype=np.uint8)) for i in range(12)]
    copies = {name: ir for name, ir, _ in pairs}
    means = {name: ((ir.astype(int) + vis) // 2).astype(np.uint8) for name, ir, vis in pairs}
    flat = {name: np.full_like(ir, 9) for name, ir, _ in pairs}
    nearly = {**copies, "p0": means["p0"]}  # one image of twelve differs: no difference that a test finds
    return pairs, {OURS: [copies], "worse": [flat], "seeds": [means, copies], "nearly": [nearly]}


def _ablation():
    pairs, fused = _tables()
    tables = {
        name: [score(pairs, images, metrics=KEYS, method=name) for images in sets] for name, sets in fused.items()
    }
    variants = tuple(Variant(name, "control", (small_params(),) * len(sets)) for name, sets in fused.items())
    tests = significance([found[0] for found in tables.values()], against=OURS)
    return Ablation(
        "tno", "shipped", "place", "9 steps", variants, tables, {OURS: [20]}, 24, tests, {"seeds": 0.5}, {"seeds": 0.4}
    )


def test_rows_say_mean_spread_and_difference():
    result = _ablation()
    scores, picture = ablation_markdown(result).split("| variant |")[1:]
    lines = {line.split("|")[1].strip(): line for line in scores.splitlines() if line.startswith("|")}
    assert "TONE ↓" in picture.splitlines()[0] and "TONE" not in scores.splitlines()[0]
    assert f"| worse | control | {result.tables['worse'][0].mean('TONE'):.1f}" in picture
    assert "0.0000 worse" in lines["worse"]
    assert "| 20 |" in lines[OURS]
    assert "worse" not in lines[OURS]
    assert "better" not in lines["nearly"] and "worse" not in lines["nearly"]
    means = [table.mean("EN") for table in result.tables["seeds"]]
    assert f"{np.mean(means):.4f} ± {np.std(means, ddof=1):.4f}" in lines["seeds (2 seeds)"]


def test_printed_rows_and_agreement_stand_below():
    text = ablation_markdown(_ablation())
    assert "| without L_df | published | 7.3243 | 0.7667 | \N{EN DASH} |" in text
    assert "seeds: between seeds 0.50, with ours 0.40." in text
    assert "rule place" in text
    assert "Retrained: 9 steps" in text


def test_json_holds_every_mean():
    result = _ablation()
    rows = {row["variant"]: row for row in json.loads(ablation_json(result))["rows"]}
    assert rows["seeds"]["mean"][1]["EN"] == result.tables["seeds"][1].mean("EN")


def test_agreement_of_heads():
    ours = small_params()
    negative = ours.replace(classifier={**ours.classifier, "head": {"kernel": -ours.classifier["head"]["kernel"]}})
    assert agreement([ours, ours]) == pytest.approx(1)
    assert agreement([ours, negative]) == pytest.approx(-1)
    assert agreement([ours, negative, negative], ours) == pytest.approx(-1 / 3)
    kernel = np.array(ours.classifier["head"]["kernel"])
    kernel[:, 1] = 9 * kernel[::-1, 1]  # only what is said of the visible image differs
    visible = ours.replace(classifier={**ours.classifier, "head": {"kernel": kernel}})
    assert agreement([ours, visible]) < 0.9


@pytest.fixture(scope="module")
def variants():
    """Rows of the ablation that need no training, by name; ours is `small_params()`."""
    return {variant.name: variant.params for variant in without_training(small_params())}


def test_controls_are_what_their_names_say(variants):
    ours = small_params()
    (equal,) = variants["untrained head, zero: all weights equal"]
    np.testing.assert_array_equal(equal.channel_weights, 0.5)
    (both,) = variants["both images' weights equal"]
    np.testing.assert_array_equal(both.class_weights[0], both.class_weights[1])
    np.testing.assert_allclose(both.class_weights[0], np.mean(ours.class_weights, axis=0), rtol=1e-6)
    assert variants["Eq. 5, weights sum to 2"][0].fusion.gain == 2
    random, as_large = variants["untrained classifier, random head"], variants["random head, as large as ours"]
    assert len({np.asarray(p.class_weights).tobytes() for p in random}) == 3
    for start, scaled in zip(random, as_large, strict=True):
        assert not np.array_equal(start.classifier["depthwise1"]["kernel"], ours.classifier["depthwise1"]["kernel"])
        rms = [np.sqrt(np.mean(np.square(p.class_weights))) for p in (scaled, ours)]
        assert rms[0] == pytest.approx(rms[1], rel=1e-5)
        np.testing.assert_allclose(np.corrcoef(start.class_weights, scaled.class_weights)[:2, 2:].diagonal(), 1, 1e-5)
    (swapped,) = variants["weights of the two images swapped"]
    np.testing.assert_array_equal(swapped.class_weights, ours.class_weights[::-1])
    for shuffled in variants["weights shuffled over channels"]:
        np.testing.assert_array_equal(np.sort(shuffled.class_weights, axis=1), np.sort(ours.class_weights, axis=1))
        assert not np.array_equal(shuffled.class_weights, ours.class_weights)
        # The two weights of a channel stay together.
        assert set(map(tuple, np.asarray(shuffled.class_weights).T)) == set(
            map(tuple, np.asarray(ours.class_weights).T)
        )
    draws = variants["weights shuffled over channels"]
    assert len({np.asarray(p.class_weights).tobytes() for p in draws}) == len(draws) == 3
    (large,) = variants["weights four times as large"]
    np.testing.assert_allclose(large.class_weights, 4 * np.asarray(ours.class_weights), rtol=1e-6)


def test_what_is_left_out_and_what_is_alone_is_what_the_names_say(variants):
    ours = small_params()
    default = ours.fusion.spatial
    parts = {
        "activity": lambda s: s.sharpness > 0,
        "class score": lambda s: s.class_score > 0,
        "thermal saliency": lambda s: s.saliency > 0 or max(s.warm_base) > 0,
    }
    assert default.saliency > 0 and max(default.warm_base) > 0
    for part, is_there in parts.items():
        assert is_there(default), part
        (without,), (alone,) = variants[f"without {part}"], variants[f"{part} alone"]
        assert without.fusion.rule == alone.fusion.rule == "spatial"
        for other, others_there in parts.items():
            assert others_there(without.fusion.spatial) == (other != part), (part, other)
            assert others_there(alone.fusion.spatial) == (other == part), (part, other)
        np.testing.assert_array_equal(without.class_weights, ours.class_weights)
    (nothing,) = variants["nothing chooses"]
    assert not any(is_there(nothing.fusion.spatial) for is_there in parts.values())
    (alone,) = variants["class score alone"]
    for name in ("weights shuffled", "images swapped", "untrained head"):
        for control in variants[f"class score alone, {name}"]:
            assert control.fusion == alone.fusion
            assert not np.array_equal(control.class_weights, alone.class_weights)
    assert variants["l1-norm rule"][0].fusion.rule == "l1"
    assert variants["Eq. 5 as printed"][0].fusion.rule == "eq5"
    for name, rule in (("mean", "mean"), ("sum", "add"), ("maximum", "max")):
        assert variants[f"{name} of features"][0].fusion.rule == rule
