"""Opening a file as an image: a closed list of formats, and caps that are checked before memory is spent."""

import contextlib
import dataclasses
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from camfuse_jax.errors import InputError

FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
"""Pillow decoders in use. The list is closed: a file cannot reach a rarely tested decoder by its content."""

READABLE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
"""Lower-case file name endings taken for images when a folder is listed."""

MAX_PIXELS = 100_000_000
"""Largest width times height that is decoded; checked from the header, before memory is spent."""

MAX_BYTES = 1_000_000_000
"""Largest file that is opened."""

DECODER_ERRORS = (
    UnidentifiedImageError,
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    struct.error,
    zlib.error,
)
"""What a decoder raises on a damaged file."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """What is read at most.

    Attributes:
        max_pixels: Width times height.
        max_bytes: Size of the file.
    """

    max_pixels: int = MAX_PIXELS
    max_bytes: int = MAX_BYTES


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Opens a regular file for reading.

    Raises:
        InputError: It is absent, a folder, a pipe or device, or may not be read.
    """
    if Path(path).exists() and not Path(path).is_file():
        what = "folder" if Path(path).is_dir() else "pipe or device"
        raise InputError(f"{path} is a {what}, not an image file.", "Give a PNG, JPEG, BMP or TIFF file.")
    try:
        return open(path, "rb")
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist.", "Check the path.") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise InputError(f"{path} cannot be opened: {error}.", "Check the path and its rights.") from error


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], limits: Limits) -> Iterator[Image.Image]:
    """Open a file as an image; every failure, inside the block too, becomes an InputError.

    Args:
        path: A PNG, JPEG, BMP or TIFF file. The content decides, not the name.
        limits: What is read at most.

    Raises:
        InputError: The file is absent, not an image of these formats, damaged or over a limit.
    """
    file = open_file(path)
    # A file object, not the path: given a path, Pillow 13 maps uncompressed files into memory with the size of the
    # rotated image and so scrambles TIFFs of orientation 5 to 8.
    with file, decoded(file, path, os.fstat(file.fileno()).st_size, limits) as image:
        yield image


@contextlib.contextmanager
def decoded(file: BinaryIO, path: object, size: int, limits: Limits) -> Iterator[Image.Image]:
    """Read the header and check the limits; a decoder's failure becomes an InputError."""
    check_bytes(path, size, limits)
    try:
        with _pixel_cap(limits.max_pixels), Image.open(file, formats=FORMATS) as image:
            check_pixels(path, image.height, image.width, limits)
            yield image
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path, "is too large", limits) from error
    except DECODER_ERRORS as error:
        raise InputError(
            f"{path} is not a whole PNG, JPEG, BMP or TIFF image: {error}.", "Replace the file or leave it out."
        ) from error


def check_bytes(path: object, size: int, limits: Limits) -> None:
    """Raises an InputError for an empty file and for one over the limit."""
    if size == 0:
        raise InputError(f"{path} is empty (0 bytes).", "Replace the file or leave it out.")
    if size > limits.max_bytes:
        raise InputError(
            f"{path} has {size / 1e6:g} MB; at most {limits.max_bytes / 1e6:g} MB are read.",
            "Raise --max-megabytes if the file is meant to be that large.",
        )


def check_pixels(path: object, height: int, width: int, limits: Limits) -> None:
    """Raises an InputError for an image over the limit, before it is decoded."""
    if width * height > limits.max_pixels:
        raise _too_large(path, f"is {width} x {height}", limits)


@contextlib.contextmanager
def _pixel_cap(pixels: int) -> Iterator[None]:
    """Raises Pillow's own, process-wide cap while a file is open whose limit was raised above it."""
    usual = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        # Between its cap and twice its cap Pillow only warns; ours has been checked by then.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        # Damaged metadata, such as a TIFF tag that points nowhere; damaged pixels are errors.
        warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
        Image.MAX_IMAGE_PIXELS = max(pixels, usual or 0)
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = usual


def _too_large(path: object, how: str, limits: Limits) -> InputError:
    return InputError(
        f"{path} {how}; at most {limits.max_pixels / 10**6:g} megapixels are read.",
        "Crop or shrink it, or raise --max-megapixels.",
    )
