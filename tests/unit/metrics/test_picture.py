"""Picture measures: against plain computations, on scenes with a known answer, and what each rewards wrongly."""

import math

import numpy as np
import pytest

from camfuse_jax.metrics.compare import markdown, ranks, significance
from camfuse_jax.metrics.gray import UndefinedMetricError
from camfuse_jax.metrics.picture import PairFacts, find_targets
from camfuse_jax.metrics.protocol import score_image
from camfuse_jax.metrics.registry import METRICS, PICTURE_METRICS
from camfuse_jax.metrics.table import BASELINES, average, score, score_methods

SHAPE = (90, 120)


def scene(*, warm=((20, 30), (60, 80)), background=60.0, heat=120.0):
    """Infrared with warm 12 x 8 people on an even ground, and a visible image of stripes."""
    ir = np.full(SHAPE, background)
    for row, col in warm:
        ir[row : row + 12, col : col + 8] = heat
    vis = np.tile(100.0 + 40 * np.sin(np.arange(SHAPE[1]) / 9), (SHAPE[0], 1))
    return np.rint(ir), np.rint(vis)


def value(key, ir, vis, fused):
    return METRICS[key].function(ir, vis, fused)


def test_targets_are_compact_warm_and_of_a_persons_size():
    ir, _ = scene()
    ir[5:9, 5:7] = 200  # too small
    ir[40:42, 10:60] = 200  # too long
    ir[80:85, 100:112] = 82  # too faint
    boxes = [target.window for target in find_targets(ir)]
    assert [(rows.start, cols.start) for rows, cols in boxes] == [(12, 22), (52, 72)]
    assert find_targets(255 - ir) == []
    for target in find_targets(ir):
        assert target.contrast(ir) == 60
        assert target.body.sum() == 12 * 8 - 4  # without the blurred corners; as small as this, the edge counts
        assert not (target.body & target.ring).any()


def test_a_large_target_counts_without_its_edge():
    ir, _ = scene(warm=())
    ir[20:40, 30:50] = 120
    ir[20:40, 49] = 70  # a mixed pixel
    (target,) = find_targets(ir)
    assert target.body.sum() < 19 * 20
    assert target.contrast(ir) == 60


def test_kept_needs_half_the_contrast_of_which_60_levels_at_most_count():
    ir, vis = scene(heat=200.0)  # contrast 140
    for gain, kept in ((29 / 140, 0.0), (30 / 140, 100.0)):
        assert value("KEPT", ir, vis, 60 + gain * (ir - 60)) == kept
    ir, vis = scene(heat=100.0)  # contrast 40
    for gain, kept in ((19 / 40, 0.0), (20 / 40, 100.0)):
        assert value("KEPT", ir, vis, 60 + gain * (ir - 60)) == kept


def test_inverted_is_darker_by_more_than_five_levels():
    ir, vis = scene()
    for contrast, inverted in ((-5.0, 0.0), (-6.0, 100.0)):
        assert value("INVERTED", ir, vis, np.where(ir > 100, 60 + contrast, 60)) == inverted
    half = ir.copy()
    half[20:32, 30:38] = 20
    assert value("INVERTED", ir, vis, half) == value("KEPT", ir, vis, half) == 50.0
    assert value("TARGETS", ir, vis, half) == 2


def test_veil_is_the_level_where_both_are_black():
    ir, vis = np.full(SHAPE, 10.0), np.full(SHAPE, 90.0)
    vis[:45] = 5
    fused = np.where(np.arange(SHAPE[0])[:, None] < 35, 40.0, 200.0) * np.ones(SHAPE)
    dark = np.arange(SHAPE[0]) < 44  # a step of 5 to 90 at row 45, blurred by 2 pixels, passes 25 one row before
    assert value("VEIL", ir, vis, fused) == pytest.approx(fused[dark].mean())
    with pytest.raises(UndefinedMetricError, match="VEIL"):
        value("VEIL", ir + 100, vis, fused)
    small = np.zeros((20, 25))
    with pytest.raises(UndefinedMetricError, match="500 pixels"):
        value("VEIL", small, small, small)
    assert value("VEIL", np.zeros((21, 25)), np.zeros((21, 25)), np.full((21, 25), 7.0)) == 7


@pytest.mark.parametrize(
    ("ir", "vis", "fused", "clipped"),
    [
        (234, 100, 252, 100.0),
        (235, 100, 252, 0.0),
        (100, 235, 252, 0.0),
        (234, 100, 251, 0.0),
        (21, 21, 3, 100.0),
        (20, 90, 3, 0.0),
        (90, 20, 3, 0.0),
        (21, 21, 4, 0.0),
    ],
)
def test_clip_is_white_or_black_that_no_source_has(ir, vis, fused, clipped):
    images = (np.full((4, 5), float(level)) for level in (ir, vis, fused))
    assert value("CLIP", *images) == clipped


def test_beyond_is_what_leaves_the_span_of_the_window():
    rng = np.random.default_rng(2)
    ir, vis, fused = rng.integers(0, 256, (3, 30, 40)).astype(float)
    ir, vis = 90 + ir / 8, 120 + vis / 8
    total = 0.0
    for row in range(30):
        for col in range(40):
            rows, cols = slice(max(0, row - 7), row + 8), slice(max(0, col - 7), col + 8)
            around = np.concatenate([ir[rows, cols].ravel(), vis[rows, cols].ravel()])
            total += max(fused[row, col] - around.max(), around.min() - fused[row, col], 0.0)
    assert value("BEYOND", ir, vis, fused) == pytest.approx(total / 1200, rel=1e-12)


def test_tone_is_a_difference_of_brightness_that_texture_does_not_change():
    ir, vis = scene()
    rng = np.random.default_rng(0)
    assert value("TONE", ir, vis, vis - 13) == pytest.approx(13)
    assert value("TONE", ir, vis, vis + rng.choice([-20, 20], SHAPE)) < 1.5
    brighter_half = vis + np.where(np.arange(SHAPE[1]) < 60, 30, -30)
    assert 15 < value("TONE", ir, vis, brighter_half) < 25


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_noise_gain_is_the_share_of_the_noisier_source(share):
    rng = np.random.default_rng(1)
    ir, vis = np.full((200, 200), 90.0), 100 + rng.normal(0, 10, (200, 200))
    ir[:, 120:] += 60  # a step of one source is not flat
    assert value("NOISE_GAIN", ir, vis, share * vis + (1 - share) * ir) == pytest.approx(share, abs=0.03)
    swapped = value("NOISE_GAIN", vis, ir, share * vis + (1 - share) * ir)
    assert swapped == pytest.approx(share, abs=0.03)


def test_where_a_measure_has_no_value():
    flat = np.full(SHAPE, 90.0)
    scores = score_image(flat, flat, flat, metrics=PICTURE_METRICS)
    assert set(scores.undefined) == {"KEPT", "INVERTED", "VEIL", "NOISE_GAIN"}
    assert "no warm target" in scores.undefined["KEPT"]
    assert "noise is below" in scores.undefined["NOISE_GAIN"]
    assert scores.values["TARGETS"] == scores.values["CLIP"] == scores.values["TONE"] == 0


def test_targets_are_averaged_over_all_targets_and_not_over_images():
    many, few = scene(warm=((20, 30), (60, 80), (15, 90))), scene(warm=((40, 50),))
    pairs = [("many", *many), ("few", *few)]
    fused = {"many": many[0], "few": np.full(SHAPE, 60.0)}
    table = score(pairs, fused, metrics=("TARGETS", "KEPT", "INVERTED"))
    assert table.mean("KEPT") == pytest.approx(75)
    assert table.mean("TARGETS") == 2
    none = score([*pairs, ("none", *scene(warm=()))], {**fused, "none": many[1]}, metrics=("KEPT",))
    assert none.mean("KEPT") == pytest.approx(75)
    assert none.partial("KEPT")


def test_facts_of_a_pair_are_shared_and_change_no_digit(monkeypatch):
    ir, vis = scene()
    rng = np.random.default_rng(3)
    pairs = [("a", ir, vis + rng.integers(0, 9, SHAPE)), ("b", ir, vis)]
    alone = {name: score(pairs, f, metrics=PICTURE_METRICS).rows for name, f in BASELINES.items()}
    found = []
    monkeypatch.setattr("camfuse_jax.metrics.picture.find_targets", lambda x: found.append(1) or find_targets(x))
    tables = score_methods(pairs, BASELINES, metrics=PICTURE_METRICS)
    assert {table.method: table.rows for table in tables} == alone
    assert len(found) == len(pairs)


def test_lower_is_better_and_the_families_are_ranked_apart():
    ir, vis = scene(background=10.0)
    pairs = [(f"p{i}", ir, vis + i) for i in range(8)]
    methods = {"inverted": lambda a, b: 200 - a, **BASELINES}
    keys = ("EN", "AG", "TARGETS", "KEPT", "INVERTED", "TONE")
    tables = score_methods(pairs, methods, metrics=keys)
    ranked = ranks(tables)
    assert ranked["inverted"]["INVERTED"] == 4
    assert "TARGETS" not in ranked["average"]
    for row in ranked.values():
        assert row["mean rank"] == pytest.approx(np.mean([row["EN"], row["AG"]]))
        assert row["picture rank"] == pytest.approx(np.mean([row[key] for key in ("KEPT", "INVERTED", "TONE")]))
    scores_alone = score_methods(pairs, methods, metrics=("EN", "AG"))
    both, alone = significance(tables, against="average"), significance(scores_alone, against="average")
    assert [test for test in both if test.metric in ("EN", "AG")] == alone
    text = markdown(tables)
    first, second = text.split("| method |")[1:]
    assert "mean rank" in first.splitlines()[0] and "INVERTED" not in first.splitlines()[0]
    assert "INVERTED ↓" in second.splitlines()[0] and "picture rank" in second.splitlines()[0]


def test_each_measure_says_what_it_rewards_wrongly_and_is_right():
    ir, vis = scene(background=10.0)
    vis = vis - 60
    facts = PairFacts(ir, vis)
    best = {
        "KEPT": ir,
        "INVERTED": np.full(SHAPE, 80.0),
        "VEIL": np.zeros(SHAPE),
        "CLIP": np.full(SHAPE, 80.0),
        "BEYOND": average(ir, vis).astype(float),
        "TONE": vis,
    }
    for key, fused in best.items():
        metric = METRICS[key]
        assert metric.rewards
        try:
            got = metric.measure(facts, fused)
        except UndefinedMetricError:
            continue
        assert got == pytest.approx(100 if metric.direction == "higher" else 0, abs=1e-9), key
    assert all(math.isfinite(METRICS[key].digits) for key in PICTURE_METRICS)


def test_a_target_stands_out_from_the_ring_around_it():
    ir, _ = scene(warm=())
    ir[20:60, 30:70] = 78  # warm ground, not warm enough to count as a target itself
    ir[34:46, 46:54] = 100  # 40 above the wide surroundings, 22 above the ring
    assert find_targets(ir) == []
    ir[34:46, 46:54] = 110
    assert len(find_targets(ir)) == 1


def test_noise_gain_looks_where_the_sources_are_flat_only():
    rng = np.random.default_rng(4)
    ir, noise = np.full((200, 200), 90.0), rng.normal(0, 8, (200, 200))
    vis = 100 + noise
    vis[:, 60:] += 60 * np.sin(np.arange(140) / 2)  # texture on two thirds
    fused = np.where(np.arange(200) < 60, vis, ir)
    assert value("NOISE_GAIN", ir, vis, fused) == pytest.approx(1, abs=0.1)
