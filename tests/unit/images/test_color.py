"""Color around a changed luma: exact where nothing changed, in gamut, of one hue, and without fringes at edges."""

import colorsys

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camfuse_jax.images.color import luma_unit, with_luma

RGB = arrays.arrays(np.uint8, (3, 4, 3))
LUMA = arrays.arrays(np.float64, (3, 4), elements=st.floats(0, 1))


@given(RGB)
def test_unchanged_luma_gives_the_same_8_bit_colors(rgb):
    unit = rgb / 255
    np.testing.assert_array_equal(np.rint(with_luma(unit, luma_unit(unit)) * 255), rgb)


def test_the_whole_8_bit_cube_in_steps_survives():
    axis = np.arange(0, 256, 5)
    rgb = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(len(axis), -1, 3)
    np.testing.assert_array_equal(np.rint(with_luma(rgb / 255, luma_unit(rgb / 255)) * 255), rgb)


@given(RGB, LUMA)
def test_luma_is_met_inside_the_gamut_and_hue_stays(rgb, luma):
    unit = rgb / 255
    out = with_luma(unit, luma)
    assert out.min() >= 0
    assert out.max() <= 1
    np.testing.assert_allclose(luma_unit(out), luma, atol=1e-9)
    before, after = unit - luma_unit(unit)[..., None], out - luma_unit(out)[..., None]
    # Same direction and never longer: the hue's vector, shortened.
    np.testing.assert_allclose(np.cross(before, after), 0, atol=1e-9)
    assert np.all(np.sum(before * after, -1) >= -1e-12)
    assert np.all(np.linalg.norm(after, axis=-1) <= np.linalg.norm(before, axis=-1) + 1e-9)


def _hue(rgb):
    return colorsys.rgb_to_hsv(*rgb)[0]


@pytest.mark.parametrize("color", [(0.9, 0.4, 0.2), (0.2, 0.5, 0.9), (1.0, 0.7, 0.4), (0.1, 0.3, 0.1)])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.1, 0.9), (0.3, 0.35)])
def test_a_step_in_infrared_over_one_color_leaves_no_fringe(color, low, high):
    """Across an edge that only the infrared camera sees, hue must stay and saturation must not exceed the source's."""
    steps = np.concatenate([np.full(8, low), np.linspace(low, high, 9), np.full(8, high)])
    out = with_luma(np.broadcast_to(color, (1, len(steps), 3)), steps[None])[0]
    source_saturation = colorsys.rgb_to_hsv(*color)[1]
    for pixel in out:
        _, saturation, value = colorsys.rgb_to_hsv(*pixel)
        assert saturation <= source_saturation + 1e-9
        if saturation > 1e-6 and value > 1e-6:
            assert abs(_hue(pixel) - _hue(color)) < 1e-6
    # No overshoot: along a monotone luma every channel is monotone.
    assert np.all(np.diff(out, axis=0) >= -1e-12)


def test_scale_is_continuous_in_luma():
    luma = np.linspace(0, 1, 2001)
    out = with_luma(np.broadcast_to((0.8, 0.5, 0.1), (1, 2001, 3)), luma[None])[0]
    assert np.abs(np.diff(out, axis=0)).max() < 4 / 2000


def test_equal_channels_stay_equal():
    gray = np.linspace(0, 1, 256)
    rgb = np.stack([gray] * 3, -1)[None]
    np.testing.assert_array_equal(luma_unit(rgb)[0], gray)
    out = with_luma(rgb, 1 - gray[None])
    np.testing.assert_allclose(out, 1 - rgb, atol=1e-12)


def test_a_blown_out_lamp_gets_no_hue_of_its_own_when_darkened():
    pixels = np.array([[[237, 255, 255], [255, 255, 40]]]) / 255
    core, yellow = with_luma(pixels, np.array([[0.8, 0.8]]))[0]
    assert np.ptp(core) < 0.015
    assert np.ptp(yellow) > 0.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_luma_has_the_weights_of_bt_601(dtype):
    primaries = np.eye(3, dtype=dtype)[None]
    np.testing.assert_allclose(luma_unit(primaries), [[0.299, 0.587, 0.114]], atol=1e-6)
