"""What is constant over a video: ranges, color map, polarity, movement, and the light."""

import numpy as np
import pytest
from scipy import ndimage
from small_nets import small_params

from camfuse_jax.config import FusionConfig
from camfuse_jax.data.synthetic import synthetic_pair
from camfuse_jax.errors import InputError
from camfuse_jax.images.ranges import RangePolicy
from camfuse_jax.pair.fuse import fuse_frame
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.pair.prepare import PreparedPair
from camfuse_jax.video.calibration import FlickerControl, calibrate_video
from camfuse_jax.video.frames import Frame


def _pairs(*pairs):
    return [(Frame(0.0, ir), Frame(0.0, vis)) for ir, vis in pairs]


def _ir_unit(calibration, ir, vis):
    return calibration.prepare(Frame(0.0, ir), Frame(0.0, vis)).ir_unit


def test_ranges_come_from_all_samples_and_stay():
    dark, bright = np.full((16, 16), 7000, np.uint16), np.full((16, 16), 9000, np.uint16)
    vis = np.zeros((16, 16), np.uint8)
    settings = FrameSettings(ir_range=RangePolicy("minmax"), check=False)
    found = calibrate_video(_pairs((dark, vis), (bright, vis), (dark, vis)), settings)
    for samples, unit in ((dark, 0.0), (bright, 1.0), (dark + np.uint16(1000), 0.5)):
        np.testing.assert_allclose(_ir_unit(found, samples, vis), unit, atol=1e-3)
    assert "constant" in found.details["ir range"]


def test_masked_pixels_have_no_say_in_the_range():
    ir, vis = np.full((16, 16), 7000, np.uint16), np.zeros((16, 16), np.uint8)
    ir[:, 8:], ir[0] = 9000, 65535
    mask = np.ones((16, 16), bool)
    mask[0] = False
    found = calibrate_video(
        [(Frame(0.0, ir, mask), Frame(0.0, vis))], FrameSettings(ir_range=RangePolicy("minmax"), check=False)
    )
    assert found.details["ir range"].startswith("7000 to 9000")
    for own in (mask, ~mask):
        np.testing.assert_array_equal(found.prepare(Frame(1.0, ir, own), Frame(1.0, vis)).ir_valid, own)


def test_a_border_that_is_constant_in_all_frames_is_no_scene():
    rng = np.random.default_rng(0)
    vis = rng.integers(0, 256, (64, 96), dtype=np.uint8)
    irs = [np.pad(rng.integers(50, 90, (48, 96), dtype=np.uint8), ((8, 8), (0, 0))) for _ in range(3)]
    found = calibrate_video(
        _pairs(*((ir, vis) for ir in irs)), FrameSettings(ir_range=RangePolicy("minmax"), check=False)
    )
    assert found.details["ir range"].startswith("50 to 89")
    assert any("constant to the edge" in note for note in found.notes)
    ready = found.prepare(Frame(1.0, irs[0]), Frame(1.0, vis))
    np.testing.assert_array_equal(ready.ir_valid[:, 0], np.pad(np.ones(48, bool), 8))
    assert ready.vis_valid is None
    irs[1][0, :] = rng.integers(0, 256, 96)  # once it shows something
    found = calibrate_video(_pairs(*((ir, vis) for ir in irs)), FrameSettings(check=False))
    np.testing.assert_array_equal(found.ir_valid[:, 0], np.arange(64) < 56)


@pytest.mark.parametrize(("low", "high", "misses"), [(0, 7500, "some"), (0, 100, "all")])
def test_a_fixed_range_that_misses_is_told(low, high, misses):
    ir, vis = np.repeat(np.arange(7000, 9000, 500, dtype=np.uint16), 64).reshape(16, 16), np.zeros((16, 16), np.uint8)
    settings = FrameSettings(ir_range=RangePolicy("fixed", low, high), check=False)
    if misses == "all":
        with pytest.raises(InputError, match="outside"):
            calibrate_video(_pairs((ir, vis)), settings)
    else:
        found = calibrate_video(_pairs((ir, vis)), settings)
        assert [note for note in found.notes if "of the pixels lie outside" in note]


def test_a_color_map_is_found_once():
    matplotlib = pytest.importorskip("matplotlib")
    ir, vis = synthetic_pair(3, 64, 96)
    colored = (matplotlib.colormaps["inferno"](ir)[..., :3] * 255).round().astype(np.uint8)
    found = calibrate_video(_pairs((colored, vis)), FrameSettings(check=False))
    assert found.ir_how == "inferno"
    np.testing.assert_allclose(_ir_unit(found, colored, vis), ir / 255, atol=0.02)
    one_color = np.broadcast_to(colored[:1, :1], colored.shape)  # would be taken for luma by itself
    np.testing.assert_allclose(_ir_unit(found, one_color, vis), ir[0, 0] / 255, atol=0.02)


def test_gray_stored_as_color_is_its_channel():
    ir, vis = synthetic_pair(3, 64, 96)
    found = calibrate_video(_pairs((np.stack([ir] * 3, -1), vis)), FrameSettings(check=False))
    assert (found.ir_how, found.notes) == ("equal channels", ())
    np.testing.assert_array_equal(_ir_unit(found, np.stack([ir] * 3, -1), vis), (ir / 255).astype(np.float32))
    tinted = np.stack([ir, ir, np.minimum(ir, 254) + 1], -1).astype(np.uint8)  # a decoder's rounding: luma it is
    assert np.abs(_ir_unit(found, tinted, vis) - ir / 255).max() < 1 / 255


def test_polarity_is_decided_for_all_frames():
    ir, vis = synthetic_pair(6, 120, 160)
    found = calibrate_video(_pairs((ir, vis)), FrameSettings(ir_polarity="black", check=False))
    np.testing.assert_allclose(_ir_unit(found, ir, vis), 1 - ir / 255, atol=1e-5)


def _hot_spots(seed):
    spots = np.zeros((96, 128))
    spots[20:24, 30:34] = spots[70:75, 90:93] = spots[50:53, 60:62] = 1
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(96, 128)), 2)
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    return np.rint((0.2 * smooth + 0.8 * ndimage.gaussian_filter(spots, 0.7)) * 255).astype(np.uint8)


@pytest.mark.parametrize(("black", "inverted"), [(3, True), (2, False), (0, False)])
def test_most_frames_decide_the_polarity(black, inverted):
    """Of four pairs: half is not most."""
    irs = [255 - _hot_spots(seed) if seed < black else _hot_spots(seed) for seed in range(4)]
    vis = np.rint(255 * np.random.default_rng(9).random((96, 128))).astype(np.uint8)
    found = calibrate_video(_pairs(*((ir, vis) for ir in irs)), FrameSettings(ir_polarity="auto", check=False))
    assert (found.settings.ir_polarity == "black") == inverted
    assert ("ir: looks black-hot and was inverted" in found.notes) == inverted
    expected = 1 - irs[0] / 255 if inverted else irs[0] / 255
    np.testing.assert_allclose(_ir_unit(found, irs[0], vis), expected, atol=1e-5)


def test_sizes_are_checked_at_once():
    with pytest.raises(InputError, match="--fit"):
        calibrate_video(_pairs((np.zeros((8, 8), np.uint8), np.zeros((9, 8), np.uint8))), FrameSettings())


def test_the_movement_is_found_once_and_scales_with_the_size():
    pytest.importorskip("cv2")
    rng = np.random.default_rng(0)
    scene = ndimage.gaussian_filter(rng.normal(size=(260, 340)), 3) > 0
    scene = np.rint(255 * (0.2 + 0.6 * ndimage.gaussian_filter(scene.astype(float), 0.8))).astype(np.uint8)
    vis, ir = scene[10:250, 10:330], 255 - scene[10:250, 4:324]
    settings = FrameSettings(align="translation", fit="vis")
    found = calibrate_video(_pairs((ir, vis)), settings)
    np.testing.assert_allclose(np.array(found.settings.calibration)[:2, 2], [-6, 0], atol=0.5)
    half = calibrate_video(_pairs((ir[::2, ::2], vis)), settings)
    np.testing.assert_allclose(np.array(half.settings.calibration)[0, 0], 2, atol=0.02)
    np.testing.assert_allclose(np.array(half.settings.calibration)[:2, 2], [-6, 0], atol=1)
    ready = half.prepare(Frame(0.0, ir[::2, ::2]), Frame(0.0, vis))
    assert not ready.ir_valid[:, -4:].any()  # what was moved away from the border is unknown there
    assert ready.ir_valid[20:-20, 20:-20].all()


def _scene(rng, spot):
    """A static scene with noise; the infrared one shows something hot on part of it."""
    ir = np.tile(np.linspace(0.2, 0.6, 96), (64, 1))
    vis = np.tile(np.linspace(0.7, 0.3, 64)[:, None], (1, 96))
    ir[:, : int(96 * spot)] = 1.0
    return PreparedPair(*(np.clip(x + rng.normal(0, 0.02, x.shape), 0, 1).astype(np.float32) for x in (ir, vis)))


def test_what_did_not_change_keeps_its_brightness():
    """The rule knows the means of whole images; something hot enters on a quarter of one of them."""
    rng = np.random.default_rng(0)
    params = small_params(fusion=FusionConfig())
    control, raw, held = FlickerControl(params, 25), [], []
    for index in range(12):
        pair = _scene(rng, 0.25 if index >= 6 else 0.0)
        context = control(pair)
        raw.append(fuse_frame(params, pair.ir_unit, pair.vis_unit)[:, 60:].mean())
        held.append(fuse_frame(params, pair.ir_unit, pair.vis_unit, context=context)[:, 60:].mean())
    assert abs(raw[6] - raw[5]) > 0.01
    assert np.abs(np.diff(held)).max() < 0.004  # one level of 255
    assert np.abs(np.diff(held)).max() < 0.25 * np.abs(np.diff(raw)).max()


@pytest.mark.parametrize("rule", ["eq5-contribution", "eq5-pooled"])
def test_channel_weights_that_depend_on_the_images_are_averaged(rule):
    """So rule adaptive may be used on videos: its weights do not follow each frame."""
    params, rng = small_params(fusion=FusionConfig(rule=rule)), np.random.default_rng(0)
    control, pair, other = FlickerControl(params, 25), _scene(rng, 0.0), _scene(rng, 0.25)
    first, second = control(pair).weights, control(other).weights
    own = FlickerControl(params, 25)(other).weights
    assert np.abs(own - first).max() > 1e-3
    np.testing.assert_allclose(second - first, (1 - np.exp(-1 / 125)) * (own - first), atol=1e-6)


@pytest.mark.parametrize("rate", [25, 5])
def test_a_cut_begins_anew_and_a_slow_change_is_followed(rate):
    params, rng = small_params(fusion=FusionConfig()), np.random.default_rng(1)
    control = FlickerControl(params, rate)
    for _ in range(3):
        control(_scene(rng, 0.0))
    other = _scene(rng, 0.0)
    other = PreparedPair(other.ir_unit * 0.5, 1 - other.vis_unit * 0.5)
    own = FlickerControl(params, 25)(other)
    np.testing.assert_array_equal(control(other).statistics.mean, own.statistics.mean)
    brighter = PreparedPair(other.ir_unit + 0.05, other.vis_unit)
    means = [float(control(brighter).statistics.mean[0].squeeze()) for _ in range(10 * rate)]
    assert np.all(np.diff(means) > -1e-6)
    assert abs(means[5 * rate] - other.ir_unit.mean() - 0.05 * (1 - np.exp(-1))) < 0.003  # 5 s on
    assert means[-1] > other.ir_unit.mean() + 0.04


def test_something_bright_that_enters_both_images_is_no_cut():
    params, rng = small_params(fusion=FusionConfig()), np.random.default_rng(3)
    control, pair = FlickerControl(params, 25), _scene(rng, 0.0)
    before = control(pair).statistics.mean
    for image in (pair.ir_unit, pair.vis_unit):
        image[:, :30] = 1.0
    np.testing.assert_allclose(control(pair).statistics.mean, before, atol=0.01)


def test_a_jump_of_one_camera_alone_is_no_cut():
    """As where a thermal camera sets its gain anew."""
    params, rng = small_params(fusion=FusionConfig()), np.random.default_rng(4)
    control, pair = FlickerControl(params, 25), _scene(rng, 0.0)
    before = control(pair).statistics.mean
    after = control(PreparedPair(pair.ir_unit * 0.5, pair.vis_unit)).statistics.mean
    np.testing.assert_allclose(after, before, atol=0.01)


def test_what_is_invalid_has_no_part_in_the_light():
    params, rng = small_params(fusion=FusionConfig()), np.random.default_rng(2)
    pair = _scene(rng, 0.0)
    mask = np.zeros(pair.luma.shape, bool)
    mask[8:-8, 8:-8] = True
    inside = PreparedPair(pair.ir_unit[8:-8, 8:-8], pair.vis_unit[8:-8, 8:-8])
    framed = PreparedPair(np.where(mask, pair.ir_unit, 1), pair.vis_unit, mask)
    expected, found = (FlickerControl(params, 25)(one).statistics for one in (inside, framed))
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-6)
