"""Gains shift weight between the two images and leave each channel's sum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_nets import small_params

from camfuse_jax import fuse, load_params, save_params
from camfuse_jax.errors import UsageError
from camfuse_jax.fusion.params import balanced


def test_gains_keep_the_sum_and_set_the_ratio():
    params = small_params()
    plain = params.channel_weights
    np.testing.assert_array_equal(balanced(params).channel_weights, plain)
    np.testing.assert_allclose(balanced(params, ir_gain=3, vis_gain=3).channel_weights, plain, rtol=1e-6)
    leaning = balanced(params, ir_gain=4, vis_gain=2).channel_weights
    np.testing.assert_allclose(leaning.sum(0), plain.sum(0), rtol=1e-6)
    np.testing.assert_allclose(leaning[0] / leaning[1], 2 * plain[0] / plain[1], rtol=1e-5)
    np.testing.assert_allclose(balanced(params, vis_gain=0).channel_weights[1], 0)


def test_no_infrared_means_no_influence_of_the_infrared_image():
    params = balanced(small_params(), ir_gain=0)
    ir, vis = np.random.default_rng(0).random((2, 12, 16), np.float32)
    np.testing.assert_array_equal(fuse(params, ir, vis), fuse(params, 1 - ir, vis))
    assert np.any(np.asarray(fuse(balanced(params, ir_gain=1), ir, vis)) != fuse(params, ir, vis))


def test_gains_do_not_travel_in_files_and_are_differentiable(tmp_path):
    params = balanced(small_params(), ir_gain=2)
    save_params(tmp_path / "p.safetensors", params)
    assert load_params(tmp_path / "p.safetensors").ir_gain == 1
    grad = jax.grad(lambda gain: jnp.sum(params.replace(ir_gain=gain).channel_weights ** 2))(2.0)
    assert np.isfinite(grad)


@pytest.mark.parametrize(("ir_gain", "vis_gain"), [(-1, 1), (1, float("nan")), (0, 0), (101, 1)])
def test_wrong_gains_are_refused(ir_gain, vis_gain):
    with pytest.raises(UsageError):
        balanced(small_params(), ir_gain=ir_gain, vis_gain=vis_gain)
