"""The ablation's table: means, spread over seeds, marks, and agreement of heads."""

import json

import numpy as np
import pytest
from small_nets import small_params

from camfuse_jax.metrics import significance
from camfuse_jax.metrics.table import score
from camfuse_jax.report.ablation import Ablation, Variant, ablation_json, ablation_markdown, agreement
from camfuse_jax.stages.ablate import OURS, without_training

KEYS = ("EN", "SSIM")


def _tables():
    rng = np.random.default_rng(0)
    pairs = [(f"p{i}", *rng.integers(0, 256, (2, 24, 24), dtype=np.uint8)) for i in range(12)]
    copies = {name: ir for name, ir, _ in pairs}
    means = {name: ((ir.astype(int) + vis) // 2).astype(np.uint8) for name, ir, vis in pairs}
    flat = {name: np.full_like(ir, 9) for name, ir, _ in pairs}
    return pairs, {OURS: [copies], "worse": [flat], "seeds": [means, copies]}


def _ablation():
    pairs, fused = _tables()
    tables = {
        name: [score(pairs, images, metrics=KEYS, method=name) for images in sets] for name, sets in fused.items()
    }
    variants = tuple(Variant(name, "control", (small_params(),) * len(sets)) for name, sets in fused.items())
    tests = significance([found[0] for found in tables.values()], against=OURS)
    return Ablation("toy", "tno", 300, variants, tables, {OURS: [20]}, 24, tests, {"seeds": 0.5})


def test_rows_say_mean_spread_and_difference():
    result = _ablation()
    lines = {
        line.split("|")[1].strip(): line for line in ablation_markdown(result).splitlines() if line.startswith("|")
    }
    assert "0.0000 ↓" in lines["worse"]
    assert "| 20 |" in lines[OURS]
    assert "↓" not in lines[OURS]
    means = [table.mean("EN") for table in result.tables["seeds"]]
    assert f"{np.mean(means):.4f} ± {np.std(means, ddof=1):.4f}" in lines["seeds (2 seeds)"]


def test_json_holds_every_mean():
    result = _ablation()
    rows = {row["variant"]: row for row in json.loads(ablation_json(result))["rows"]}
    assert rows["seeds"]["mean"][1]["EN"] == result.tables["seeds"][1].mean("EN")


def test_agreement_of_heads():
    ours = small_params()
    negative = ours.replace(classifier={**ours.classifier, "head": {"kernel": -ours.classifier["head"]["kernel"]}})
    assert agreement([ours, ours]) == pytest.approx(1)
    assert agreement([ours, negative]) == pytest.approx(-1)


def test_controls_are_what_their_names_say():
    ours = small_params()
    variants = {variant.name: variant.params for variant in without_training(ours)}
    (equal,) = variants["untrained head: all weights equal"]
    np.testing.assert_array_equal(equal.channel_weights, 0.5)
    (swapped,) = variants["weights of the two images swapped"]
    np.testing.assert_array_equal(swapped.class_weights, ours.class_weights[::-1])
    for shuffled in variants["weights shuffled over channels"]:
        np.testing.assert_array_equal(np.sort(shuffled.class_weights, axis=1), np.sort(ours.class_weights, axis=1))
        # The two weights of a channel stay together.
        assert set(map(tuple, np.asarray(shuffled.class_weights).T)) == set(
            map(tuple, np.asarray(ours.class_weights).T)
        )
