"""A paper's table as Markdown, CSV, JSON and LaTeX, each with its protocol."""

import csv
import io
import json

from camfuse_jax.report.paper_table import ALPHA, PaperTable, Row, published_source

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
        protocol = f"{table.stamp['protocol']}:{table.stamp['id']}" if scored else "published"
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
        "stamp": table.stamp,
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
    protocol = f"Rows scored here: camfuse_jax, protocol {table.stamp['protocol']} ({table.stamp['id']})."
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
    stamp = table.stamp
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
