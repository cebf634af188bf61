"""Which channels mattered in a pair: a weight counts for as much as the feature it is given to."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, UInt8

from camfuse_jax.config import Modality
from camfuse_jax.fusion import Buckets, Params
from camfuse_jax.fusion.placing import run_by_size
from camfuse_jax.fusion.program import encoded, to_unit
from camfuse_jax.fusion.rules import smooth
from camfuse_jax.nets.borders import Size, features_size, inside, true_borders


def channel_sizes(
    params: Params, ir: UInt8[np.ndarray, "h w"], vis: UInt8[np.ndarray, "h w"], *, buckets: Buckets | None = None
) -> Float64[np.ndarray, "2 k"]:
    """Size of each feature channel of both images, times its channel weight: what the weight acts on.

    With rule `place` that is the mean absolute detail (the terms of the activity that chooses), with the other rules
    the root mean square of the feature (the terms of Eq. 5). A channel with a large weight but no signal is small here.

    Args:
        params: Weights from `load_params`.
        ir: Infrared, gray levels.
        vis: Visible, same shape.
        buckets: As for `fuse`.

    Returns:
        Rows ordered as `Modality`; not negative.
    """
    assert (Modality.IR, Modality.VIS) == (0, 1)  # the order in which the two images are encoded
    return np.asarray(run_by_size(_sizes, params, ir, vis, buckets=buckets), np.float64)


def _sizes(params: Params, ir: UInt8[Array, "h w"], vis: UInt8[Array, "h w"], size: Size | None) -> Float[Array, "2 k"]:
    with true_borders(params.net, size):
        features = encoded(params, to_unit(ir[None, ..., None]), to_unit(vis[None, ..., None]), size)
    mask = None if size is None else inside(features, features_size(params.net, size))
    if params.fusion.rule == "place":
        detail = features - smooth(features, params.fusion.base_cells)
        return params.channel_weights * jnp.mean(jnp.abs(detail), axis=(1, 2), where=mask)
    return params.channel_weights * jnp.sqrt(jnp.mean(features**2, axis=(1, 2), where=mask))
