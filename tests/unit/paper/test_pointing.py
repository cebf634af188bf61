"""The pointing game against a hand-computed case, and its maps against those of `explain`."""

import numpy as np
import pytest
from paper.pointing import MAPS, energy_share, infrared_maps, pointing, target_mask
from small_nets import small_params

from camfuse_jax.fusion.dispatch import Buckets, Program
from camfuse_jax.fusion.fuse import explain


def test_the_share_of_energy_by_hand():
    heat = np.array([[0.5, 0.25], [1.0, 0.25]])
    mask = np.array([[True, False], [True, False]])
    assert energy_share(heat, mask) == pytest.approx(1.5 / 2.0)
    assert energy_share(np.zeros((2, 2)), mask) == 0.5
    assert energy_share(np.ones((2, 2)), mask) == 0.5


def _scene():
    """A dark infrared image with one warm square of 12 x 12 pixels, whose outermost ring does not count."""
    rng = np.random.default_rng(0)
    ir = np.full((96, 100), 40, np.uint8)
    ir[40:52, 30:42] = 200
    return ir, rng.integers(0, 256, ir.shape, dtype=np.uint8)


def test_brightness_points_at_what_alone_is_warm():
    ir, vis = _scene()
    mask = target_mask(ir)
    assert mask[42:50, 32:40].all()
    assert not mask[:36].any() and not mask[56:].any()
    found = pointing(small_params(), ir, vis)
    assert set(found) == {*MAPS, "area"}
    assert found["area"] == pytest.approx(np.count_nonzero(mask) / mask.size)
    # Brightness less its minimum is 160 on the square and 0 elsewhere.
    assert found["brightness"] == pytest.approx(np.count_nonzero(mask) / 144)
    assert pointing(small_params(), np.full_like(ir, 40), vis) is None


def test_the_maps_are_those_of_explain_and_do_not_depend_on_the_program():
    ir, vis = _scene()
    params = small_params()
    maps = infrared_maps(params, ir, vis, buckets=Buckets([Program(96, 100, True)]))
    explained = explain(params, ir, vis)
    np.testing.assert_allclose(maps["CAM"], explained.ir_cam[0], atol=1e-5)
    np.testing.assert_allclose(maps["CAAM"], explained.ir_caam[0], atol=1e-5)
    for name, other in infrared_maps(params, ir, vis, buckets=Buckets([Program(128, 128, False)])).items():
        np.testing.assert_allclose(maps[name], other, atol=1e-4, err_msg=name)
        assert other.min() >= 0 and other.max() <= 1
