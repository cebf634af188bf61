"""The parity table tells a difference that is too large from one that is not."""

import numpy as np
import pytest
from torch_reference.table import SHARE, compare, compare_levels, markdown


def test_small_quantities_are_judged_by_the_absolute_difference():
    row = compare("x", "-", [1e-3], [1e-3 + 5e-6], allowed=1e-5)
    assert row.passed
    assert row.relative == pytest.approx(5e-3)
    assert not compare("x", "-", [1e-3], [1e-3 + 5e-6], allowed=1e-5, floor=0.0).passed


def test_large_quantities_are_judged_by_the_relative_difference():
    assert compare("x", "-", [2000.0, 1.0], [2000.01, 1.0], allowed=1e-5).passed
    assert not compare("x", "-", [2000.0, 1.0], [2000.1, 1.0], allowed=1e-5).passed


def test_arrays_of_one_quantity_share_its_magnitude():
    ours, theirs = {"a": np.array([100.0]), "b": np.array([1.0])}, {"b": np.array([1.001]), "a": np.array([100.0])}
    row = compare("x", "-", ours, theirs, allowed=1e-4)
    assert row.relative == pytest.approx(1e-5)
    assert row.note == "largest in b"


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_what_is_not_a_number_does_not_pass(order):
    values = {"a": ([np.nan], [1.0]), "b": ([3.0], [1.0])}
    ours, theirs = ({name: values[name][side] for name in order} for side in (0, 1))
    assert not compare("x", "-", ours, theirs, allowed=10.0).passed
    assert "MISSED" in markdown([compare("x", "-", ours, theirs, allowed=10.0)], {})


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="shapes"):
        compare("x", "-", np.zeros((1, 3)), np.zeros(3), allowed=1.0)


def test_float64_tells_which_side_is_off():
    row = compare("x", "-", [2.1], [2.0], exact=[2.0], allowed=None)
    assert row.ours_off == pytest.approx(0.05)
    assert row.theirs_off == 0


def test_a_difference_that_is_rounding_alone_passes_by_float64():
    theirs_worse = compare("x", "-", [1.0 + 1e-6], [1.0 + 13e-6], exact=[1.0], allowed=1e-5)
    both_near = compare("x", "-", [1.0 + 9e-6], [1.0 - 6e-6], exact=[1.0], allowed=1e-5)
    assert [row.verdict for row in (theirs_worse, both_near)] == ["ok by float64"] * 2
    assert "ok by float64" in markdown([theirs_worse], {})


def test_what_rounded_weights_do_is_told_and_excuses_nothing():
    row = compare("x", "-", [1.0 + 3e-5], [1.0 + 1e-6], exact=[1.0], nudged=[1.0 - 4e-5], allowed=1e-5)
    assert row.nudged == pytest.approx(4e-5)
    assert not row.passed
    assert "| MISSED | 3.0e-05 | 1.0e-06 | 4.0e-05 |" in markdown([row], {})


def test_float64_does_not_excuse_a_fault():
    ours_worse = compare("x", "-", [1.0 + 14e-6], [1.0 + 3e-6], exact=[1.0], allowed=1e-5)
    twin_wrong = compare("x", "-", [1.0], [1.0 + 5e-5], exact=[1.0 + 5e-5], allowed=1e-5)
    # A difference of twenty tolerances is no rounding, however near to float64 we are.
    both_far = compare("x", "-", [1.0], [1.0 + 2e-4], exact=[1.0], allowed=1e-5)
    nothing = compare("x", "-", [np.nan], [1.0 + 2e-5], exact=[1.0], allowed=1e-5)
    without = compare("x", "-", [1.0], [1.0 + 2e-5], allowed=1e-5)
    assert [row.passed for row in (ours_worse, twin_wrong, both_far, nothing, without)] == [False] * 5


def test_grey_levels():
    image = np.zeros((100, 100), np.uint8)
    few, many, far = image.copy(), image.copy(), image.copy()
    few.flat[: int(SHARE * image.size)] = 1
    many.flat[: int(SHARE * image.size) + 1] = 1
    far[0, 0] = 2
    assert [compare_levels("x", image, other).passed for other in (image, few, many, far)] == [True, True, False, False]
