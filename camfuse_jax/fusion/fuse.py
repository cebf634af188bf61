"""The pure fusion function: two images and weights in, one image out (Eqs. 3-6, and the rules beside Eq. 5)."""

import math
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Num

from camfuse_jax.errors import InputError
from camfuse_jax.fusion.dispatch import (
    DEFAULT_MEMORY,
    Buckets,
    cut,
    fuse_tiled,
    height_width,
    memory_needed,
    run_by_size,
)
from camfuse_jax.fusion.forward import (
    Context,
    Explanation,
    context_of,
    explain_unit,
    fuse_unit,
    image_sums,
    to_type,
    to_unit,
)
from camfuse_jax.fusion.params import Params
from camfuse_jax.nets.layers import Size

_LARGE = 500_000  # pixels; on a CPU the pairs of a batch of larger images take turns: faster, in an n-th of the memory
_HIGHEST = 1.5  # of a float image: a little over 1 is rounding or sharpening, 255 is another unit


def fuse_arrays(
    params: Params,
    ir: Num[Any, "*image"],
    vis: Num[Any, "*image"],
    *,
    buckets: Buckets | None = None,
    max_memory: int | None = None,
    ir_valid: Bool[Any, "*image"] | None = None,
    vis_valid: Bool[Any, "*image"] | None = None,
    context: Context | None = None,
) -> Num[Array, "*image"]:
    """Fuses an infrared and a visible image, or batches of them.

    Pure; compiled inside; may be used under `jax.jit`, `jax.vmap` and `jax.grad` (of float images and of weights).
    A few compiled programs serve single images of all sizes (docs/bench.md); each batch size gets its own.

    Args:
        params: Weights from `load_params`.
        ir: Infrared luminance, (h, w), (h, w, 1) or (n, h, w, 1); uint8 or uint16 over the type's whole range, or
            float in [0, 1].
        vis: Visible luminance, same shape.
        buckets: A plan of programs for sizes that are known beforehand (`dispatch.plan_programs`).
        max_memory: Bytes that computing a single image may take, besides the images; larger images are fused tile by
            tile, which changes the result by rounding only. 1.5 GiB where not given.
        ir_valid: Where the infrared image shows something, same shape; elsewhere the visible one is shown, and neither
            takes part in any statistic. None for everywhere.
        vis_valid: The same for the visible image.
        context: Of other images, such as a video's earlier frames, in place of the images' own (`fusion_context`).

    Returns:
        The fused image: same shape, and same type if both types agree, else float32 in [0, 1].

    Raises:
        InputError: If shapes differ or do not fit, or a type or range is none of the above.
        ResourceError: Neither the image nor a tile fits into `max_memory`.
    """
    _check_params(params)
    check_pair(ir, vis)
    params, masks = params.with_number(), check_masks(jnp.shape(ir), ir_valid, vis_valid)
    arguments = ((params, context), ir, vis, *(mask for mask in masks if mask is not None))
    run = _DRAWN[masks[0] is not None, masks[1] is not None]
    if is_traced(*arguments):
        return run((params, context), *map(jnp.asarray, arguments[1:]), None)
    shape, memory = jnp.shape(ir), DEFAULT_MEMORY if max_memory is None else max_memory
    height, width = height_width(shape)
    plain = context is None and masks[0] is None and masks[1] is None
    if plain and math.prod(shape) == height * width and memory_needed(params, height * width) > memory:
        pair = (np.asarray(image).reshape(height, width) for image in (ir, vis))
        return jax.device_put(fuse_tiled(params, *pair, memory=memory).reshape(shape))
    large_batch = len(shape) == 4 and len(ir) > 1 and height * width >= _LARGE and jax.default_backend() == "cpu"
    fused = run_by_size(_draw_in_turn if large_batch and plain else run, *arguments, buckets=buckets)
    # Not jnp.asarray: that compiles a copy for each shape.
    return fused if fused.shape == shape else jax.device_put(cut(fused, height, width).reshape(shape))


def fusion_context(
    params: Params, ir: Num[Any, "*image"], vis: Num[Any, "*image"], *, buckets: Buckets | None = None
) -> Context:
    """What a rule takes from the whole images; for a video it is averaged over frames and given to `fuse_arrays`."""
    check_pair(ir, vis)
    return run_by_size(_context, params.with_number(), ir, vis, buckets=buckets)


def explain(
    params: Params, ir: Num[Any, "*image"], vis: Num[Any, "*image"], *, buckets: Buckets | None = None
) -> Explanation:
    """Computes the class activation maps of both images at the images' own size.

    Args:
        params: Weights from `load_params`.
        ir: Infrared luminance, as for `fuse`.
        vis: Visible luminance, same shape.
        buckets: A plan of programs for sizes that are known beforehand.

    Returns:
        Maps of shape (n, h, w), with n = 1 for a single image.

    Raises:
        InputError: As `fuse` does.
    """
    _check_params(params)
    check_pair(ir, vis)
    params = params.with_number()
    if is_traced(params, ir, vis):
        return _explain(params, jnp.asarray(ir), jnp.asarray(vis), None)
    maps, size = run_by_size(_explain, params, ir, vis, buckets=buckets), height_width(jnp.shape(ir))
    if maps.ir_cam.shape[1:] == size:
        return maps
    return Explanation(*(jax.device_put(cut(one, *size, axis=1)) for one in maps[:4]), probability=maps.probability)


def _check_params(params: Any) -> None:
    if not isinstance(params, Params):
        name = repr(params) if isinstance(params, str) else "'tno'"
        raise InputError(f"params is of type {type(params).__name__}.", f"Give weights, such as load_params({name}).")


def check_pair(ir: Any, vis: Any) -> None:
    """Refuses what is no pair of images.

    Raises:
        InputError: A type, shape or range is not one that `fuse` takes, or the two differ in shape.
    """
    for name, image in (("ir", ir), ("vis", vis)):
        _check_image(name, image)
    if jnp.shape(ir) != jnp.shape(vis):
        raise InputError(
            f"ir has shape {jnp.shape(ir)} but vis has shape {jnp.shape(vis)}.", "Both must show the same pixels."
        )


def _check_image(name: str, image: Any) -> None:
    if not isinstance(image, jax.Array | np.ndarray) or isinstance(image, np.ma.MaskedArray):
        kind = f"{type(image).__module__}.{type(image).__name__}".removeprefix("builtins.")
        raise InputError(f"{name} is a {kind}.", "Give a NumPy or JAX array; a mask goes into ir_valid or vis_valid.")
    dtype, shape = image.dtype, image.shape
    if not (jnp.issubdtype(dtype, jnp.floating) or dtype in (np.uint8, np.uint16)) or not np.dtype(dtype).isnative:
        raise InputError(
            f"{name} has type {dtype.str if isinstance(dtype, np.dtype) else dtype}.",
            "Give uint8 or uint16 over their whole range, or float in [0, 1], in this machine's byte order.",
        )
    fits = len(shape) == 2 or (len(shape) in (3, 4) and shape[-1] == 1)
    if not fits or 0 in shape:
        hint = "Give (h, w), (h, w, 1) or (n, h, w, 1), none of them 0."
        in_color = len(shape) in (3, 4) and shape[-1] in (3, 4)
        raise InputError(f"{name} has shape {shape}.", hint + " For color, use fuse_frame." * in_color)
    if is_traced(image) or not jnp.issubdtype(dtype, jnp.floating):
        return
    low, high = float(np.min(image)), float(np.max(image))
    if not (low >= 1 - _HIGHEST and high <= _HIGHEST):
        raise InputError(f"{name} has values from {low:g} to {high:g}.", "Scale it to [0, 1], without NaN or infinity.")


def check_masks(shape: tuple[int, ...], *masks: Any) -> tuple[Any, Any]:
    """Refuses masks, `ir_valid` and `vis_valid`, that do not fit images of a shape; returns them.

    Raises:
        InputError: One is not of type bool, or of another shape.
    """
    for name, mask in zip(("ir_valid", "vis_valid"), masks, strict=True):
        if mask is not None and (jnp.shape(mask) != shape or not jnp.issubdtype(jnp.result_type(mask), jnp.bool_)):
            found = f"{jnp.result_type(mask)} of shape {jnp.shape(mask)}"
            raise InputError(f"{name} is {found}.", f"Give a bool array of the images' shape {shape}.")
    return masks


def _draw(inputs: tuple[Params, Context | None], ir: Array, vis: Array, size: Size | None) -> Array:
    return _drawn(inputs, ir, vis, None, None, size)


def _draw_ir(inputs: tuple[Params, Context | None], ir: Array, vis: Array, ir_valid: Array, size: Size | None) -> Array:
    return _drawn(inputs, ir, vis, ir_valid, None, size)


def _draw_vis(
    inputs: tuple[Params, Context | None], ir: Array, vis: Array, vis_valid: Array, size: Size | None
) -> Array:
    return _drawn(inputs, ir, vis, None, vis_valid, size)


def _drawn(
    inputs: tuple[Params, Context | None],
    ir: Array,
    vis: Array,
    ir_valid: Array | None,
    vis_valid: Array | None,
    size: Size | None,
) -> Array:
    params, context = inputs
    dtype = ir.dtype if ir.dtype == vis.dtype else jnp.dtype(jnp.float32)
    ir_mask, vis_mask = (None if mask is None else _batched(mask).astype(jnp.float32) for mask in (ir_valid, vis_valid))
    fused = fuse_unit(params, to_unit(_batched(ir)), to_unit(_batched(vis)), size, context, (ir_mask, vis_mask))
    return to_type(fused, dtype).reshape(ir.shape)


_DRAWN = {(False, False): _draw, (True, False): _draw_ir, (False, True): _draw_vis, (True, True): _drawn}


def _draw_in_turn(inputs: tuple[Params, None], ir: Array, vis: Array, size: Size | None) -> Array:
    return jax.lax.map(lambda pair: _draw(inputs, *pair, size=size), (ir, vis))


def _context(params: Params, ir: Array, vis: Array, size: Size | None) -> Context:
    return context_of(params, image_sums(params, to_unit(_batched(ir)), to_unit(_batched(vis)), size))


def _explain(params: Params, ir: Array, vis: Array, size: Size | None) -> Explanation:
    return explain_unit(params, to_unit(_batched(ir)), to_unit(_batched(vis)), size)


def is_traced(*arguments: Any) -> bool:
    """Whether this is within a transformation of JAX, such as `jax.jit`."""
    # Compiler options are for whole programs only; inside somebody else's jit the plain function is inlined.
    # Inside a trace whatever is computed is a tracer, even where no argument is one.
    return any(isinstance(leaf, jax.core.Tracer) for leaf in (jnp.zeros(()), *jax.tree.leaves(arguments)))


def _batched(image: Array) -> Array:
    return image if image.ndim == 4 else image.reshape(1, *image.shape[:2], 1)
