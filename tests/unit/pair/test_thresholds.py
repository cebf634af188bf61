"""Where the lines are drawn: what is misregistered, how sure a polarity must be, what an alignment may rest on."""

import numpy as np
import pytest
from scipy import ndimage

from camfuse_jax.images.picture import Picture
from camfuse_jax.pair import prepare
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.pair.register import Shift, align, edge_strength, find_shift, warp


def _scene(seed, shape):
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    return ((smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)


def _with_shift(monkeypatch, rows, cols, score, gain):
    monkeypatch.setattr(prepare, "find_shift", lambda *images, **masks: Shift(rows, cols, score, gain))


@pytest.mark.parametrize(
    ("cols", "score", "gain", "noticed"),
    [
        (9.0, 6.1, 0.04, True),
        (-9.0, 6.1, 0.04, True),
        (9.0, 5.9, 0.04, False),  # no clear peak
        (9.0, 6.1, 0.02, False),  # hardly better than where they are
        (3.9, 20.0, 0.5, False),  # within 4 pixels
        (4.1, 20.0, 0.5, True),
    ],
)
def test_what_counts_as_misregistered(monkeypatch, cols, score, gain, noticed):
    _with_shift(monkeypatch, 0.0, cols, score, gain)
    blank = Picture(np.zeros((96, 128), np.uint8), 8, 255)
    ready = prepare.prepare_pair(blank, blank, FrameSettings())
    assert any("misregistered" in note for note in ready.notes) == noticed
    assert ("misregistration" in ready.details) == noticed
    assert prepare.prepare_pair(blank, blank, FrameSettings(check=False)).details.keys() == {"ir range", "vis range"}


def test_in_large_images_more_pixels_are_allowed(monkeypatch):
    _with_shift(monkeypatch, 0.0, 9.0, 20.0, 0.5)
    blank = Picture(np.zeros((960, 1280), np.uint8), 8, 255)  # 1 % of the diagonal is 16 pixels
    assert not prepare.prepare_pair(blank, blank, FrameSettings()).notes


def test_the_score_of_a_shift_is_its_peak_in_standard_deviations():
    """Against the definition: correlation at all shifts, computed one by one."""
    scene = _scene(3, (64, 80))
    ir, vis = scene[8:56, 8:72], scene[8:56, 12:76]
    found = find_shift(ir, vis, reach=0.1)
    a, b = edge_strength(ir), edge_strength(vis)
    norm = np.sqrt(np.sum(a**2) * np.sum(b**2))
    shifts = [(row, col) for row in range(-4, 5) for col in range(-6, 7)]
    values = {}
    for row, col in shifts:
        moved = np.zeros_like(a)
        rows, cols = (slice(max(0, -n), min(size, size - n)) for n, size in zip((row, col), a.shape, strict=True))
        target = tuple(slice(s.start + n, s.stop + n) for s, n in zip((rows, cols), (row, col), strict=True))
        moved[rows, cols] = a[target]
        values[row, col] = np.sum(moved * b) / norm
    best = max(values, key=values.get)
    assert (found.rows, found.cols) == best == (0, 4)
    every = np.array(list(values.values()))
    assert found.score == pytest.approx((values[best] - every.mean()) / every.std(), rel=0.02)
    assert found.gain == pytest.approx(values[best] - values[0, 0], abs=1e-6)


@pytest.mark.parametrize(
    ("skew", "kind", "strong"),
    [(-2.01, "black", True), (-1.99, "black", False), (-1.01, "black", False), (-0.99, "unclear", False),
     (0.99, "unclear", False), (1.01, "white", False), (3.0, "white", False)],
)  # fmt: skip
def test_how_sure_a_polarity_must_be(monkeypatch, skew, kind, strong):
    """Images whose infrared rest has a known skewness: of two values, one of them rare."""
    share = 0.5 - 0.5 * abs(skew) / np.sqrt(skew**2 + 4)  # skewness of a two-valued variable
    monkeypatch.setattr(prepare.ndimage, "gaussian_filter", lambda image, sigma: np.full_like(image, image.mean()))
    count = round(share * 10_000 * 10)
    ir = np.zeros(100_000)
    ir[:count] = 1.0
    ir = (1 - ir if skew < 0 else ir).reshape(250, 400)
    guess = prepare.guess_polarity(ir.astype(np.float32), np.zeros((250, 400), np.float32))
    assert guess.skew == pytest.approx(skew, abs=0.005)
    assert (guess.kind, guess.strong) == (kind, strong)


def test_a_possible_black_hot_image_is_told_and_left_as_it_is(monkeypatch):
    monkeypatch.setattr(prepare, "guess_polarity", lambda *images: prepare.Polarity("black", -1.5))
    ir = Picture(np.arange(96 * 128, dtype=np.uint16).reshape(96, 128).astype(np.uint8), 8, 255)
    ready = prepare.prepare_pair(ir, ir, FrameSettings(ir_polarity="auto", check=False))
    np.testing.assert_allclose(ready.ir_unit, ir.samples / 255, atol=1e-6)
    assert any("may be black-hot; not inverted" in note for note in ready.notes)


def test_a_warped_border_does_not_decide_an_alignment():
    """Its edge would agree with a drawn line in the visible image at the wrong place."""
    pytest.importorskip("cv2")
    scene = _scene(3, (200, 260))
    vis, ir = scene[20:180, 20:240].copy(), 1 - scene[20:180, 8:228]
    found = align(ir, vis, "translation")
    np.testing.assert_allclose(found.homography[:2, 2], [-12, 0], atol=0.3)
    moved, inside = warp(ir, found.homography, *vis.shape)
    left = find_shift(moved, vis, ir_valid=inside)
    assert left.length == 0
    assert found.confidence == pytest.approx(left.score, rel=0.05)
