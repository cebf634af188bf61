"""Gains shift weight between the two images and leave each channel's sum."""

import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_nets import small_params

from camfuse_jax import fuse, load_params, save_params
from camfuse_jax.config import Rule
from camfuse_jax.errors import UsageError
from camfuse_jax.fusion.params import balanced, with_rule
from camfuse_jax.pair.options import FuseSettings


def test_gains_keep_the_sum_and_set_the_ratio():
    params = small_params()
    plain = params.channel_weights
    np.testing.assert_array_equal(balanced(params).channel_weights, plain)
    np.testing.assert_allclose(balanced(params, ir_gain=3, vis_gain=3).channel_weights, plain, rtol=1e-6)
    leaning = balanced(params, ir_gain=4, vis_gain=2).channel_weights
    np.testing.assert_allclose(leaning.sum(0), plain.sum(0), rtol=1e-6)
    np.testing.assert_allclose(leaning[0] / leaning[1], 2 * plain[0] / plain[1], rtol=1e-5)
    np.testing.assert_allclose(balanced(params, vis_gain=0).channel_weights[1], 0)
    np.testing.assert_allclose(balanced(params, ir_gain=3).balance, (0.75, 0.25))


def test_settings_give_each_gain_and_the_rule_to_the_weights(tmp_path):
    save_params(tmp_path / "p.safetensors", small_params())
    params = FuseSettings(weights=str(tmp_path / "p.safetensors"), rule="unit_sum", ir_gain=2, vis_gain=3).params()
    assert (params.fusion.rule, params.ir_gain, params.vis_gain) == ("unit_sum", 2, 3)


@pytest.mark.parametrize("rule", typing.get_args(Rule))
def test_gains_that_would_change_nothing_are_refused_as_options(rule, tmp_path):
    save_params(tmp_path / "p.safetensors", small_params())
    ir, vis = np.random.default_rng(0).random((2, 12, 16), np.float32)
    params = with_rule(small_params(), rule)
    acts = np.any(np.asarray(fuse(balanced(params, ir_gain=4), ir, vis)) != np.asarray(fuse(params, ir, vis)))
    for gain in ("ir_gain", "vis_gain"):
        settings = FuseSettings(weights=str(tmp_path / "p.safetensors"), rule=rule, **{gain: 4.0})
        if acts:
            settings.params()
        else:
            with pytest.raises(UsageError, match=f"--{gain.replace('_', '-')} would change nothing"):
                settings.params()


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
