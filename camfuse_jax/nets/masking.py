"""Images of many sizes in one program: arrays of one size, of which a runtime number of rows and columns is image.

Every convolution, upsampling and blur of the networks repeats the outermost pixel at the border. In an array that is
larger than the image the border lies inside. If all that lies beyond it is a copy of the last row or column of the
image, the next layer computes there what it would compute at the array's own border; so each layer's output gets that
copy again (`bordered`), and the image's part equals what the image's own size gives. Means over pixels need `inside`.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from camfuse_jax.config import NetConfig

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
