"""The depthwise layer's own gradient against the one JAX derives from a plain definition."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from camfuse_jax.nets.classifier import depthwise_branches

BRANCHES, CHANNELS = 3, 4


def _naive(x, kernel, bias, stride):
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    total = 0
    for k, b in zip(kernel, bias, strict=True):
        y = jax.lax.conv_general_dilated(
            padded,
            k[:, :, None],
            (stride, stride),
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=x.shape[-1],
            precision="highest",
        )
        total = total + jax.nn.relu(y + b[None, None, None])
    return total


def _inputs(size):
    rng = np.random.default_rng(0)
    shapes = [(2, *size, CHANNELS), (BRANCHES, 3, 3, CHANNELS), (BRANCHES, CHANNELS)]
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (6, 8), (2, 9)], ids=str)
def test_gradient_equals_that_of_the_plain_definition(size, stride):
    inputs = _inputs(size)
    out_shape = (2, -(-size[0] // stride), -(-size[1] // stride), CHANNELS)
    weight = np.random.default_rng(1).normal(size=out_shape).astype(np.float32)

    @functools.partial(jax.jit, static_argnums=0)
    def value_and_gradients(layer, x, kernel, bias):
        return jax.value_and_grad(lambda *a: jnp.sum(weight * layer(*a, stride)), argnums=(0, 1, 2))(x, kernel, bias)

    value, gradients = value_and_gradients(depthwise_branches, *inputs)
    expected_value, expected = value_and_gradients(_naive, *inputs)
    np.testing.assert_allclose(value, expected_value, rtol=1e-4)
    for name, ours, theirs in zip(("x", "kernel", "bias"), gradients, expected, strict=True):
        assert np.abs(theirs).max() > 0.1, name
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4, err_msg=name)


def test_gradient_under_vmap():
    x, kernel, bias = _inputs((3, 4))

    def gradient(image):
        return jax.grad(lambda k: jnp.sum(depthwise_branches(image[None], k, bias, 2)))(kernel)

    one_by_one = [jax.jit(gradient)(image) for image in x]
    np.testing.assert_allclose(jax.jit(jax.vmap(gradient))(x), one_by_one, rtol=1e-5, atol=1e-5)
