"""One pair of frames: fused in color, prepared from what cameras store, checked and moved."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage
from small_nets import small_params

from camfuse_jax import fuse
from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.images.color import luma_unit
from camfuse_jax.images.picture import Metadata, Picture
from camfuse_jax.images.ranges import parse_policy
from camfuse_jax.pair.fuse import fuse_frame, to_levels
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.pair.prepare import prepare_pair

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (12, 16), dtype=np.uint8)
RGB = RNG.integers(0, 256, (12, 16, 3), dtype=np.uint8)


def _picture(samples, bits=8, top=255, **fields):
    return Picture(samples, bits, top, **fields)


def _scene(seed, shape=(96, 128), sigma=2):
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    return ((smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)


def test_gray_frames_are_fuse_itself():
    expected = np.asarray(fuse(small_params(), GRAY, GRAY[::-1]))
    found = to_levels(fuse_frame(small_params(), GRAY / np.float32(255), GRAY[::-1] / np.float32(255)), 8)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_levels_are_rounded_over_the_whole_scale():
    unit = np.array([-0.1, 0.0, 0.4999, 0.5, 0.9985, 1.2], np.float32)
    assert to_levels(unit, 8).tolist() == [0, 0, 127, 128, 255, 255]
    assert to_levels(unit[[1, 3, 5]], 16).tolist() == [0, 32768, 65535]


def test_color_frames_keep_the_fused_luma():
    ir, vis = (GRAY / 255).astype(np.float32), (RGB / 255).astype(np.float32)
    color, gray = fuse_frame(small_params(), ir, vis), fuse_frame(small_params(), ir, vis, gray=True)
    assert (color.shape, gray.shape) == ((12, 16, 3), (12, 16))
    np.testing.assert_allclose(luma_unit(color), gray, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"ir_unit": np.zeros((12, 16, 1), np.float32)}, r"ir_unit has shape \(12, 16, 1\).*image\[..., 0\]"),
        ({"vis_unit": np.zeros((12, 16, 1), np.float32)}, r"vis_unit has shape \(12, 16, 1\).*image\[..., 0\]"),
        ({"vis_unit": np.zeros((12, 16, 4), np.float32)}, r"vis_unit has shape.*Leave alpha out"),
        ({"vis_unit": np.zeros((12, 17), np.float32)}, "Both must show the same pixels"),
        ({"ir_valid": np.ones((12, 16), np.float32)}, "ir_valid is float32.*bool"),
        ({"vis_valid": np.ones((1, 16), bool)}, r"vis_valid is bool of shape \(1, 16\)"),
    ],
)
def test_arrays_that_do_not_fit_are_named(change, told):
    images = {"ir_unit": np.zeros((12, 16), np.float32), "vis_unit": np.zeros((12, 16), np.float32)}
    with pytest.raises(InputError, match=told):
        fuse_frame(small_params(), **(images | change))


def test_weights_that_are_only_a_name_are_named():
    with pytest.raises(InputError, match=r"params is of type str\. Give weights, such as load_params\('tno'\)"):
        fuse("tno", GRAY, GRAY)


def test_outside_the_valid_area_the_visible_image_stays():
    ir, vis = (GRAY / 255).astype(np.float32), (RGB / 255).astype(np.float32)
    valid = np.zeros((12, 16), bool)
    valid[:, 8:] = True
    out = fuse_frame(small_params(), ir, vis, ir_valid=valid)
    np.testing.assert_allclose(out[~valid], vis[~valid], atol=1e-6)
    assert np.any(np.abs(out[valid] - vis[valid]) > 0.01)


def test_depth_alpha_and_profile_follow_the_visible_image():
    alpha = GRAY[::-1].copy()
    ready = prepare_pair(_picture(GRAY), _picture(RGB, alpha=alpha, icc=b"x"), FrameSettings())
    assert (ready.bits, ready.icc) == (8, b"x")
    np.testing.assert_array_equal(ready.alpha, alpha)
    deep = _picture((GRAY.astype(np.uint16) << 4), 12, 4095)
    assert prepare_pair(deep, _picture(RGB), FrameSettings()).bits == 16
    assert prepare_pair(deep, _picture(RGB), FrameSettings(bits="8")).bits == 8
    grayed = prepare_pair(_picture(GRAY), _picture(RGB, icc=b"x"), FrameSettings(gray=True))
    assert grayed.icc is None
    assert any("profile" in note for note in grayed.notes)
    assert (
        "ir: its alpha is left out" in prepare_pair(_picture(GRAY, alpha=alpha), _picture(RGB), FrameSettings()).notes
    )


def test_infrared_in_three_channels_is_one_scalar():
    stored = np.stack([GRAY] * 3, -1)
    ready = prepare_pair(_picture(stored), _picture(GRAY), FrameSettings())
    np.testing.assert_allclose(ready.ir_unit, GRAY / 255, atol=1e-6)
    assert "ir: gray stored as RGB" in ready.notes


def test_polarity_and_range_are_applied():
    plain = prepare_pair(_picture(GRAY), _picture(GRAY), FrameSettings()).ir_unit
    black = prepare_pair(_picture(GRAY), _picture(GRAY), FrameSettings(ir_polarity="black")).ir_unit
    np.testing.assert_allclose(black, 1 - plain, atol=1e-6)
    policy = parse_policy("fixed:0,51", option="x")
    fixed = prepare_pair(_picture(GRAY), _picture(GRAY), FrameSettings(ir_range=policy)).ir_unit
    np.testing.assert_allclose(fixed, np.clip(GRAY / 51, 0, 1), atol=1e-6)
    ready = prepare_pair(_picture(GRAY), _picture(GRAY), FrameSettings(vis_range=policy))
    np.testing.assert_allclose(ready.vis_unit, fixed, atol=1e-6)
    np.testing.assert_allclose(ready.ir_unit, plain, atol=1e-6)
    assert any(note.startswith("vis: ") and "outside" in note for note in ready.notes)
    dark = _picture(GRAY.astype(np.uint16), 12, 4095)
    vis_unit = prepare_pair(dark, dark, FrameSettings()).vis_unit
    np.testing.assert_allclose(vis_unit, GRAY / 4095, atol=1e-6)  # of its full scale, not stretched


def test_black_hot_is_flipped_on_strong_evidence_only():
    # A warm scene with a few small hot spots; its negative is what a black-hot camera gives.
    spots = np.zeros((96, 128))
    spots[20:24, 30:34] = spots[70:75, 90:93] = spots[50:53, 60:62] = 1
    ir = np.rint((0.2 * _scene(0) + 0.8 * ndimage.gaussian_filter(spots, 0.7)) * 255).astype(np.uint8)
    vis = _picture(np.rint(_scene(1) * 255).astype(np.uint8))
    settings = FrameSettings(ir_polarity="auto", check=False)
    flipped, kept = (prepare_pair(_picture(image), vis, settings) for image in (255 - ir, ir))
    assert "ir: looks black-hot and was inverted" in flipped.notes
    assert kept.notes == ()
    np.testing.assert_allclose(flipped.ir_unit, kept.ir_unit, atol=1e-6)
    unclear = prepare_pair(_picture(np.rint(255 * (1 - _scene(2))).astype(np.uint8)), vis, settings)
    assert not any("inverted" in note for note in unclear.notes)


@pytest.mark.parametrize(("fit", "size"), [("vis", (12, 16)), ("ir", (24, 20))])
def test_sizes(fit, size):
    ir = _picture(np.kron(GRAY, np.ones((2, 1), np.uint8))[:, :16].repeat(2, 1)[:, :20])
    alpha = np.full((12, 16), 200, np.uint8)
    ir, own = dataclasses.replace(ir, metadata=Metadata(b"of ir")), Metadata(b"of vis")
    ready = prepare_pair(ir, _picture(RGB, alpha=alpha, metadata=own), FrameSettings(fit=fit))
    assert ready.metadata.exif == f"of {fit}".encode()  # of the image whose geometry the result has
    alike = _picture(GRAY, metadata=Metadata(b"of ir")), _picture(RGB, metadata=own)
    assert prepare_pair(*alike, FrameSettings(fit=fit)).metadata == own
    assert ready.ir_unit.shape == ready.vis_unit.shape[:2] == ready.alpha.shape == size
    assert np.all(ready.alpha == 200)
    assert any("differ in shape" in note for note in ready.notes)
    with pytest.raises(InputError, match="20 x 24 pixels but vis has 16 x 12"):
        prepare_pair(ir, _picture(RGB), FrameSettings())


def test_sizes_of_one_shape_and_those_that_a_calibration_explains():
    small, vis = _picture(GRAY[::2, ::2].copy()), _picture(RGB)
    ready = prepare_pair(small, vis, FrameSettings(fit="vis"))
    assert not any("differ in shape" in note for note in ready.notes)
    doubled = ((2.0, 0.0, 0.5), (0.0, 2.0, 0.5), (0.0, 0.0, 1.0))
    assert prepare_pair(small, vis, FrameSettings(calibration=doubled)).ir_unit.shape == (12, 16)


def test_a_shifted_pair_is_noticed_and_an_aligned_one_is_not():
    scene = _scene(3, (160, 200))
    a, b = scene[16:144, 16:184], scene[16:144, 24:192]
    vis = _picture(np.rint(b * 255).astype(np.uint8))
    shifted = prepare_pair(_picture(np.rint((1 - a) * 255).astype(np.uint8)), vis, FrameSettings())
    assert any("misregistered" in note for note in shifted.notes)
    assert "8 px right and 0 px down" in shifted.details["misregistration"]
    aligned = prepare_pair(_picture(np.rint((1 - b) * 255).astype(np.uint8)), vis, FrameSettings())
    assert not any("misregistered" in note for note in aligned.notes)


def test_settings_that_exclude_each_other():
    with pytest.raises(UsageError, match="--fit ir"):
        FrameSettings(fit="ir", align="ecc")
