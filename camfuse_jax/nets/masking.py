"""Images of many sizes in one program: arrays of one size, of which a runtime number of rows and columns is image.

Every convolution, upsampling and blur of the networks repeats the outermost pixel at the border. In an array that is
larger than the image the border lies inside. If all that lies beyond it is a copy of the last row or column of the
image, the next layer computes there what it would compute at the array's own border; so each layer's output gets that
copy again, and the image's part equals what the image's own size gives.
"""

import contextlib
import math
import re
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from camfuse_jax.config import NetConfig
from camfuse_jax.nets.autoencoder import ENCODER_STRIDES, UPSAMPLED_BEFORE, Decoder, Encoder
from camfuse_jax.nets.classifier import Classifier

Size = tuple[Any, Any]
"""Rows and columns, numbers or traced."""
SHRINK = math.prod(ENCODER_STRIDES)
_NUMBERED = re.compile(r"(?:conv|depthwise)(\d+)")


def extended(x: Float[Array, "n h w c"], size: Size | None) -> Float[Array, "n h w c"]:
    """Replaces what lies beyond the first `size` rows and columns by copies of the last of them; None keeps all."""
    if size is None:
        return x
    for axis, length in ((1, size[0]), (2, size[1])):
        last = jax.lax.dynamic_slice_in_dim(x, length - 1, 1, axis)
        x = jnp.where(_index(x, axis) < length, x, last)
    return x


def _one_beyond(x: Array, size: Size) -> Array:
    """The same for one row and one column only, all that a 3x3 convolution reads; written in place, it costs little."""
    for axis, length in ((1, size[0]), (2, size[1])):
        last = jax.lax.dynamic_slice_in_dim(x, length - 1, 1, axis)
        # Where the image fills the array the start is clamped, and the last row is written over itself.
        x = jax.lax.dynamic_update_slice_in_dim(x, last, length, axis)
    return x


def inside(x: Float[Array, "n h w c"], size: Size) -> Bool[Array, "1 h w 1"]:
    """True for the first `size` rows and columns."""
    return (_index(x, 1) < size[0]) & (_index(x, 2) < size[1])


def features_size(net: NetConfig, size: Size) -> Size:
    """Rows and columns of the features of an image."""
    return tuple(-(-(length + 2 * net.margin) // SHRINK) for length in size)


def last_size(net: NetConfig, size: Size, layer: int | None = None) -> Size:
    """Rows and columns of the classifier's maps of an image: of its last layer, or of one counted from 1."""
    shrink = math.prod(net.strides[:layer])
    return tuple(-(-length // shrink) for length in features_size(net, size))


@contextlib.contextmanager
def true_borders(net: NetConfig, size: Size | None) -> Iterator[None]:
    """Within it the networks take the first `size` rows and columns of their arrays for the image.

    What lies beyond them in the encoder's input must be copies of the last row and column, and in the input of the
    decoder and the classifier the same (`extended`). In the decoder's output it means nothing, in the other layers'
    only the first row and column beyond hold the copy. Means over places are wrong: take them with `inside`.

    Args:
        net: Shape of the networks.
        size: Rows and columns, numbers or traced; None for the whole array.
    """
    if size is None:
        yield
        return

    def after(layer: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        out = layer(*args, **kwargs)
        cells = _layer_size(context.module, net, size) if context.method_name == "__call__" else None
        return out if cells is None else _one_beyond(out, cells)

    with nn.intercept_methods(after):
        yield


def _layer_size(module: nn.Module, net: NetConfig, size: Size) -> Size | None:
    """Rows and columns of a layer's output that are image; None for what is no layer of 3x3 kernels."""
    parent, number = module.parent, _NUMBERED.fullmatch(module.name or "")
    if number is None:
        return None
    layer, cells = int(number[1]), features_size(net, size)
    if isinstance(parent, Encoder):
        shrink = math.prod(ENCODER_STRIDES[:layer])
        return tuple(-(-(length + 2 * net.margin) // shrink) for length in size)
    if isinstance(parent, Decoder) and layer <= len(parent.widths):
        return tuple(length * 2 ** sum(before <= layer for before in UPSAMPLED_BEFORE) for length in cells)
    if isinstance(parent, Classifier):
        return last_size(net, size, layer)
    return None


def _index(x: Array, axis: int) -> Array:
    return jnp.arange(x.shape[axis]).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
