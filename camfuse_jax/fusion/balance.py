"""More of one image in the result without training: gains on the channel weights of Eq. 3."""

import math
from typing import TYPE_CHECKING

import jax.numpy as jnp
from jaxtyping import Array, Float

from camfuse_jax.config import Modality
from camfuse_jax.errors import UsageError

if TYPE_CHECKING:
    from camfuse_jax.fusion.params import Params

MAX_GAIN = 100.0


def balanced(params: "Params", *, ir_gain: float = 1.0, vis_gain: float = 1.0) -> "Params":
    """Weights that favour one of the two images.

    Only the ratio of the gains matters: 2 and 1 do what 1 and 0.5 do, and the result stays as bright as it was.

    Args:
        params: Weights from `load_params`.
        ir_gain: Factor on the infrared channel weights, 0 to 100.
        vis_gain: Factor on the visible channel weights, 0 to 100.

    Raises:
        UsageError: A gain is negative, above 100 or not a number, or both are 0.
    """
    for name, gain in (("ir_gain", ir_gain), ("vis_gain", vis_gain)):
        if not (math.isfinite(gain) and 0 <= gain <= MAX_GAIN):
            raise UsageError(f"{name} is {gain}.", f"Give a number from 0 to {MAX_GAIN:g}.")
    if ir_gain == vis_gain == 0:
        raise UsageError("ir_gain and vis_gain are both 0.", "Leave one above 0.")
    return params.replace(ir_gain=float(ir_gain), vis_gain=float(vis_gain))


def rebalance(
    weights: Float[Array, "2 k"], ir_gain: float | Float[Array, ""], vis_gain: float | Float[Array, ""]
) -> Float[Array, "2 k"]:
    """Multiplies each image's channel weights by its gain and scales each channel back to its old sum.

    Without scaling back, a gain would change the brightness of the result as well as the balance. Equal gains give
    the weights unchanged.

    Args:
        weights: What_c of Eq. 3, rows ordered as `Modality`.
        ir_gain: Factor for the infrared row.
        vis_gain: Factor for the visible row.
    """
    gains = jnp.stack([jnp.asarray(ir_gain, weights.dtype), jnp.asarray(vis_gain, weights.dtype)])
    gained = weights * gains[jnp.asarray([Modality.IR, Modality.VIS]), None]
    return gained * (weights.sum(axis=0, keepdims=True) / gained.sum(axis=0, keepdims=True))
