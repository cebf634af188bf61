"""Tables 1 and 2: printed rows, rows scored here, ours and the baselines, each marked as what it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from camfuse_jax.metrics import BASELINES, ScoreTable, Significance, ranks, significance
from camfuse_jax.metrics.export import MISSING
from camfuse_jax.metrics.protocol import find_protocol
from camfuse_jax.metrics.published import EXTRA_KEYS, PUBLISHED, SOURCE

Kind = Literal["published", "measured", "ours", "baseline"]
KINDS: tuple[Kind, ...] = ("published", "measured", "ours", "baseline")
ALPHA = 0.05
"""Level of the paired tests whose outcome a cell shows."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        kind: `published` (printed in the paper), `measured` (scored here from a folder), `ours` or `baseline`.
        method: Its name.
        values: Metric key to mean; None where there is none.
        printed: Metric key to the digits to print; a key without a value is absent.
        marks: Metric key to the names of what is to be said about a cell: `best`, `better`, `worse`, `partial`,
            `doubtful`.
        mean_rank: Mean rank among the rows scored here, second definitions of a column not counted; None for published
            rows.
        tests: Paired tests against ours.
    """

    kind: Kind
    method: str
    values: dict[str, float | None]
    printed: dict[str, str]
    marks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    mean_rank: float | None = None
    tests: tuple[Significance, ...] = ()


@dataclass(frozen=True)
class PaperTable:
    """A whole table, ready to be written down in any format.

    Attributes:
        number: Number of the paper's table.
        dataset: Data set.
        weights: Which weights our row was made with.
        keys: Columns.
        rows: Ordered by kind, then as given.
        stamp: Protocol of the rows scored here.
        reading: What is known about the definitions behind the published rows, in sentences.
        undefined: Values that do not exist: image, reason and method, one line each.
    """

    number: int
    dataset: str
    weights: str
    keys: tuple[str, ...]
    rows: tuple[Row, ...]
    stamp: dict[str, object]
    reading: tuple[str, ...]
    undefined: tuple[str, ...]

    @property
    def title(self) -> str:
        """What stands above the table."""
        count = self.stamp["images"]
        return (
            f"Table {self.number}. {PUBLISHED[self.dataset].name}, mean over {count} test pairs, weights {self.weights}"
        )


def paper_table(tables: Sequence[ScoreTable], *, dataset: str, ours: str, weights: str) -> PaperTable:
    """Sets the paper's printed rows above the rows scored here.

    Best values, ranks and tests are among the rows scored here only: nobody knows on which images and by which
    definitions the printed ones were computed.

    Args:
        tables: One per method, scored on the same images by the same protocol.
        dataset: `"tno"` (Table 1) or `"roadscene"` (Table 2).
        ours: Which of the methods is ours.
        weights: What our weights are called.

    Returns:
        The table.

    Raises:
        InputError: The tables are not comparable (see `metrics.ranks`).
        UsageError: `ours` is not among them.
    """
    published = PUBLISHED[dataset]
    keys = tables[0].metrics
    # A second definition of a column must not count twice.
    counted = [key for key in keys if key not in EXTRA_KEYS[dataset]]
    ranked, tests = ranks(tables), significance(tables, against=ours)
    rows = [_published_row(dataset, method) for method in published.rows]
    for table in tables:
        kind: Kind = "ours" if table.method == ours else "baseline" if table.method in BASELINES else "measured"
        mine = tuple(test for test in tests if test.method == table.method)
        rows.append(_scored_row(kind, table, ranked[table.method], counted, mine))
    ordered = sorted(rows, key=lambda row: KINDS.index(row.kind))
    undefined = tuple(f"{line} ({table.method})" for table in tables for line in table.undefined())
    stamp = tables[0].stamp
    return PaperTable(published.number, dataset, weights, keys, tuple(ordered), stamp, published.reading, undefined)


def published_source() -> str:
    """Where the published rows are from."""
    return SOURCE


def _published_row(dataset: str, method: str) -> Row:
    table = PUBLISHED[dataset]
    printed = table.printed(method)
    marks = {key: ("doubtful",) for key in table.doubtful.get(method, ())}
    return Row("published", method, {key: float(text) for key, text in printed.items()}, printed, marks)


def _scored_row(
    kind: Kind,
    table: ScoreTable,
    ranked: dict[str, float],
    counted: Sequence[str],
    tests: tuple[Significance, ...],
) -> Row:
    values = {key: table.mean(key) for key in table.metrics}
    protocol = find_protocol(str(table.stamp["protocol"]))
    printed = {
        key: MISSING if value is None else f"{value:.{protocol.metric(key).digits}f}" for key, value in values.items()
    }
    marks: dict[str, list[str]] = {key: [] for key in table.metrics}
    for key in table.metrics:
        if ranked.get(key) == 1.0:
            marks[key].append("best")
        if values[key] is not None and len(table.column(key)) < len(table.rows):
            marks[key].append("partial")
    for test in tests:
        if test.p_holm < ALPHA and math.isfinite(test.p_holm) and test.wins != test.losses:
            marks[test.metric].append("better" if test.wins > test.losses else "worse")
    told = {key: tuple(names) for key, names in marks.items() if names}
    own = [ranked[key] for key in counted if key in ranked]
    return Row(kind, table.method, values, printed, told, sum(own) / len(own) if own else None, tests)
