"""TIFF of more than 8 bits, of signed integers or of floats: counts and degrees, which Pillow reads in part only."""

import io
import struct
import zlib
from typing import Any, BinaryIO

import numpy as np
import tifffile

from camfuse_jax.errors import InputError
from camfuse_jax.images.decode import ORIENTATION_TAG, Decoded, split_alpha
from camfuse_jax.images.opening import Limits, check_bytes, check_pixels

_ICC_TAG = 34675
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Whatever a damaged file makes the reader do; tifffile's own error is an Exception of no other kind.
_DAMAGE = (
    tifffile.TiffFileError,
    ImportError,
    ValueError,
    RuntimeError,
    LookupError,
    TypeError,
    AttributeError,
    OSError,
    ArithmeticError,
    struct.error,
    zlib.error,
)


def read_deep_tiff(file: BinaryIO, name: object, limits: Limits) -> Decoded | None:
    """Decodes a TIFF of more than 8 bits per sample or of another kind than unsigned; None for every other file.

    16-bit samples stay uint16; all other kinds become float32 (exact up to 24 bits). Of several pages the first.

    Args:
        file: At any place; it is left at its start where the answer is None.
        name: What to call it in an error.
        limits: What is read at most.

    Raises:
        InputError: Absent, damaged, over a limit, or of an unknown compression or shape.
    """
    if not _is_tiff(file):
        return None
    check_bytes(name, file.seek(0, io.SEEK_END), limits)
    file.seek(0)
    content = io.BytesIO(file.read())
    file.seek(0)
    try:
        with tifffile.TiffFile(content) as tiff:
            page = tiff.pages[0]
            if page.bitspersample <= 8 and page.sampleformat == 1:
                return None
            check_pixels(name, page.imagelength, page.imagewidth, limits)
            notes = (f"{len(tiff.pages)} pages or frames; the first is used",) if len(tiff.pages) > 1 else ()
            found = _decoded(page, page.asarray(), notes, name)
            return found._replace(icc=page.tags.valueof(_ICC_TAG))
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(
            f"{name} cannot be decoded as TIFF: {error}.",
            "Save it again, uncompressed or with deflate; other codecs need the package imagecodecs.",
        ) from error


def deep_tiff_size(file: BinaryIO, name: object, limits: Limits) -> tuple[int, int] | None:
    """Height and width, upright, of a file that `read_deep_tiff` reads; None for every other file. Arguments as there.

    Raises:
        InputError: The header is damaged, or a limit is passed.
    """
    if not _is_tiff(file):
        return None
    try:
        with tifffile.TiffFile(file) as tiff:
            page = tiff.pages[0]
            if page.bitspersample <= 8 and page.sampleformat == 1:
                file.seek(0)
                return None
            size = (page.imagelength, page.imagewidth)
            turned = page.tags.valueof(ORIENTATION_TAG, 1) in (5, 6, 7, 8)
    except _DAMAGE as error:
        raise InputError(f"{name} is not a whole TIFF image: {error}.", "Replace it or leave it out.") from error
    check_pixels(name, *size, limits)
    return size[::-1] if turned else size


def _is_tiff(file: BinaryIO) -> bool:
    """Whether a file begins as a TIFF; leaves it at its start."""
    file.seek(0)
    found = file.read(4) in _MAGIC
    file.seek(0)
    return found


def _decoded(page: Any, pixels: np.ndarray, notes: tuple[str, ...], name: object) -> Decoded:
    if page.samplesperpixel > 1 and int(page.planarconfig) == 2:
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.ndim not in (2, 3) or 0 in pixels.shape or np.iscomplexobj(pixels):
        raise InputError(f"{name} holds an array of shape {pixels.shape}.", "Give a single gray or RGB image.")
    pixels = np.atleast_3d(pixels)
    if pixels.shape[2] > 4:
        raise InputError(f"{name} has {pixels.shape[2]} channels.", "Give gray or RGB, with or without alpha.")
    if pixels.shape[2] in (2, 4) and not any(int(kind) in (1, 2) for kind in page.extrasamples):
        notes, pixels = (*notes, "an extra channel without a meaning was left out"), pixels[..., :-1]
    orientation = int(page.tags.valueof(ORIENTATION_TAG, 1))
    if pixels.dtype == np.uint16:
        inverted = int(page.photometric) == 0  # "white is zero"
        return split_alpha(65535 - pixels if inverted else pixels.astype(np.uint16), orientation, notes)
    found = split_alpha(pixels.astype(np.float32), orientation, (*notes, f"stored as {pixels.dtype.name}"))
    if found.alpha is None:
        return found
    return found._replace(alpha=None, notes=(*found.notes, "alpha that is not 8 or 16 bit was left out"))
