"""The pure fusion function: two images and weights in, one image out (Eqs. 3-6, and the rules beside Eq. 5)."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from camfuse_jax import cam
from camfuse_jax.config import Modality
from camfuse_jax.errors import InputError
from camfuse_jax.fusion.params import Params
from camfuse_jax.fusion.rules import combine
from camfuse_jax.nets.build import make_classifier, make_decoder, make_encoder
from camfuse_jax.runtime import compiler_options


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


def fuse(params: Params, ir: Num[Any, "*image"], vis: Num[Any, "*image"]) -> Num[Array, "*image"]:
    """Fuses an infrared and a visible image, or batches of them.

    Pure; compiled inside; may be used under `jax.jit`, `jax.vmap` and `jax.grad` (of float images and of weights).

    Args:
        params: Weights from `load_params`.
        ir: Infrared luminance, (h, w), (h, w, 1) or (n, h, w, 1); uint8 or uint16 over the type's whole range, or
            float in [0, 1].
        vis: Visible luminance, same shape.

    Returns:
        The fused image: same shape, and same type if both types agree, else float32 in [0, 1].

    Raises:
        InputError: If shapes differ or do not fit, or a type is none of the above.
    """
    shape = _check_pair(ir, vis)
    same = jnp.result_type(ir) == jnp.result_type(vis)
    dtype = jnp.result_type(ir) if same else jnp.dtype(jnp.float32)
    run = _traced if _is_traced(params, ir, vis) else _compiled()
    return run(params, _batched(ir), _batched(vis), dtype=dtype).reshape(shape)


def explain(params: Params, ir: Num[Any, "*image"], vis: Num[Any, "*image"]) -> Explanation:
    """Computes the class activation maps of both images at the images' own size.

    Args:
        params: Weights from `load_params`.
        ir: As in `fuse`.
        vis: As in `fuse`.

    Raises:
        InputError: As in `fuse`.
    """
    _check_pair(ir, vis)
    run = _explain if _is_traced(params, ir, vis) else _compiled_explain()
    return run(params, _batched(ir), _batched(vis))


def fuse_unit(params: Params, ir_unit: Float[Array, "n h w 1"], vis_unit: Float[Array, "n h w 1"]) -> Array:
    """The arithmetic of `fuse` on batches in [0, 1], without checks or compilation."""
    count, height, width, _ = ir_unit.shape
    both, _ = make_encoder(params.net).apply({"params": params.encoder}, jnp.concatenate([ir_unit, vis_unit]) * 2 - 1)
    weights = _adaptive_weights(params, both) if params.fusion.rule == "adaptive" else params.channel_weights
    features = combine(params.fusion, both[:count], both[count:], weights, params.balance)
    fused_sym, _ = make_decoder(params.net).apply({"params": params.decoder}, features, (height, width))
    return (fused_sym + 1) / 2


def _adaptive_weights(params: Params, both: Float[Array, "m h4 w4 k"]) -> Float[Array, "n 2 k"]:
    """Eq. 1 read as if W_c depended on the image: what channel k contributes to the logit of the image's own class."""
    _, named = make_classifier(params.net).apply({"params": params.classifier}, both)
    pooled = named["pooled"].reshape(2, -1, both.shape[-1])
    return cam.channel_weights(jnp.moveaxis(pooled * params.class_weights[:, None, :], 0, 1))


def _traced(params: Params, ir: Array, vis: Array, *, dtype: jnp.dtype) -> Array:
    fused = fuse_unit(params, _to_unit(ir), _to_unit(vis))
    if not jnp.issubdtype(dtype, jnp.integer):
        return fused.astype(dtype)
    top = jnp.iinfo(dtype).max
    return jnp.clip(jnp.rint(fused * top), 0, top).astype(dtype)


def _explain(params: Params, ir: Array, vis: Array) -> Explanation:
    count, height, width, _ = ir.shape
    images = jnp.concatenate([_to_unit(ir), _to_unit(vis)]) * 2 - 1
    features, _ = make_encoder(params.net).apply({"params": params.encoder}, images)
    logits, named = make_classifier(params.net).apply({"params": params.classifier}, features)
    label = jnp.repeat(jnp.asarray([Modality.IR, Modality.VIS]), count)
    own = cam.cam(named["last"], params.class_weights[label])
    agnostic = cam.caam(named["last"])

    def full_size(maps: Array) -> Array:
        # A map's cell covers `cell` pixels of the image with its margin; what lies beyond the image is cut off.
        rows, cols = maps.shape[1:]
        extent = [length + 2 * params.net.margin for length in (height, width)]
        cell = 4 * int(np.prod(params.net.strides))
        large = jax.image.resize(maps, (maps.shape[0], rows * cell, cols * cell), "linear")
        margin = params.net.margin
        return large[:, : extent[0], : extent[1]][:, margin : margin + height, margin : margin + width]

    own, agnostic = full_size(own), full_size(agnostic)
    probability = jnp.stack([jax.nn.sigmoid(logits[:count]), jax.nn.sigmoid(logits[count:])], axis=1)
    return Explanation(own[:count], own[count:], agnostic[:count], agnostic[count:], probability)


@functools.cache
def _compiled() -> Any:
    return jax.jit(_traced, static_argnames="dtype", compiler_options=compiler_options())


@functools.cache
def _compiled_explain() -> Any:
    return jax.jit(_explain, compiler_options=compiler_options())


def _is_traced(*arguments: Any) -> bool:
    # Compiler options are for whole programs only; inside somebody else's jit the plain function is inlined.
    # Inside a trace whatever is computed is a tracer, even where no argument is one.
    return any(isinstance(leaf, jax.core.Tracer) for leaf in (jnp.zeros(()), *jax.tree.leaves(arguments)))


def _check_pair(ir: Any, vis: Any) -> tuple[int, ...]:
    for name, image in (("ir", ir), ("vis", vis)):
        dtype, shape = jnp.result_type(image), jnp.shape(image)
        if not (jnp.issubdtype(dtype, jnp.floating) or dtype in (jnp.uint8, jnp.uint16)):
            raise InputError(f"{name} has type {dtype}.", "Give uint8, uint16, or float in [0, 1].")
        fits = len(shape) == 2 or (len(shape) in (3, 4) and shape[-1] == 1)
        if not fits or 0 in shape:
            raise InputError(f"{name} has shape {shape}.", "Give (h, w), (h, w, 1) or (n, h, w, 1), none of them 0.")
    if jnp.shape(ir) != jnp.shape(vis):
        raise InputError(
            f"ir has shape {jnp.shape(ir)} but vis has shape {jnp.shape(vis)}.", "Both must show the same pixels."
        )
    return jnp.shape(ir)


def _batched(image: Any) -> Array:
    image = jnp.asarray(image)
    return image if image.ndim == 4 else image.reshape(1, *image.shape[:2], 1)


def _to_unit(image: Array) -> Array:
    if jnp.issubdtype(image.dtype, jnp.integer):
        return image.astype(jnp.float32) / jnp.iinfo(image.dtype).max
    return image.astype(jnp.float32)
