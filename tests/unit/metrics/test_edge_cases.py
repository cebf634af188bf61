"""Constant, identical, tiny and wrong images: a defined value or a named error, never NaN."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.metrics.gray import UndefinedMetricError
from camfuse_jax.metrics.information import vif
from camfuse_jax.metrics.protocol import score_image
from camfuse_jax.metrics.registry import ALL_METRICS, METRICS, check_keys
from camfuse_jax.metrics.ssim import structural_similarity

PATTERNS = {
    "black": lambda h, w, seed: np.zeros((h, w)),
    "white": lambda h, w, seed: np.full((h, w), 255.0),
    "constant": lambda h, w, seed: np.full((h, w), 0.1),
    "random": lambda h, w, seed: np.random.default_rng(seed).integers(0, 256, (h, w)).astype(float),
    "half": lambda h, w, seed: np.where(np.arange(w) < w / 2, 17.0, 203.0) * np.ones((h, 1)),
}


@given(
    st.tuples(*[st.sampled_from(sorted(PATTERNS))] * 3),
    st.sampled_from([(1, 1), (1, 40), (40, 1), (2, 2), (3, 3), (6, 7), (7, 7), (40, 41), (41, 41)]),
)
def test_every_metric_has_a_finite_value_or_a_reason(patterns, size):
    images = [PATTERNS[name](*size, seed) for seed, name in enumerate(patterns)]
    for key, metric in METRICS.items():
        try:
            value = metric.function(*images)
        except UndefinedMetricError as error:
            assert error.remedy
            assert key.split("_")[0] in error.what
        else:
            assert math.isfinite(value), key
            assert min(size) >= metric.min_size


@pytest.mark.parametrize("key", METRICS)
def test_min_size_is_exactly_where_the_metric_begins(key):
    metric, rng = METRICS[key], np.random.default_rng(2)
    ir, vis, fused = rng.integers(0, 256, (3, metric.min_size + 1, metric.min_size + 1))
    if metric.min_size > 1:
        n = metric.min_size
        assert math.isfinite(metric.function(ir[:n, :n], vis[:n, :n], fused[:n, :n]))
        with pytest.raises(UndefinedMetricError, match=f"at least {n} x {n}"):
            metric.function(ir[: n - 1], vis[: n - 1], fused[: n - 1])


def test_what_constant_images_score():
    flat = np.full((50, 60), 255.0)
    scores = score_image(flat, flat, flat, metrics=ALL_METRICS)
    defined = {key: value for key, value in scores.values.items() if value is not None}
    assert defined == {
        "EN": 0.0, "AG": 0.0, "SSIM": 1.0, "VIF": 2.0, "SF": 0.0, "SD": 0.0, "MI": 0.0, "NOISE": 0.0,
        # The frame of a bright image counts as an edge, kept whole: both sigmoids at ratio 255 or more and alignment 1.
        "Qabf": pytest.approx(0.9994 * 0.9879 / (1 + math.exp(-22 * 0.2))),
    }  # fmt: skip
    assert set(scores.undefined) == {"SCD", "CC", "PSNR", "MS-SSIM"}
    assert "identical" in scores.undefined["PSNR"]
    assert "constant" in scores.undefined["SCD"]


def test_a_fused_image_that_is_one_source_has_no_scd():
    ir, vis = np.random.default_rng(0).integers(0, 256, (2, 50, 50))
    scores = score_image(ir, vis, vis)
    assert scores.values["SCD"] is None
    assert "fused - vis" in scores.undefined["SCD"]
    assert 1.0 < scores.values["VIF"] < 1.2


def test_a_constant_reference_loses_nothing():
    rng = np.random.default_rng(1)
    for level in (0.0, 0.1, 77.7, 255.0):
        assert vif(np.full((45, 45), level), rng.uniform(0, 255, (45, 45))) == 1.0
    assert vif(rng.uniform(0, 255, (45, 45)), np.full((45, 45), 9.0)) == 0.0


def test_ssim_of_one_pixel():
    c1 = (0.01 * 255) ** 2
    assert structural_similarity([[10]], [[30]]) == pytest.approx((2 * 300 + c1) / (100 + 900 + c1))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((4, 4, 3)), r"\(4, 4, 3\)"),
        (np.zeros((0, 4)), r"\(0, 4\)"),
        (np.full((4, 4), np.nan), "nan"),
        (np.full((4, 4), 256.0), "256"),
        (np.full((4, 4), -1.0), "-1"),
        (np.full((4, 4), np.inf), "inf"),
        (np.zeros((4, 4), complex), "complex"),
        (np.array([["a"]]), "dtype"),
        (np.zeros((4, 5)), "4 x 5"),
    ],
)
def test_unusable_images_are_refused_by_name(image, said):
    good = np.zeros((4, 4))
    with pytest.raises(InputError, match=said):
        score_image(good, good, image, metrics=["EN"])


def test_integers_floats_and_a_channel_axis_are_one_image():
    ir, vis, fused = np.random.default_rng(4).integers(0, 256, (3, 48, 48), dtype=np.uint8)
    first = score_image(ir, vis, fused)
    assert score_image(ir.astype(float), vis[..., None], fused.astype(np.float32)).values == first.values


def test_unknown_names_are_listed():
    flat = np.zeros((4, 4))
    with pytest.raises(UsageError, match="MS-SSIM"):
        score_image(flat, flat, flat, metrics=["ENN"])
    with pytest.raises(UsageError, match="cddfuse"):
        score_image(flat, flat, flat, protocol="mine")
    with pytest.raises(UsageError, match="EN"):
        check_keys(["EN", "AG", "EN"])
    with pytest.raises(UsageError):
        check_keys([])


def test_protocols_choose_the_documented_variants():
    ir, vis, fused = np.random.default_rng(9).integers(0, 256, (3, 60, 60))
    keys = ("AG", "SSIM", "VIF", "SF", "MI", "PSNR")
    every = score_image(ir, vis, fused, metrics=list(METRICS)[:9] + list(METRICS)[10:]).values
    cddfuse = score_image(ir, vis, fused, metrics=keys, protocol="cddfuse").values
    tang = score_image(ir, vis, fused, metrics=keys, protocol="tang").values
    assert list(cddfuse.values()) == [every[k] for k in ("AG_MEAN", "SSIM2", "VIF", "SF", "MI_NATS", "PSNR_PEAK")]
    assert list(tang.values()) == [every[k] for k in ("AG", "SSIM", "VIF", "SF_UNIT", "MI_TANG", "PSNR_48")]
