"""Temperatures: inside the JPEG files of thermal cameras, and as tables of numbers."""

import importlib.util
import io
import re

import numpy as np
from jaxtyping import Float32, Num

from camfuse_jax.errors import InputError
from camfuse_jax.images.bounds import Limits, check_pixels

# Maker -> package that reads its raw data and the extra that installs it. Their licenses are copyleft (EUPL-1.2 and
# AGPL-3.0), which is why neither is a dependency and why they are two extras.
_READERS = {"FLIR": ("flyr", "radiometric"), "DJI": ("dji_thermal_cli", "radiometric-dji")}
_NO_DATA = -273.15  # what DJI's reader gives where there is no temperature


def is_readable(maker: str) -> bool:
    """Whether the package for a maker's raw data is installed."""
    return maker in _READERS and importlib.util.find_spec(_READERS[maker][0]) is not None


def unread_note(maker: str) -> str:
    """What to say where it is not."""
    extra = _READERS[maker][1]
    return f"its {maker} raw data is not used, but the drawn picture; camfuse-jax[{extra}] reads it as temperatures"


def read_radiometric(data: bytes, maker: str) -> Float32[np.ndarray, "h w"]:
    """Degrees Celsius inside a radiometric JPEG, with the emissivity and distance that it holds.

    Anything may be raised for a damaged file, and any time be taken.
    """
    if maker == "DJI":
        from dji_thermal_cli import tsdk

        celsius = tsdk.open(data).measure_temperature_c()
        return np.where(celsius > _NO_DATA + 0.01, celsius, np.nan).astype(np.float32)
    import flyr

    return np.asarray(flyr.unpack(io.BytesIO(data)).celsius, np.float32)


def read_npy(data: bytes, name: object, limits: Limits) -> Num[np.ndarray, "..."]:
    """A NumPy file; its size is checked before it is read.

    Raises:
        InputError: Damaged, over the limit, or of objects.
    """
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        if dtype.hasobject:
            raise ValueError("it holds Python objects")
        if len(shape) in (2, 3):
            check_pixels(name, *shape[:2], limits)
        if int(np.prod(shape, dtype=object)) * dtype.itemsize > len(data):
            raise ValueError(f"{len(data)} bytes do not hold {dtype} of shape {shape}")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    except InputError:
        raise
    except (ValueError, TypeError, SyntaxError, EOFError, MemoryError, OverflowError) as error:
        raise InputError(f"{name} is not a whole NumPy array: {error}.", "Save it with numpy.save.") from error


def read_number_table(data: bytes, name: object, limits: Limits) -> Float32[np.ndarray, "h w"]:
    """Rows of numbers as text, as thermal cameras' programs export them.

    Separated by comma, semicolon, tab or space, with a decimal comma where the separator is another; lines before the
    first and after the last row of numbers are passed over; an empty cell is not a number (NaN).

    Raises:
        InputError: No rows of numbers, rows of several lengths, or more than the limit.
    """
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = data.decode("utf-16" if wide else "utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "latin-1", "replace")
    body = text[
        next(
            (match.start() for match in re.finditer(r"^.*\d.*$", text, re.MULTILINE) if _is_row(match[0])), len(text)
        ) :
    ]
    first = body.split("\n", 1)[0]
    separator = next((mark for mark in ";\t" if mark in first), "," if "," in first else None)
    if separator != ",":
        body = body.replace(",", ".")
    rows = [line.strip(" \r") for line in body.split("\n") if line.strip()]
    while rows and not _is_row(rows[-1]):
        rows.pop()
    check_pixels(name, max(len(rows), 1), (rows[0].count(separator or " ") if rows else 0) + 1, limits)
    try:
        values = [
            np.array([cell or "nan" for cell in map(str.strip, row.split(separator))], np.float32) for row in rows
        ]
        widths = sorted({len(row) for row in values})
        if len(widths) == 2 and all(np.isnan(row[-1]) for row in values if len(row) == widths[1]):
            values = [row[: widths[0]] for row in values]  # a separator at the end of some lines
        table = np.stack(values)
    except ValueError as error:
        raise InputError(
            f"{name} is not a table of numbers: {error}.",
            "Give rows of numbers of one length, separated by comma, semicolon, tab or space.",
        ) from error
    return table[:, :-1] if table.shape[1] > 1 and np.isnan(table[:, -1]).all() else table


def _is_row(line: str) -> bool:
    """Whether a line holds numbers and separators only."""
    return re.fullmatch(r"[\s\d.,;+\-eE]*(?:nan|inf)?[\s\d.,;+\-eEnaifNAIF]*", line) is not None and bool(
        re.search(r"\d", line)
    )
