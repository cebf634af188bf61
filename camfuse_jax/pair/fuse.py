"""One pair of frames as arrays in, one fused frame out: the step that files, videos and live loops share."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from camfuse_jax.config import Backend
from camfuse_jax.export.runtimes import fuse
from camfuse_jax.fusion.dispatch import Buckets
from camfuse_jax.fusion.params import Params
from camfuse_jax.images.color import luma_unit, with_luma
from camfuse_jax.images.ranges import by_rows


def fuse_frame(
    params: Params,
    ir_unit: Float[np.ndarray, "h w"],
    vis_unit: Float[np.ndarray, "h w *c"],
    *,
    gray: bool = False,
    valid: Bool[np.ndarray, "h w"] | None = None,
    buckets: Buckets | None = None,
    backend: Backend = "jax",
    max_memory: int | None = None,
) -> Float[np.ndarray, "h w *c"]:
    """Fuses the infrared image with the visible one's luma and puts the visible colors around the result.

    Nothing is kept between calls and nothing is read or written.

    Args:
        params: Weights from `load_params`, with gains if `balanced`.
        ir_unit: Infrared in [0, 1].
        vis_unit: Visible in [0, 1], gray (h, w) or RGB (h, w, 3).
        gray: Give the fused luma alone.
        valid: Where the infrared image shows something; elsewhere the result is the visible image.
        buckets: As for `fuse`.
        backend: What computes, as for `export.fuse`.
        max_memory: As for `fuse`.

    Returns:
        float32 in [0, 1], shaped as `vis_unit`, or (h, w) where `gray`.

    Raises:
        InputError: The two differ in size.
        UsageError: The backend cannot be used.
    """
    color = np.ndim(vis_unit) == 3
    luma = by_rows(_luma, vis_unit) if color else np.asarray(vis_unit, np.float32)
    if valid is not None:
        ir_unit = np.where(valid, ir_unit, luma)  # no edge of our making at the border of what is known
    options = {"backend": backend, "buckets": buckets, "max_memory": max_memory}
    fused = np.clip(np.asarray(fuse(params, np.asarray(ir_unit, np.float32), luma, **options)), 0, 1)
    if valid is not None:
        fused = np.where(valid, fused, luma)
    if gray or not color:
        return fused
    return by_rows(lambda rgb, new: with_luma(rgb, new).astype(np.float32), vis_unit, fused)


def to_levels(unit: Float[np.ndarray, "*shape"], bits: int) -> Any:
    """Rounds [0, 1] to 8-bit or 16-bit levels."""
    top, dtype = (255, np.uint8) if bits == 8 else (65535, np.uint16)
    return by_rows(lambda band: np.rint(np.clip(band.astype(np.float64), 0, 1) * top).astype(dtype), unit)


def _luma(rgb_unit: np.ndarray) -> np.ndarray:
    return luma_unit(rgb_unit).astype(np.float32)
