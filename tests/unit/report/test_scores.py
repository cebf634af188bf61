"""Rows of the page's tables."""

import dataclasses

import numpy as np
import pytest

from camfuse_jax.metrics.table import score_folders
from camfuse_jax.report.page import Group, image_groups, metric_groups, significance_rows, standing


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(0)
    pairs = [(f"p{i}", *rng.integers(0, 256, (2, 20, 20), dtype=np.uint8)) for i in range(3)]
    flat = {name: np.zeros((20, 20), np.uint8) for name, _, _ in pairs}
    copy = {name: ir for name, ir, _ in pairs}
    copy["p2"] = np.tile(np.array([0, 255], np.uint8), (20, 10))  # one bit of entropy
    return score_folders(pairs, {}, others={"copy": copy, "flat": flat}, metrics=("EN", "AG"), baselines=False)


def _cells(groups):
    """Cells of the first metric, one per method."""
    return groups[0].rows[0].cells


def test_means_spreads_and_ranks(tables):
    (group,) = metric_groups(tables)
    copy, flat = group.rows[0].cells
    assert (flat.text, flat.spread, flat.rank) == ("0.0000", "0.0000", "2")
    assert copy.best
    assert not flat.best
    assert group.mean_ranks == [1, 2]
    assert [row.head for row in group.rows] == ["EN ↑", "AG ↑"]
    assert (group.rows[1].name, group.rows[1].better) == ("average gradient", "higher is better")


def test_one_image_has_its_own_scores_and_no_spread(tables):
    copy, _ = _cells(image_groups(tables, "p2"))
    assert (copy.text, copy.spread) == ("1.0000", "")


def test_a_single_method_is_not_ranked(tables):
    (group,) = metric_groups(tables[:1])
    (cell,) = group.rows[0].cells
    assert (group.mean_ranks, cell.rank, cell.best) == (None, "", False)
    assert standing([group], 0) == ""
    assert significance_rows(tables[:1], against="copy") == []


def test_standing(tables):
    groups = metric_groups(tables)
    assert standing(groups, 0) == "mean rank 1.00, place 1 of 2 (scores)"
    assert standing(groups, 1) == "mean rank 2.00, place 2 of 2 (scores)"
    twins = metric_groups([tables[0], dataclasses.replace(tables[0], method="twin")])
    assert standing(twins, 1) == "mean rank 1.50, shared place 1 of 2 (scores)"


def test_methods_that_tie_for_the_first_place_are_all_the_best(tables):
    cells = _cells(metric_groups([tables[0], dataclasses.replace(tables[0], method="twin"), tables[1]]))
    assert [(cell.rank, cell.best) for cell in cells] == [("1.5", True), ("1.5", True), ("3", False)]


def test_each_family_has_a_place():
    groups = [Group("Scores", [], [1.0, 2.0]), Group("What a person sees", [], [2.0, 1.0])]
    assert (
        standing(groups, 0)
        == "mean rank 1.00, place 1 of 2 (scores); mean rank 2.00, place 2 of 2 (what a person sees)"
    )


def test_paired_tests_name_who_wins(tables):
    first = significance_rows(tables, against="copy")[0]
    assert (first["method"], first["metric"], first["wins"], first["losses"]) == ("flat", "EN", "0 of 3", "3 of 3")


def test_undefined_values_are_said_to_be():
    pairs = [("tiny", np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8))]
    tables = score_folders(pairs, {}, others={"a": {"tiny": np.zeros((1, 1), np.uint8)}}, metrics=("EN", "VIF", "KEPT"))
    scores, picture = metric_groups(tables)
    assert [cell.text for cell in scores.rows[1].cells] == ["n/a"] * 4
    assert not any(cell.best for cell in scores.rows[1].cells)
    assert (picture.rows[0].head, picture.mean_ranks) == ("KEPT ↑", None)
    assert picture.title != scores.title


def test_lower_is_better_for_picture_measures():
    pairs = [("p", np.full((20, 20), 90, np.uint8), np.full((20, 20), 90, np.uint8))]
    same, off = np.full((20, 20), 90, np.uint8), np.full((20, 20), 99, np.uint8)
    near = same.copy()
    near[0, 0] = 91  # reads like the best
    others = {"same": {"p": same}, "off": {"p": off}, "near": {"p": near}}
    tables = score_folders(pairs, {}, others=others, metrics=("TONE",), baselines=False)
    (group,) = metric_groups(tables)
    assert [(cell.text, cell.best) for cell in group.rows[0].cells] == [("0.0", True), ("9.0", False), ("0.0", True)]
    assert [cell.rank for cell in group.rows[0].cells] == ["1", "3", "2"]


def test_a_head_says_which_way_is_better():
    rng = np.random.default_rng(0)
    pairs = [("a", *rng.integers(0, 256, (2, 64, 64), dtype=np.uint8))]
    tables = score_folders(pairs, {}, others={"copy": {"a": pairs[0][1]}}, metrics=("EN", "CLIP"), baselines=False)
    rows = [row for group in metric_groups(tables) for row in group.rows]
    assert [(row.head, row.better) for row in rows] == [("EN ↑", "higher is better"), ("CLIP ↓", "lower is better")]
