"""Gray images in and out: any common 8 or 16 bit file is read as one 8-bit luma plane."""

import io
import os
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from camfuse_jax.errors import InputError
from camfuse_jax.images.opening import MAX_PIXELS, Limits, decoded, opened
from camfuse_jax.images.write import picture_bytes, replace_file

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
    kept, nothing is stretched). 16-bit colour loses its low bytes in Pillow before it gets here. The EXIF orientation
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
