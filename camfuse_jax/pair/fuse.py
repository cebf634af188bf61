"""One pair of frames as arrays in, one fused frame out: the step that files, videos and live loops share."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt
from scipy import ndimage

from camfuse_jax.config import Backend
from camfuse_jax.errors import InputError
from camfuse_jax.export.runtimes import fuse
from camfuse_jax.fusion.dispatch import Buckets
from camfuse_jax.fusion.forward import Context
from camfuse_jax.fusion.fuse import check_masks
from camfuse_jax.fusion.params import Params, with_look
from camfuse_jax.images.color import luma_unit, with_luma
from camfuse_jax.images.ranges import by_rows
from camfuse_jax.pair.register import fill_nearest

_Plane = Float[np.ndarray, "h w"]


def fuse_frame(
    params: Params,
    ir_unit: Float[np.ndarray, "h w"],
    vis_unit: Float[np.ndarray, "h w *c"],
    *,
    gray: bool = False,
    ir_valid: Bool[np.ndarray, "h w"] | None = None,
    vis_valid: Bool[np.ndarray, "h w"] | None = None,
    buckets: Buckets | None = None,
    backend: Backend = "jax",
    max_memory: int | None = None,
    context: Context | None = None,
) -> Float[np.ndarray, "h w *c"]:
    """Fuses the infrared image with the visible one's luma and puts the visible colors around the result.

    Nothing is kept between calls and nothing is read or written.

    Args:
        params: Weights from `load_params`, with gains if `balanced`.
        ir_unit: Infrared in [0, 1].
        vis_unit: Visible in [0, 1], grayscale (h, w) or RGB (h, w, 3).
        gray: Give the fused luma alone.
        ir_valid: Where the infrared image shows the scene; elsewhere the result is the visible image.
        vis_valid: Where the visible image shows the scene; elsewhere the result is the infrared image, in gray.
        buckets: As for `fuse`.
        backend: What computes, as for `export.fuse`.
        max_memory: As for `fuse`.
        context: As for `fuse`.

    Returns:
        float32 in [0, 1], shaped as `vis_unit`, or (h, w) where `gray`.

    Raises:
        InputError: The two differ in size, or an image or mask is of another shape or type.
        UsageError: The backend cannot be used.
    """
    _check_shapes(np.shape(ir_unit), np.shape(vis_unit))
    check_masks(np.shape(ir_unit), ir_valid, vis_valid)
    color = np.ndim(vis_unit) == 3
    luma = by_rows(_luma, vis_unit) if color else np.asarray(vis_unit, np.float32)
    options = {"backend": backend, "buckets": buckets, "max_memory": max_memory, "context": context}
    fused, only_ir = _fused_luma(params, np.asarray(ir_unit, np.float32), luma, ir_valid, vis_valid, options)
    if gray or not color:
        return fused
    if only_ir is not None:  # its colors are no colors of the scene
        vis_unit = np.where(only_ir[..., None], fused[..., None], vis_unit)
    return by_rows(lambda rgb, new: with_luma(rgb, new).astype(np.float32), vis_unit, fused)


def _check_shapes(ir: tuple[int, ...], vis: tuple[int, ...]) -> None:
    for name, shape, good in (("ir_unit", ir, len(ir) == 2), ("vis_unit", vis, len(vis) == 2 or vis[2:] == (3,))):
        if not good:
            wanted = "(h, w)" if name == "ir_unit" else "(h, w) or (h, w, 3)"
            hints = {1: " One channel is image[..., 0].", 4: " Leave alpha out: image[..., :3]."}
            hint = hints.get(shape[2], "") if len(shape) == 3 else ""
            raise InputError(f"{name} has shape {shape}.", f"Give {wanted}.{hint}")
    if ir != vis[:2]:
        raise InputError(f"ir_unit has shape {ir} but vis_unit has shape {vis}.", "Both must show the same pixels.")


def with_usual_look(params: Params, *, colored: bool) -> Params:
    """The weights as they are used where no look is asked for: natural where the result is in color."""
    return with_look(params, 0.0) if colored and params.fusion.rule == "spatial" else params


def _fused_luma(params: Params, ir: _Plane, luma: _Plane, ir_valid, vis_valid, options) -> tuple[_Plane, Any]:
    """The fused luma and where it is the infrared image alone; None for nowhere.

    What neither image shows is as in the visible one, and only the box around what is left is fused: a constant frame
    around both moves nothing within.
    """
    if ir_valid is None and vis_valid is None:
        return _fuse(params, ir, luma, options), None
    ones = np.ones(luma.shape, bool)
    ir_valid, vis_valid = (ones if mask is None else mask for mask in (ir_valid, vis_valid))
    shown, only_ir = ir_valid | vis_valid, ir_valid & ~vis_valid
    if not shown.any():
        return luma, only_ir
    (box,) = ndimage.find_objects(shown.astype(np.uint8))
    here = np.where(only_ir, ir, luma)
    if options["backend"] == "jax":
        masks = {"ir_valid": ir_valid[box], "vis_valid": vis_valid[box]}
        options |= {name: mask for name, mask in masks.items() if not mask.all()}
        fused = _fuse(params, ir[box], luma[box], options)
    else:  # other backends know no masks: no edge may lie where an image ends
        seen = fill_nearest(here[box], shown[box])
        fused = _fuse(params, np.where(ir_valid[box], ir[box], seen), seen, options)
    here[box] = np.where((ir_valid & vis_valid)[box], fused, here[box])
    return here, only_ir


def _fuse(params: Params, ir: _Plane, luma: _Plane, options: dict[str, Any]) -> _Plane:
    return np.clip(np.asarray(fuse(params, ir, luma, **options)), 0, 1)


def to_levels(unit: Float[np.ndarray, "*shape"], bits: int) -> UInt[np.ndarray, "*shape"]:
    """Rounds [0, 1] to 8-bit or 16-bit levels."""
    top, dtype = (255, np.uint8) if bits == 8 else (65535, np.uint16)
    return by_rows(lambda band: np.rint(np.clip(band.astype(np.float64), 0, 1) * top).astype(dtype), unit)


def _luma(rgb_unit: np.ndarray) -> np.ndarray:
    return luma_unit(rgb_unit).astype(np.float32)
