"""Tables of numbers as text: which cells are numbers, which labels, and what may mean several things is refused."""

import numpy as np
import pytest

from camfuse_jax.errors import InputError
from camfuse_jax.images.read import read_picture

CELSIUS = np.random.default_rng(0).normal(20, 3, (12, 10)).round(2)
HEADS = ",".join(map(str, range(10)))


def _lines(separator=",", form="{:.2f}".format, values=CELSIUS):
    return [separator.join(map(form, row)) for row in values]


def _comma(value):
    return f"{value:.2f}".replace(".", ",")


def _read(lines):
    return read_picture("\n".join(lines).encode(), name="a.csv")


@pytest.mark.parametrize(
    ("lines", "values"),
    [
        (_lines(form=lambda value: f'"{_comma(value)}"'), CELSIUS),
        (_lines(", ", lambda value: f'"{_comma(value)}"'), CELSIUS),
        (_lines(form='"{:.2f}"'.format), CELSIUS),
        (_lines(form='"{:,.2f}"'.format, values=CELSIUS * 100), CELSIUS * 100),
        (_lines("\t", "{:,.2f}".format, CELSIUS * 100), CELSIUS * 100),
        (_lines(";", lambda value: f"{value:,.2f}".translate({44: 46, 46: 44}), CELSIUS * 100), CELSIUS * 100),
    ],
)
def test_commas_in_quotes_and_thousands(lines, values):
    np.testing.assert_allclose(_read(lines).samples, values, atol=0.006)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (_lines(form=_comma), "20,38 may be one number with a decimal comma, or two"),
        (_lines(form=lambda value: f"{value:.1f}".replace(".", ",")), "20,4 may be one number"),
        (_lines(form='"{:,.0f}"'.format, values=CELSIUS * 100), 'the comma of "2,038" may mark decimals or group'),
    ],
)
def test_commas_that_may_mean_several_things_are_refused(lines, told):
    with pytest.raises(
        InputError, match=rf"a\.csv is not a table of numbers: {told}.*Save it again with decimal points"
    ):
        _read(lines)


_INDEXED = [f"{at},{line}" for at, line in enumerate(_lines())]
_NAMED = [f"row {at},{line}" for at, line in enumerate(_lines())]
_TITLES = ",".join(f"x{at}" for at in range(10))


@pytest.mark.parametrize(
    "lines",
    [
        ["," + HEADS, *_INDEXED],
        [HEADS, *_lines()],
        _INDEXED,
        ["y," + HEADS, *_INDEXED],
        ["y," + _TITLES, *_INDEXED],
        _NAMED,
        ["y," + HEADS, *_NAMED],
        ["y," + _TITLES, *_NAMED],
    ],
)
def test_labels_are_no_temperatures(lines):
    picture = _read(lines)
    np.testing.assert_allclose(picture.samples, CELSIUS, atol=1e-5)
    assert "its labels of rows or columns are left out" in picture.notes


@pytest.mark.parametrize("values", [np.arange(120.0).reshape(10, 12), np.tile(np.arange(12.0), (9, 1))])
def test_a_ramp_is_no_label(values):
    for ramp in (values, values.T):
        picture = _read(_lines(form="{:.0f}".format, values=ramp))
        np.testing.assert_array_equal(picture.samples, ramp)


@pytest.mark.parametrize("row", [0, 5, 11])
@pytest.mark.parametrize("cell", ["OFL", "***", "> 150"])
def test_a_cell_that_cannot_be_read_is_named_in_any_row(row, cell):
    lines = [line.split(",") for line in _lines()]
    lines[row][3] = cell
    with pytest.raises(InputError) as caught:
        _read(["made by a camera", *map(",".join, lines), "end, of, table"])
    assert f"row {row + 2}, column 4 holds {cell!r}. Make it a number" in str(caught.value)


@pytest.mark.parametrize("row", [0, 5, 11])
@pytest.mark.parametrize("cell", ["", "-", "NaN", "n/a"])
def test_a_cell_without_a_value_is_no_temperature(row, cell):
    lines = [line.split(",") for line in _lines()]
    lines[row][3] = cell
    picture = _read(map(",".join, lines))
    assert np.argwhere(~picture.valid).tolist() == [[row, 3]]


def test_a_row_without_values_stays_a_row():
    picture = _read([",".join(["nan"] * 10), *_lines()])
    assert picture.size == (13, 10)
    assert not picture.valid[0].any()
