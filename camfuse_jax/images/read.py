"""The one way in: a file or its content as a picture, decoded without changing a value."""

import contextlib
import functools
import hashlib
import io
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from camfuse_jax.errors import InputError
from camfuse_jax.images import decode
from camfuse_jax.images.bounds import (
    READ_KINDS,
    Header,
    Limits,
    check_bytes,
    check_header,
    check_pixels,
    kind_of,
)
from camfuse_jax.images.decode import (
    PILLOW,
    Decoded,
    decode_array,
    decode_pillow,
    decode_tiff,
    errors_as_input,
    geo_tags,
    orientation_of,
    with_metadata,
)
from camfuse_jax.images.directories import Tiff, frames_of_tiff
from camfuse_jax.images.picture import Metadata, Picture, depth, luma, scene_mask, upright
from camfuse_jax.images.tables import read_npy, read_number_table
from camfuse_jax.system.isolation import LimitedProcess, answer_requests, limit_process

READABLE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".avif", ".jp2", ".j2k", ".jpx"}
)
"""Lower-case file name endings taken for images when a folder is listed."""

TABLE_SUFFIXES = frozenset({".npy", ".csv"})
"""Endings of temperature tables, which many cameras' programs write beside an image of the same name."""


def pictures_in(folder: Path, *, tables: bool = True) -> list[Path]:
    """A folder's images by name, without hidden ones, and its temperature tables where no image has their name.

    Args:
        folder: Not those below it.
        tables: Take tables beside images of other names; otherwise only where the folder holds no images at all.
    """
    known = (path for path in sorted(folder.iterdir()) if path.suffix.lower() in READABLE_SUFFIXES | TABLE_SUFFIXES)
    found = [path for path in known if not path.name.startswith(".") and not path.is_dir()]
    images = [path for path in found if path.suffix.lower() in READABLE_SUFFIXES]
    taken = {path.stem for path in images}
    if images and not tables:
        return images
    for suffix in sorted(TABLE_SUFFIXES, reverse=True):  # NumPy's is the more exact of two forms of one table
        more = [path for path in found if path.suffix.lower() == suffix and path.stem not in taken]
        images, taken = images + more, taken | {path.stem for path in more}
    return sorted(images)


def tiff_frames(path: Path, limits: Limits) -> list[Callable[[], bytes]]:
    """What gives each page of a TIFF file as a file of its own; nothing for another kind of file.

    Raises:
        InputError: As `read_picture`; or a sequence that only its maker's program reads.
    """
    kind = real_kind(path)
    if kind != "TIFF" and not kind.startswith("FLIR"):
        return []
    data, name = _content(path, None, limits)
    check_header(data, name, limits)
    with errors_as_input(name, kind):
        return frames_of_tiff(data, name)


def real_kind(path: Path) -> str:
    """What a file is by its first bytes; nothing where they do not tell."""
    with contextlib.suppress(InputError), open_file(path) as file:
        return kind_of(file.read(256), path)
    return ""


def read_picture(
    source: str | os.PathLike[str] | bytes, limits: Limits | None = None, *, name: object = None
) -> Picture:
    """Reads an image file without changing a value; the EXIF orientation is applied.

    PNG, JPEG, BMP, TIFF, WebP, AVIF and JPEG 2000; NumPy arrays and tables of numbers; the temperatures inside a
    radiometric JPEG where the extra for its maker is installed. 8 and 16 bit gray and color, palettes, 1 bit, CMYK and
    YCbCr (as RGB), float and signed TIFF. Values that are not finite become the lowest one that shows the scene.

    Args:
        source: The file, or its content; that decides the format, not the name.
        limits: What is read at most; checked before memory is spent.
        name: What to call it in an error; the path where there is one.

    Raises:
        InputError: The file is absent, of another format, damaged, over a limit, or without one finite pixel.
    """
    limits = limits or Limits()
    data, name = _content(source, name, limits)
    header = check_header(data, name, limits)
    content = Tiff(data, name).starting_at(header.start) if header.start else data
    decoded = _decode(content, header, name, limits)
    samples = upright(decoded.samples, decoded.orientation)
    alpha = None if decoded.alpha is None else upright(decoded.alpha, decoded.orientation)
    mask, unread = _read_mask(data, header, name, limits)
    mask = None if mask is None else upright(mask, decoded.orientation)
    valid, notes = scene_mask(
        samples, decoded.nodata, decoded.extremes, hidden={"transparent": alpha, "its mask": mask}
    )
    shown = samples if valid is None else samples[valid]
    if not shown.size:
        raise InputError(f"{name} has no pixel that shows something: {notes[0]}.", "Replace it or leave it out.")
    if samples.dtype.kind == "f" and valid is not None:
        samples = np.where(np.isfinite(samples), samples, shown.min())
    bits, top, more = depth(shown)
    metadata = Metadata(decoded.exif, geo_tags(content) if header.tags else ())
    return Picture(
        samples,
        bits,
        top,
        alpha,
        decoded.icc,
        (*decoded.notes, *unread, *notes, *more),
        valid,
        metadata if metadata.exif or metadata.geo else None,
        hashlib.sha256(data).hexdigest(),
    )


def read_gray(
    source: str | os.PathLike[str] | bytes, limits: Limits | None = None, *, name: object = None
) -> UInt8[np.ndarray, "h w"]:
    """As `read_picture`, as 8-bit gray: color becomes `luma`, 16 bit is divided by 257 and rounded, alpha is dropped.

    The full range is kept, nothing is stretched.

    Raises:
        InputError: As `read_picture`; or the file holds floats, which have no full range.
    """
    picture = read_picture(source, limits, name=name)
    if picture.samples.dtype.kind == "f":
        name = name or source
        raise InputError(
            f"{name} holds more than 16 bits or floats: no gray levels.", "Convert it to 8 or 16 bit gray."
        )
    if picture.is_color:
        return luma(picture.samples)
    if picture.samples.dtype == np.uint16:
        return np.rint(picture.samples / 257.0).astype(np.uint8)
    return picture.samples


def picture_size(path: str | os.PathLike[str], limits: Limits | None = None) -> tuple[int, int]:
    """Height and width that `read_picture` would return, from the header where that says it.

    Raises:
        InputError: The header cannot be read, or a limit is passed.
    """
    limits = limits or Limits()
    data, name = _content(path, None, limits)
    header = check_header(data, name, limits)
    if header.kind not in ("PNG", "JPEG", "BMP", "TIFF") or decode.is_readable(header.radiometric):
        return read_picture(data, limits, name=name).size
    if header.kind == "TIFF":
        (rows, cols), orientation = (header.tags[257][0], header.tags[256][0]), header.tags.get(274, (1,))[0]
    else:
        with errors_as_input(name, header.kind), PILLOW[header.kind](io.BytesIO(data)) as image:
            (rows, cols), orientation = (image.height, image.width), orientation_of(image)
    return (cols, rows) if orientation in (5, 6, 7, 8) else (rows, cols)


def open_file(path: str | os.PathLike[str]) -> io.BufferedReader:
    """Opens a regular file for reading.

    Raises:
        InputError: It is absent, a folder, a pipe or device, a link to itself, or may not be read.
    """
    try:
        if Path(path).exists() and not Path(path).is_file():
            what = "folder" if Path(path).is_dir() else "pipe or device"
            raise InputError(f"{path} is a {what}, not an image file.", "Give an image file.")
        return open(path, "rb")
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist.", "Check the path.") from error
    except InputError:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # ValueError: a zero byte in the name; RuntimeError: a loop
        raise InputError(f"{path} cannot be opened: {error}.", "Check the path and its rights.") from error


def _content(source: str | os.PathLike[str] | bytes, name: object, limits: Limits) -> tuple[bytes, object]:
    if isinstance(source, bytes):
        check_bytes(name, len(source), limits)
        return source, name
    name = name or source
    with open_file(source) as file, errors_as_input(name, "readable"):
        check_bytes(name, os.fstat(file.fileno()).st_size, limits)
        head = file.read(256)
        # What is not read is named by its beginning, however long it is.
        return (head + file.read() if kind_of(head, name) in READ_KINDS else head), name


def _decode(data: bytes, header: Header, name: object, limits: Limits) -> Decoded:
    notes: tuple[str, ...] = ()
    if decode.is_readable(header.radiometric):
        with contextlib.suppress(InputError):
            return _decode_apart(data, header, name, limits)
        notes = (f"its {header.radiometric} raw data is damaged or of an unknown kind; the drawn picture is used",)
        header = header._replace(radiometric="")
    elif header.radiometric:
        notes = (decode.unread_note(header.radiometric),)
    read = _decode_apart if header.isolated else _decode_here
    decoded = read(data, header, name, limits)
    if header.pages > 1:
        notes += (_several(header.pages) + ("; --video takes all" if header.kind == "TIFF" else ""),)
    return decoded._replace(notes=notes + decoded.notes)


def _read_mask(data: bytes, header: Header, name: object, limits: Limits) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """The mask on a TIFF page of its own, not 0 where the image shows the scene, or a note that it is not read."""
    if not header.mask:
        return None, ()
    with contextlib.suppress(InputError):
        page = Tiff(data, name).page(header.mask)
        mask = _decode(page, check_header(page, name, limits), name, limits).samples
        if mask.shape == (header.tags[257][0], header.tags[256][0]):
            return mask, ()
    return None, ("its mask cannot be read and is not used",)


def _several(pages: int) -> str:
    return f"{pages} pages or frames; the first is used"


def _decode_here(data: bytes, header: Header, name: object, limits: Limits) -> Decoded:
    if header.radiometric and decode.is_readable(header.radiometric):
        note = f"temperatures out of its {header.radiometric} raw data are used, not the drawn picture"
        return Decoded(decode.read_radiometric(data, header.radiometric), notes=(note,))
    if header.kind == "NumPy array":
        return decode_array(read_npy(data, name, limits), name)
    if header.kind == "table":
        table, notes = read_number_table(data, name, limits)
        return Decoded(table, notes=notes)
    with errors_as_input(name, header.kind):
        if header.kind == "TIFF":
            return decode_tiff(data, header, name)
        with PILLOW[header.kind](io.BytesIO(data)) as image:
            check_pixels(name, image.height, image.width, limits)
            if not header.isolated:
                return with_metadata(decode_pillow(image, data, name), image)
            _allow(image.height * image.width)
            frames = getattr(image, "n_frames", 1)
            found = with_metadata(decode_pillow(image, data, name), image)
            return found._replace(notes=(*found.notes, _several(frames))) if frames > 1 else found


# What no header bounds is decoded in a process of its own, which is kept for the next file.

_RADIOMETRIC = 4_000_000  # pixels: the readers work in Python
_START, _PER_PIXEL = 0.5, 3e-7  # seconds of processor time: for a header, and for each pixel that it promises
_BASE, _BYTES_PER_PIXEL = 640 * 2**20, 32
_CHILD = "from camfuse_jax.images.read import run_decoder; run_decoder()"


@functools.cache
def _decoder() -> LimitedProcess:
    return LimitedProcess(_CHILD)


def _decode_apart(data: bytes, header: Header, name: object, limits: Limits) -> Decoded:
    request = json.dumps([header.radiometric, str(name), limits.max_pixels, limits.max_bytes]).encode()
    reply = _decoder().call(request + b"\n" + data, seconds=_START + _PER_PIXEL * limits.max_pixels)
    if reply is None:
        raise InputError(
            f"{name} takes more time or memory than a {header.kind} image of its size may.",
            "Save it as PNG, or leave it out.",
        )
    with np.load(io.BytesIO(reply), allow_pickle=False) as arrays:
        text = json.loads(arrays["text"].tobytes())
        if "error" in text:
            raise InputError(*text["error"])
        found = {key: arrays[key] for key in ("samples", "alpha") if key in arrays}
        found |= {key: arrays[key].tobytes() for key in ("icc", "exif") if key in arrays}
    return Decoded(**found, **text | {"notes": tuple(text["notes"]), "extremes": tuple(text["extremes"])})


def run_decoder() -> None:
    """What the process does."""
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None
    answer_requests(_answer)


def _answer(request: bytes) -> bytes:
    head, _, data = request.partition(b"\n")
    radiometric, name, *caps = json.loads(head)
    arrays: dict[str, Any] = {}
    try:
        _allow(0)
        limits = Limits(*caps)
        header = check_header(data, name, limits)._replace(radiometric=radiometric)
        if header.kind == "TIFF":
            _allow(header.tags[256][0] * header.tags[257][0])
        elif header.kind == "table":
            _allow(len(data) // 4)
        elif radiometric:
            _allow(_RADIOMETRIC)
        with errors_as_input(name, header.kind):
            decoded = _decode_here(data, header, name, limits)._asdict()
        arrays = {key: decoded.pop(key) for key in ("samples", "alpha", "icc", "exif")}
        arrays = {key: np.frombuffer(v, np.uint8) if isinstance(v, bytes) else v for key, v in arrays.items()}
        text = decoded
    except InputError as error:
        text = {"error": [error.what, error.remedy]}
    packed = io.BytesIO()
    text_array = np.frombuffer(json.dumps(text).encode(), np.uint8)
    np.savez(packed, text=text_array, **{key: value for key, value in arrays.items() if value is not None})
    return packed.getvalue()


def _allow(pixels: int) -> None:
    limit_process(seconds=_START + _PER_PIXEL * pixels, memory=_BASE + _BYTES_PER_PIXEL * pixels)
