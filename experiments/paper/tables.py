"""A paper's table as Markdown, CSV, JSON and LaTeX, each with its protocol."""

import csv
import io
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from camfuse_jax.data.workdir import Workdir
from camfuse_jax.errors import ResourceError, UsageError
from camfuse_jax.fusion.params import load_params
from camfuse_jax.metrics.baselines import BASELINES
from camfuse_jax.metrics.compare import Significance, ranks, significance
from camfuse_jax.metrics.evaluate import OURS, choose_weights, folders_or_peers, write_fused
from camfuse_jax.metrics.export import MISSING, write_tables
from camfuse_jax.metrics.protocol import find_protocol
from camfuse_jax.metrics.registry import PAPER_METRICS
from camfuse_jax.metrics.table import ScoreTable, score_folders
from paper.published import EXTRA_KEYS, PUBLISHED, SOURCE

# Tables 1 and 2: printed rows, rows scored here, ours and the baselines, each marked as what it is.


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
        count = self.tag["images"]
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
    stamp = tables[0].tag
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
    protocol = find_protocol(str(table.tag["protocol"]))
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


ABSENT = "–"  # noqa: RUF001  (an en dash: the paper prints no such column)
_WIDE = 7
"""More columns than this need smaller type to fit a page of two columns."""
_TITLES = {
    "published": "published (as printed in the paper)",
    "measured": "measured (scored here from the method's images)",
    "ours": "ours (scored here)",
    "baseline": "baseline (scored here, one line of arithmetic)",
}
_MARKDOWN = {"better": " ↑", "worse": " ↓", "partial": " †", "doubtful": " ‡"}
_LATEX = {"better": r"$\uparrow$", "worse": r"$\downarrow$", "partial": r"$^\dagger$", "doubtful": r"$^\ddagger$"}
_ESCAPED = {
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "|": r"\textbar{}"},
    **{char: "\\" + char for char in "&%$#_{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}"},
}


def table_markdown(table: PaperTable) -> str:
    """GitHub-flavoured Markdown: the rows, then the legend, the reading of the published rows and the stamp."""
    lines = [f"**{table.title}**", "", f"| row | method | {' | '.join(table.keys)} | mean rank |"]
    lines.append("|---" * 2 + "|---:" * (len(table.keys) + 1) + "|")
    for row in table.rows:
        cells = [_markdown_cell(row, key) for key in table.keys]
        rank = ABSENT if row.mean_rank is None else f"{row.mean_rank:.2f}"
        lines.append(f"| {row.kind} | {_name(row.method)} | {' | '.join(cells)} | {rank} |")
    lines += ["", *legend(table), "", "What the published rows are:", ""]
    lines += [f"- {sentence}" for sentence in table.reading]
    lines += ["", *_stamp_lines(table)]
    return "\n".join(lines) + "\n"


def table_csv(table: PaperTable) -> str:
    """One line per row: `row`, `method`, one column per metric key, `mean_rank`, `protocol`.

    Rows scored here have every digit and the protocol as NAME:ID; published ones the printed digits and `published`.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["row", "method", *table.keys, "mean_rank", "protocol"])
    for row in table.rows:
        scored = row.kind != "published"
        cells = [_csv_cell(row, key) for key in table.keys]
        protocol = f"{table.tag['protocol']}:{table.tag['id']}" if scored else "published"
        writer.writerow([row.kind, row.method, *cells, "" if row.mean_rank is None else row.mean_rank, protocol])
    return buffer.getvalue()


def table_json(table: PaperTable) -> str:
    """Everything: rows with values, ranks and paired tests against ours, the source, the reading and the full stamp."""
    rows = [
        {
            "row": row.kind,
            "method": row.method,
            "values": {key: row.values.get(key) for key in table.keys},
            "printed": row.printed,
            "marks": row.marks,
            "mean_rank": row.mean_rank,
            "against_ours": [vars(test) for test in row.tests],
        }
        for row in table.rows
    ]
    content = {
        "title": table.title,
        "dataset": table.dataset,
        "weights": table.weights,
        "published_source": published_source(),
        "reading": table.reading,
        "rows": rows,
        "undefined": table.undefined,
        "stamp": table.tag,
    }
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def table_latex(table: PaperTable) -> str:
    """A `table*` for LaTeX with booktabs; the legend below it, the full stamp as comments."""
    columns = "l" + "r" * (len(table.keys) + 1)
    span = len(table.keys) + 2
    lines = [r"% \usepackage{booktabs}", *(f"% {line}" for line in _stamp_lines(table) if line)]
    lines += [r"\begin{table*}", r"\centering", rf"\caption{{{_escape(table.title.split('. ', 1)[1])}.}}"]
    lines.append(rf"\label{{tab:{table.dataset}}}")
    if len(table.keys) > _WIDE:
        lines += [r"\footnotesize", r"\setlength{\tabcolsep}{2.5pt}"]
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    lines.append(" & ".join(["method", *map(_escape, table.keys), "mean rank"]) + r" \\")
    kind = None
    for row in table.rows:
        if row.kind != kind:
            kind = row.kind
            lines += [r"\midrule", rf"\multicolumn{{{span}}}{{l}}{{\emph{{{_escape(_TITLES[kind])}}}}} \\"]
        cells = [_latex_cell(row, key) for key in table.keys]
        rank = "--" if row.mean_rank is None else f"{row.mean_rank:.2f}"
        lines.append(" & ".join([_escape(_name(row.method)), *cells, rank]) + r" \\")
    protocol = f"Rows scored here: camfuse_jax, protocol {table.tag['protocol']} ({table.tag['id']})."
    notes = " ".join(_to_latex(line) for line in (protocol, *legend(table), *table.reading))
    lines += [r"\bottomrule", r"\end{tabular}", r"\par\smallskip"]
    lines += [rf"\parbox{{\textwidth}}{{\footnotesize {notes}}}", r"\end{table*}"]
    return "\n".join(lines) + "\n"


def legend(table: PaperTable) -> list[str]:
    """What the marks mean; only of those that occur."""
    used = {mark for row in table.rows for marks in row.marks.values() for mark in marks}
    kinds = {row.kind for row in table.rows}
    lines = [f"Published rows: {published_source()}. Bold and mean rank are among the rows scored here only."]
    if "measured" in kinds:
        lines[0] += " Measured rows are other methods' images, scored here as ours are."
    if used & {"better", "worse"}:
        lines.append(
            f"↑ better, ↓ worse than ours image by image (Wilcoxon signed-rank, two-sided, Holm, p < {ALPHA:g})."
        )
    if "partial" in used:
        lines.append("† mean over the images for which the metric is defined.")
    if "doubtful" in used:
        lines.append("‡ does not fit the definition of protocol paper, see below: not to be compared with it.")
    return lines


def _stamp_lines(table: PaperTable) -> list[str]:
    stamp = table.tag
    versions = ", ".join(f"{name} {version}" for name, version in stamp["versions"].items())
    lines = [
        f"Protocol `{stamp['protocol']}` ({stamp['id']}) of the rows scored here: {stamp['note']}",
        f"Input: {stamp['input']}. Rounding: {stamp['rounding']}. Averaging: {stamp['averaging']}.",
        f"Images: {stamp['images']}, list sha256 {str(stamp['image_list_sha256'])[:12]}, "
        f"sources sha256 {str(stamp['sources_sha256'])[:12]}. Versions: {versions}.",
        "",
        *(f"- {key}: {facts['formula']}; better: {facts['better']}." for key, facts in stamp["definitions"].items()),
    ]
    if table.undefined:
        lines += ["", "Not defined:", *(f"- {line}" for line in table.undefined)]
    return lines


def _name(method: str) -> str:
    """Baselines' names are identifiers; in print they are words."""
    return "contrast-preserving sum" if method == "contrast_preserving_sum" else method


def _markdown_cell(row: Row, key: str) -> str:
    if key not in row.printed:
        return ABSENT
    marks = row.marks.get(key, ())
    text = f"**{row.printed[key]}**" if "best" in marks else row.printed[key]
    return text + "".join(_MARKDOWN.get(mark, "") for mark in marks)


def _latex_cell(row: Row, key: str) -> str:
    if key not in row.printed:
        return "--"
    marks = row.marks.get(key, ())
    text = rf"\textbf{{{row.printed[key]}}}" if "best" in marks else row.printed[key]
    return text + "".join(_LATEX.get(mark, "") for mark in marks)


def _csv_cell(row: Row, key: str) -> str:
    if row.kind == "published":
        return row.printed.get(key, "")
    value = row.values.get(key)
    return row.printed.get(key, "") if value is None else repr(value)


def _escape(text: str) -> str:
    return "".join(_ESCAPED.get(char, char) for char in text)


def _to_latex(text: str) -> str:
    text = _escape(text)
    for mark, char in (("better", "↑"), ("worse", "↓"), ("partial", "†"), ("doubtful", "‡")):
        text = text.replace(char, _LATEX[mark])
    return text


# Stage `table`: Table 1 (TNO) or Table 2 (RoadScene) beside our own measurements.


MORE_METRICS = ("Qabf", "MI")
"""With `--metrics all`: one metric that averaging does not win, and one that copying wins."""


def make_table(
    places: Workdir,
    *,
    out: Path | None = None,
    weights: str | None = None,
    others: Sequence[str] = (),
    metrics: str = "paper",
    protocol: str = "paper",
) -> None:
    """Prints the table and writes it as `tableN.md`, `.csv`, `.json` and `.tex`.

    The per-image scores of every row scored here go to `scores/`, our fused images to `camfuse/`.

    Args:
        places: Folders and data set, `tno` or `roadscene`.
        out: Where to write; `WORKDIR/table-DATASET` by default.
        weights: As for `load_params`; by default the workdir's own, else the shipped ones.
        others: `NAME=DIR` of other methods' fused images; by default the methods under CAMFUSE_PEERS, if that is set.
        metrics: `paper` for the paper's five columns and the noise estimate; `all` adds Qabf, MI and, on RoadScene,
            the definitions that the paper's numbers seem to follow there.
        protocol: Definitions for the rows scored here.

    Raises:
        UsageError: A data set of which the paper has no table.
        ResourceError: If the folder cannot be written.
    """
    if places.dataset not in PUBLISHED:
        raise UsageError(
            f"The paper has no table of {places.label}.", f"Give {' or '.join(PUBLISHED)}, or use --stage eval."
        )
    folders = folders_or_peers(others, places.dataset)
    chosen = choose_weights(places, weights)
    params = load_params(chosen)
    pairs = places.pairs("test").cached()
    out = out or places.workdir / f"table-{places.label}"
    more = (*MORE_METRICS, *EXTRA_KEYS[places.dataset]) if metrics == "all" else ()
    keys = (*PAPER_METRICS, *more, "NOISE")
    fused = write_fused(params, pairs, out)
    tables = score_folders(list(pairs), folders, others={OURS: fused}, metrics=keys, protocol=protocol)
    files = write_tables(tables, out / "scores", against=OURS, title="all")
    table = paper_table(tables, dataset=places.dataset, ours=OURS, weights=chosen)
    stem = f"table{table.number}"
    formats = {"md": table_markdown, "csv": table_csv, "json": table_json, "tex": table_latex}
    texts = {out / f"{stem}.{ending}": write(table) for ending, write in formats.items()}
    _write(texts)
    print(texts[out / f"{stem}.md"])
    print("\n".join(f"wrote {path}" for path in (*texts, *files)), file=sys.stderr)


def _write(texts: dict[Path, str]) -> None:
    try:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ResourceError(f"Cannot write {path}: {error.strerror}.", "Check rights and free space.") from error
