"""Temperature tables: NumPy arrays, and rows of numbers as text the way cameras' programs and pandas export them."""

import csv
import io
import re

import numpy as np
from jaxtyping import Float32, Num

from camfuse_jax.errors import InputError
from camfuse_jax.images.bounds import Limits, check_pixels

_NPY_HEADER = 10_000  # bytes; NumPy's own limit, above which it parses no header


def read_npy(data: bytes, name: object, limits: Limits) -> Num[np.ndarray, "..."]:
    """A NumPy file; its size is checked before it is read.

    Raises:
        InputError: Damaged, over the limit, or of objects.
    """
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        length = int.from_bytes(data[8 : 10 if version == (1, 0) else 12], "little")
        if length > _NPY_HEADER:
            raise ValueError(f"its header claims {length} bytes, more than that of any array of numbers")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        if dtype.hasobject:
            raise ValueError("it holds Python objects")
        if len(shape) in (2, 3):
            check_pixels(name, *shape[:2], limits=limits)
        if int(np.prod(shape, dtype=object)) * dtype.itemsize > len(data):
            raise ValueError(f"{len(data)} bytes do not hold {dtype} of shape {shape}")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    except InputError:
        raise
    except (ValueError, TypeError, SyntaxError, EOFError, MemoryError, OverflowError) as error:
        raise InputError(f"{name} is not a whole NumPy array: {error}.", "Save it with numpy.save.") from error


# Rows of numbers as text.

_ROW = re.compile(r"(?=.*\d)[\s\d.,;+\-eEnaifNAIF]+")
_NUMBER = re.compile(r"\s*([+-]?(\d[\d.,]*|[.,]\d+)([eE][+-]?\d+)?|nan)\s*", re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"')
_GROUP = r",(?=\d{3}(?!\d))"  # the comma of 1,234
_BOTH_MARKS = re.compile(r"(,\d+\.)|\.\d+,")
_MISSING = frozenset({"", "-", "--", "na", "n/a"})
_MANY = 8  # numbers in a line of the table's width that make it a row of it, and cells that do not count up by chance
_PAIRS = 32  # from here on, a single digit after each whole number is no chance
_SAVE_AGAIN = "Save it again with decimal points, or with semicolons between the cells."


def read_number_table(data: bytes, name: object, limits: Limits) -> tuple[Float32[np.ndarray, "h w"], tuple[str, ...]]:
    """Rows of numbers as text, and notes about them.

    Separated by semicolon, tab, comma or space, with a decimal comma where the separator is another or cells are in
    quotes. Lines with hardly a number before the first and after the last row are passed over; an empty cell or a
    dash is not a number (NaN); a row and a column that only count the others are labels.

    Raises:
        InputError: No rows of numbers, rows of several lengths, a cell that is no number, a comma that may mean
            several things, or more than the limit.
    """
    coding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "latin-1"
    lines = data.removeprefix(b"\xef\xbb\xbf").decode(coding, "replace").splitlines()
    try:
        return _read_rows({at: line for at, line in enumerate(lines, 1) if line and not line.isspace()}, name, limits)
    except InputError:
        raise
    except (ValueError, csv.Error) as error:
        what, cure = (*error.args, "")[:2]
        raise InputError(
            f"{name} is not a table of numbers: {what}.",
            cure or "Give rows of numbers of one length, separated by semicolon, tab, comma or space.",
        ) from error


def _read_rows(numbered: dict[int, str], name: object, limits: Limits) -> tuple[np.ndarray, tuple[str, ...]]:
    lines, numbers = list(numbered.values()), list(numbered)
    shown = _typical(lines)
    bare = _QUOTED.sub("", shown)
    quoted = bare != shown and "," in bare and not {";", "\t"} & set(shown)  # the quotes may hold decimal commas
    if quoted:
        lines = [";".join(cells) for cells in csv.reader([shown, *lines], skipinitialspace=True)]
        shown, *lines = lines
    else:
        lines, shown = [line.replace('"', "") for line in lines], shown.replace('"', "")
    separator = next((mark for mark in ";\t," if mark in shown), None)
    width = len(shown.split(separator))
    first = next((at for at, line in enumerate(lines) if _is_row(line, separator, width)), len(lines))
    last = next((at for at in range(len(lines) - 1, -1, -1) if _is_row(lines[at], separator, width)), -1)
    lines, numbers = lines[first : last + 1], numbers[first : last + 1]
    check_pixels(name, max(len(lines), 1), width, limits)
    # Counted before anything is split: a million rows cost memory and time.
    widths = sorted({line.count(separator) + 1 if separator else len(line.split()) for line in lines})
    if len(widths) != 1:
        raise ValueError(f"rows of {widths[0]} to {widths[-1]} cells" if widths else "no row of numbers")
    if separator == ",":
        _check_split_decimals(lines[:50])
    else:
        lines = _without_commas("\n".join(lines), quoted=quoted).split("\n")
    table = _as_numbers(lines, separator, numbers, widths[0])
    ends_empty = table.shape[1] > 1 and bool(np.isnan(table[:, -1]).all())  # lines that end in a separator
    table = table[:, :-1] if ends_empty else table
    without = _without_labels(table)
    labels = without.shape != (len(lines), widths[0] - ends_empty)
    return without, ("numbers of a table", *(["its labels of rows or columns are left out"] if labels else []))


def _typical(lines: list[str]) -> str:
    """The first line of numbers alone, rather one with quotes; else one from the middle."""
    numbers = (line for line in lines if _ROW.fullmatch(line.replace('"', "")))
    in_quotes = (line for line in lines if '"' in line and _ROW.fullmatch(line.replace('"', "")))
    return next(in_quotes, "") or next(numbers, "") or (lines[len(lines) // 2] if lines else "")


def _is_row(line: str, separator: str | None, width: int) -> bool:
    """Whether a line is a row of the table, maybe with a cell that cannot be read, and no header or footer."""
    if _ROW.fullmatch(line):
        return True
    cells = line.split(separator)
    count = sum(_NUMBER.fullmatch(cell) is not None for cell in cells)
    return count > width / 2 or (len(cells) == width and count >= _MANY)


def _check_split_decimals(lines: list[str]) -> None:
    """Raises for `20,05,21,30`: decimal commas between commas, which look like twice as many columns."""
    cells = [cell.strip() for line in lines for cell in line.strip(" ").removesuffix(",").split(",")]
    wholes, parts = [cell.lstrip("+-") for cell in cells[::2]], cells[1::2]
    even = len(cells) % (2 * len(lines)) == 0
    if not even or not all(cell.isdecimal() for cell in wholes + parts) or len({len(part) for part in parts}) != 1:
        return
    padded = len(parts[0]) > 1 and any(part[0] == "0" for part in parts)
    padded = padded and not any(len(whole) > 1 and whole[0] == "0" for whole in wholes)
    tenths = len(parts[0]) == 1 and len(parts) >= _PAIRS and min(map(len, wholes)) > 1
    if padded or tenths:
        raise ValueError(f"{cells[0]},{cells[1]} may be one number with a decimal comma, or two", _SAVE_AGAIN)


def _without_commas(text: str, *, quoted: bool) -> str:
    """Numbers with decimal points, out of those whose comma marks decimals or groups thousands."""
    both = _BOTH_MARKS.search(text)
    if both and not both[1]:  # 1.234,5
        text = text.translate({ord("."): ",", ord(","): "."})
    elif not both and not (quoted and _comma_groups(text)):
        return text.replace(",", ".")
    return re.sub(_GROUP, "", text)


def _comma_groups(text: str) -> bool:
    """Whether commas in quotes group thousands, where no cell has a decimal point as well."""
    found = re.search(r"[\d+-]*,\d*", text)
    if found is None or re.sub(_GROUP, "", text).count(","):
        return False
    if "." not in text and not re.search(_GROUP + r"\d{3},", text):
        raise ValueError(f'the comma of "{found[0]}" may mark decimals or group thousands', _SAVE_AGAIN)
    return True


def _as_numbers(lines: list[str], separator: str | None, numbers: list[int], width: int) -> Float32[np.ndarray, "h w"]:
    """Cells as numbers; without a first column of texts, and with NaN in the corner of two lines of labels."""
    table, bad = np.empty((len(lines), width), np.float32), list[tuple[int, int]]()
    for at, line in enumerate(lines):
        cells = line.strip(" ").split(separator)
        try:
            table[at] = [float(cell or "nan") for cell in cells]
        except ValueError:
            values = [_number(cell) for cell in cells]
            table[at] = [np.nan if value is None else value for value in values]
            bad += [(at, column) for column, value in enumerate(values) if value is None]
            if len(bad) > len(lines):  # more than a column of texts
                break
    if width > 2 and bad == [(at, 0) for at in range(len(lines))]:
        return table[:, 1:]
    if bad and not (bad == [(0, 0)] and _counts(table[0, 1:], 3)):
        at, column = bad[0]
        cell = lines[at].strip(" ").split(separator)[column].strip()
        place = f"row {numbers[at]}, column {column + 1}"
        raise ValueError(f"{place} holds {cell!r}", "Make it a number, or empty where there is none.")
    return table


def _number(cell: str) -> float | None:
    """The number of a cell, NaN where it is missing, or None where it cannot be read."""
    try:
        return float("nan" if cell.strip().lower() in _MISSING else cell)
    except ValueError:
        return None


def _without_labels(table: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Leaves out a first row and column that count the others, as pandas writes them."""
    few = 3 if np.isnan(table[0, 0]) else _MANY
    if len(table) > 1 and _counts(table[0, 1:], few) and not _counts(table[1, 1:], few):
        table, few = table[1:], 3
    if table.shape[1] > 2 and _counts(table[:, 0], few) and not _counts(table[:, 1], few):
        table = table[:, 1:]
    return table


def _counts(values: np.ndarray, few: int) -> bool:
    return len(values) >= few and bool(np.all(values % 1 == 0)) and bool(np.all(np.diff(values) == 1))
