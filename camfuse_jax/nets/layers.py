"""Layers of the auto-encoder, and images of many sizes in one program: arrays of one size, of which a part is image.

Every convolution, upsampling and blur of the networks repeats the outermost pixel at the border. In an array that is
larger than the image the border lies inside. If all that lies beyond it is a copy of the last row or column of the
image, the next layer computes there what it would compute at the array's own border; so each layer's output gets that
copy again (`bordered`), and the image's part equals what the image's own size gives. Means over pixels need `inside`.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from camfuse_jax.config import NetConfig

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
        taps = (tap.reshape(1, 1, 1, -1) for tap in kernel.reshape(9, -1))
        total: Any = sum(tap * shift for tap, shift in zip(taps, _shifts(x), strict=True))
        return total

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


def _doubling() -> Float[np.ndarray, "cell parity tap"]:
    """Share of a small cell (before, own, after) in what each tap of the kernel reads, along one axis."""
    shares = np.zeros((3, 2, 3), np.float32)
    for parity in range(2):
        for tap in range(3):
            cell, odd = divmod(parity + tap - 1, 2)  # the pixel that is read, counted from the own cell's first
            shares[cell + 1, parity, tap] = 0.75
            shares[cell + 1 + (1 if odd else -1), parity, tap] = 0.25
    return shares


def parity_kernel(kernel: Float[Array | np.ndarray, "3 3 i o"]) -> Float[Array, "3 3 i 4 o"]:
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
        bias = self.param("bias", nn.initializers.zeros_init(), (2, 2, channels), jnp.float32).astype(x.dtype)
        return x + bias.reshape(1, 1, 1, 4, channels)


class UpsampledConv(nn.Module):
    """Bilinear doubling (half-pixel centers: what PyTorch and ONNX call align_corners=False) and a 3x3 convolution.

    Computed as one 3x3 convolution at the small size: each pixel of the doubled map is a mean of two neighbors along
    either axis, so what the convolution reads is again a 3x3 window, with weights that depend on the pixel's parity
    only. The doubled map is never written, which takes about half the time on a CPU. Calling it gives the map of twice
    the size, `parities` the same before its pixels are put in place.

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


def space_to_depth(x: Float[Array, "n h w 1"], side: int) -> Float[Array, "n h/side w/side side*side"]:
    """Makes each cell of side x side pixels the channels of one pixel; the outermost pixels fill the last cell."""
    n, rows, cols, _ = x.shape
    h, w = ((length + side - 1) // side for length in (rows, cols))  # in a form that free sizes can be reasoned with
    x = jnp.pad(x, ((0, 0), (0, h * side - rows), (0, w * side - cols), (0, 0)), mode="edge")
    return jnp.moveaxis(x.reshape(n, h, side, w, side), 3, 2).reshape(n, h, w, side * side)


def depth_to_space(x: Float[Array, "n h w side*side"], side: int) -> Float[Array, "n h*side w*side 1"]:
    """Undoes `space_to_depth`."""
    n, rows, cols, _ = x.shape
    cells = x.reshape(n, rows, cols, side, side)
    return jnp.moveaxis(cells, 3, 2).reshape(n, rows * side, cols * side, 1)


Size = tuple[Any, Any]
"""Rows and columns, numbers or traced."""
SHRINK = 4
"""Pixels along one side of a feature pixel."""


def extended(x: Float[Array, "n h w c"], size: Size | None) -> Float[Array, "n h w c"]:
    """Replaces what lies beyond the first `size` rows and columns by copies of the last of them; None keeps all."""
    if size is None:
        return x
    for axis, length in ((1, size[0]), (2, size[1])):
        last = jax.lax.dynamic_slice_in_dim(x, length - 1, 1, axis)
        x = jnp.where(_index(x, axis) < length, x, last)
    return x


def bordered(x: Float[Array, "n h w c"], size: Size | None) -> Float[Array, "n h w c"]:
    """The same for one row and one column only, all that a 3x3 convolution reads; written in place, it costs little."""
    if size is None:
        return x
    for axis, length in ((1, size[0]), (2, size[1])):
        last = jax.lax.dynamic_slice_in_dim(x, length - 1, 1, axis)
        # Where the image fills the array the start is clamped, and the last row is written over itself.
        x = jax.lax.dynamic_update_slice_in_dim(x, last, length, axis)
    return x


def inside(x: Float[Array, "n h w c"], size: Size) -> Bool[Array, "1 h w 1"]:
    """True for the first `size` rows and columns."""
    return (_index(x, 1) < size[0]) & (_index(x, 2) < size[1])


def shrunk(size: Size | None, stride: int) -> Size | None:
    """Rows and columns after a layer of a stride."""
    return None if size is None else tuple(-(-length // stride) for length in size)


def features_size(net: NetConfig, size: Size | None) -> Size | None:
    """Rows and columns of the features of an image."""
    return None if size is None else shrunk(tuple(length + 2 * net.margin for length in size), SHRINK)


def last_size(net: NetConfig, size: Size | None) -> Size | None:
    """Rows and columns of the classifier's last maps of an image."""
    size = features_size(net, size)
    for stride in net.strides:
        size = shrunk(size, stride)
    return size


def last_shrink(net: NetConfig) -> int:
    """Pixels along one side of a pixel of the classifier's last maps."""
    return SHRINK * math.prod(net.strides)


def _index(x: Array, axis: int) -> Array:
    return jnp.arange(x.shape[axis]).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
