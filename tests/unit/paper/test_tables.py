"""Tables 1 and 2: what stands in which row, and that every format says the same."""

import csv
import io
import json
import re

import numpy as np
import pytest
from paper.published import PUBLISHED
from paper.tables import paper_table, table_csv, table_json, table_latex, table_markdown

from camfuse_jax.errors import UsageError
from camfuse_jax.metrics.compare import ranks
from camfuse_jax.metrics.table import score_folders

KEYS = ("EN", "AG", "SCD", "SSIM", "VIF", "NOISE")


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(5)
    pairs = [(f"p{i}", *rng.integers(0, 256, (2, 48, 50), dtype=np.uint8)) for i in range(13)]
    pairs.append(("small", *rng.integers(0, 256, (2, 20, 50), dtype=np.uint8)))  # too small for VIF
    noisy = {name: rng.integers(0, 256, ir.shape, dtype=np.uint8) for name, ir, _ in pairs}
    ours = {name: (ir // 2 + vis // 2).astype(np.uint8) for name, ir, vis in pairs}
    return score_folders(pairs, {}, others={"camfuse": ours, "noisy_one": noisy}, metrics=KEYS)


@pytest.fixture(scope="module", params=["tno", "roadscene"])
def table(request, tables):
    return paper_table(tables, dataset=request.param, ours="camfuse", weights="runs/my_run/params.safetensors")


def _rows(table, kind):
    return [row for row in table.rows if row.kind == kind]


def test_each_row_is_marked_as_what_it_is(table):
    kinds = [row.kind for row in table.rows]
    assert kinds == ["published"] * 8 + ["measured", "ours"] + ["baseline"] * 3
    assert [row.method for row in _rows(table, "published")] == list(PUBLISHED[table.dataset].rows)
    assert [row.method for row in _rows(table, "measured")] == ["noisy_one"]
    assert [row.method for row in _rows(table, "ours")] == ["camfuse"]


def test_published_digits_are_left_as_printed_and_never_ranked(table):
    for row in _rows(table, "published"):
        assert row.printed == PUBLISHED[table.dataset].printed(row.method)
        assert row.mean_rank is None
        assert not any("best" in marks for marks in row.marks.values())


def test_ranks_and_best_are_those_of_the_scored_rows(table, tables):
    expected = ranks(tables)
    for row in table.rows[8:]:
        assert row.mean_rank == expected[row.method]["mean rank"]
        for key in KEYS:
            assert ("best" in row.marks.get(key, ())) == (expected[row.method].get(key) == 1.0)


def test_tests_against_ours_show_in_the_marks(table):
    (noisy,) = _rows(table, "measured")
    assert "worse" in noisy.marks["SSIM"]
    assert "better" in noisy.marks["AG"]
    (ours,) = _rows(table, "ours")
    assert not any({"better", "worse"} & set(marks) for marks in ours.marks.values())


def test_a_mean_over_fewer_images_is_marked_and_explained(table):
    assert all("partial" in row.marks["VIF"] for row in table.rows[8:])
    text = table_markdown(table)
    assert "† mean over the images" in text
    assert "- small: VIF" in text


def test_roadscene_warns_of_its_ssim_and_tno_does_not(tables):
    texts = {name: table_markdown(paper_table(tables, dataset=name, ours="camfuse", weights="w")) for name in PUBLISHED}
    assert "0.9438 ‡" in texts["roadscene"]
    assert "0.7783 ‡" not in texts["tno"]
    assert "SSIM2" in texts["roadscene"]


def test_markdown_has_one_cell_per_column_and_the_stamp(table):
    text = table_markdown(table)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {len(KEYS) + 4}
    assert f"({table.first.tag['id']})" in text
    assert all(f"- {key}: " in text for key in KEYS)


def test_csv_holds_every_digit_of_the_scored_and_the_printed_of_the_published(table, tables):
    rows = list(csv.DictReader(io.StringIO(table_csv(table))))
    assert [row["row"] for row in rows] == [row.kind for row in table.rows]
    by_method = {row["method"]: row for row in rows if row["row"] != "published"}
    for scored in tables:
        assert [float(by_method[scored.method][key]) for key in KEYS] == [scored.mean(key) for key in KEYS]
    assert rows[7]["AG"] == PUBLISHED[table.dataset].printed(PUBLISHED[table.dataset].own)["AG"]
    assert rows[7]["NOISE"] == ""
    assert {row["protocol"] for row in rows} == {"published", f"paper:{table.first.tag['id']}"}


def test_json_says_all_and_has_no_nan(table):
    content = json.loads(table_json(table), parse_constant=lambda text: pytest.fail(text))
    assert content["stamp"] == table.first.tag
    assert len(content["rows"]) == len(table.rows)
    assert content["rows"][0]["values"]["NOISE"] is None
    assert {test["metric"] for test in content["rows"][8]["against_ours"]} == set(KEYS) - {"NOISE"}


def test_latex_is_well_formed(table):
    text = table_latex(table)
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    for name in re.findall(r"\\begin\{(\w+\*?)\}", body):
        assert body.count(rf"\begin{{{name}}}") == body.count(rf"\end{{{name}}}") == 1
    lines = [line for line in body.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.count("&") - line.count(r"\&") for line in lines} == {len(KEYS) + 1}
    assert len(lines) == len(table.rows) + 1
    assert r"noisy\_one" in body
    assert r"my\_run" in body
    assert not re.search(r"(?<!\\)[_%#]", body), "unescaped character"
    assert not re.search(r"[^\x00-\x7f]", body), "a character that pdflatex may not know"


def test_a_second_definition_does_not_count_twice():
    rng = np.random.default_rng(6)
    pairs = [(f"p{i}", *rng.integers(0, 256, (2, 48, 50), dtype=np.uint8)) for i in range(3)]
    ours = {name: ir for name, ir, _ in pairs}
    keys = ("EN", "AG", "SSIM")
    plain, more = (
        paper_table(
            score_folders(pairs, {}, others={"camfuse": ours}, metrics=chosen),
            dataset="roadscene", ours="camfuse", weights="w",
        )
        for chosen in (keys, (*keys, "SSIM2", "AG_FORWARD"))
    )  # fmt: skip
    assert [row.mean_rank for row in more.rows] == [row.mean_rank for row in plain.rows]
    assert "Table 2. RoadScene, " in plain.title


def test_our_row_must_be_there(tables):
    with pytest.raises(UsageError, match="nobody"):
        paper_table(tables, dataset="tno", ours="nobody", weights="w")


def test_picture_measures_stand_in_a_table_of_their_own():
    rng = np.random.default_rng(6)
    pairs = [(f"p{i}", *rng.integers(0, 256, (2, 48, 50), dtype=np.uint8)) for i in range(3)]
    ours = {name: ir for name, ir, _ in pairs}
    keys = ("EN", "AG", "TONE", "BEYOND")
    scored = score_folders(pairs, {}, others={"camfuse": ours}, metrics=keys)
    table = paper_table(scored, dataset="tno", ours="camfuse", weights="w")
    (row,) = _rows(table, "ours")
    assert row.mean_rank == np.mean([ranks(scored)["camfuse"][key] for key in ("EN", "AG")])
    assert row.picture_rank == ranks(scored)["camfuse"]["picture rank"]
    first, second = table_markdown(table).split("| row | method |")[1:]
    assert "TONE" not in first.splitlines()[0]
    assert "TONE ↓" in second.splitlines()[0]
    assert "published" not in second.split("\n\n")[0]
    assert f"| ours | camfuse | {scored[0].mean('TONE'):.1f}" in second
    csv_row = next(row for row in csv.DictReader(io.StringIO(table_csv(table))) if row["row"] == "ours")
    assert float(csv_row["TONE"]) == scored[0].mean("TONE")
    assert table_latex(table).count(r"\begin{tabular}") == 2
