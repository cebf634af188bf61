"""Class activation: weights of the classifier's head, and the maps they make (Eqs. 1, 3, 5, 12-14)."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from camfuse_jax.config import Modality
from camfuse_jax.nets.classifier import depthwise_layers


def class_weights(classifier_params: Mapping[str, Any]) -> Float[Array, "2 k"]:
    """Reads W_c of Eq. 1, the last linear layer's weights: one row per `Modality`, one column per channel."""
    return jnp.asarray(classifier_params["head"]["kernel"]).T


def channel_weights(weights: Float[Array, "2 k"]) -> Float[Array, "2 k"]:
    """Squashes class weights into (0, 1): 0.5 tanh(W_c) + 0.5 (Eq. 3)."""
    return 0.5 * jnp.tanh(weights) + 0.5


def channel_gains(classifier_params: Mapping[str, Any]) -> Float[Array, " k"]:
    """What the classifier's last map shows of a channel that is 1 everywhere, biases left out.

    Channel k of the classifier is channel k of the encoder, seen through its own filters; this is how much they make
    of it. So W_c^k times its gain is the class weight of the encoder's channel itself.
    """
    level = jnp.ones((1, 1), jnp.float32)
    for name in depthwise_layers(classifier_params):
        taps = jnp.sum(jnp.asarray(classifier_params[name]["kernel"]), axis=(1, 2))
        level = jnp.sum(jnp.maximum(taps * level, 0), axis=0, keepdims=True)
    return level[0]


def fuse_features(
    ir_features: Float[Array, "*n h w k"], vis_features: Float[Array, "*n h w k"], weights: Float[Array, "*n 2 k"]
) -> Float[Array, "*n h w k"]:
    """Adds both images' features, each channel times its weight (Eq. 5); weights may differ from pair to pair."""
    ir_weights, vis_weights = (over_places(weights, row, ir_features.ndim) for row in Modality)
    return ir_weights * ir_features + vis_weights * vis_features


def over_places(weights: Float[Array, "*n 2 k"], row: Modality, ndim: int) -> Float[Array, "*n 1 1 k"]:
    """One class's weights with axes for the places of features that have `ndim` axes."""
    chosen = jnp.expand_dims(weights[..., row, :], (-3, -2))
    return jnp.expand_dims(chosen, range(ndim - chosen.ndim))


def min_max(maps: Float[Array, "n h w"]) -> Float[Array, "n h w"]:
    """Scales each map to [0, 1] by its own extremes (MMN of Eqs. 13 and 14); a constant map becomes zero."""
    low = jnp.min(maps, axis=(1, 2), keepdims=True)
    span = jnp.max(maps, axis=(1, 2), keepdims=True) - low
    # Constant up to rounding: stretching the last bits to [0, 1] would show noise as attention. Two where's: the
    # unused branch must not put an infinity into the gradient.
    constant = span <= 1e-5 * jnp.max(jnp.abs(maps), axis=(1, 2), keepdims=True) + 1e-12
    return jnp.where(constant, 0.0, (maps - low) / jnp.where(constant, 1.0, span))


def caam(last: Float[Array, "n h w k"]) -> Float[Array, "n h w"]:
    """Class-agnostic activation map m_i: the channels' sum, scaled to [0, 1] (Eq. 13)."""
    return min_max(jnp.sum(last, axis=-1))


def cam(last: Float[Array, "n h w k"], weights: Float[Array, "n k"]) -> Float[Array, "n h w"]:
    """Class activation map m_r: the channels' sum weighted by one class's weights, scaled to [0, 1] (Eq. 14).

    Args:
        last: The classifier's last feature maps.
        weights: For each image the row of `class_weights` of the class to explain.
    """
    return min_max(jnp.sum(last * weights[:, None, None, :], axis=-1))
