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
    return f"its {maker} raw data is not used, but the drawn picture; the extra {extra} reads temperatures"


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

    Separated by semicolon, tab, comma or space, with a decimal comma where the separator is another; lines before the
    first and after the last row of numbers are passed over; an empty cell is not a number (NaN).

    Raises:
        InputError: No rows of numbers, rows of several lengths, or more than the limit.
    """
    coding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "latin-1"
    lines = data.removeprefix(b"\xef\xbb\xbf").decode(coding, "replace").replace('"', "").splitlines()
    lines = [line.strip(" ") for line in lines if line.strip()]
    rows = [at for at, line in enumerate(lines) if _ROW.fullmatch(line)]
    lines = lines[rows[0] : rows[-1] + 1] if rows else []
    separator = next((mark for mark in ";\t," if lines and mark in lines[0]), None)
    cells = [line.replace(",", "." if separator != "," else ",").split(separator) for line in lines]
    check_pixels(name, max(len(cells), 1), max(map(len, cells), default=1), limits)
    try:
        widths = sorted(set(map(len, cells)))
        if len(widths) != 1:
            raise ValueError(f"rows of {widths[0]} to {widths[-1]} cells" if widths else "no row of numbers")
        table = np.array([cell.strip() or "nan" for row in cells for cell in row], np.float32).reshape(-1, widths[0])
        ends_empty = widths[0] > 1 and bool(np.isnan(table[:, -1]).all())  # lines that end in a separator
        return table[:, :-1] if ends_empty else table
    except ValueError as error:
        raise InputError(
            f"{name} is not a table of numbers: {error}.",
            "Give rows of numbers of one length, separated by semicolon, tab, comma or space.",
        ) from error


_ROW = re.compile(r"(?=.*\d)[\s\d.,;+\-eEnaifNAIF]+")
