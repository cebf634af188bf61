"""Layers shared by the networks: edge-padded convolution, and its form for images of one channel."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Dtype = Any


def pad_edge(x: Float[Array, "n h w c"]) -> Float[Array, "n h+2 w+2 c"]:
    """Repeats the outermost pixel once on each side: borders look like image, never like a dark frame."""
    return jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")


class Conv(nn.Module):
    """3x3 convolution with edge padding; ceil(h / stride) rows come out, whatever the height."""

    features: int
    stride: int = 1
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 d"]:
        single = x.shape[-1] == 1 and self.stride == 1
        return nn.Conv(
            self.features,
            (3, 3),
            (self.stride, self.stride),
            padding="VALID",
            dtype=self.dtype,
            kernel_init=nn.initializers.he_normal(),
            conv_general_dilated=_convolve_gray if single else jax.lax.conv_general_dilated,
            name="conv",
        )(pad_edge(x))


def _convolve_gray(
    x: Float[Array, "n h+2 w+2 1"], kernel: Float[Array, "3 3 1 o"], *how: Any, **more: Any
) -> Float[Array, "n h w o"]:
    """A convolution of one channel, which the matrix kernels do at a twentieth of their speed: they see 9 inputs."""

    def plain(x: Array, kernel: Array) -> Array:
        return jax.lax.conv_general_dilated(x, kernel, *how, **more)

    @jax.custom_vjp
    def convolve(x: Array, kernel: Array) -> Array:
        return sum(
            tap.reshape(1, 1, 1, -1) * shift for tap, shift in zip(kernel.reshape(9, -1), _shifts(x), strict=True)
        )

    def forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
        return convolve(x, kernel), (x, kernel)

    def backward(saved: tuple[Array, Array], grad: Array) -> tuple[Array, Array]:
        x, kernel = saved
        # JAX would add up each tap's gradient one pixel at a time; this is one product of 9 rows with all pixels.
        planes = jnp.stack([shift.reshape(-1) for shift in _shifts(x)])
        kernel_grad = (planes @ grad.reshape(-1, grad.shape[-1])).reshape(kernel.shape)
        return jax.vjp(plain, x, kernel)[1](grad)[0], kernel_grad

    convolve.defvjp(forward, backward)
    return convolve(x, kernel)


def _shifts(x: Float[Array, "n h+2 w+2 1"]) -> list[Float[Array, "n h w 1"]]:
    rows, cols = x.shape[1] - 2, x.shape[2] - 2
    return [x[:, i : i + rows, j : j + cols] for i in range(3) for j in range(3)]
