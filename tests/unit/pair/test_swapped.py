"""Whether infrared and visible are swapped: what is certain, what statistics say, and what a folder says together."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage, stats

from camfuse_jax.data.splits import find_pairs
from camfuse_jax.images.picture import Picture
from camfuse_jax.images.read import read_picture
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.pair.prepare import PreparedPair, prepare_pair
from camfuse_jax.pair.swapped import (
    WEIGHTS,
    Swap,
    certain_swap,
    score_of,
    swap_evidence,
    swap_verdict,
    thermal_features,
)

SURE, DOUBT = 40.0, -40.0  # about the most that the statistics of a pair say
RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (40, 48), dtype=np.uint8)
COLORS = RNG.integers(0, 256, (40, 48, 3), dtype=np.uint8)
SCENE = ndimage.gaussian_filter(RNG.random((90, 120)), 1.5) ** 2 + 0.05 * np.linspace(0, 1, 90)[:, None]
SIGNED = slice(12, 18)


@pytest.mark.parametrize(
    ("swaps", "verdict"),
    [
        ([Swap(0, SURE)] * 8, "swapped"),
        ([Swap(0, DOUBT)] * 8, "as named"),
        ([Swap(0, 0.7)] * 8, "unsure"),
        ([Swap(0, 0.8)] * 8, "swapped"),
        ([Swap(0, 0.7)] * 50, "unsure"),  # pairs of one folder are alike
        ([Swap(0, 0.3)] * 8, "as named"),
        ([Swap(0, 2.6)], "unsure"),
        ([Swap(0, 2.4)], "as named"),
        ([Swap(0, SURE)] * 2, "unsure"),  # few pairs prove nothing
        ([Swap(0, SURE)] * 3, "swapped"),
        ([Swap(0, SURE)] * 2 + [Swap(0, -3.0)] * 2, "as named"),
        ([Swap(-1, 0.0)] * 8, "as named"),
        ([Swap(-1, 0.0)] + [Swap(0, SURE)] * 7, "as named"),
        ([Swap(1, 0.0)] * 8, "swapped"),
        ([Swap(1, 0.0)] * 5 + [Swap(-1, 0.0)] * 3, "swapped"),
        ([Swap(1, 0.0)] * 3 + [Swap(-1, 0.0)] * 5, "as named"),
        ([Swap(1, 0.0)] * 2 + [Swap(-1, 0.0)] * 2, "as named"),
        ([], "as named"),
    ],
)
def test_a_folder_is_swapped_by_its_certain_pairs_else_by_all_together(swaps, verdict):
    assert swap_verdict(swaps) == verdict


def _certain(ir, vis):
    pictures = [Picture(image, 8, None if image.dtype == np.float32 else 255) for image in (ir, vis)]
    return certain_swap(*pictures)


def test_colors_and_temperatures_say_which_image_is_which():
    matplotlib = pytest.importorskip("matplotlib")
    maps = (matplotlib.colormaps[name](GRAY)[..., :3] for name in ("inferno", "jet", "turbo"))
    mapped, jet, turbo = (np.rint(image * 255).astype(np.uint8) for image in maps)
    degrees = GRAY.astype(np.float32) / 10
    for ir, vis, certain in (
        (GRAY, COLORS, -1),
        (mapped, COLORS, -1),
        (mapped, GRAY, 0),  # a color map is no color of a scene
        (jet, GRAY, 0),
        (turbo, GRAY, 0),
        (jet, COLORS, -1),
        (degrees, GRAY, -1),
        (GRAY, GRAY, 0),
    ):
        assert _certain(ir, vis) == certain
        assert _certain(vis, ir) == -certain or certain == 0


def test_features_are_those_of_the_definition():
    found = thermal_features(SCENE)
    blurred = [SCENE, *(ndimage.gaussian_filter(SCENE, s, truncate=3) for s in (0.7, 1.4, 2.8, 5.6, 11.2, 22.4))]
    bands = [blurred[i] - blurred[i + 1] for i in range(6)]
    for i in range(5):
        assert found[i] == pytest.approx(np.log(bands[i].std() / bands[i + 1].std()), abs=0.02)
    for i, band in enumerate(bands):
        assert found[5 + i] == pytest.approx(np.log1p(max(0, stats.kurtosis(band.ravel()))), abs=1e-3)
    gradient = ndimage.gaussian_gradient_magnitude(SCENE, 1)
    assert found[11] == pytest.approx(np.log(np.median(gradient) / gradient.mean()), abs=0.01)
    assert found[12:17] == pytest.approx([stats.skew(band.ravel()) for band in bands[1:]], abs=1e-3)
    assert found[17] == pytest.approx((SCENE[:30].mean() - SCENE[60:].mean()) / SCENE.std(), rel=0.05)


def test_brightness_and_contrast_hardly_matter_and_polarity_only_changes_signs():
    found = thermal_features(SCENE)
    assert thermal_features(0.5 * SCENE + 0.3) == pytest.approx(found, abs=0.05)
    inverted = thermal_features(1 - SCENE)
    assert inverted[:12] == pytest.approx(found[:12], abs=1e-3)
    assert inverted[SIGNED] == pytest.approx(-found[SIGNED], abs=1e-3)


def test_what_polarity_changes_never_counts_against_a_thermal_image():
    features = np.zeros((2, 18))
    features[0, SIGNED] = np.sign(WEIGHTS[SIGNED])
    features[1, SIGNED] = -np.sign(WEIGHTS[SIGNED])
    assert score_of(features) == pytest.approx([np.abs(WEIGHTS[SIGNED]).sum(), 0])
    assert score_of(np.eye(18)[:12]) == pytest.approx(WEIGHTS[:12])


def test_constant_and_tiny_and_large_images_have_finite_features():
    for image in (np.full((40, 50), 0.5), np.zeros((1, 1)), np.ones((2, 3000)), RNG.random((5, 2050))):
        assert np.isfinite(thermal_features(image)).all()
    blocks = RNG.random((20, 1024))  # larger images are averaged down to 1024 pixels
    assert thermal_features(np.kron(blocks, np.ones((2, 2)))) == pytest.approx(thermal_features(blocks), abs=1e-3)


def test_evidence_is_of_the_pixels_that_count_and_has_the_sign_of_swapped():
    other = RNG.random(SCENE.shape)
    ready = prepare_pair(*(Picture(image.astype(np.float32), 8, None) for image in (SCENE, other)), FrameSettings())
    expected = score_of(thermal_features(ready.luma)) - score_of(thermal_features(ready.ir_unit))
    assert swap_evidence(0, ready) == Swap(0, pytest.approx(expected))
    assert swap_evidence(-1, ready) == Swap(-1, 0.0)
    valid = np.ones(SCENE.shape, bool)
    valid[:9] = False
    framed = ready.ir_unit.copy()
    framed[:9] = 1
    filled = framed.copy()
    filled[:9] = framed[9]
    masked, plain = (_with_ir(ready, image, mask) for image, mask in ((framed, valid), (filled, None)))
    assert swap_evidence(0, masked) == swap_evidence(0, plain)


def _with_ir(ready: PreparedPair, ir: np.ndarray, valid: np.ndarray | None) -> PreparedPair:
    return dataclasses.replace(ready, ir_unit=ir, ir_valid=valid)


def test_gray_folders_of_cameras_that_nothing_was_fitted_on(data_root):
    white_hot, black_hot = [], []
    for pair in find_pairs(data_root / "others")[2::4]:  # eight
        ready = prepare_pair(read_picture(pair.ir), read_picture(pair.vis), FrameSettings(fit="vis"))
        white_hot.append(swap_evidence(0, ready).log_odds)
        black_hot.append(swap_evidence(0, _with_ir(ready, 1 - ready.ir_unit, ready.ir_valid)).log_odds)
    for odds in (white_hot, black_hot):
        assert swap_verdict([Swap(0, value) for value in odds]) == "as named"
        assert swap_verdict([Swap(0, -value) for value in odds]) == "swapped"
