"""An image file as a camera meant it: samples at their own depth, alpha, color profile, upright."""

import dataclasses
import io
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Num, Shaped, UInt8
from PIL import Image, ImageOps

from camfuse_jax.errors import InputError
from camfuse_jax.images.read import (
    MAX_PIXELS,
    ORIENTATION_TAG,
    Limits,
    decode,
    decoded,
    deep_tiff_size,
    open_file,
    opened,
    read_deep_tiff,
)
from camfuse_jax.images.write import picture_bytes, replace_file


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """What a file holds.

    Attributes:
        samples: Values as stored, upright, (h, w) or (h, w, 3); uint8, uint16 or float32 (raw counts, degrees).
        bits: Bits that carry values: 8, 10, 12, 14 or 16; 32 for float.
        top: The value that means white where the full range is used; None for float.
        alpha: Opacity, (h, w), uint8 or uint16, or None.
        icc: Embedded color profile or None.
        notes: What a user should know, such as "12 bit in a 16-bit file".
    """

    samples: Num[np.ndarray, "h w *c"]
    bits: int
    top: int | None
    alpha: Shaped[np.ndarray, "h w"] | None = None
    icc: bytes | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_color(self) -> bool:
        """Whether there are three channels, equal or not."""
        return self.samples.ndim == 3

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.samples.shape[:2]


def read_picture(path: str | os.PathLike[str], limits: Limits | None = None) -> Picture:
    """Reads a PNG, JPEG, BMP or TIFF file without changing a value; the EXIF orientation is applied.

    8 and 16 bit gray and color, palettes, 1 bit, CMYK and YCbCr (as RGB), float and signed TIFF. Pixels that are not
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


# Gray images in and out: any common 8 or 16 bit file is read as one 8-bit luma plane.


_GRAY_16_MODES = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
_ORIENTATION_TAG = 0x0112


def luma(rgb: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w"]:
    """BT.601 luma of 8-bit RGB, rounded once to 8 bit.

    `rint(0.299 R + 0.587 G + 0.114 B)` in float64. Pillow's own `convert("L")` works in 16-bit fixed point and differs
    by one level now and then. Where the three channels are equal the result is that channel exactly: this is what a
    gray or infrared image stored as RGB needs.

    Source: ITU-R BT.601-7, section 2.5.1.

    Args:
        rgb: Red, green and blue in [0, 255].

    Returns:
        Luma in [0, 255].
    """
    red, green, blue = (rgb[..., channel].astype(np.float64) for channel in range(3))
    return np.rint(0.299 * red + 0.587 * green + 0.114 * blue).astype(np.uint8)


def read_gray(path: str | os.PathLike[str]) -> UInt8[np.ndarray, "h w"]:
    """Decode an image file to 8-bit gray.

    Gray 8 bit is returned as it is; 1 bit becomes 0 and 255; RGB and palette files become `luma`; an alpha channel is
    dropped without blending; gray 16 bit is divided by 257 and rounded, so that 65535 becomes 255 (the full range is
    kept, nothing is stretched). 16-bit color loses its low bytes in Pillow before it gets here. The EXIF orientation
    is applied. Of a file with several pages the first is read.

    Args:
        path: A PNG, JPEG, BMP or TIFF file. The content decides, not the name.

    Returns:
        Gray levels in [0, 255].

    Raises:
        InputError: The file is absent, not an image of these formats, truncated, larger than `MAX_PIXELS`, or has a
            pixel format without a defined gray value (CMYK, 32-bit integer, float).
    """
    with opened(path, Limits(MAX_PIXELS)) as image:
        return _gray(image, path)


def decode_gray(data: bytes, *, name: str) -> UInt8[np.ndarray, "h w"]:
    """As `read_gray`, of a file's content that is in memory.

    Args:
        data: The bytes of a PNG, JPEG, BMP or TIFF file.
        name: What to call it in an error.

    Returns:
        Gray levels in [0, 255].

    Raises:
        InputError: As for `read_gray`.
    """
    with decoded(io.BytesIO(data), name, len(data), Limits(MAX_PIXELS)) as image:
        return _gray(image, name)


def read_shape(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width that `read_gray` would return, from the header alone.

    Args:
        path: A PNG, JPEG, BMP or TIFF file.

    Returns:
        `(height, width)`, EXIF orientation applied.

    Raises:
        InputError: The header cannot be read, or the image is larger than `MAX_PIXELS`.
    """
    with opened(path, Limits(MAX_PIXELS)) as image:
        # Pillow applies a TIFF's orientation itself: to the size when it opens, to the pixels when it loads.
        sideways = image.format != "TIFF" and image.getexif().get(_ORIENTATION_TAG, 1) in (5, 6, 7, 8)
        return (image.width, image.height) if sideways else (image.height, image.width)


def write_gray(path: str | os.PathLike[str], image: UInt8[np.ndarray, "h w"]) -> None:
    """Write an 8-bit gray image as PNG so that a reader sees either the whole file or none.

    The file is written beside its final place and renamed; the parent folder is created.

    Args:
        path: Where to write; the content is PNG whatever the name ends in.
        image: Gray levels in [0, 255], uint8.

    Raises:
        InputError: The array is not uint8 of shape (h, w) with at least one pixel.
        ResourceError: The folder or file cannot be written (rights, disk full).
    """
    path = Path(path)
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 2 or image.size == 0:
        raise InputError(
            f"Cannot write {path}: expected a uint8 array of shape (h, w), got {image.dtype} {image.shape}.",
            "Round to uint8 and drop the batch and channel axes first.",
        )
    replace_file(path, picture_bytes(image))


def write_rgb(path: str | os.PathLike[str], image: UInt8[np.ndarray, "h w 3"]) -> None:
    """Write an 8-bit RGB image as PNG, as `write_gray` does.

    Args:
        path: Where to write; the content is PNG whatever the name ends in.
        image: Levels in [0, 255], uint8.

    Raises:
        InputError: The array is not uint8 of shape (h, w, 3) with at least one pixel.
        ResourceError: The folder or file cannot be written (rights, disk full).
    """
    path = Path(path)
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise InputError(f"Cannot write {path}: expected a uint8 array of shape (h, w, 3), got {image.shape}.")
    replace_file(path, picture_bytes(image))


def _gray(image: Image.Image, path: str | os.PathLike[str]) -> UInt8[np.ndarray, "h w"]:
    pixels = _pixels(image, path)
    return _oriented(pixels, image.getexif().get(_ORIENTATION_TAG, 1))


def _pixels(image: Image.Image, path: str | os.PathLike[str]) -> UInt8[np.ndarray, "h w"]:
    """Gray levels in stored order, before the orientation."""
    if image.mode in ("L", "1"):
        return np.asarray(image.convert("L"))
    if image.mode in ("LA", "La"):
        return np.array(np.asarray(image)[..., 0])
    if image.mode in ("RGB", "RGBA", "RGBX"):
        return luma(np.asarray(image)[..., :3])
    if image.mode in ("P", "PA"):
        return luma(np.asarray(image.convert("RGBA"))[..., :3])
    if image.mode in _GRAY_16_MODES or (image.mode == "I" and image.format == "PNG"):
        # Older Pillow releases decode 16-bit PNG as mode I; there is no PNG with more than 16 bits.
        return np.rint(np.asarray(image).astype(np.float64) / 257).astype(np.uint8)
    raise InputError(
        f"{path} has pixel mode {image.mode}, which is not read as gray.",
        "Convert it to 8 or 16 bit gray, or to RGB.",
    )


def _oriented(pixels: UInt8[np.ndarray, "a b"], orientation: int) -> UInt8[np.ndarray, "h w"]:
    """Apply EXIF orientation 1 to 8; other values mean 1."""
    if orientation not in range(2, 9):
        return pixels
    image = Image.fromarray(pixels)
    image.getexif()[_ORIENTATION_TAG] = orientation
    return np.array(ImageOps.exif_transpose(image))
