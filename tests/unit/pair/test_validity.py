"""What is no scene has no say: in resizing, warping, shifts, alignment, polarity and the fused image."""

import numpy as np
import pytest
from scipy import ndimage
from small_nets import small_params

from camfuse_jax.config import FusionConfig
from camfuse_jax.images.picture import Picture
from camfuse_jax.pair.fuse import fuse_frame
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.pair.prepare import PreparedPair, guess_polarity, prepare_pair
from camfuse_jax.pair.register import align, edge_strength, fill_nearest, find_shift, resize_mask, warp, warp_mask

FRAME = 20


def _scene(seed, shape=(120, 160), sigma=2):
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    return ((smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)


def _framed(image, value, width=FRAME):
    around = [(width, width)] * 2 + [(0, 0)] * (image.ndim - 2)
    return np.pad(image, around, constant_values=value)


def _inside(shape, width=FRAME):
    mask = np.zeros(shape, bool)
    mask[width:-width, width:-width] = True
    return mask


def _picture(unit, valid=None):
    return Picture(np.rint(unit * 255).astype(np.uint8), 8, 255, valid=valid)


def test_the_nearest_pixel_that_counts_stands_in():
    image, mask = np.arange(12.0).reshape(3, 4), np.ones((3, 4), bool)
    mask[:, 2:] = False
    np.testing.assert_array_equal(fill_nearest(image, mask), np.repeat(image[:, :2], [1, 3], axis=1))
    assert fill_nearest(image, ~(mask | True)) is image


def test_masks_move_with_their_images_and_lose_what_is_mixed():
    mask = np.ones((40, 60), bool)
    mask[:, :20] = False
    shift = np.array([[1, 0, 5.5], [0, 1, 0], [0, 0, 1.0]])
    moved = warp_mask(mask, shift, 40, 60)
    np.testing.assert_array_equal(np.flatnonzero(moved[20]), np.arange(26, 60))  # 20 moved to 25.5: 25 is mixed
    shrunk = resize_mask(mask, 20, 30)
    assert not shrunk[:, :10].any()
    assert shrunk[:, 12:].all()
    assert warp_mask(None, shift, 40, 60) is None


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_frame_around_both_moves_nothing_within(value):
    """The default rule knows the mean of the whole image; the frame must have no part in it."""
    params = small_params(fusion=FusionConfig())
    ir, vis = _scene(0), np.stack([_scene(seed) for seed in (1, 2, 3)], -1)
    plain = fuse_frame(params, ir, vis)
    masks = {f"{kind}_valid": _inside((160, 200)) for kind in ("ir", "vis")}
    framed = fuse_frame(params, _framed(ir, value), _framed(vis, value), **masks)
    np.testing.assert_allclose(framed[FRAME:-FRAME, FRAME:-FRAME], plain, atol=1e-6)
    np.testing.assert_allclose(framed[~masks["ir_valid"]], value, atol=1e-6)


def test_each_image_shows_where_the_other_does_not():
    ir, vis = _scene(0), np.stack([_scene(seed) for seed in (1, 2, 3)], -1)
    ir_valid, vis_valid = np.ones(ir.shape, bool), np.ones(ir.shape, bool)
    ir_valid[:40], vis_valid[80:], vis_valid[:20] = False, False, False
    out = fuse_frame(small_params(), ir, vis, ir_valid=ir_valid, vis_valid=vis_valid)
    np.testing.assert_allclose(out[:40], vis[:40], atol=1e-6)  # the first 20 rows: nothing is known, so as stored
    np.testing.assert_allclose(out[80:], np.repeat(ir[80:, :, None], 3, 2), atol=1e-6)
    assert np.abs(out[40:80] - vis[40:80]).mean() > 0.01
    gray = fuse_frame(small_params(), ir, vis[..., 0], vis_valid=vis_valid)
    np.testing.assert_allclose(gray[~vis_valid], ir[~vis_valid], atol=1e-6)
    nowhere = np.zeros(ir.shape, bool)
    np.testing.assert_allclose(fuse_frame(small_params(), ir, vis, ir_valid=nowhere), vis, atol=1e-6)
    np.testing.assert_allclose(fuse_frame(small_params(), ir, vis, ir_valid=nowhere, vis_valid=nowhere), vis, atol=1e-6)


def test_what_is_invalid_is_no_matter_to_the_rest():
    """Whatever stands there: lowest, highest or noise."""
    ir, vis, valid = _scene(0), _scene(1), _inside((120, 160))
    noise = np.random.default_rng(4).random(ir.shape).astype(np.float32)
    results = [fuse_frame(small_params(), np.where(valid, ir, other), vis, ir_valid=valid) for other in (0, 1, noise)]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_polarity_of_a_framed_image_is_that_of_its_inside():
    spots = np.zeros((120, 160), np.float32)
    spots[20:24, 30:34] = spots[70:75, 90:93] = spots[50:53, 60:62] = 1
    ir, vis = 1 - np.clip(0.2 * _scene(0) + 0.8 * ndimage.gaussian_filter(spots, 0.7), 0, 1), _scene(1)
    plain = guess_polarity(ir, vis)
    assert plain.strong
    for value in (0.0, 1.0):
        framed = guess_polarity(_framed(ir, value), _framed(vis, 0.5), _inside((160, 200)))
        assert framed.skew == pytest.approx(plain.skew, rel=0.1)
    assert guess_polarity(ir, vis, np.zeros(ir.shape, bool)).kind == "unclear"


def test_a_frame_or_a_warped_border_makes_no_edges():
    image, inside = warp(_scene(0), np.array([[1, 0, 25.0], [0, 1, 15.0], [0, 0, 1]]), 120, 160)
    strength = edge_strength(image, inside)
    assert not strength[~inside].any()
    assert np.abs(strength[16:, 26:]).max() <= np.abs(edge_strength(_scene(0))).max() * 1.5


def test_a_drawn_frame_does_not_hide_a_shift_nor_make_one():
    """Both cameras draw the same frame; the scenes within are 9 pixels apart, or not at all."""
    scene = _scene(3, (160, 220), sigma=2)
    a, b = scene[10:150, 10:190], scene[10:150, 19:199]
    masks = {"ir_valid": _inside((180, 220)), "vis_valid": _inside((180, 220))}
    for ir, wanted in ((a, 9), (b, 0)):
        ir_framed, vis_framed = _framed(1 - ir, 1.0), _framed(b, 1.0)
        shift = find_shift(ir_framed, vis_framed, **masks)
        assert (shift.rows, shift.cols) == (0, wanted)
        assert find_shift(ir_framed, vis_framed).cols == 0  # the frames alone decide where no mask says otherwise


def test_alignment_looks_at_the_scene_only():
    pytest.importorskip("cv2")
    scene = _scene(3, (200, 260), sigma=2)
    a, b = scene[10:170, 10:210], scene[13:173, 18:218]
    masks = {"ir_valid": _inside((200, 240)), "vis_valid": _inside((200, 240))}
    found = align(_framed(1 - a, 1.0), _framed(b, 1.0), "translation", **masks)
    np.testing.assert_allclose(found.homography[:2, 2], [-8, -3], atol=0.5)


@pytest.mark.parametrize("fit", ["vis", "ir"])
def test_prepared_masks_have_the_size_of_the_result(fit):
    ir, vis = _scene(0, (60, 80)), _scene(1)
    ir_mask, vis_mask = np.ones((60, 80), bool), np.ones((120, 160), bool)
    ir_mask[:20], vis_mask[:, 120:] = False, False
    ir[:20] = 1.0
    ready = prepare_pair(_picture(ir, ir_mask), _picture(vis, vis_mask), FrameSettings(fit=fit, check=False))
    half = 0.5 if fit == "ir" else 1
    assert ready.ir_valid.shape == ready.vis_valid.shape == ready.ir_unit.shape == ready.vis_unit.shape
    assert ready.valid[int(100 * half), int(60 * half)]
    assert not ready.valid[: int(40 * half)].any()
    assert not ready.valid[:, int(120 * half) :].any()
    if fit == "vis":  # the white rows above do not smear into what is valid
        low = prepare_pair(_picture(np.where(ir_mask, ir, 0), ir_mask), _picture(vis), FrameSettings(fit=fit))
        np.testing.assert_array_equal(ready.ir_unit[ready.ir_valid], low.ir_unit[low.ir_valid])


def test_a_calibration_moves_the_mask_and_leaves_a_border():
    mask = np.ones((120, 160), bool)
    mask[:, 100:] = False
    rows = ((1.0, 0.0, 20.0), (0.0, 1.0, 10.0), (0.0, 0.0, 1.0))
    ready = prepare_pair(_picture(_scene(0), mask), _picture(_scene(1)), FrameSettings(calibration=rows))
    expected = np.zeros((120, 160), bool)
    expected[10:, 20:120] = True
    np.testing.assert_array_equal(ready.valid, expected)
    assert ready.vis_valid is None


def test_luma_and_masks_belong_to_the_pair():
    pair = PreparedPair(np.zeros((4, 6), np.float32), np.full((4, 6, 3), 0.5, np.float32))
    np.testing.assert_array_equal(pair.luma, np.float32(0.5))
    assert pair.valid is None
    assert pair.masks == {"ir_valid": None, "vis_valid": None}
