"""Opening a file as an image: a closed list of formats, and caps that are checked before memory is spent."""

import contextlib
import dataclasses
import io
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import tifffile
from jaxtyping import UInt16
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


# From a file that Pillow opened to samples as they were stored: nothing stretched, no bit lost, alpha apart.


ORIENTATION_TAG = 0x0112


class Decoded(NamedTuple):
    """Samples, alpha and what was noticed, before the orientation is applied.

    Attributes:
        samples: (h, w) or (h, w, 3); uint8, uint16 or float32.
        alpha: (h, w) of uint8 or uint16, or None.
        orientation: EXIF orientation that still has to be applied.
        notes: What a user should know.
        icc: Embedded color profile.
    """

    samples: np.ndarray
    alpha: np.ndarray | None
    orientation: int
    notes: tuple[str, ...] = ()
    icc: bytes | None = None


def decode(image: Image.Image, file: BinaryIO, name: object) -> Decoded:
    """Decodes an image opened by `opening.decoded`.

    Args:
        image: The image.
        file: What it was opened from.
        name: What to call it in an error.

    Raises:
        InputError: The pixel format has no defined gray or color value.
    """
    notes = ()
    if getattr(image, "n_frames", 1) > 1:
        notes = (f"{image.n_frames} pages or frames; the first is used",)
    if image.format == "PNG" and is_deep_color(_content(file, 29)):
        image.load()  # checks what the own reader does not: check sums and the end of the file
        found = split_alpha(read_png16(_content(file)), image.getexif().get(ORIENTATION_TAG, 1))
    else:
        found = _plain(image, name)
    icc = image.info.get("icc_profile") if image.mode != "CMYK" else None  # a profile of inks says nothing about RGB
    return found._replace(notes=notes + found.notes, icc=icc)


def _content(file: BinaryIO, size: int = -1) -> bytes:
    """The file's first bytes; Pillow, which reads when it needs to, finds its place again."""
    place = file.tell()
    file.seek(0)
    content = file.read(size)
    file.seek(place)
    return content


def _plain(image: Image.Image, name: object) -> Decoded:
    """What Pillow reads without loss."""
    image.load()
    orientation = image.getexif().get(ORIENTATION_TAG, 1)  # a TIFF's was applied and removed by load
    notes: tuple[str, ...] = ()
    mode = image.mode
    if "transparency" in image.info and mode in ("1", "L", "RGB", "P"):
        image = image.convert("LA" if mode in ("1", "L") else "RGBA")
    elif mode == "P":
        image = image.convert("RGB")
    elif mode in ("PA", "RGBa", "La"):
        image = image.convert("LA" if mode == "La" else "RGBA")
    elif mode in ("RGBX", "YCbCr", "CMYK"):
        image = image.convert("RGB")
        notes = ("CMYK converted to RGB without its profile",) if mode == "CMYK" else ()
    elif mode == "1":
        image = image.convert("L")
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return Decoded(np.asarray(image).astype(np.uint16), None, orientation, notes)
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        raise InputError(
            f"{name} has pixel mode {image.mode}, which is not read.", "Convert it to 8 or 16 bit gray, or to RGB."
        )
    found = split_alpha(np.atleast_3d(np.asarray(image)), orientation, notes)
    if mode in ("P", "PA") and found.samples.ndim == 3 and _equal_channels(found.samples):
        return found._replace(samples=found.samples[..., 0])  # a palette of grays is a gray image
    return found


def split_alpha(channels: np.ndarray, orientation: int, notes: tuple[str, ...] = ()) -> Decoded:
    """Separates the alpha channel, the last of 2 or 4, from (h, w, 1 to 4)."""
    count = channels.shape[2]
    alpha = channels[..., -1].copy() if count in (2, 4) else None
    samples = channels[..., 0].copy() if count < 3 else channels[..., :3].copy()
    return Decoded(samples, alpha, orientation, notes)


def _equal_channels(rgb: np.ndarray) -> bool:
    return bool(np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 1], rgb[..., 2]))


# TIFF of more than 8 bits, of signed integers or of floats: counts and degrees, which Pillow reads in part only.


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


# PNG with 16 bits per channel and more than one channel, of which Pillow keeps only the high bytes.


SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> gray, gray + alpha, RGB, RGBA


def is_deep_color(header: bytes) -> bool:
    """Whether a PNG's first 29 bytes say 16 bits and several channels (gray 16 bit is read by Pillow in full)."""
    return header[:8] == SIGNATURE and len(header) >= 29 and header[24] == 16 and header[25] in (2, 4, 6)


def read_png16(data: bytes) -> UInt16[np.ndarray, "h w c"]:
    """Decodes a PNG for which `is_deep_color` holds; the caller has checked its size.

    Pillow's decoder does the work, called twice: as big-endian samples it returns the high bytes, as little-endian
    ones the low bytes.

    Raises:
        ValueError: The compressed data is damaged or ends too early.
    """
    size = struct.unpack(">II", data[16:24])
    color_type, interlaced = data[25], data[28]
    stream = b"".join(content for kind, content in _chunks(data) if kind == b"IDAT")

    def plane(mode: str, raw: str) -> np.ndarray:
        return np.asarray(Image.frombytes(mode, size, stream, "zip", raw, interlaced)).astype(np.uint16)

    if color_type == 4:  # two 16-bit samples are as wide as four 8-bit ones
        four = plane("RGBA", "RGBA")
        return four[..., 0::2] << 8 | four[..., 1::2]
    mode = "RGB" if color_type == 2 else "RGBA"
    return plane(mode, f"{mode};16B") << 8 | plane(mode, f"{mode};16L")


def png16_bytes(samples: UInt16[np.ndarray, "h w c"], *, icc: bytes | None = None, text: dict[str, str]) -> bytes:
    """Encodes 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGBA) channels of 16 bits.

    Args:
        samples: The image.
        icc: Color profile to embed.
        text: Keyword to Latin-1 text, written before the pixels.

    Source: W3C PNG specification, third edition; filter 2 (up) on every row but the first.
    """
    height, width, channels = samples.shape
    rows = np.ascontiguousarray(samples.astype(">u2")).view(np.uint8).reshape(height, -1)
    filtered = np.zeros((height, rows.shape[1] + 1), np.uint8)
    filtered[0, 1:] = rows[0]
    filtered[1:, 0] = 2
    filtered[1:, 1:] = rows[1:] - rows[:-1]  # modulo 256, as the format wants it
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOR_TYPE[channels], 0, 0, 0)
    parts = [SIGNATURE, _chunk(b"IHDR", header)]
    if icc:
        parts.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
    parts += [_chunk(b"tEXt", key.encode("latin-1") + b"\0" + value.encode("latin-1")) for key, value in text.items()]
    parts += [_chunk(b"IDAT", zlib.compress(filtered.tobytes(), 6)), _chunk(b"IEND", b"")]
    return b"".join(parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _chunks(data: bytes):
    position = len(SIGNATURE)
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        yield data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += 12 + length
