"""Score tables as text for the page: one row per metric, one cell per method."""

import dataclasses
from collections.abc import Sequence

from camfuse_jax.metrics.compare import MEAN_RANKS, ranks, significance
from camfuse_jax.metrics.table import ScoreTable

ARROWS = {"higher": "↑", "lower": "↓", "none": ""}
_TITLES = {"score": "Scores", "picture": "What a person would complain of"}
_WORDS = {"higher": "higher is better", "lower": "lower is better", "none": "not ranked"}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One number: rounded as the metric's definition says or `n/a`, its standard deviation, its rank, whether best.

    Spread and rank are empty where there is none.
    """

    text: str
    spread: str = ""
    rank: str = ""
    best: bool = False


@dataclasses.dataclass(frozen=True)
class Row:
    """A metric: its key with an arrow, its name, which end is better in words, and a cell for each method."""

    head: str
    name: str
    better: str
    cells: list[Cell]


@dataclasses.dataclass(frozen=True)
class Group:
    """A family of metrics: its title, its rows, and the methods' mean ranks; None where nothing is ranked."""

    title: str
    rows: list[Row]
    mean_ranks: list[float] | None


def metric_groups(tables: Sequence[ScoreTable]) -> list[Group]:
    """Means over the images: the scores, then the picture measures.

    Raises:
        InputError: The tables are not comparable.
    """
    ranked = ranks(tables) if len(tables) > 1 else {tables[0].method: {}}
    groups = []
    for family, mean_rank in MEAN_RANKS.items():
        rows = [_row(tables, key, ranked) for key in tables[0].keys_of(family)]
        mean_ranks = [row[mean_rank] for table in tables if mean_rank in (row := ranked[table.method])]
        if rows:
            groups.append(Group(_TITLES[family], rows, mean_ranks if len(mean_ranks) == len(tables) else None))
    return groups


def image_groups(tables: Sequence[ScoreTable], image: str) -> list[Group]:
    """The same of one image, with its own ranks."""
    return metric_groups([dataclasses.replace(table, rows={image: table.rows[image]}) for table in tables])


def _row(tables: Sequence[ScoreTable], key: str, ranked: dict[str, dict[str, float]]) -> Row:
    metric = tables[0].metric(key)
    # Methods that tie for the first place share a rank such as 1.5; whoever reads like them is best, too.
    first = min((own[key] for own in ranked.values() if key in own), default=None)
    texts = [table.text(key, table.mean(key)) for table in tables]
    best = {text for table, text in zip(tables, texts, strict=True) if ranked[table.method].get(key, -1) == first}
    cells = []
    for table, text in zip(tables, texts, strict=True):
        rank, spread = ranked[table.method].get(key), table.std(key)
        spread = "" if spread is None else table.text(key, spread)
        mark = " †" if table.partial(key) else ""
        cells.append(Cell(text + mark, spread, "" if rank is None else f"{rank:g}", rank is not None and text in best))
    return Row(f"{key} {ARROWS[metric.direction]}".strip(), metric.name, _WORDS[metric.direction], cells)


def standing(groups: Sequence[Group], index: int) -> str:
    """A sentence's end about one method: `mean rank 2.40, place 2 of 5 (scores); ...`; empty without ranks."""
    parts = []
    for group in groups:
        means = group.mean_ranks
        if means is not None and len(means) > 1:
            place = 1 + sum(value < means[index] for value in means)
            shared = "shared " if means.count(means[index]) > 1 else ""
            parts.append(f"mean rank {means[index]:.2f}, {shared}place {place} of {len(means)} ({group.title.lower()})")
    return "; ".join(parts)


def significance_rows(tables: Sequence[ScoreTable], *, against: str) -> list[dict[str, str]]:
    """The paired tests of every other method against one; UsageError if that is not among the methods."""
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
