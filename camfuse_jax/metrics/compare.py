"""Several methods on the same images: ranks, mean rank and paired significance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.metrics.table import ScoreTable

MEAN_RANKS = {"score": "mean rank", "picture": "picture rank"}
"""Family of metrics to the name of the mean over its ranks."""


@dataclass(frozen=True)
class Significance:
    """A paired test of one method against the reference on one metric.

    Of `images` on which both have a value, the method is better on `wins` and worse on `losses`; the median is that of
    method minus reference; `p` is Wilcoxon's, two-sided, 1 if all tie; `p_holm` is corrected over its family.
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

    Returns:
        Method to metric key to rank; under `"mean rank"` and `"picture rank"` the means over the ranked scores and
        over the ranked picture measures, where there are any.

    Raises:
        InputError: The tables do not have the same images, metrics and protocol, or a method occurs twice.
    """
    first = _comparable(tables)
    result: dict[str, dict[str, float]] = {table.method: {} for table in tables}
    for key in first.metrics:
        sign, means = _sign(first, key), [mean for table in tables if (mean := table.mean(key)) is not None]
        if sign == 0 or len(means) < len(tables):
            continue
        for table, rank in zip(tables, stats.rankdata([-sign * mean for mean in means]), strict=True):
            result[table.method][key] = float(rank)
    for row in result.values():
        for family, name in MEAN_RANKS.items():
            own = [row[key] for key in first.keys_of(family) if key in row]
            if own:
                row[name] = sum(own) / len(own)
    return result


def significance(tables: Sequence[ScoreTable], *, against: str) -> list[Significance]:
    """Compare every method with one of them, image by image (Wilcoxon signed-rank, two-sided).

    One result per other method and ranked metric; a metric without images in common gives none. Holm's correction is
    over all tests of a family, so that picture measures change nothing about the scores.

    Raises:
        InputError: As `ranks`.
        UsageError: `against` is not among the methods.
    """
    first = _comparable(tables)
    by_name = {table.method: table for table in tables}
    if against not in by_name:
        raise UsageError(f"There is no method {against!r} in the table.", f"It has: {', '.join(by_name)}.")
    tests = [
        test
        for table in tables
        if table.method != against
        for key in first.metrics
        if _sign(table, key) != 0 and (test := _paired(table, by_name[against], key)) is not None
    ]
    corrected: dict[Significance, float] = {}
    for family in MEAN_RANKS:
        members = [test for test in tests if test.metric in first.keys_of(family)]
        corrected |= zip(members, holm([test.p for test in members]), strict=True)
    return [replace(test, p_holm=corrected[test]) for test in tests]


def _paired(table: ScoreTable, reference: ScoreTable, key: str) -> Significance | None:
    mine, theirs = table.column(key), reference.column(key)
    shared = [name for name in sorted(mine) if name in theirs]
    if not shared:
        return None
    difference = np.array([mine[name] - theirs[name] for name in shared])
    better = _sign(table, key) * difference
    p = float(np.asarray(stats.wilcoxon(difference))[1]) if np.any(difference) else 1.0
    wins, losses = int((better > 0).sum()), int((better < 0).sum())
    return Significance(table.method, key, len(shared), wins, losses, float(np.median(difference)), p, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm 1979: the k-th smallest of m is multiplied by m - k + 1, kept increasing and at most 1."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for position, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - position)))
        corrected[index] = largest
    return corrected


def _sign(table: ScoreTable, key: str) -> int:
    return {"higher": 1, "lower": -1, "none": 0}[table.metric(key).direction]


def _comparable(tables: Sequence[ScoreTable]) -> ScoreTable:
    """The first table, once all are known to have the same images, metrics and protocol."""
    if not tables:
        raise InputError("There are no methods to compare.", "Score at least one.")
    names = [table.method for table in tables]
    if len(set(names)) < len(names):
        raise InputError(f"A method occurs twice among {', '.join(names)}.", "Give each its own name.")
    first = tables[0]
    for table in tables[1:]:
        if table.tag["id"] != first.tag["id"] or table.metrics != first.metrics:
            raise InputError(
                f"{table.method} and {first.method} were not scored on the same images by the same definitions.",
                "Score them in one run.",
            )
    return first
