"""An image file as a camera meant it: samples at their own depth, alpha, colour profile, upright."""

import dataclasses
import io
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Num, Shaped

from camfuse_jax.errors import InputError
from camfuse_jax.images.decode import ORIENTATION_TAG, decode
from camfuse_jax.images.opening import Limits, decoded, open_file
from camfuse_jax.images.tiff import deep_tiff_size, read_deep_tiff


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """What a file holds.

    Attributes:
        samples: Values as stored, upright, (h, w) or (h, w, 3); uint8, uint16 or float32 (raw counts, degrees).
        bits: Bits that carry values: 8, 10, 12, 14 or 16; 32 for float.
        top: The value that means white where the full range is used; None for float.
        alpha: Opacity, (h, w), uint8 or uint16, or None.
        icc: Embedded colour profile or None.
        notes: What a user should know, such as "12 bit in a 16-bit file".
    """

    samples: Num[np.ndarray, "h w *c"]
    bits: int
    top: int | None
    alpha: Shaped[np.ndarray, "h w"] | None = None
    icc: bytes | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_colour(self) -> bool:
        """Whether there are three channels, equal or not."""
        return self.samples.ndim == 3

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.samples.shape[:2]


def read_picture(path: str | os.PathLike[str], limits: Limits | None = None) -> Picture:
    """Reads a PNG, JPEG, BMP or TIFF file without changing a value; the EXIF orientation is applied.

    8 and 16 bit gray and colour, palettes, 1 bit, CMYK and YCbCr (as RGB), float and signed TIFF. Pixels that are not
    finite become the lowest finite value, and a note says how many.

    Args:
        path: The file; its content decides, not its name.
        limits: What is read at most; checked before memory is spent.

    Raises:
        InputError: The file is absent, of another format, damaged, over a limit, or without one finite pixel.
    """
    with open_file(path) as file:
        return read_picture_file(file, Path(path), limits)


def read_picture_file(file: BinaryIO, name: object, limits: Limits | None = None) -> Picture:
    """As `read_picture`, from an open file or from memory (`io.BytesIO`).

    Args:
        file: Anything that can seek.
        name: What to call it in an error; it need not be a path.
        limits: What is read at most.

    Raises:
        InputError: As `read_picture`.
    """
    limits = limits or Limits()
    found = read_deep_tiff(file, name, limits)
    if found is None:
        with decoded(file, name, _size(file), limits) as image:
            found = decode(image, file, name)
    samples, alpha, orientation, notes, icc = found
    samples = upright(samples, orientation)
    alpha = None if alpha is None else upright(alpha, orientation)
    samples, more = _finite(samples, name)
    bits, top, told = depth(samples)
    return Picture(samples, bits, top, alpha, icc, (*notes, *more, *told))


def picture_size(path: str | os.PathLike[str], limits: Limits | None = None) -> tuple[int, int]:
    """Height and width that `read_picture` would return, from the header alone.

    Raises:
        InputError: The header cannot be read, or a limit is passed.
    """
    limits = limits or Limits()
    with open_file(path) as file:
        size = deep_tiff_size(file, path, limits)
        if size is not None:
            return size
        with decoded(file, path, _size(file), limits) as image:
            # Pillow turns a TIFF itself, its size when it is opened.
            turned = image.format != "TIFF" and image.getexif().get(ORIENTATION_TAG, 1) in (5, 6, 7, 8)
            return (image.width, image.height) if turned else (image.height, image.width)


def depth(samples: Num[np.ndarray, "h w *c"]) -> tuple[int, int | None, tuple[str, ...]]:
    """How many bits of the samples carry values, which value is white, and what to tell about it.

    In a 16-bit file: values up to 255 are 8-bit data; up to 1023, 4095 or 16383 data of 10, 12 or 14 bits; multiples
    of 257 or 256 are 8-bit data spread over 16 bits, multiples of 64, 16 or 4 are 10, 12 or 14 bits in the high end.
    This is a guess from one image: a dark 16-bit image looks like one of fewer bits.
    """
    if samples.dtype == np.uint8:
        return 8, 255, ()
    if samples.dtype != np.uint16:
        return 32, None, ()
    highest = int(samples.max())
    for bits in (8, 10, 12, 14):
        if 0 < highest < 2**bits:
            return bits, 2**bits - 1, (f"{bits} bit in a 16-bit file",)
    if highest and not np.any(samples % 257):
        return 8, 65535, ("8 bit spread over a 16-bit file",)
    for bits in (8, 10, 12, 14):
        step = 2 ** (16 - bits)
        if highest and not np.any(samples % step):
            return bits, 65536 - step, (f"{bits} bit in the high end of a 16-bit file",)
    return 16, 65535, ()


def upright(pixels: Shaped[np.ndarray, "..."], orientation: int) -> Shaped[np.ndarray, "..."]:
    """Applies an EXIF orientation, 1 to 8, to the first two axes; other values mean 1."""
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _size(file: BinaryIO) -> int:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return size


def _finite(samples: np.ndarray, name: object) -> tuple[np.ndarray, tuple[str, ...]]:
    if samples.dtype.kind != "f":
        return samples, ()
    good = np.isfinite(samples)
    if good.all():
        return samples, ()
    if not good.any():
        raise InputError(f"{name} has no finite pixel.", "Replace the file or leave it out.")
    count = int(np.sum(~good))
    return np.where(good, samples, samples[good].min()), (f"{count} values are not finite; set to the lowest",)
