"""The arithmetic of `fuse` and `explain` on batches: pure, without checks, files or compilation."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from camfuse_jax import cam
from camfuse_jax.config import Modality
from camfuse_jax.fusion.params import Params
from camfuse_jax.fusion.rules import Statistics, combine
from camfuse_jax.nets.build import make_classifier, make_decoder, make_encoder
from camfuse_jax.nets.masking import SHRINK, Size, extended, features_size, inside, last_size, true_borders


class Explanation(NamedTuple):
    """What the classifier sees in a pair.

    Attributes:
        ir_cam: Class activation map of the infrared image for its own class (Eq. 14), (n, h, w) in [0, 1].
        vis_cam: The same for the visible image and class.
        ir_caam: Class-agnostic map of the infrared image (Eq. 13).
        vis_caam: The same for the visible image.
        probability: P_c of Eq. 2, (n, 2 images, 2 classes), both axes ordered as `Modality`.
    """

    ir_cam: Float[Array, "n h w"]
    vis_cam: Float[Array, "n h w"]
    ir_caam: Float[Array, "n h w"]
    vis_caam: Float[Array, "n h w"]
    probability: Float[Array, "n 2 2"]


class Known(NamedTuple):
    """What is known of a whole image before a part of it is drawn.

    Attributes:
        weights: Channel weights, (n, 2, k) or (2, k).
        statistics: What rule `place` needs; None for other rules.
    """

    weights: Float[Array, "*n 2 k"]
    statistics: Statistics | None


def fuse_unit(
    params: Params,
    ir_unit: Float[Array, "n h w 1"],
    vis_unit: Float[Array, "n h w 1"],
    size: Size | None = None,
    known: Known | None = None,
) -> Float[Array, "n h w 1"]:
    """The arithmetic of `fuse` on batches in [0, 1].

    Args:
        params: Weights.
        ir_unit: Infrared images.
        vis_unit: Visible images.
        size: Rows and columns that are image where the arrays are larger: what lies beyond repeats the last ones, and
            means nothing in the result (`nets.borders`).
        known: What is known of the whole images that these are parts of; by default these are whole.
    """
    with true_borders(params.net, size):
        both = encoded(params, ir_unit, vis_unit, size)
        ir, vis = jnp.split(both, 2)
        weights = known.weights if known else channel_weights(params, both, size)
        cells = None if size is None else features_size(params.net, size)
        found = known.statistics if known else None
        features = combine(
            params.fusion,
            ir,
            vis,
            weights,
            params.balance,
            evidence=params.evidence_weights,
            size=cells,
            found=found,
        )
        features = extended(features, cells)
        fused_sym, _ = make_decoder(params.net).apply({"params": params.decoder}, features, ir_unit.shape[1:3])
    return (fused_sym + 1) / 2


def encoded(params: Params, ir_unit: Array, vis_unit: Array, size: Size | None = None) -> Float[Array, "m h4 w4 k"]:
    """Features of the infrared images, then of the visible ones; call it within `true_borders`."""
    images = jnp.concatenate([ir_unit, vis_unit]) * 2 - 1
    both, _ = make_encoder(params.net).apply({"params": params.encoder}, images)
    return extended(both, None if size is None else features_size(params.net, size))


def channel_weights(params: Params, both: Float[Array, "m h4 w4 k"], size: Size | None) -> Float[Array, "*n 2 k"]:
    """What_c of Eq. 3: the classifier's own, or for rule `adaptive` each pair's."""
    if params.fusion.rule != "adaptive":
        return params.channel_weights
    return adaptive_weights(params, _pooled(last_maps(params, both), params, size))


def adaptive_weights(params: Params, pooled: Float[Array, "m k"]) -> Float[Array, "n 2 k"]:
    """Eq. 1 read as if W_c depended on the image: what channel k contributes to the logit of the image's own class.

    Args:
        params: Weights.
        pooled: Means of the classifier's last maps, of the infrared images, then of the visible ones.
    """
    pooled = pooled.reshape(2, -1, pooled.shape[-1])
    return cam.channel_weights(jnp.moveaxis(pooled * params.class_weights[:, None, :], 0, 1))


def last_maps(params: Params, both: Float[Array, "m h4 w4 k"]) -> Float[Array, "m h32 w32 k"]:
    """The classifier's last maps; call it within `true_borders`."""
    return make_classifier(params.net).apply({"params": params.classifier}, both)[1]["last"]


def explain_unit(params: Params, ir_unit: Array, vis_unit: Array, size: Size | None = None) -> Explanation:
    """The arithmetic of `explain` on batches in [0, 1]; arguments as for `fuse_unit`."""
    with true_borders(params.net, size):
        last = last_maps(params, encoded(params, ir_unit, vis_unit, size))
    return explained(params, last, ir_unit.shape[1:3], size)


def explained(
    params: Params, last: Float[Array, "m h32 w32 k"], shape: tuple[int, int], size: Size | None = None
) -> Explanation:
    """Class activation maps of the classifier's last maps.

    Args:
        params: Weights.
        last: Of the infrared images, then of the visible ones.
        shape: Rows and columns that the maps get.
        size: As for `fuse_unit`.
    """
    count = len(last) // 2
    pooled = _pooled(last, params, size)
    logits = pooled @ params.class_weights.T
    last = extended(last, None if size is None else last_size(params.net, size))
    label = jnp.repeat(jnp.asarray([Modality.IR, Modality.VIS]), count)
    own, agnostic = cam.cam(last, params.class_weights[label]), cam.caam(last)
    margin, cell = params.net.margin, SHRINK * int(np.prod(params.net.strides))

    def full_size(maps: Array) -> Array:
        # A map's cell covers `cell` pixels of the image with its margin; what lies beyond the image is cut off.
        rows, cols = maps.shape[1:]
        large = jax.image.resize(maps, (maps.shape[0], rows * cell, cols * cell), "linear")
        return large[:, margin : margin + shape[0], margin : margin + shape[1]]

    own, agnostic = full_size(own), full_size(agnostic)
    probability = jnp.stack(jnp.split(jax.nn.sigmoid(logits), 2), axis=1)
    return Explanation(own[:count], own[count:], agnostic[:count], agnostic[count:], probability)


def to_unit(image: Array) -> Float[Array, "..."]:
    """Integers over their type's whole range to [0, 1] in float32."""
    if jnp.issubdtype(image.dtype, jnp.integer):
        return image.astype(jnp.float32) / jnp.iinfo(image.dtype).max
    return image.astype(jnp.float32)


def to_type(unit: Float[Array, "..."], dtype: Any) -> Array:
    """The inverse: rounded and kept within the range of an integer type; floats are only cast."""
    if not jnp.issubdtype(dtype, jnp.integer):
        return unit.astype(dtype)
    top = jnp.iinfo(dtype).max
    return jnp.clip(jnp.rint(unit * top), 0, top).astype(dtype)


def _pooled(last: Float[Array, "m h32 w32 k"], params: Params, size: Size | None) -> Float[Array, "m k"]:
    mask = None if size is None else inside(last, last_size(params.net, size))
    return jnp.mean(last, axis=(1, 2), where=mask)
