"""The arithmetic of `fuse` and `explain` on batches: pure, without checks, files or compilation."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from camfuse_jax import cam
from camfuse_jax.config import Modality
from camfuse_jax.fusion import rules, spatial, statistics
from camfuse_jax.fusion.params import Params
from camfuse_jax.fusion.statistics import Masks, Pixels, Probe
from camfuse_jax.nets.autoencoder import over_strips
from camfuse_jax.nets.build import make_classifier, make_decoder, make_encoder
from camfuse_jax.nets.layers import SHRINK, Size, extended, features_size, inside, last_shrink, last_size

EVERYWHERE: Masks = (None, None)
POOLED_RULES = ("eq5-pooled", "eq5-contribution")
"""Rules whose channel weights depend on the images."""


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


class ImageSums(NamedTuple):
    """ImageSums over an image, or over the tiles of one, from which its `Context` follows.

    Attributes:
        pixels: For rule spatial.
        pooled: For rules whose weights depend on the images: of the classifier's last maps, (2 n, k), and their pixels.
        features: For brightness "kept": of the features, (2 n, k), and their pixels.
    """

    pixels: statistics.Sums | None = None
    pooled: tuple[Float[Array, "m k"], Array] | None = None
    features: tuple[Float[Array, "m k"], Array] | None = None


class Context(NamedTuple):
    """What drawing a part of an image needs to know of the whole.

    Attributes:
        weights: Channel weights, (n, 2, k) or (2, k).
        statistics: For rule spatial.
        means: For brightness "kept": mean of each channel, (2 n, 1, 1, k).
    """

    weights: Float[Array, "*n 2 k"]
    statistics: statistics.Statistics | None
    means: Float[Array, "m 1 1 k"] | None


def fuse_unit(
    params: Params,
    ir_unit: Pixels,
    vis_unit: Pixels,
    size: Size | None = None,
    context: Context | None = None,
    valid: Masks = EVERYWHERE,
) -> Pixels:
    """The arithmetic of `fuse` on batches in [0, 1].

    Args:
        params: Weights.
        ir_unit: Infrared images.
        vis_unit: Visible images.
        size: Rows and columns that are image where the arrays are larger: what lies beyond repeats the last ones, and
            means nothing in the result (`nets.layers`).
        context: Of the whole images that these are parts of; by default these are whole.
        valid: Where the images show something.
    """
    if context is None:
        context = context_of(params, image_sums(params, ir_unit, vis_unit, size, valid))
    ir_unit, vis_unit = filled(ir_unit, vis_unit, size, valid)
    if params.fusion.rule == "spatial":
        assert context.statistics is not None
        images, weights = (ir_unit, vis_unit), (params.channel_weights, params.encoder_class_weights)
        config, answers, known = params.fusion.spatial, encoder_answers(params), context.statistics
        over_features = functools.partial(_over_features, params, images, size)
        return spatial.blend(
            config, params.current_look, images, over_features, weights, params.balance, known, answers, size, valid
        )
    both = encode(params, ir_unit, vis_unit, size)
    cells = features_size(params.net, size)
    ir, vis = jnp.split(both, 2)
    features = rules.combine(params.fusion, ir, vis, context.weights, means=context.means, size=cells)
    fused_sym, _ = make_decoder(params.net).apply({"params": params.decoder}, features, ir_unit.shape[1:3], cells)
    return (fused_sym + 1) / 2


def filled(ir_unit: Pixels, vis_unit: Pixels, size: Size | None, valid: Masks) -> tuple[Pixels, Pixels]:
    """The images with what is invalid replaced by its surroundings."""
    return statistics.fill_invalid(ir_unit, valid[0], size), statistics.fill_invalid(vis_unit, valid[1], size)


def encode(params: Params, ir_unit: Pixels, vis_unit: Pixels, size: Size | None = None) -> Float[Array, "m h4 w4 k"]:
    """Features (Eq. 4) of the infrared images, then of the visible ones."""
    images = jnp.concatenate([ir_unit, vis_unit]) * 2 - 1
    both, _ = make_encoder(params.net).apply({"params": params.encoder}, images, size)
    return extended(both, features_size(params.net, size))


def _over_features(
    params: Params, images: tuple[Pixels, Pixels], size: Size | None, work: spatial.Work, bases: spatial.Cells
) -> tuple[spatial.Cells, spatial.Cells]:
    fixed = all(isinstance(length, int) for length in bases.shape)
    if params.net.kind == "shallow" and fixed and jax.default_backend() == "cpu":
        return over_strips(params.encoder, jnp.concatenate(images) * 2 - 1, bases, work)
    features = encode(params, *images, size)
    top, left = ((have - want) // 2 for have, want in zip(features.shape[1:3], bases.shape[1:3], strict=True))
    return work(features[:, top : top + bases.shape[1], left : left + bases.shape[2]], bases)


def encoder_answers(params: Params) -> Probe:
    """How the encoder answers images that show nothing."""
    return statistics.probe(lambda image: make_encoder(params.net).apply({"params": params.encoder}, image * 2 - 1)[0])


def image_sums(
    params: Params,
    ir_unit: Pixels,
    vis_unit: Pixels,
    size: Size | None = None,
    valid: Masks = EVERYWHERE,
    counted: Any = None,
) -> ImageSums:
    """ImageSums over whole images or tiles; those of tiles add up.

    Args:
        params: Weights.
        ir_unit: Infrared images.
        vis_unit: Visible images.
        size: Rows and columns that are image.
        valid: Where the images show something.
        counted: First row, end of rows, first column and end of columns, in pixels, of what no other tile counts.
    """
    config = params.fusion
    if config.rule == "spatial":
        own = None if counted is None else _rectangle(ir_unit, counted, 1)
        return ImageSums(pixels=statistics.sums(ir_unit, vis_unit, size, valid, own))
    if config.rule not in POOLED_RULES and config.brightness != "kept":
        return ImageSums()
    both = encode(params, *filled(ir_unit, vis_unit, size, valid), size)
    features, pooled, cells = None, None, features_size(params.net, size)
    if config.brightness == "kept":
        features = _masked_sum(both, cells, counted, SHRINK)
    if config.rule in POOLED_RULES:
        last: Any = make_classifier(params.net).apply({"params": params.classifier}, both, cells)[1]["last"]
        pooled = _masked_sum(last, last_size(params.net, size), counted, last_shrink(params.net))
    return ImageSums(pooled=pooled, features=features)


def context_of(params: Params, sums: ImageSums) -> Context:
    """What follows from the sums over whole images."""
    known = None if sums.pixels is None else statistics.statistics(sums.pixels)
    means = None if sums.features is None else (sums.features[0] / sums.features[1])[:, None, None, :]
    if sums.pooled is None:
        return Context(params.channel_weights, known, means)
    pooled = (sums.pooled[0] / sums.pooled[1]).reshape(2, -1, sums.pooled[0].shape[-1])
    if params.fusion.rule == "eq5-contribution":
        pooled = pooled * params.class_weights[:, None, :]
    return Context(cam.channel_weights(jnp.moveaxis(pooled, 0, 1)), known, means)


def explain_unit(params: Params, ir_unit: Pixels, vis_unit: Pixels, size: Size | None = None) -> Explanation:
    """The arithmetic of `explain` on batches in [0, 1]; arguments as for `fuse_unit`."""
    both = encode(params, ir_unit, vis_unit, size)
    classifier: Any = make_classifier(params.net)
    logits, named = classifier.apply({"params": params.classifier}, both, features_size(params.net, size))
    count = len(ir_unit)
    last = extended(named["last"], last_size(params.net, size))
    label = jnp.repeat(jnp.asarray([Modality.IR, Modality.VIS]), count)
    own, agnostic = cam.cam(last, params.class_weights[label]), cam.caam(last)
    own, agnostic = (_full_size(maps, params, ir_unit.shape[1:3]) for maps in (own, agnostic))
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


def _full_size(maps: Float[Array, "n a b"], params: Params, shape: tuple[int, ...]) -> Float[Array, "n h w"]:
    # A map's pixel covers `cell` pixels of the image with its margin; what lies beyond the image is cut off.
    (rows, cols), cell, margin = maps.shape[1:], last_shrink(params.net), params.net.margin
    large = jax.image.resize(maps, (maps.shape[0], rows * cell, cols * cell), "linear")
    return large[:, margin : margin + shape[0], margin : margin + shape[1]]


def _masked_sum(
    maps: Float[Array, "m a b k"], size: Size | None, counted: Any, cell: int
) -> tuple[Float[Array, "m k"], Array]:
    mask = jnp.ones((1, *maps.shape[1:3], 1), bool) if size is None else inside(maps, size)
    if counted is not None:
        mask = mask & (_rectangle(maps, counted, cell) > 0)
    return jnp.sum(jnp.where(mask, maps, 0), axis=(1, 2)), jnp.sum(mask)


def _rectangle(x: Array, counted: Any, cell: int) -> Float[Array, "1 a b 1"]:
    """1 in the pixels of `x`, `cell` image pixels wide, that begin within rows and columns of the image; else 0.

    What the last tile of a row or column has beyond the image, its margin, is its own.
    """
    rows, cols = (jax.lax.broadcasted_iota(jnp.int32, (1, *x.shape[1:3], 1), axis) * cell for axis in (1, 2))
    top, bottom, left, right = counted
    return ((rows >= top) & (rows < bottom) & (cols >= left) & (cols < right)).astype(jnp.float32)
