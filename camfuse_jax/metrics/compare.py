"""Fusion without learning, one line of arithmetic each: a method that does not beat these has shown nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from numpy.typing import ArrayLike
from scipy import stats

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.metrics.gray import as_gray, levels, require_same_shape
from camfuse_jax.metrics.protocol import find_protocol
from camfuse_jax.metrics.table import ScoreTable

Fused = UInt8[np.ndarray, "h w"]


def average(ir: ArrayLike, vis: ArrayLike) -> Fused:
    """(ir + vis) / 2, halves rounded to even. Near the best possible SSIM, CC, PSNR and MS-SSIM.

    Args:
        ir: Infrared, gray (h, w) in [0, 255].
        vis: Visible, same shape.

    Returns:
        Fused image, uint8.

    Raises:
        InputError: Not gray images of one size.
    """
    ir, vis = _sources(ir, vis)
    return levels((ir + vis) / 2)


def maximum(ir: ArrayLike, vis: ArrayLike) -> Fused:
    """max(ir, vis). Near the best possible VIF, MI and Qabf. Arguments, result and errors as in `average`."""
    return levels(np.maximum(*_sources(ir, vis)))


def contrast_preserving_sum(ir: ArrayLike, vis: ArrayLike) -> Fused:
    """Sum with the mean moved to mid-gray: ir + vis - mean(ir + vis) + 127.5, clipped to 0..255 and rounded.

    Keeps both contrasts in full and beats many networks on EN, AG and SCD. The rest as in `average`.
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


def _sources(ir: ArrayLike, vis: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    ir, vis = as_gray(ir, name="ir"), as_gray(vis, name="vis")
    require_same_shape(ir=ir, vis=vis)
    return ir, vis


# Several methods on the same images: ranks, mean rank and paired significance.


@dataclass(frozen=True)
class Significance:
    """A paired test of one method against the reference on one metric.

    Attributes:
        method: The other method.
        metric: Metric key.
        images: Number of images on which both have a value.
        wins: Images on which the method is better than the reference.
        losses: Images on which it is worse; the rest are ties.
        median_difference: Median over images of method minus reference.
        p: Two-sided p of Wilcoxon's signed-rank test; 1 if all images tie.
        p_holm: p corrected after Holm over all tests made in one call.
    """

    method: str
    metric: str
    images: int
    wins: int
    losses: int
    median_difference: float
    p: float
    p_holm: float


def ranks(tables: Sequence[ScoreTable]) -> dict[str, dict[str, float]]:
    """Rank the methods by their means, 1 is best; equal means share the mean of their ranks.

    Diagnostics (direction `none`) and metrics without a mean for some method are left out.

    Args:
        tables: One per method, all of the same images and protocol.

    Returns:
        Method to metric key to rank, and under `"mean rank"` the mean over the ranked metrics.

    Raises:
        InputError: The tables do not have the same images, metrics and protocol, or a method occurs twice.
    """
    keys = _comparable(tables)
    result: dict[str, dict[str, float]] = {table.method: {} for table in tables}
    for key in keys:
        sign = _sign(tables[0], key)
        means = [table.mean(key) for table in tables]
        if sign == 0 or any(mean is None for mean in means):
            continue
        for table, rank in zip(tables, stats.rankdata([-sign * mean for mean in means]), strict=True):
            result[table.method][key] = float(rank)
    for row in result.values():
        if row:
            row["mean rank"] = sum(row.values()) / len(row)
    return result


def significance(tables: Sequence[ScoreTable], *, against: str) -> list[Significance]:
    """Compare every method with one of them, image by image (Wilcoxon signed-rank, two-sided, Holm-corrected).

    Args:
        tables: One per method, all of the same images and protocol.
        against: The method that the others are compared with.

    Returns:
        One result per other method and ranked metric; a metric without images in common gives none.

    Raises:
        InputError: As `ranks`.
        UsageError: `against` is not among the methods.
    """
    keys = _comparable(tables)
    by_name = {table.method: table for table in tables}
    if against not in by_name:
        raise UsageError(f"There is no method {against!r} in the table.", f"It has: {', '.join(by_name)}.")
    tests = [
        test
        for table in tables
        if table.method != against
        for key in keys
        if _sign(table, key) != 0 and (test := _paired(table, by_name[against], key)) is not None
    ]
    corrected = _holm([test.p for test in tests])
    return [Significance(**{**vars(test), "p_holm": p}) for test, p in zip(tests, corrected, strict=True)]


def _paired(table: ScoreTable, reference: ScoreTable, key: str) -> Significance | None:
    mine, theirs = table.column(key), reference.column(key)
    shared = [name for name in sorted(mine) if name in theirs]
    if not shared:
        return None
    difference = np.array([mine[name] - theirs[name] for name in shared])
    better = _sign(table, key) * difference
    p = float(stats.wilcoxon(difference).pvalue) if np.any(difference) else 1.0
    wins, losses = int((better > 0).sum()), int((better < 0).sum())
    return Significance(table.method, key, len(shared), wins, losses, float(np.median(difference)), p, p)


def _holm(p_values: Sequence[float]) -> list[float]:
    """Holm 1979: the k-th smallest of m is multiplied by m - k + 1, kept increasing and at most 1."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for position, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - position)))
        corrected[index] = largest
    return corrected


def _sign(table: ScoreTable, key: str) -> int:
    direction = find_protocol(str(table.stamp["protocol"])).metric(key).direction
    return {"higher": 1, "lower": -1, "none": 0}[direction]


def _comparable(tables: Sequence[ScoreTable]) -> tuple[str, ...]:
    if not tables:
        raise InputError("There are no methods to compare.", "Score at least one.")
    names = [table.method for table in tables]
    if len(set(names)) < len(names):
        raise InputError(f"A method occurs twice among {', '.join(names)}.", "Give each its own name.")
    first = tables[0]
    for table in tables[1:]:
        if table.stamp["id"] != first.stamp["id"] or table.metrics != first.metrics:
            raise InputError(
                f"{table.method} and {first.method} were not scored on the same images by the same definitions.",
                "Score them in one run.",
            )
    return first.metrics
