"""Score tables as rows of text for the page: means, ranks, tests against ours, and each image's own ranks."""

import dataclasses
from collections.abc import Sequence

from camfuse_jax.metrics.compare import ranks, significance
from camfuse_jax.metrics.export import MISSING
from camfuse_jax.metrics.protocol import find_protocol
from camfuse_jax.metrics.table import ScoreTable


@dataclasses.dataclass(frozen=True)
class Cell:
    """One number of a table.

    Attributes:
        text: Rounded as the metric's definition says, or `n/a`.
        spread: Standard deviation, rounded alike; empty where there is none.
        rank: Rank among the methods; empty for a metric that is not ranked.
        best: Whether it is the best of its column.
    """

    text: str
    spread: str = ""
    rank: str = ""
    best: bool = False


@dataclasses.dataclass(frozen=True)
class Row:
    """One method's numbers: cells in the order of the metrics, and the mean rank as text."""

    method: str
    cells: list[Cell]
    mean_rank: str


def method_rows(tables: Sequence[ScoreTable]) -> list[Row]:
    """One row per method with means over the images.

    Raises:
        InputError: The tables are not comparable.
    """
    ranked = ranks(tables)
    # Methods that tie for the first place share a rank such as 1.5, and all are the best.
    first = {key: min((own[key] for own in ranked.values() if key in own), default=None) for key in tables[0].metrics}
    rows = []
    for table in tables:
        own = ranked[table.method] if len(tables) > 1 else {}
        cells = [_cell(table, key, own.get(key), first[key]) for key in table.metrics]
        rows.append(Row(table.method, cells, f"{own['mean rank']:.2f}" if own else ""))
    return rows


def _cell(table: ScoreTable, key: str, rank: float | None, first: float | None) -> Cell:
    mean, spread = table.mean(key), table.std(key)
    partly = mean is not None and len(table.column(key)) < len(table.rows)
    return Cell(
        text=_rounded(table, key, mean) + (" †" if partly else ""),
        spread="" if spread is None else _rounded(table, key, spread),
        rank="" if rank is None else f"{rank:g}",
        best=rank is not None and rank == first,
    )


def image_rows(tables: Sequence[ScoreTable], image: str) -> list[Row]:
    """One row per method with this image's own scores and ranks."""
    return method_rows([dataclasses.replace(table, rows={image: table.rows[image]}) for table in tables])


def significance_rows(tables: Sequence[ScoreTable], *, against: str) -> list[dict[str, str]]:
    """The paired tests of every other method against one; empty with a single method.

    Raises:
        UsageError: `against` is not among the methods.
    """
    return [
        {
            "method": test.method,
            "metric": test.metric,
            "wins": f"{test.wins} of {test.images}",
            "losses": f"{test.losses} of {test.images}",
            "median": f"{test.median_difference:+.4g}",
            "p": "< 0.0001" if test.p_holm < 1e-4 else f"{test.p_holm:.4f}",
        }
        for test in significance(tables, against=against)
    ]


def place_of(rows: Sequence[Row], method: str) -> str:
    """A sentence's end: `mean rank 2.40, place 2 of 5`; empty where nothing is ranked."""
    means = {row.method: float(row.mean_rank) for row in rows if row.mean_rank}
    if method not in means or len(means) < 2:
        return ""
    place = 1 + sum(value < means[method] for value in means.values())
    shared = "shared " if list(means.values()).count(means[method]) > 1 else ""
    return f"mean rank {means[method]:.2f}, {shared}place {place} of {len(means)}"


def best_of(rows: Sequence[Row]) -> list[str]:
    """For each metric the methods of rank 1 and their value; empty for a metric that is not ranked."""
    columns = zip(*(row.cells for row in rows), strict=True)
    found = [[(row.method, cell.text) for row, cell in zip(rows, cells, strict=True) if cell.best] for cells in columns]
    return [", ".join(method for method, _ in best) + f" {best[0][1]}" if best else "" for best in found]


def _rounded(table: ScoreTable, key: str, value: float | None) -> str:
    digits = find_protocol(str(table.tag["protocol"])).metric(key).digits
    return MISSING if value is None else f"{value:.{digits}f}"
