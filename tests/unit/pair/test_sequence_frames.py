"""What is constant over a video: ranges, color map, polarity, and the light."""

import numpy as np
import pytest

from camfuse_jax.data.synthetic import synthetic_pair
from camfuse_jax.images.ranges import RangePolicy
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.video.calibration import settle
from camfuse_jax.video.flicker import SteadyLight


def test_ranges_come_from_all_samples_and_stay():
    dark, bright = np.full((16, 16), 7000, np.uint16), np.full((16, 16), 9000, np.uint16)
    vis = np.zeros((16, 16), np.uint8)
    settings = FrameSettings(ir_range=RangePolicy("minmax"), check=False)
    found = settle([(dark, vis), (bright, vis), (dark, vis)], settings)
    for samples, unit in ((dark, 0.0), (bright, 1.0), (dark + np.uint16(1000), 0.5)):
        np.testing.assert_allclose(found.ready(samples, vis).ir_unit, unit, atol=1e-3)
    assert "constant" in found.details["ir range"]


def test_a_color_map_is_found_once():
    matplotlib = pytest.importorskip("matplotlib")
    ir, vis = synthetic_pair(3, 64, 96)
    colored = (matplotlib.colormaps["inferno"](ir)[..., :3] * 255).round().astype(np.uint8)
    found = settle([(colored, vis)], FrameSettings(check=False))
    assert found.ir_how == "inferno"
    np.testing.assert_allclose(found.ready(colored, vis).ir_unit, ir / 255, atol=0.02)
    one_color = np.broadcast_to(colored[:1, :1], colored.shape)  # would be taken for luma by itself
    np.testing.assert_allclose(found.ready(one_color, vis).ir_unit, ir[0, 0] / 255, atol=0.02)


def test_polarity_is_decided_for_all_frames():
    ir, vis = synthetic_pair(6, 120, 160)
    found = settle([(ir, vis)], FrameSettings(ir_polarity="black", check=False))
    np.testing.assert_allclose(found.ready(ir, vis).ir_unit, 1 - ir / 255, atol=1e-5)


def _scene(rng, spot):
    """A static scene with noise; the infrared one shows something hot on part of it."""
    ir = np.tile(np.linspace(0.2, 0.6, 96), (64, 1))
    vis = np.tile(np.linspace(0.7, 0.3, 64)[:, None], (1, 96))
    ir[:, : int(96 * spot)] = 1.0
    ir, vis = (np.clip(x + rng.normal(0, 0.02, x.shape), 0, 1).astype(np.float32) for x in (ir, vis))
    return ir, vis


def _pumping(ir, vis):
    """A rule that sets contrasts around the images' means, as rule `place` does."""
    return np.clip(0.5 + 0.95 * (ir - ir.mean()) + 0.95 * (vis - vis.mean()), 0, 1)


def test_what_did_not_change_keeps_its_brightness():
    rng = np.random.default_rng(0)
    steady, raw, held = SteadyLight(25), [], []
    for index in range(40):
        ir, vis = _scene(rng, 0.25 if index >= 20 else 0.0)
        fused = _pumping(ir, vis)
        raw.append(fused[:, 60:].mean())
        held.append(steady(ir, vis, fused)[:, 60:].mean())
    assert abs(raw[20] - raw[19]) > 0.1
    assert np.abs(np.diff(held)).max() < 0.004  # one level of 255
    assert abs(held[39] - raw[39]) < abs(held[20] - raw[20])  # given back slowly


def test_noise_does_not_add_up_and_a_cut_is_left_alone():
    rng = np.random.default_rng(1)
    steady = SteadyLight(25)
    for _ in range(300):
        ir, vis = _scene(rng, 0.0)
        shown = steady(ir, vis, _pumping(ir, vis))
    assert abs(shown.mean() - _pumping(ir, vis).mean()) < 0.004
    other = np.ascontiguousarray(1 - ir), np.ascontiguousarray(1 - vis)
    before = steady._shift
    steady(*other, _pumping(*other))
    assert abs(steady._shift) <= abs(before)
