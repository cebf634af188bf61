"""Layers shared by the networks: edge-padded convolution, bilinear upsampling, depthwise branches."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Dtype = Any


def pad_edge(x: Float[Array, "n h w c"]) -> Float[Array, "n h+2 w+2 c"]:
    """Repeats the outermost pixel once on each side: borders look like image, never like a dark frame."""
    return jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")


def upsample_axis(x: Float[Array, "n h w c"], axis: int) -> Float[Array, "n h2 w2 c"]:
    """Doubles one axis by linear interpolation at half-pixel centres (weights 3/4 and 1/4), edge repeated."""
    size = x.shape[axis]
    before = jax.lax.concatenate(
        [jax.lax.slice_in_dim(x, 0, 1, axis=axis), jax.lax.slice_in_dim(x, 0, size - 1, axis=axis)], axis
    )
    after = jax.lax.concatenate(
        [jax.lax.slice_in_dim(x, 1, size, axis=axis), jax.lax.slice_in_dim(x, size - 1, size, axis=axis)], axis
    )
    pair = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis=axis + 1)
    return pair.reshape(*x.shape[:axis], 2 * size, *x.shape[axis + 1 :])


def upsample(x: Float[Array, "n h w c"]) -> Float[Array, "n 2*h 2*w c"]:
    """Doubles height and width, bilinear, half-pixel centres: what PyTorch and ONNX call align_corners=False."""
    return upsample_axis(upsample_axis(x, 1), 2)


class PhaseBias(nn.Module):
    """A bias per channel and pixel parity, added right after a convolution that follows an upsampling.

    Bilinear upsampling followed by any convolution has a zero at the highest frequency: no choice of weights
    can draw a one-pixel pattern, and a network can tell the four pixels of a 2x2 cell apart only through
    texture. Four bias values instead of one give it the parity, so that ReLU can choose per pixel.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        channels = x.shape[-1]
        bias = self.param("bias", nn.initializers.zeros_init(), (2, 2, channels)).astype(x.dtype)
        rows, cols = x.shape[1] // 2, x.shape[2] // 2
        return x + jnp.tile(bias, (rows, cols, 1))[None]


class Conv(nn.Module):
    """3x3 convolution with edge padding; ceil(h / stride) rows come out, whatever the height."""

    features: int
    stride: int = 1
    phase_bias: bool = False
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 d"]:
        y = nn.Conv(
            self.features,
            (3, 3),
            (self.stride, self.stride),
            padding="VALID",
            use_bias=not self.phase_bias,
            dtype=self.dtype,
            kernel_init=nn.initializers.he_normal(),
            name="conv",
        )(pad_edge(x))
        return PhaseBias(name="phase")(y) if self.phase_bias else y
