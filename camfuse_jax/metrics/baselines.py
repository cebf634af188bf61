"""Fusion without learning, one line of arithmetic each: a method that does not beat these has shown nothing."""

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8
from numpy.typing import ArrayLike

from camfuse_jax.metrics.gray import Gray, as_gray, levels, require_same_shape

Fused = UInt8[np.ndarray, "h w"]


def average(ir: ArrayLike, vis: ArrayLike) -> Fused:
    """(ir + vis) / 2, halves rounded to even. Near the best possible SSIM, CC, PSNR and MS-SSIM.

    Of gray images (h, w) in [0, 255], as the others; InputError if they are not, or differ in size.
    """
    ir, vis = _sources(ir, vis)
    return levels((ir + vis) / 2)


def maximum(ir: ArrayLike, vis: ArrayLike) -> Fused:
    """max(ir, vis). Near the best possible VIF, MI and Qabf."""
    return levels(np.maximum(*_sources(ir, vis)))


def contrast_preserving_sum(ir: ArrayLike, vis: ArrayLike) -> Fused:
    """Sum with the mean moved to mid-gray: ir + vis - mean(ir + vis) + 127.5, clipped to 0..255 and rounded.

    Keeps both contrasts in full and beats many networks on EN, AG and SCD.
    """
    ir, vis = _sources(ir, vis)
    total = ir + vis
    return levels(np.clip(total - total.mean() + 127.5, 0.0, 255.0))


BASELINES: dict[str, Callable[[ArrayLike, ArrayLike], Fused]] = {
    "average": average,
    "maximum": maximum,
    "contrast_preserving_sum": contrast_preserving_sum,
}
"""All baselines by the name that a table gives them."""


def _sources(ir: ArrayLike, vis: ArrayLike) -> tuple[Gray, Gray]:
    ir, vis = as_gray(ir, name="ir"), as_gray(vis, name="vis")
    require_same_shape(ir=ir, vis=vis)
    return ir, vis
