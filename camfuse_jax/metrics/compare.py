"""Several methods on the same images: ranks, paired significance, and the tables as CSV, Markdown and JSON."""

import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import stats

from camfuse_jax.data.pairs import listing
from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.metrics.table import MISSING, ScoreTable
from camfuse_jax.system.files import as_resource_error

ARROWS = {"higher": "↑", "lower": "↓", "none": ""}
"""Direction in which a metric is better to its sign in a table's head."""
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


def csv_text(table: ScoreTable) -> str:
    """Per-image scores: `image`, one column per metric key with all digits, and `protocol` as NAME:ID on every row.

    A table of its own can so be traced to the full tag in the JSON file. Undefined values are `n/a`.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["image", *table.metrics, "protocol"])
    label = f"{table.tag['protocol']}:{table.tag['id']}"
    for name, row in table.rows.items():
        values = [MISSING if (value := row.values[key]) is None else repr(value) for key in table.metrics]
        writer.writerow([name, *values, label])
    return buffer.getvalue()


def json_object(table: ScoreTable) -> dict[str, object]:
    """Everything of one method: tag, mean, std, per-image values (null where undefined) and the reasons."""
    return {
        "method": table.method,
        "stamp": table.tag,
        "mean": {key: table.mean(key) for key in table.metrics},
        "std": {key: table.std(key) for key in table.metrics},
        "images": {name: row.values for name, row in table.rows.items()},
        "undefined": table.undefined(),
    }


def markdown(tables: Sequence[ScoreTable]) -> str:
    """GitHub-flavored Markdown: means and mean rank of the scores, then of the picture measures; below, the protocol.

    One row per method, the best value of a column in bold.

    Raises:
        InputError: The tables are not comparable (see `compare.ranks`).
    """
    ranked = ranks(tables)
    grids = []
    for family, rank in MEAN_RANKS.items():
        keys = tables[0].keys_of(family)
        heads = [f"{key} {ARROWS[tables[0].metric(key).direction]}".strip() for key in keys]
        rows = []
        for table in tables:
            own = ranked[table.method] if len(tables) > 1 else {}
            cells = [table.text(key, table.mean(key)) + (" †" if table.partial(key) else "") for key in keys]
            rows.append([f"**{cell}**" if own.get(key) == 1.0 else cell for key, cell in zip(keys, cells, strict=True)])
            if len(tables) > 1:
                rows[-1].append(f"{own[rank]:.2f}" if rank in own else MISSING)
        heads += [rank] if len(tables) > 1 else []
        if keys:
            grids.append(_grid("method", heads, [table.method for table in tables], rows))
    return "\n".join([*grids, *protocol_lines(tables[0]), *_undefined_lines(tables), ""])


def write_tables(
    tables: Sequence[ScoreTable], out: str | os.PathLike[str], *, against: str | None = None, title: str = "scores"
) -> list[Path]:
    """Write `NAME.csv` and `NAME.json` per method, and `TITLE.md` and `TITLE.json` for all together.

    The common files hold means, standard deviations, ranks per metric and, with `against`, the paired tests of the
    others against that method. Returns the files written.

    Raises:
        InputError: The tables are not comparable.
        UsageError: `against` is unknown, or a method's name cannot be a file name or is `title`.
        ResourceError: The folder cannot be written.
    """
    out = Path(out)
    names = [table.method for table in tables]
    bad = [name for name in names if name in {"", ".", "..", title} or set(name) & set("/\\:")]
    if bad:
        raise UsageError(f"Not usable as file names: {', '.join(map(repr, bad))}.", "Choose other method names.")
    common: dict[str, object] = {
        "stamp": tables[0].tag if tables else {},
        "methods": {table.method: {key: table.mean(key) for key in table.metrics} for table in tables},
        "std": {table.method: {key: table.std(key) for key in table.metrics} for table in tables},
        "ranks": ranks(tables),
    }
    text = markdown(tables) + "\n" + _details(tables)
    if against is not None:
        tests = significance(tables, against=against)
        common["significance"] = {"against": against, "tests": [vars(test) for test in tests]}
        text += "\n" + _tests(tables, tests, against)
    files = {f"{title}.md": text, f"{title}.json": _json(common)}
    for table in tables:
        files[f"{table.method}.csv"] = csv_text(table)
        files[f"{table.method}.json"] = _json(json_object(table))
    return write_texts(out, files)


def write_texts(out: Path, files: dict[str, str]) -> list[Path]:
    """Writes texts into a folder, created if need be; raises ResourceError where that cannot be."""
    with as_resource_error():
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (out / name).write_text(content, encoding="utf-8")
    return [out / name for name in files]


def protocol_lines(table: ScoreTable) -> list[str]:
    """What a reader must know to compute the same table, as lines of Markdown."""
    tag = table.tag
    versions = ", ".join(f"{name} {version}" for name, version in tag["versions"].items())
    return [
        f"Protocol `{tag['protocol']}` ({tag['id']}): {tag['note']}",
        f"Input: {tag['input']}. Rounding: {tag['rounding']}. Averaging: {tag['averaging']}.",
        f"Images: {tag['images']}, list sha256 {str(tag['image_list_sha256'])[:12]}, "
        f"sources sha256 {str(tag['sources_sha256'])[:12]}. Versions: {versions}.",
        "",
        *(f"- {key}: {facts['formula']}; better: {facts['better']}." for key, facts in tag["definitions"].items()),
    ]


def _undefined_lines(tables: Sequence[ScoreTable]) -> list[str]:
    """Which values do not exist: images, reason and methods, images of one reason together; empty where all exist."""
    methods: dict[tuple[str, str], list[str]] = {}
    for table in tables:
        for name, row in table.rows.items():
            for reason in row.undefined.values():
                methods.setdefault((reason, name), []).append(table.method)
    images: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (reason, name), who in methods.items():
        images.setdefault((reason, tuple(who)), []).append(name)
    remarks = [
        f"- {listing(names)}: {reason} ({'all' if len(who) == len(tables) else listing(who)})"
        for (reason, who), names in images.items()
    ]
    head = f"† mean over the images for which the metric is defined ({MISSING}: none). Not defined:"
    return ["", head, *remarks] if remarks else []


def _details(tables: Sequence[ScoreTable]) -> str:
    """Spread over the images and ranks, one row per method."""
    ranked, keys = ranks(tables), tables[0].metrics
    spread = [[table.text(key, table.std(key)) for key in keys] for table in tables]
    own = [[f"{rank:g}" if (rank := ranked[t.method].get(key)) else "" for key in keys] for t in tables]
    parts = [("Standard deviation over images", spread)]
    parts += [("Rank", own)] if len(tables) > 1 else []
    return "\n".join(_grid(head, keys, [table.method for table in tables], cells) for head, cells in parts)


def _tests(tables: Sequence[ScoreTable], tests: Sequence[Significance], against: str) -> str:
    """How often each method is ahead of one of them, and how likely that is by chance."""
    found = {(test.method, test.metric): test for test in tests}
    others = [table.method for table in tables if table.method != against]
    keys = [key for key in tables[0].metrics if any((name, key) in found for name in others)]

    def cell(test: Significance | None) -> str:
        return "" if test is None else f"{test.wins} : {test.losses}, p {test.p_holm:.2g}"

    rows = [[cell(found.get((name, key))) for key in keys] for name in others]
    legend = (
        f"Images on which a method is better : worse than {against}; p of Wilcoxon's signed-rank test, two-sided, "
        "Holm-corrected over the scores and over the picture measures of this table.\n\n"
    )
    return legend + _grid(f"against {against}", keys, others, rows) if keys else ""


def _grid(head: str, keys: Sequence[str], names: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    lines = [f"| {head} | {' | '.join(keys)} |", "|---" * (len(keys) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(row)} |" for name, row in zip(names, cells, strict=True)]
    return "\n".join(lines) + "\n"


def _json(content: object) -> str:
    return json.dumps(content, indent=1, allow_nan=False) + "\n"
