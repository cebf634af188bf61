"""Tables of several images and methods: checks, order, export, ranks, significance, baselines."""

import csv
import io
import json
import math

import numpy as np
import pytest
from scipy import stats

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.images.write import write_picture
from camfuse_jax.metrics.compare import csv_text, holm, markdown, ranks, significance, write_tables
from camfuse_jax.metrics.protocol import score_image
from camfuse_jax.metrics.table import BASELINES, average, contrast_preserving_sum, maximum, score, score_folders

KEYS = ("EN", "AG", "SCD", "SSIM", "VIF", "NOISE")


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(11)
    shapes = [(48, 50), (45, 61), (60, 44), (50, 50), (41, 90), (47, 47)]
    return [(f"p{i}", *rng.integers(0, 256, (2, *shape), dtype=np.uint8)) for i, shape in enumerate(shapes)]


@pytest.fixture
def folder(tmp_path, pairs):
    for name, ir, vis in pairs:
        write_picture(tmp_path / "mine" / f"{name}.png", average(ir, vis))
    return tmp_path / "mine"


@pytest.fixture(scope="module")
def tables(pairs):
    return score_folders(pairs, {}, metrics=KEYS)


def test_rows_are_the_single_scores_and_means_are_their_means(pairs):
    table = score(pairs, {name: maximum(ir, vis) for name, ir, vis in pairs}, metrics=KEYS)
    single = [score_image(ir, vis, maximum(ir, vis), metrics=KEYS).values for _, ir, vis in pairs]
    assert [row.values for row in table.rows.values()] == single
    assert table.mean("AG") == pytest.approx(np.mean([row["AG"] for row in single]))
    assert table.std("AG") == pytest.approx(np.std([row["AG"] for row in single], ddof=1))


def test_order_and_workers_change_no_digit(pairs):
    first = score(pairs, BASELINES["average"], metrics=KEYS, workers=1)
    second = score(pairs[::-1], BASELINES["average"], metrics=KEYS, workers=3)
    assert {**second.rows} == {**first.rows}
    assert [second.mean(key) for key in KEYS] == [first.mean(key) for key in KEYS]
    assert [second.std(key) for key in KEYS] == [first.std(key) for key in KEYS]
    assert second.tag == first.tag


def test_stamp_tells_images_definitions_and_protocols_apart(pairs):
    ids = {
        score(chosen, average, metrics=keys, protocol=protocol).tag["id"]
        for chosen, keys, protocol in [
            (pairs, KEYS, "paper"),
            (pairs[:-1], KEYS, "paper"),
            (pairs, KEYS[:2], "paper"),
            (pairs, KEYS, "cddfuse"),
            ([(name, vis, ir) for name, ir, vis in pairs], KEYS, "paper"),
        ]
    }
    assert len(ids) == 5


def test_folders_that_do_not_fit_are_refused_with_a_list(pairs, folder):
    (folder / "p0.png").unlink()
    write_picture(folder / "other.png", np.zeros((5, 5), np.uint8))
    write_picture(folder / "p3.png", np.zeros((50, 49), np.uint8))
    with pytest.raises(InputError) as caught:
        score_folders(pairs, {"mine": folder})
    for said in ("mine", "1 missing: p0", "1 of no pair: other", "p3 is 50 x 49, its sources 50 x 50"):
        assert said in str(caught.value)


def test_folder_and_arrays_score_alike(pairs, folder):
    tables = score_folders(pairs, {"mine": folder}, metrics=KEYS, others={"ours": maximum})
    assert [table.method for table in tables] == ["ours", "mine", *BASELINES]
    assert tables[1].rows == tables[2].rows


def test_bad_lists_are_refused(pairs, folder):
    with pytest.raises(InputError, match="no pairs"):
        score([], average)
    with pytest.raises(InputError, match="p1"):
        score([*pairs, pairs[1]], average)
    with pytest.raises(UsageError, match="maximum"):
        score_folders(pairs, {"maximum": folder})
    with pytest.raises(InputError, match="does not exist"):
        score_folders(pairs, {"mine": folder / "no"})


def test_an_undefined_value_is_shown_and_left_out_of_the_mean(pairs):
    fused = {name: (vis if name == "p2" else average(ir, vis)) for name, ir, vis in pairs}
    table = score(pairs, fused, metrics=KEYS, method="mine")
    assert table.rows["p2"].values["SCD"] is None
    assert table.mean("SCD") == pytest.approx(np.mean([v for n, v in table.column("SCD").items() if n != "p2"]))
    assert len(table.column("SCD")) == 5
    assert "p2: SCD is undefined" in table.undefined()[0]
    text = markdown([table])
    assert "†" in text.splitlines()[2]
    assert "p2: SCD" in text
    assert next(row for row in csv.DictReader(io.StringIO(csv_text(table))) if row["image"] == "p2")["SCD"] == "n/a"


def test_written_files_carry_every_digit_and_the_protocol(tables, tmp_path):
    written = write_tables(tables, tmp_path, against="average", title="all")
    assert {path.name for path in written} == {"all.md", "all.json"} | {
        f"{table.method}.{suffix}" for table in tables for suffix in ("csv", "json")
    }
    for table in tables:
        rows = list(csv.DictReader((tmp_path / f"{table.method}.csv").read_text(encoding="utf-8").splitlines()))
        assert list(rows[0]) == ["image", *KEYS, "protocol"]
        assert {row["image"]: {key: float(row[key]) for key in KEYS} for row in rows} == {
            name: row.values for name, row in table.rows.items()
        }
        assert rows[0]["protocol"] == f"paper:{table.tag['id']}"
        content = json.loads((tmp_path / f"{table.method}.json").read_text(encoding="utf-8"))
        assert content["stamp"]["definitions"]["VIF"]["formula"].startswith("vifp(A, F) + vifp(B, F)")
        assert content["mean"]["EN"] == table.mean("EN")
    text = (tmp_path / "all.md").read_text(encoding="utf-8")
    assert f"| maximum | {tables[1].std('EN'):.4f} |" in text.split("| Standard deviation over images |")[1]
    assert "| average | " in text.split("| Rank |")[1]
    (test,) = (t for t in significance(tables, against="average") if (t.method, t.metric) == ("maximum", "EN"))
    assert f"| maximum | {test.wins} : {test.losses}, p {test.p_holm:.2g} |" in text.split("| against average |")[1]
    common = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    assert common["significance"]["against"] == "average"
    assert str(common["stamp"]["id"]) in (tmp_path / "all.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["", "..", "a/b", "scores"])
def test_methods_that_are_no_file_names_are_refused(pairs, tmp_path, name):
    with pytest.raises(UsageError):
        write_tables([score(pairs, average, method=name, metrics=["EN"])], tmp_path)


def test_ranks_are_by_mean_with_ties_shared(pairs):
    tables = [score(pairs, f, method=m, metrics=KEYS) for m, f in (("a", average), ("b", average), ("c", maximum))]
    found = ranks(tables)
    assert found["a"] == found["b"]
    for key in KEYS[:-1]:
        better = tables[0].mean(key) > tables[2].mean(key)
        assert (found["a"][key], found["c"][key]) == ((1.5, 3.0) if better else (2.5, 1.0))
    assert "NOISE" not in found["a"]
    assert found["c"]["mean rank"] == pytest.approx(np.mean([found["c"][key] for key in KEYS[:-1]]))


def test_significance_is_scipys_paired_test(tables):
    tests = significance(tables, against="average")
    assert {test.method for test in tests} == {"maximum", "contrast_preserving_sum"}
    assert {test.metric for test in tests} == set(KEYS) - {"NOISE"}
    for test in tests:
        table = next(table for table in tables if table.method == test.method)
        difference = [table.rows[n].values[test.metric] - tables[0].rows[n].values[test.metric] for n in table.rows]
        assert test.p == pytest.approx(stats.wilcoxon(difference).pvalue)
        assert (test.wins, test.losses) == (sum(d > 0 for d in difference), sum(d < 0 for d in difference))
        assert test.p <= test.p_holm <= 1
    with pytest.raises(UsageError, match="average"):
        significance(tables, against="nobody")


def test_equal_methods_do_not_differ(pairs):
    tables = [score(pairs, average, method=method, metrics=["EN"]) for method in "ab"]
    assert significance(tables, against="a")[0].p == 1.0


def test_holm_on_a_known_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_tables_of_other_images_are_not_compared(pairs):
    first, second = score(pairs, average, method="a"), score(pairs[:4], average, method="b")
    with pytest.raises(InputError, match="same images"):
        ranks([first, second])
    with pytest.raises(InputError, match="twice"):
        ranks([first, first])


def test_baselines_are_their_arithmetic():
    ir, vis = np.array([[0, 200, 80]], np.uint8), np.array([[1, 200, 103]], np.uint8)
    assert average(ir, vis).tolist() == [[0, 200, 92]]  # 0.5 and 91.5 are rounded to even.
    assert maximum(ir, vis).tolist() == [[1, 200, 103]]
    # The sums are 1, 400 and 183, their mean 194.67: -66.2 and 332.8 are clipped, 115.8 is rounded.
    assert contrast_preserving_sum(ir, vis).tolist() == [[0, 255, 116]]
    for baseline in BASELINES.values():
        assert baseline(ir, vis).dtype == np.uint8
        with pytest.raises(InputError, match="differ in size"):
            baseline(ir, vis[:, :2])


def test_print_is_rounded_by_the_metrics_digits(tables):
    lines = markdown(tables).splitlines()
    cells = [cell.strip(" *") for cell in lines[2].strip("|").split("|")]
    assert cells[:2] == ["average", f"{tables[0].mean('EN'):.4f}"]
    assert cells[6] == f"{tables[0].mean('NOISE'):.2f}"
    assert not math.isnan(float(cells[-1]))


def test_the_tag_knows_every_pixel_and_the_shape_of_the_sources():
    rng = np.random.default_rng(0)
    ir, vis = rng.integers(0, 256, (2, 20, 30), dtype=np.uint8)
    last = vis.copy()
    last[-1, -1] ^= 1
    sources = [(ir, vis), (ir, last), (ir.reshape(30, 20), vis.reshape(30, 20))]
    tags = [score([("a", *both)], average, metrics=["EN"]).tag for both in sources]
    assert len({tag["sources_sha256"] for tag in tags}) == 3


def test_baselines_can_be_left_out(pairs):
    tables = score_folders(pairs, {}, others={"ours": maximum}, metrics=["EN"], baselines=False)
    assert [table.method for table in tables] == ["ours"]


def test_ties_are_neither_wins_nor_losses(pairs):
    better = {name: (maximum if name in ("p0", "p1") else average)(ir, vis) for name, ir, vis in pairs}
    tables = [score(pairs, fused, method=name, metrics=["AG"]) for name, fused in (("a", average), ("b", better))]
    (test,) = significance(tables, against="a")
    assert (test.wins + test.losses, test.images) == (2, len(pairs))


def test_the_best_of_a_column_is_bold_and_spreads_are_written(tables, tmp_path):
    lines = markdown(tables).splitlines()
    best = min(range(3), key=lambda i: ranks(tables)[tables[i].method]["AG"])
    cells = [line.strip("|").split("|")[2].strip() for line in lines[2:5]]
    assert [cell.startswith("**") for cell in cells] == [i == best for i in range(3)]
    write_tables(tables, tmp_path)
    content = json.loads((tmp_path / "average.json").read_text(encoding="utf-8"))
    assert content["std"] == {key: tables[0].std(key) for key in KEYS}


def test_the_sum_of_even_levels_is_rounded_around_127_and_a_half():
    assert contrast_preserving_sum([[0, 1]], [[0, 0]]).tolist() == [[127, 128]]
