"""From two pictures as files hold them to two frames that can be fused: range, polarity, size and place."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt

from camfuse_jax.errors import InputError
from camfuse_jax.images.color import luma_unit, scalar_from_rgb
from camfuse_jax.images.picture import Picture
from camfuse_jax.images.ranges import unit_samples
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.pair.polarity import guess_polarity
from camfuse_jax.pair.register import align, find_shift, resize, warp

_SHIFT_SCORE, _SHIFT_GAIN, _SHIFT_SHARE, _SHIFT_PIXELS = 6.0, 0.03, 0.01, 4.0
_ASPECT = 1.02


class Prepared(NamedTuple):
    """A pair that can be fused.

    Attributes:
        ir_unit: Infrared in [0, 1], (h, w).
        vis_unit: Visible in [0, 1], (h, w) or (h, w, 3).
        valid: Where the moved infrared image shows something; None if it was not moved.
        alpha: Opacity of the visible image, or None.
        icc: Its color profile, or None.
        bits: Depth of the result, 8 or 16.
        notes: What a user should know; the same words for the same matter.
        details: Numbers that belong to this pair.
    """

    ir_unit: Float[np.ndarray, "h w"]
    vis_unit: Float[np.ndarray, "h w *c"]
    valid: Bool[np.ndarray, "h w"] | None
    alpha: UInt[np.ndarray, "h w"] | None
    icc: bytes | None
    bits: int
    notes: tuple[str, ...]
    details: dict[str, str]


def prepare(ir: Picture, vis: Picture, settings: FrameSettings) -> Prepared:
    """Makes a pair ready for `fuse_frame`.

    Raises:
        InputError: Sizes differ and `fit` is `error`, or an alignment is not trusted.
        UsageError: Alignment without OpenCV.
    """
    notes = [f"ir: {note}" for note in ir.notes] + [f"vis: {note}" for note in vis.notes]
    details = {}
    ir_unit, how = unit_samples(ir, settings.ir_range)
    details["ir range"] = how
    ir_unit, told = scalar_ir(ir_unit)
    notes += told
    if ir.alpha is not None:
        notes.append("ir: its alpha is left out")
    vis_unit, details["vis range"] = unit_samples(vis, settings.vis_range)
    ir_unit, vis_unit, alpha, valid = _same_frame(ir_unit, vis_unit, vis.alpha, settings, notes)
    luma = luma_unit(vis_unit).astype(np.float32) if vis_unit.ndim == 3 else vis_unit
    ir_unit = _polarised(ir_unit, luma, settings, notes, details)
    if settings.align != "none":
        found = align(ir_unit, luma, settings.align)
        ir_unit, covered = warp(ir_unit, found.homography, *luma.shape)
        valid = covered if valid is None else _carried(valid, found.homography) & covered
        details["alignment"] = f"confidence {found.confidence:.1f}, moved by up to {found.moved:.1f} px"
    elif settings.check:
        _look_for_shift(ir_unit, luma, notes, details)
    icc = vis.icc
    if settings.gray and vis.is_color and icc is not None:
        icc, _ = None, notes.append("vis: its color profile is for RGB and is left out of the gray result")
    bits = int(settings.bits) if settings.bits != "auto" else (16 if max(ir.bits, vis.bits) > 8 else 8)
    return Prepared(ir_unit, vis_unit, valid, alpha, icc, bits, tuple(notes), details)


def scalar_ir(ir_unit: Float[np.ndarray, "h w *c"]) -> tuple[Float[np.ndarray, "h w"], list[str]]:
    """One value per pixel of an infrared image, and what to tell about how it was found."""
    if ir_unit.ndim == 2:
        return ir_unit, []
    scalar = scalar_from_rgb(ir_unit)
    return scalar.values, [f"ir: {scalar.note}"]


def _same_frame(ir_unit, vis_unit, alpha, settings: FrameSettings, notes: list[str]):
    size = vis_unit.shape[:2]
    if settings.calibration is not None:
        moved, valid = warp(ir_unit, np.array(settings.calibration), *size)
        return moved, vis_unit, alpha, valid
    if ir_unit.shape == size:
        return ir_unit, vis_unit, alpha, None
    if settings.fit == "error":
        raise InputError(
            f"ir has {ir_unit.shape[1]} x {ir_unit.shape[0]} pixels but vis has {size[1]} x {size[0]}.",
            "Say which size to take with --fit ir or --fit vis, or give a --calibration.",
        )
    aspect = (ir_unit.shape[1] / ir_unit.shape[0]) / (size[1] / size[0])
    if max(aspect, 1 / aspect) > _ASPECT:
        notes.append("the two sizes differ in shape: one is stretched, and the views probably differ")
    notes.append(f"sizes differ: resampled to that of {settings.fit}")
    if settings.fit == "vis":
        return resize(ir_unit, *size), vis_unit, alpha, None
    height, width = ir_unit.shape
    if alpha is not None:
        top = np.iinfo(alpha.dtype).max
        alpha = np.rint(resize((alpha / top).astype(np.float32), height, width) * top).astype(alpha.dtype)
    return ir_unit, resize(vis_unit, height, width), alpha, None


def _polarised(ir_unit, luma, settings: FrameSettings, notes: list[str], details: dict[str, str]):
    if settings.ir_polarity == "black":
        return 1 - ir_unit
    if settings.ir_polarity == "auto":
        found = guess_polarity(ir_unit, luma)
        details["ir polarity"] = f"{found.kind}-hot (skew {found.skew:.2f})"
        if found.strong:
            notes.append("ir: looks black-hot and was inverted")
            return 1 - ir_unit
        if found.kind == "black":
            notes.append("ir: may be black-hot; not inverted (--ir-polarity black does)")
    return ir_unit


def _look_for_shift(ir_unit, luma, notes: list[str], details: dict[str, str]) -> None:
    shift = find_shift(ir_unit, luma)
    limit = max(_SHIFT_PIXELS, _SHIFT_SHARE * float(np.hypot(*luma.shape)))
    if shift.length > limit and shift.score >= _SHIFT_SCORE and shift.gain >= _SHIFT_GAIN:
        notes.append("looks misregistered: edges agree better with the infrared image moved (see --align)")
        details["misregistration"] = f"infrared edges lie {shift.cols:+.0f} px right, {shift.rows:+.0f} px down"


def _carried(valid: np.ndarray, homography: np.ndarray) -> np.ndarray:
    """A mask moved along with its image; a pixel counts only where it was wholly known."""
    moved, _ = warp(valid.astype(np.float32), homography, *valid.shape)
    return moved > 0.999
