"""Shared layers: edge padding, convolution, upsampling with a convolution in one, phase bias."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from random_params import random_params

from camfuse_jax.nets.layers import Conv, PhaseBias, UpsampledConv, interleave, pad_edge


def _normal(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_pad_edge_repeats_the_outermost_pixels():
    x = _normal((2, 3, 4, 2))
    np.testing.assert_array_equal(pad_edge(x), np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge"))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 4)])
def test_upsampled_conv_equals_upsampling_and_then_a_convolution(size):
    layer, x = UpsampledConv(5), _normal((2, *size, 3))
    params = random_params(layer, x)
    drawn = jax.jit(layer.apply)({"params": params}, x)
    assert drawn.shape == (2, 2 * size[0], 2 * size[1], 5)
    expected = reference.conv3x3(reference.upsample(x), params["conv"]["kernel"], params["conv"]["bias"])
    np.testing.assert_allclose(drawn, expected, rtol=1e-5, atol=1e-5)
    large = jax.image.resize(x, (*drawn.shape[:3], 3), "bilinear")
    np.testing.assert_allclose(drawn, Conv(5).apply({"params": params}, large), rtol=1e-5, atol=1e-5)


def test_upsampled_conv_has_the_gradients_of_the_plain_form():
    x, params = _normal((2, 3, 4, 2)), random_params(UpsampledConv(3), _normal((1, 4, 4, 2)))

    def joined(params, x):
        return jnp.sum(UpsampledConv(3).apply({"params": params}, x) ** 3)

    def plain(params, x):
        large = jax.image.resize(x, (2, 6, 8, 2), "bilinear")
        return jnp.sum(Conv(3).apply({"params": params}, large) ** 3)

    _same_gradients(joined, plain, params, x)


def _same_gradients(ours, plain, params, x):
    found, expected = (jax.jit(jax.grad(f, argnums=(0, 1)))(params, x) for f in (ours, plain))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.max(np.abs(b)))


def test_upsampled_conv_in_bfloat16():
    layer = UpsampledConv(3, dtype=jnp.bfloat16)
    x = jnp.full((1, 3, 5, 1), 0.7, jnp.bfloat16)
    assert layer.apply({"params": random_params(layer, x)}, x).dtype == jnp.bfloat16


def test_phase_bias_is_chosen_by_pixel_parity():
    bias = _normal((2, 2, 3))
    shifted = interleave(PhaseBias().apply({"params": {"bias": bias}}, jnp.zeros((2, 2, 3, 4, 3))))
    for row in range(4):
        for col in range(6):
            np.testing.assert_array_equal(shifted[:, row, col], np.stack([bias[row % 2, col % 2]] * 2))


@pytest.mark.parametrize("size", [(1, 1), (4, 5), (7, 6)])
def test_conv_of_one_channel_equals_the_reference(size):
    layer, x = Conv(5), _normal((2, *size, 1))
    params = random_params(layer, x)
    expected = reference.conv3x3(x, params["conv"]["kernel"], params["conv"]["bias"])
    np.testing.assert_allclose(jax.jit(layer.apply)({"params": params}, x), expected, rtol=1e-5, atol=1e-5)


def test_conv_of_one_channel_has_the_gradients_of_a_plain_convolution():
    x, params = _normal((2, 5, 4, 1)), random_params(Conv(3), _normal((1, 4, 4, 1)))

    def ours(params, x):
        return jnp.sum(Conv(3).apply({"params": params}, x) ** 3)

    def plain(params, x):
        conv = params["conv"]
        layout = ("NHWC", "HWIO", "NHWC")
        y = jax.lax.conv_general_dilated(pad_edge(x), conv["kernel"], (1, 1), "VALID", dimension_numbers=layout)
        return jnp.sum((y + conv["bias"].reshape(1, 1, 1, -1)) ** 3)

    _same_gradients(ours, plain, params, x)


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
    params = random_params(UpsampledConv(4, phase_bias=True), _normal((1, 4, 4, 2)))
    assert {name: set(group) for name, group in params.items()} == {"conv": {"kernel"}, "phase": {"bias"}}
