"""Results as files: 8 or 16 bit, alpha and color profile kept, and either the whole file or none."""

import io
import os
from pathlib import Path

import numpy as np
import tifffile
from jaxtyping import UInt
from PIL import Image, PngImagePlugin

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.images.read import DECODER_ERRORS, png16_bytes
from camfuse_jax.system.files import replace_file

STAMP = "camfuse"
"""Keyword under which a result says how it was made."""

WRITABLE_SUFFIXES = {".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".jpg": "JPEG", ".jpeg": "JPEG"}
_SOFTWARE_TAG = 305
_JPEG_QUALITY = 95
_PNG_LEVEL = 4  # 6, the usual, takes more than twice as long for 4 % fewer bytes (docs/speed.md)


def write_picture(
    path: str | os.PathLike[str],
    samples: UInt[np.ndarray, "h w *c"],
    *,
    alpha: UInt[np.ndarray, "h w"] | None = None,
    icc: bytes | None = None,
    stamp: str = "",
) -> None:
    """Writes gray or RGB of 8 or 16 bit as PNG, TIFF (deflate) or JPEG (quality 95, 8 bit, no alpha).

    The file is written beside its final place and renamed; the parent folder is created.

    Args:
        path: Where to write; the ending chooses the format.
        samples: (h, w) or (h, w, 3), uint8 or uint16.
        alpha: Opacity of the same size; converted to the samples' depth.
        icc: Color profile to embed.
        stamp: How the file was made, read back by `read_stamp`.

    Raises:
        UsageError: The ending is none of PNG, TIFF and JPEG, or the format cannot hold the depth or alpha.
        InputError: The array is of another type or shape.
        ResourceError: The folder or file cannot be written (rights, disk full).
    """
    path = Path(path)
    content = picture_bytes(samples, kind=file_format(path), name=path, alpha=alpha, icc=icc, stamp=stamp)
    replace_file(path, content)


def picture_bytes(
    samples: UInt[np.ndarray, "h w *c"],
    *,
    kind: str = "PNG",
    name: object = "the image",
    alpha: UInt[np.ndarray, "h w"] | None = None,
    icc: bytes | None = None,
    stamp: str = "",
) -> bytes:
    """The content of the file that `write_picture` writes. Arguments as there.

    Args:
        samples: As there.
        kind: PNG, TIFF or JPEG.
        name: What to call it in an error.
        alpha: As there.
        icc: As there.
        stamp: As there.

    Raises:
        UsageError: The format cannot hold the depth or alpha.
        InputError: The array is of another type or shape.
    """
    samples = np.asarray(samples)
    fits = samples.ndim == 2 or (samples.ndim == 3 and samples.shape[2] == 3)
    if samples.dtype not in (np.uint8, np.uint16) or not fits or samples.size == 0:
        raise InputError(f"Cannot write {name}: {samples.dtype} of shape {samples.shape} is not an 8 or 16 bit image.")
    if kind == "JPEG" and (samples.dtype != np.uint8 or alpha is not None):
        raise UsageError(f"Cannot write {name}: JPEG holds 8 bits and no alpha.", "Write a .png or .tif.")
    layers = np.atleast_3d(samples)
    if alpha is not None:
        layers = np.concatenate([layers, to_depth(alpha, samples.dtype)[..., None]], axis=2)
    return _ENCODERS[kind](layers, icc, stamp)


def file_format(path: Path) -> str:
    """PNG, TIFF or JPEG, by the name's ending.

    Raises:
        UsageError: Another ending.
    """
    if path.suffix.lower() not in WRITABLE_SUFFIXES:
        raise UsageError(f"{path} does not say in which format to write.", "End it in .png, .tif or .jpg.")
    return WRITABLE_SUFFIXES[path.suffix.lower()]


def to_depth(samples: UInt[np.ndarray, "..."], dtype: np.dtype) -> UInt[np.ndarray, "..."]:
    """Full-range 8 or 16 bit samples at the other depth: times 257, or divided by it and rounded."""
    if samples.dtype == dtype:
        return samples
    if dtype == np.uint16:
        return samples.astype(np.uint16) * np.uint16(257)
    return np.rint(samples / 257.0).astype(np.uint8)


def read_stamp(path: Path) -> str | None:
    """The stamp of a file that `write_picture` wrote, None for any other file."""
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            with tifffile.TiffFile(path) as file:
                told = str(file.pages[0].tags.valueof(_SOFTWARE_TAG, ""))
            return _own(told)
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            return image.info.get(STAMP) or _own(image.info.get("comment", b"").decode("latin-1"))
    except (*DECODER_ERRORS, tifffile.TiffFileError):
        return None  # not a file of ours, whatever it is


def _own(text: str) -> str | None:
    return text.removeprefix(f"{STAMP} ") if text.startswith(f"{STAMP} ") else None


def _png(layers: np.ndarray, icc: bytes | None, stamp: str) -> bytes:
    if layers.dtype == np.uint16:
        return png16_bytes(layers, icc=icc, text={STAMP: stamp} if stamp else {})
    info = PngImagePlugin.PngInfo()
    if stamp:
        info.add_text(STAMP, stamp)
    return _pillow(layers, "PNG", icc_profile=icc, pnginfo=info, compress_level=_PNG_LEVEL)


def _jpeg(layers: np.ndarray, icc: bytes | None, stamp: str) -> bytes:
    comment = {"comment": f"{STAMP} {stamp}"} if stamp else {}
    return _pillow(layers, "JPEG", icc_profile=icc, quality=_JPEG_QUALITY, subsampling=0, **comment)


def _tiff(layers: np.ndarray, icc: bytes | None, stamp: str) -> bytes:
    buffer = io.BytesIO()
    channels = layers.shape[2]
    tifffile.imwrite(
        buffer,
        layers[..., 0] if channels == 1 else layers,
        photometric="rgb" if channels >= 3 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        compression="zlib",
        metadata=None,
        iccprofile=icc,
        software=f"{STAMP} {stamp}".strip(),
    )
    return buffer.getvalue()


def _pillow(layers: np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    pixels = layers[..., 0] if layers.shape[2] == 1 else layers
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[layers.shape[2]]
    height, width = layers.shape[:2]
    Image.frombytes(mode, (width, height), np.ascontiguousarray(pixels).tobytes()).save(buffer, kind, **options)
    return buffer.getvalue()


_ENCODERS = {"PNG": _png, "TIFF": _tiff, "JPEG": _jpeg}
