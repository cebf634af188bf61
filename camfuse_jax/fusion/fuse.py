"""The pure fusion function: two images and weights in, one image out (Eqs. 3-6, and the rules beside Eq. 5)."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Num

from camfuse_jax.errors import InputError
from camfuse_jax.fusion.dispatch import SEEN, Buckets, cut, height_width, run_by_size
from camfuse_jax.fusion.forward import Explanation, explain_unit, fuse_unit, to_type, to_unit
from camfuse_jax.fusion.params import Params
from camfuse_jax.fusion.tiling import DEFAULT_MEMORY, fuse_tiled, memory_needed
from camfuse_jax.nets.masking import Size

_LARGE = 500_000  # pixels; on a CPU the pairs of a batch of larger images take turns: faster, in an n-th of the memory


def fuse(
    params: Params,
    ir: Num[Any, "*image"],
    vis: Num[Any, "*image"],
    *,
    buckets: Buckets | None = None,
    max_memory: int | None = None,
) -> Num[Array, "*image"]:
    """Fuses an infrared and a visible image, or batches of them.

    Pure; compiled inside; may be used under `jax.jit`, `jax.vmap` and `jax.grad` (of float images and of weights).
    A few compiled programs serve single images of all sizes (docs/speed.md); each batch size gets its own.

    Args:
        params: Weights from `load_params`.
        ir: Infrared luminance, (h, w), (h, w, 1) or (n, h, w, 1); uint8 or uint16 over the type's whole range, or
            float in [0, 1].
        vis: Visible luminance, same shape.
        buckets: Which programs there are, `fusion.plan` of sizes that are known beforehand; changes nothing but time.
        max_memory: Bytes that computing a single image may take, besides the images; larger images are fused tile by
            tile, which changes the result by rounding only. 1.5 GiB where not given.

    Returns:
        The fused image: same shape, and same type if both types agree, else float32 in [0, 1].

    Raises:
        InputError: If shapes differ or do not fit, or a type is none of the above.
        ResourceError: Neither the image nor a tile fits into `max_memory`.
    """
    check_pair(ir, vis)
    if _is_traced(params, ir, vis):
        return _fuse(params, jnp.asarray(ir), jnp.asarray(vis), None)
    shape, memory = jnp.shape(ir), DEFAULT_MEMORY if max_memory is None else max_memory
    height, width = height_width(shape)
    if math.prod(shape) == height * width and memory_needed(params.net, height * width) > memory:
        pair = (np.asarray(image).reshape(height, width) for image in (ir, vis))
        return jax.device_put(fuse_tiled(params, *pair, buckets=buckets or SEEN, memory=memory).reshape(shape))
    large_batch = len(shape) == 4 and len(ir) > 1 and height * width >= _LARGE and jax.default_backend() == "cpu"
    fused = run_by_size(_fuse_in_turn if large_batch else _fuse, params, ir, vis, buckets=buckets)
    # Not jnp.asarray: that compiles a copy for each shape.
    return fused if fused.shape == shape else jax.device_put(cut(fused, height, width).reshape(shape))


def explain(
    params: Params, ir: Num[Any, "*image"], vis: Num[Any, "*image"], *, buckets: Buckets | None = None
) -> Explanation:
    """Computes the class activation maps of both images at the images' own size.

    Args:
        params: Weights from `load_params`.
        ir: As in `fuse`.
        vis: As in `fuse`.
        buckets: As in `fuse`.

    Raises:
        InputError: As in `fuse`.
    """
    check_pair(ir, vis)
    if _is_traced(params, ir, vis):
        return _explain(params, jnp.asarray(ir), jnp.asarray(vis), None)
    seen, size = run_by_size(_explain, params, ir, vis, buckets=buckets), height_width(jnp.shape(ir))
    if seen.ir_cam.shape[1:] == size:
        return seen
    return Explanation(*(jax.device_put(cut(maps, *size, axis=1)) for maps in seen[:4]), seen.probability)


def _fuse(params: Params, ir: Array, vis: Array, size: Size | None) -> Array:
    dtype = ir.dtype if ir.dtype == vis.dtype else jnp.dtype(jnp.float32)
    fused = fuse_unit(params, to_unit(_batched(ir)), to_unit(_batched(vis)), size)
    return to_type(fused, dtype).reshape(ir.shape)


def _fuse_in_turn(params: Params, ir: Array, vis: Array, size: Size | None) -> Array:
    return jax.lax.map(lambda pair: _fuse(params, *pair, size), (ir, vis))


def _explain(params: Params, ir: Array, vis: Array, size: Size | None) -> Explanation:
    return explain_unit(params, to_unit(_batched(ir)), to_unit(_batched(vis)), size)


def _is_traced(*arguments: Any) -> bool:
    # Compiler options are for whole programs only; inside somebody else's jit the plain function is inlined.
    # Inside a trace whatever is computed is a tracer, even where no argument is one.
    return any(isinstance(leaf, jax.core.Tracer) for leaf in (jnp.zeros(()), *jax.tree.leaves(arguments)))


def check_pair(ir: Any, vis: Any) -> None:
    """Refuses what is no pair of images.

    Raises:
        InputError: As in `fuse`.
    """
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


def _batched(image: Array) -> Array:
    return image if image.ndim == 4 else image.reshape(1, *image.shape[:2], 1)
