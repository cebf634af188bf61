"""Rows of the page's tables."""

import dataclasses

import numpy as np
import pytest

from camfuse_jax.metrics.table import score_folders
from camfuse_jax.report.scores import best_of, image_rows, method_rows, place_of, significance_rows


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(0)
    pairs = [(f"p{i}", *rng.integers(0, 256, (2, 20, 20), dtype=np.uint8)) for i in range(3)]
    flat = {name: np.zeros((20, 20), np.uint8) for name, _, _ in pairs}
    copy = {name: ir for name, ir, _ in pairs}
    copy["p2"] = np.tile(np.array([0, 255], np.uint8), (20, 10))  # one bit of entropy
    return score_folders(pairs, {}, others={"copy": copy, "flat": flat}, metrics=("EN", "AG"), baselines=False)


def test_means_spreads_and_ranks(tables):
    copy, flat = method_rows(tables)
    assert (flat.cells[0].text, flat.cells[0].spread, flat.cells[0].rank) == ("0.0000", "0.0000", "2")
    assert copy.cells[0].best
    assert not flat.cells[0].best
    assert (copy.mean_rank, flat.mean_rank) == ("1.00", "2.00")
    assert best_of([copy, flat])[0] == f"copy {copy.cells[0].text}"


def test_one_image_has_its_own_scores_and_no_spread(tables):
    copy, _ = image_rows(tables, "p2")
    assert (copy.cells[0].text, copy.cells[0].spread) == ("1.0000", "")


def test_a_single_method_is_not_ranked(tables):
    (row,) = method_rows(tables[:1])
    assert (row.mean_rank, row.cells[0].rank, row.cells[0].best) == ("", "", False)
    assert place_of([row], "copy") == ""
    assert significance_rows(tables[:1], against="copy") == []


def test_places(tables):
    assert place_of(method_rows(tables), "flat") == "mean rank 2.00, place 2 of 2"
    same = [*method_rows(tables)[:1] * 2]
    assert "shared place 1 of" in place_of([same[0], type(same[0])("twin", same[0].cells, "1.00")], "copy")


def test_methods_that_tie_for_the_first_place_are_all_the_best(tables):
    rows = method_rows([tables[0], dataclasses.replace(tables[0], method="twin"), tables[1]])
    assert [(row.cells[0].rank, row.cells[0].best) for row in rows] == [("1.5", True), ("1.5", True), ("3", False)]
    assert best_of(rows)[0] == f"copy, twin {rows[0].cells[0].text}"


def test_paired_tests_name_who_wins(tables):
    first = significance_rows(tables, against="copy")[0]
    assert (first["method"], first["metric"], first["wins"], first["losses"]) == ("flat", "EN", "0 of 3", "3 of 3")


def test_undefined_values_are_said_to_be():
    pairs = [("tiny", np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8))]
    tables = score_folders(pairs, {}, others={"a": {"tiny": np.zeros((1, 1), np.uint8)}}, metrics=("EN", "VIF"))
    row = method_rows(tables)[0]
    assert row.cells[1].text == "n/a"
    assert best_of(method_rows(tables))[1] == ""
