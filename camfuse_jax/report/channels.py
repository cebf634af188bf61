"""Which channels mattered in a pair: a weight counts for as much as the feature it is given to."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, UInt8

from camfuse_jax.config import Modality
from camfuse_jax.fusion import Params
from camfuse_jax.fusion.rules import smooth
from camfuse_jax.nets import make_encoder
from camfuse_jax.runtime import compiler_options


def channel_sizes(
    params: Params, ir: UInt8[np.ndarray, "h w"], vis: UInt8[np.ndarray, "h w"]
) -> Float64[np.ndarray, "2 k"]:
    """Size of each feature channel of both images, times its channel weight: what the weight acts on.

    With rule `place` that is the mean absolute detail (the terms of the activity that chooses), with the other rules
    the root mean square of the feature (the terms of Eq. 5). A channel with a large weight but no signal is small here.

    Args:
        params: Weights from `load_params`.
        ir: Infrared, gray levels.
        vis: Visible, same shape.

    Returns:
        Rows ordered as `Modality`; not negative.
    """
    return np.asarray(_compiled()(params, np.stack([ir, vis])), np.float64)


def _sizes(params: Params, images_u8: UInt8[Array, "2 h w"]) -> Float[Array, "2 k"]:
    sym = images_u8.astype(jnp.float32)[..., None] / 127.5 - 1
    features, _ = make_encoder(params.net).apply({"params": params.encoder}, sym)
    if params.fusion.rule == "place":
        detail = features - smooth(features, params.fusion.base_cells)
        return params.channel_weights * jnp.mean(jnp.abs(detail), axis=(1, 2))
    return params.channel_weights * jnp.sqrt(jnp.mean(features**2, axis=(1, 2)))


@functools.cache
def _compiled():
    assert (Modality.IR, Modality.VIS) == (0, 1)  # the order in which the two images are stacked
    return jax.jit(_sizes, compiler_options=compiler_options())
