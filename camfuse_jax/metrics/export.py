"""Tables as CSV, Markdown and JSON, each with its protocol."""

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

from camfuse_jax.data.pairs import listing
from camfuse_jax.errors import ResourceError, UsageError
from camfuse_jax.metrics.compare import Significance, ranks, significance
from camfuse_jax.metrics.protocol import find_protocol
from camfuse_jax.metrics.table import ScoreTable

MISSING = "n/a"
"""Printed where a metric is undefined."""


def csv_text(table: ScoreTable) -> str:
    """Per-image scores: `image`, one column per metric key with all digits, and `protocol` as NAME:ID on every row.

    A table of its own can so be traced to the full stamp in the JSON file. Undefined values are `n/a`.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["image", *table.metrics, "protocol"])
    label = f"{table.stamp['protocol']}:{table.stamp['id']}"
    for name, row in table.rows.items():
        values = [MISSING if (value := row.values[key]) is None else repr(value) for key in table.metrics]
        writer.writerow([name, *values, label])
    return buffer.getvalue()


def json_object(table: ScoreTable) -> dict[str, object]:
    """Everything of one method: stamp, mean, std, per-image values (null where undefined) and the reasons."""
    return {
        "method": table.method,
        "stamp": table.stamp,
        "mean": {key: table.mean(key) for key in table.metrics},
        "std": {key: table.std(key) for key in table.metrics},
        "images": {name: row.values for name, row in table.rows.items()},
        "undefined": table.undefined(),
    }


def markdown(tables: Sequence[ScoreTable], *, with_ranks: bool = True) -> str:
    """One row per method: means, mean rank; best value of a column in bold, the stamp below.

    Args:
        tables: One per method, all of the same images and protocol.
        with_ranks: Whether to add the mean rank and the bold face; needs at least two methods to have an effect.

    Returns:
        GitHub-flavoured Markdown.

    Raises:
        InputError: The tables are not comparable (see `compare.ranks`).
    """
    ranked = ranks(tables)
    with_ranks = with_ranks and len(tables) > 1
    keys = tables[0].metrics
    lines = ["| method | " + " | ".join(keys) + (" | mean rank |" if with_ranks else " |")]
    lines.append("|---" * (len(keys) + 1 + with_ranks) + "|")
    for table in tables:
        own = ranked[table.method]
        cells = []
        for key in keys:
            cell = _rounded(table, key)
            cells.append(f"**{cell}**" if with_ranks and own.get(key) == 1.0 else cell)
        if with_ranks:
            cells.append(f"{own['mean rank']:.2f}" if own else MISSING)
        lines.append(f"| {table.method} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *_stamp_lines(tables), ""])


def write_tables(
    tables: Sequence[ScoreTable], out: str | os.PathLike[str], *, against: str | None = None, title: str = "scores"
) -> list[Path]:
    """Write `NAME.csv` and `NAME.json` per method, and `TITLE.md` and `TITLE.json` for all together.

    The common files hold means, standard deviations, ranks per metric and, with `against`, the paired tests.

    Args:
        tables: One per method, all of the same images and protocol.
        out: Folder, created if need be.
        against: Method to test the others against (`compare.significance`); None for no test.
        title: Name of the two common files.

    Returns:
        The files written.

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
        "stamp": tables[0].stamp if tables else {},
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
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (out / name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise ResourceError(f"Cannot write {out}: {error.strerror}.", "Check rights and free space.") from error
    return [out / name for name in files]


def _details(tables: Sequence[ScoreTable]) -> str:
    """Spread over the images and ranks, one row per method."""
    ranked, keys = ranks(tables), tables[0].metrics
    spread = [[_number(table, key, table.std(key)) for key in keys] for table in tables]
    places = [[f"{rank:g}" if (rank := ranked[t.method].get(key)) else "" for key in keys] for t in tables]
    parts = [("Standard deviation over images", spread)]
    parts += [("Rank", places)] if len(tables) > 1 else []
    return "\n".join(_grid(head, keys, [table.method for table in tables], cells) for head, cells in parts)


def _tests(tables: Sequence[ScoreTable], tests: Sequence[Significance], against: str) -> str:
    """How often each method is ahead of one of them, and how likely that is by chance."""
    found = {(test.method, test.metric): test for test in tests}
    others = [table.method for table in tables if table.method != against]
    keys = [key for key in tables[0].metrics if any((name, key) in found for name in others)]

    def cell(test: Significance | None) -> str:
        return "" if test is None else f"{test.wins} : {test.losses}, p {test.p_holm:.2g}"

    rows = [[cell(found.get((name, key))) for key in keys] for name in others]
    told = (
        f"Images on which a method is better : worse than {against}; "
        "p of Wilcoxon's signed-rank test, two-sided, Holm-corrected over this table.\n\n"
    )
    return told + _grid(f"against {against}", keys, others, rows) if keys else ""


def _grid(head: str, keys: Sequence[str], names: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    lines = [f"| {head} | {' | '.join(keys)} |", "|---" * (len(keys) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(row)} |" for name, row in zip(names, cells, strict=True)]
    return "\n".join(lines) + "\n"


def _number(table: ScoreTable, key: str, value: float | None) -> str:
    if value is None:
        return MISSING
    return f"{value:.{find_protocol(str(table.stamp['protocol'])).metric(key).digits}f}"


def _rounded(table: ScoreTable, key: str) -> str:
    mean = table.mean(key)
    partly = mean is not None and len(table.column(key)) < len(table.rows)
    return _number(table, key, mean) + (" †" if partly else "")


def _stamp_lines(tables: Sequence[ScoreTable]) -> list[str]:
    stamp = tables[0].stamp
    lines = [
        f"Protocol `{stamp['protocol']}` ({stamp['id']}): {stamp['note']}",
        f"Input: {stamp['input']}. Rounding: {stamp['rounding']}. Averaging: {stamp['averaging']}.",
        f"Images: {stamp['images']}, list sha256 {str(stamp['image_list_sha256'])[:12]}, "
        f"sources sha256 {str(stamp['sources_sha256'])[:12]}. Versions: "
        + ", ".join(f"{name} {version}" for name, version in stamp["versions"].items())
        + ".",
        "",
        *(f"- {key}: {facts['formula']}; better: {facts['better']}." for key, facts in stamp["definitions"].items()),
    ]
    undefined: dict[str, list[str]] = {}
    for table in tables:
        for line in table.undefined():
            undefined.setdefault(line, []).append(table.method)
    if undefined:
        lines += ["", f"† mean over the images for which the metric is defined ({MISSING}: none). Not defined:"]
        everyone = len(tables)
        lines += [f"- {line} ({'all' if len(who) == everyone else listing(who)})" for line, who in undefined.items()]
    return lines


def _json(content: object) -> str:
    return json.dumps(content, indent=1, allow_nan=False) + "\n"
