"""Shared layers: edge padding, upsampling, phase bias."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from random_params import random_params

from camfuse_jax.nets.layers import Conv, PhaseBias, pad_edge, upsample


def _normal(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_pad_edge_repeats_the_outermost_pixels():
    x = _normal((2, 3, 4, 2))
    np.testing.assert_array_equal(pad_edge(x), np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge"))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 4)])
def test_upsample_is_half_pixel_bilinear(size):
    x = _normal((2, *size, 3))
    doubled = np.asarray(jax.jit(upsample)(x))
    assert doubled.shape == (2, 2 * size[0], 2 * size[1], 3)
    np.testing.assert_allclose(doubled, reference.upsample(x), rtol=0, atol=1e-6)
    np.testing.assert_allclose(doubled, jax.image.resize(x, doubled.shape, "bilinear"), rtol=0, atol=1e-6)


def test_upsample_keeps_constants_exactly_and_type():
    doubled = jax.jit(upsample)(jnp.full((1, 3, 5, 1), 0.7, jnp.bfloat16))
    assert doubled.dtype == jnp.bfloat16
    np.testing.assert_array_equal(doubled, jnp.full((1, 6, 10, 1), 0.7, jnp.bfloat16))


def test_phase_bias_is_chosen_by_pixel_parity():
    bias = _normal((2, 2, 3))
    shifted = PhaseBias().apply({"params": {"bias": bias}}, jnp.zeros((2, 4, 6, 3)))
    for row in range(4):
        for col in range(6):
            np.testing.assert_array_equal(shifted[:, row, col], np.stack([bias[row % 2, col % 2]] * 2))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (4, 5), (7, 6)])
def test_conv_equals_the_reference(size, stride):
    layer, x = Conv(5, stride), _normal((2, *size, 3))
    params = random_params(layer, x)
    result = jax.jit(layer.apply)({"params": params}, x)
    assert result.shape == (2, -(-size[0] // stride), -(-size[1] // stride), 5)
    expected = reference.conv3x3(x, params["conv"]["kernel"], params["conv"]["bias"], stride)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_conv_of_a_constant_image_is_constant_up_to_its_border():
    layer, x = Conv(4), np.full((1, 5, 6, 2), 0.3, np.float32)
    result = np.asarray(jax.jit(layer.apply)({"params": random_params(layer, x)}, x))
    np.testing.assert_allclose(result, np.broadcast_to(result[:, 2:3, 2:3], result.shape), rtol=0, atol=1e-6)


def test_phase_bias_takes_the_place_of_the_plain_bias():
    params = random_params(Conv(4, phase_bias=True), _normal((1, 4, 4, 2)))
    assert {name: set(group) for name, group in params.items()} == {"conv": {"kernel"}, "phase": {"bias"}}
