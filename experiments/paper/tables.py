"""Stage `table`: Table 1 (TNO) or Table 2 (RoadScene), printed rows above rows scored here, in four formats."""

import csv
import io
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from camfuse_jax.config import NamedRule
from camfuse_jax.data.records import Workdir
from camfuse_jax.errors import UsageError
from camfuse_jax.fusion.params import load_params, with_rule
from camfuse_jax.metrics.compare import Significance, protocol_lines, ranks, significance, write_tables, write_texts
from camfuse_jax.metrics.evaluate import OURS, choose_weights, write_fused
from camfuse_jax.metrics.registry import PAPER_METRICS, PICTURE_METRICS
from camfuse_jax.metrics.table import BASELINES, ScoreTable, score_folders
from camfuse_jax.report.page import NAMES
from paper.inputs import folders_or_peers
from paper.published import EXTRA_KEYS, PUBLISHED, SOURCE

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
        picture_rank: The same of the picture measures; None where there are none.
        tests: Paired tests against ours.
    """

    kind: Kind
    method: str
    values: dict[str, float | None]
    printed: dict[str, str]
    marks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    mean_rank: float | None = None
    picture_rank: float | None = None
    tests: tuple[Significance, ...] = ()


@dataclass(frozen=True)
class PaperTable:
    """A whole table, ready to be written down in any format.

    Attributes:
        number: Number of the paper's table.
        dataset: Data set.
        weights: Which weights our row was made with.
        keys: Columns of the table itself.
        picture_keys: Picture measures of the rows scored here, which the paper does not have: a second table.
        rows: Ordered by kind, then as given.
        first: A table scored here: it knows the metrics and the protocol.
        reading: What is known about the definitions behind the published rows, in sentences.
        undefined: Values that do not exist: image, reason and method, one line each.
    """

    number: int
    dataset: str
    weights: str
    keys: tuple[str, ...]
    picture_keys: tuple[str, ...]
    rows: tuple[Row, ...]
    first: ScoreTable
    reading: tuple[str, ...]
    undefined: tuple[str, ...]

    @property
    def title(self) -> str:
        """What stands above the table."""
        count = self.first.tag["images"]
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
    published, first = PUBLISHED[dataset], tables[0]
    keys, picture_keys = tuple(first.keys_of("score")), tuple(first.keys_of("picture"))
    ranked, tests = ranks(tables), significance(tables, against=ours)
    # A second definition of a column must not count twice.
    counted = [key for key in keys if key not in EXTRA_KEYS[dataset]]
    rows = [_published_row(dataset, method) for method in published.rows]
    for table in tables:
        kind: Kind = "ours" if table.method == ours else "baseline" if table.method in BASELINES else "measured"
        mine = tuple(test for test in tests if test.method == table.method)
        rows.append(_scored_row(kind, table, ranked[table.method], counted, mine))
    ordered = tuple(sorted(rows, key=lambda row: KINDS.index(row.kind)))
    undefined = tuple(f"{line} ({table.method})" for table in tables for line in table.undefined())
    number, reading = published.number, published.reading
    return PaperTable(number, dataset, weights, keys, picture_keys, ordered, first, reading, undefined)


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
    printed = {key: table.text(key, value) for key, value in values.items()}
    marks: dict[str, list[str]] = {key: [] for key in table.metrics}
    for key in table.metrics:
        marks[key] += ["best"] if ranked.get(key) == 1.0 else []
        marks[key] += ["partial"] if table.partial(key) else []
    for test in tests:
        if test.p_holm < ALPHA and math.isfinite(test.p_holm) and test.wins != test.losses:
            marks[test.metric].append("better" if test.wins > test.losses else "worse")
    own = [ranked[key] for key in counted if key in ranked]
    mean_rank = sum(own) / len(own) if own else None
    said = {key: tuple(names) for key, names in marks.items() if names}
    return Row(kind, table.method, values, printed, said, mean_rank, ranked.get("picture rank"), tests)


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
    """GitHub-flavored Markdown: the rows, then the picture measures, the legend and how they were made."""
    scored = [row for row in table.rows if row.kind != "published"]
    lines = [f"**{table.title}**", "", *_markdown_grid(table, table.keys, table.rows, "mean_rank")]
    if table.picture_keys:
        lines += ["", "**What a person would complain of**", ""]
        lines += _markdown_grid(table, table.picture_keys, scored, "picture_rank")
    lines += ["", *legend(table), "", "What the published rows are:", ""]
    lines += [f"- {sentence}" for sentence in table.reading]
    lines += ["", *_protocol_lines(table)]
    return "\n".join(lines) + "\n"


def _markdown_grid(table: PaperTable, keys: Sequence[str], rows: Sequence[Row], rank: str) -> list[str]:
    heads = [_head(table, key) for key in keys]
    lines = [f"| row | method | {' | '.join(heads)} | {rank.replace('_', ' ')} |"]
    lines.append("|---" * 2 + "|---:" * (len(keys) + 1) + "|")
    for row in rows:
        cells = [_cell(row, key, "**{}**", _MARKDOWN, ABSENT) for key in keys]
        lines.append(f"| {row.kind} | {_name(row.method)} | {' | '.join(cells)} | {_rank(row, rank, ABSENT)} |")
    return lines


def _head(table: PaperTable, key: str) -> str:
    """A picture measure's column with the sign of the better end; the paper's columns as the paper has them."""
    better = {"higher": " ↑", "lower": " ↓", "none": ""}[table.first.metric(key).direction]
    return key + (better if key in table.picture_keys else "")


def _rank(row: Row, name: str, absent: str) -> str:
    rank = getattr(row, name)
    return absent if rank is None else f"{rank:.2f}"


def table_csv(table: PaperTable) -> str:
    """One line per row: `row`, `method`, one column per metric key, `mean_rank`, `picture_rank`, `protocol`.

    Rows scored here have every digit and the protocol as NAME:ID; published ones the printed digits and `published`.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    keys, tag = (*table.keys, *table.picture_keys), table.first.tag
    writer.writerow(["row", "method", *keys, "mean_rank", "picture_rank", "protocol"])
    for row in table.rows:
        protocol = "published" if row.kind == "published" else f"{tag['protocol']}:{tag['id']}"
        ranked = ["" if rank is None else rank for rank in (row.mean_rank, row.picture_rank)]
        writer.writerow([row.kind, row.method, *(_csv_cell(row, key) for key in keys), *ranked, protocol])
    return buffer.getvalue()


def table_json(table: PaperTable) -> str:
    """Everything: rows with values, ranks and paired tests against ours, the source, the reading and the full stamp."""
    rows = [
        {
            "row": row.kind,
            "method": row.method,
            "values": {key: row.values.get(key) for key in (*table.keys, *table.picture_keys)},
            "printed": row.printed,
            "marks": row.marks,
            "mean_rank": row.mean_rank,
            "picture_rank": row.picture_rank,
            "against_ours": [vars(test) for test in row.tests],
        }
        for row in table.rows
    ]
    content = {
        "title": table.title,
        "dataset": table.dataset,
        "weights": table.weights,
        "published_source": SOURCE,
        "reading": table.reading,
        "rows": rows,
        "undefined": table.undefined,
        "stamp": table.first.tag,
    }
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def table_latex(table: PaperTable) -> str:
    """A `table*` for LaTeX with booktabs, the picture measures below; the legend, and the full protocol as comments."""
    lines = [r"% \usepackage{booktabs}", *(f"% {line}" for line in _protocol_lines(table) if line)]
    lines += [r"\begin{table*}", r"\centering", rf"\caption{{{_escape(table.title.split('. ', 1)[1])}.}}"]
    lines.append(rf"\label{{tab:{table.dataset}}}")
    if max(len(table.keys), len(table.picture_keys)) > _WIDE:
        lines += [r"\footnotesize", r"\setlength{\tabcolsep}{2.5pt}"]
    lines += _tabular(table, table.keys, table.rows, "mean_rank")
    if table.picture_keys:
        scored = [row for row in table.rows if row.kind != "published"]
        lines += [r"\par\medskip", *_tabular(table, table.picture_keys, scored, "picture_rank")]
    tag = table.first.tag
    protocol = f"Rows scored here: camfuse_jax, protocol {tag['protocol']} ({tag['id']})."
    notes = " ".join(_to_latex(line) for line in (protocol, *legend(table), *table.reading))
    lines += [r"\par\smallskip", rf"\parbox{{\textwidth}}{{\footnotesize {notes}}}", r"\end{table*}"]
    return "\n".join(lines) + "\n"


def _tabular(table: PaperTable, keys: Sequence[str], rows: Sequence[Row], rank: str) -> list[str]:
    heads = [_to_latex(_head(table, key)) for key in keys]
    lines = [rf"\begin{{tabular}}{{l{'r' * (len(keys) + 1)}}}", r"\toprule"]
    lines.append(" & ".join(["method", *heads, rank.replace("_", " ")]) + r" \\")
    kind = None
    for row in rows:
        if row.kind != kind:
            kind = row.kind
            lines += [r"\midrule", rf"\multicolumn{{{len(keys) + 2}}}{{l}}{{\emph{{{_escape(_TITLES[kind])}}}}} \\"]
        cells = [_cell(row, key, r"\textbf{{{}}}", _LATEX, "--") for key in keys]
        lines.append(" & ".join([_escape(_name(row.method)), *cells, _rank(row, rank, "--")]) + r" \\")
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def legend(table: PaperTable) -> list[str]:
    """What the marks mean; only of those that occur."""
    used = {mark for row in table.rows for marks in row.marks.values() for mark in marks}
    kinds = {row.kind for row in table.rows}
    lines = [f"Published rows: {SOURCE}. Bold and mean rank are among the rows scored here only."]
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


def _protocol_lines(table: PaperTable) -> list[str]:
    undefined = ["", "Not defined:", *(f"- {line}" for line in table.undefined)] if table.undefined else []
    return [*protocol_lines(table.first), *undefined]


def _name(method: str) -> str:
    """Baselines' names are identifiers; in print they are words."""
    return NAMES.get(method, method)


def _cell(row: Row, key: str, bold: str, signs: Mapping[str, str], absent: str) -> str:
    if key not in row.printed:
        return absent
    marks = row.marks.get(key, ())
    text = bold.format(row.printed[key]) if "best" in marks else row.printed[key]
    return text + "".join(signs.get(mark, "") for mark in marks)


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


MORE_METRICS = ("Qabf", "MI")
"""With `--metrics all`: one metric that averaging does not win, and one that copying wins."""


def make_table(
    workdir: Workdir,
    *,
    out: Path | None = None,
    weights: str | None = None,
    others: Sequence[str] = (),
    metrics: str = "paper",
    protocol: str = "paper",
    rule: NamedRule | None = None,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Prints the table and writes it as `tableN.md`, `.csv`, `.json` and `.tex`.

    The per-image scores of every row scored here go to `scores/`, our fused images to `camfuse/`.

    Args:
        workdir: Folders and data set, `tno` or `roadscene`.
        out: Where to write; `WORKDIR/table-DATASET` by default.
        weights: As for `load_params`; by default the workdir's own, else the shipped ones.
        others: `NAME=DIR` of other methods' fused images; by default the methods under CAMFUSE_PEERS, if that is set.
        metrics: `paper` for the paper's five columns and the noise estimate; `all` adds Qabf, MI and, on RoadScene,
            the definitions that the paper's numbers seem to follow there.
        protocol: Definitions for the rows scored here.
        rule: Fusion rule instead of the one that the weights bring.
        settings: Settings of the rule instead of those that the weights bring, by dotted names.

    Raises:
        UsageError: A data set of which the paper has no table.
        ResourceError: If the folder cannot be written.
    """
    if workdir.dataset not in PUBLISHED:
        raise UsageError(
            f"The paper has no table of {workdir.label}.", f"Give {' or '.join(PUBLISHED)}, or use --stage eval."
        )
    folders = folders_or_peers(others, workdir.dataset)
    chosen = choose_weights(workdir, weights)
    params = with_rule(load_params(chosen), rule, settings)
    pairs = workdir.pairs("test").cached()
    out = out or workdir.workdir / f"table-{workdir.label}"
    more = (*MORE_METRICS, *EXTRA_KEYS[workdir.dataset]) if metrics == "all" else ()
    keys = (*PAPER_METRICS, *more, "NOISE", *PICTURE_METRICS)
    fused = write_fused(params, pairs, out)
    tables = score_folders(list(pairs), folders, others={OURS: fused}, metrics=keys, protocol=protocol)
    written = write_tables(tables, out / "scores", against=OURS, title="all")
    named = ", ".join([chosen, *([rule] if rule else []), *(f"{n} {value}" for n, value in (settings or {}).items())])
    table = paper_table(tables, dataset=workdir.dataset, ours=OURS, weights=named)
    formats = {"md": table_markdown, "csv": table_csv, "json": table_json, "tex": table_latex}
    texts = {f"table{table.number}.{ending}": write(table) for ending, write in formats.items()}
    written = [*write_texts(out, texts), *written]
    print(texts[f"table{table.number}.md"])
    print("\n".join(f"wrote {path}" for path in written), file=sys.stderr)
