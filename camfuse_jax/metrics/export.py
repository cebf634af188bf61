"""Tables as CSV, Markdown and JSON, each with its protocol."""

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

from camfuse_jax.data.pairs import listing
from camfuse_jax.errors import UsageError
from camfuse_jax.metrics.compare import MEAN_RANKS, Significance, ranks, significance
from camfuse_jax.metrics.table import MISSING, ScoreTable
from camfuse_jax.system.files import as_resource_error


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
        heads = [f"{key} {_ARROWS[tables[0].metric(key).direction]}".strip() for key in keys]
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


_ARROWS = {"higher": "↑", "lower": "↓", "none": ""}


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
