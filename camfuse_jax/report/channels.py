"""Which channels mattered in a pair: a weight counts for as much as the feature it is given to."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, UInt8

from camfuse_jax.config import Modality
from camfuse_jax.fusion.dispatch import Buckets, run_by_size
from camfuse_jax.fusion.forward import encode, to_unit
from camfuse_jax.fusion.params import Params
from camfuse_jax.nets.layers import Size, features_size, inside


def channel_sizes(
    params: Params, ir: UInt8[np.ndarray, "h w"], vis: UInt8[np.ndarray, "h w"], *, buckets: Buckets | None = None
) -> Float64[np.ndarray, "2 k"]:
    """Standard deviation of each feature channel over both images, times its channel weight.

    A channel that is the same all over an image says nothing about it, and has size 0 whatever its weight. Rows are
    ordered as `Modality`.
    """
    assert (Modality.IR, Modality.VIS) == (0, 1)  # the order in which the two images are encoded
    return np.asarray(run_by_size(_sizes, params, ir, vis, buckets=buckets), np.float64)


def _sizes(params: Params, ir: UInt8[Array, "h w"], vis: UInt8[Array, "h w"], size: Size | None) -> Float[Array, "2 k"]:
    features = encode(params, to_unit(ir[None, ..., None]), to_unit(vis[None, ..., None]), size)
    cells = features_size(params.net, size)
    mask = None if cells is None else inside(features, cells)
    return params.channel_weights * jnp.std(features, axis=(1, 2), where=mask)
