"""Bilinear doubling followed by a 3x3 convolution, as one 3x3 convolution at the small size.

Each pixel of the doubled map is a mean of two neighbours along either axis, so what the convolution sees from one
small cell is again a 3x3 window of small cells, with weights that depend on the pixel's parity only. The four parities
are four sets of output channels. The arithmetic is that of the convolution at the large size, but the doubled map is
never written, and the matrix kernels get four times the output channels: about half the time on a CPU. At the border
it is the same too: repeating the outermost cell and doubling gives the outermost pixel.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from camfuse_jax.nets.layers import Dtype, pad_edge


def _doubling() -> Float[np.ndarray, "cell parity tap"]:
    """Share of a small cell (before, own, after) in what each tap of the kernel reads, along one axis."""
    shares = np.zeros((3, 2, 3), np.float32)
    for parity in range(2):
        for tap in range(3):
            cell, odd = divmod(parity + tap - 1, 2)  # the pixel that is read, counted from the own cell's first
            shares[cell + 1, parity, tap] = 0.75
            shares[cell + 1 + (1 if odd else -1), parity, tap] = 0.25
    return shares


def parity_kernel(kernel: Float[Array, "3 3 i o"]) -> Float[Array, "3 3 i 4 o"]:
    """The kernel at the small size; the four are the parities of row and column, (0, 0), (0, 1), (1, 0), (1, 1)."""
    shares = _doubling()
    joined = jnp.einsum("apt,bqu,tuio->abipqo", shares, shares, kernel, precision=jax.lax.Precision.HIGHEST)
    return joined.reshape(*kernel.shape[:3], 4, kernel.shape[3]).astype(kernel.dtype)


def interleave(x: Float[Array, "n h w 4 c"]) -> Float[Array, "n 2*h 2*w c"]:
    """Puts the four parities at their pixels."""
    n, rows, cols, _, channels = x.shape
    apart = x.reshape(n, rows, cols, 2, 2, channels)
    return jnp.moveaxis(apart, 3, 2).reshape(n, 2 * rows, 2 * cols, channels)


class PhaseBias(nn.Module):
    """A bias per channel and pixel parity, added right after a convolution that follows an upsampling.

    Bilinear upsampling followed by any convolution has a zero at the highest frequency: no choice of weights
    can draw a one-pixel pattern, and a network can tell the four pixels of a 2x2 cell apart only through
    texture. Four bias values instead of one give it the parity, so that ReLU can choose per pixel.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "n h w 4 c"]) -> Float[Array, "n h w 4 c"]:
        channels = x.shape[-1]
        bias = self.param("bias", nn.initializers.zeros_init(), (2, 2, channels)).astype(x.dtype)
        return x + bias.reshape(1, 1, 1, 4, channels)


class UpsampledConv(nn.Module):
    """Bilinear doubling (half-pixel centres: what PyTorch and ONNX call align_corners=False) and a 3x3 convolution.

    Calling it gives the map of twice the size, `parities` the same before its pixels are put in place.

    Attributes:
        features: Channels that come out.
        phase_bias: One bias per pixel parity; False is one bias.
        dtype: Type of the arithmetic.
    """

    features: int
    phase_bias: bool = False
    dtype: Dtype = jnp.float32

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n 2*h 2*w d"]:
        return interleave(self.parities(x))

    @nn.compact
    def parities(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w 4 d"]:
        y = nn.Conv(
            self.features,
            (3, 3),
            padding="VALID",
            use_bias=not self.phase_bias,
            dtype=self.dtype,
            kernel_init=nn.initializers.he_normal(),
            conv_general_dilated=_convolve,
            name="conv",
        )(pad_edge(x))
        return PhaseBias(name="phase")(y) if self.phase_bias else y


def _convolve(x: Float[Array, "n h+2 w+2 i"], kernel: Float[Array, "3 3 i o"], *how, **more) -> Array:
    joined = parity_kernel(kernel)
    y = jax.lax.conv_general_dilated(x, joined.reshape(*joined.shape[:3], -1), *how, **more)
    return y.reshape(*y.shape[:3], 4, kernel.shape[3])
