"""What a file is by its content, and whether its header bounds the work: checked before memory or time is spent."""

import contextlib
import dataclasses
import lzma
import re
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

from camfuse_jax.errors import InputError
from camfuse_jax.images.directories import TIFF_MAGIC, Tiff, refuse

MAX_PIXELS = 100_000_000
"""Largest width times height that is decoded; checked from the header, before memory is spent."""

MAX_BYTES = 1_000_000_000
"""Largest file that is opened."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """What is read at most.

    Attributes:
        max_pixels: Width times height.
        max_bytes: Size of the file.
    """

    max_pixels: int = MAX_PIXELS
    max_bytes: int = MAX_BYTES


class Header(NamedTuple):
    """What the header of a file promises.

    Attributes:
        kind: Format by content, such as PNG.
        isolated: Whether the header does not bound the work, so that a process of its own decodes.
        pages: Pages of a TIFF file apart from masks and smaller copies, or frames of an animated PNG.
        radiometric: Maker of a thermal camera whose raw data the file holds, or nothing.
        tags: Of the TIFF page that is read: its numbers, and its texts as bytes.
        start: Where that page's directory is; 0 where it is the file's first.
        mask: Where the directory of its mask is; 0 where it has none.
    """

    kind: str
    isolated: bool = False
    pages: int = 1
    radiometric: str = ""
    tags: dict[int, tuple[int, ...]] = {}  # noqa: RUF012 (never changed)
    start: int = 0
    mask: int = 0


_CONVERT = "Save it as PNG, TIFF or JPEG."
_SIGNATURES = {
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "JPEG": (b"\xff\xd8\xff",),
    "BMP": (b"BM",),
    "TIFF": TIFF_MAGIC,
    "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    "NumPy array": (b"\x93NUMPY",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "OpenEXR": (b"\x76\x2f\x31\x01",),
    "FLIR sequence (.seq, .csq)": (b"FFF\0", b"AFF\0"),
    "JPEG XL": (b"\xff\x0a", b"\0\0\0\x0cJXL "),
    "Photoshop": (b"8BPS",),
    "PDF": (b"%PDF",),
    "ZIP archive": (b"PK\x03\x04",),
    "HDF5": (b"\x89HDF",),
    "FITS": (b"SIMPLE  =",),
    "MATLAB": (b"MATLAB 5.0",),
    "Matroska video": (b"\x1aE\xdf\xa3",),
    "icon": (b"\0\0\1\0",),
    "Git LFS pointer": (b"version https://git-lfs",),
    "web page": (b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML"),
    "Netpbm": (b"P5", b"P6", b"P7", b"Pf", b"PF"),
    "Radiance HDR": (b"#?RADIANCE",),
}
READ_KINDS = frozenset({"PNG", "JPEG", "BMP", "TIFF", "WebP", "AVIF", "JPEG 2000", "NumPy array", "table"})
_CURES = {
    "FLIR sequence (.seq, .csq)": "Export its frames as radiometric JPEG, TIFF or CSV with the camera's software.",
    "HEIC": "Save it as PNG, TIFF or JPEG, or set the camera to its most compatible format.",
    "Git LFS pointer": "Fetch the file itself with git lfs pull.",
    "web page": "Download the image again: the server sent a page in its place.",
    "OpenEXR": "Save it as 32-bit float TIFF.",
}
_BOXES = {b"avif": "AVIF", b"avis": "AVIF"} | dict.fromkeys(
    (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"), "HEIC"
)
_TABLE = re.compile(rb"[\s\d.,;+\-eEnaNAifINF\"]*\d[\s\d.,;+\-eEnaNAifINF\"]*")


def kind_of(data: bytes, name: object) -> str:
    """The format that a file's first bytes tell; `table` for numbers as text, nothing for what is not recognized."""
    for kind, beginnings in _SIGNATURES.items():
        if data.startswith(beginnings):
            return kind
    if data[4:8] == b"ftyp":
        brands = [data[8:12], *(data[at : at + 4] for at in range(16, min(int.from_bytes(data[:4], "big"), 64), 4))]
        return next((_BOXES[brand] for brand in brands if brand in _BOXES), "MP4 video")
    if data[:4] == b"RIFF":
        return {b"WEBP": "WebP", b"AVI ": "AVI video"}.get(data[8:12], "RIFF file")
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    numbers = data.decode("utf-16", "ignore").encode() if wide else data.removeprefix(b"\xef\xbb\xbf")
    named = str(name).lower().endswith((".csv", ".tsv", ".txt")) and (wide or b"\0" not in data)
    return "table" if named or _TABLE.fullmatch(numbers) else ""


def check_header(data: bytes, name: object, limits: Limits) -> Header:
    """What a file is, once its header has shown that reading it is bounded by what it promises.

    Raises:
        InputError: Another format than those that are read, a size over a limit, or work out of proportion.
    """
    kind = kind_of(data[:256], name)
    if not kind:
        raise InputError(
            f"{name} is not an image that can be read, or is cut off.", "Replace the file or leave it out."
        )
    if kind not in READ_KINDS:
        raise InputError(f"{name} is {_with_article(kind)}, which is not read.", _CURES.get(kind, _CONVERT))
    try:
        return _CHECKS[kind](data, name, limits) if kind in _CHECKS else Header(kind, _is_isolated(kind, data))
    except (struct.error, IndexError) as error:
        raise InputError(
            f"{name} is not a whole {kind} image: {error}.", "Replace the file or leave it out."
        ) from error


def _is_isolated(kind: str, data: bytes) -> bool:
    return kind != "NumPy array" and (kind != "table" or len(data) > 2**22)


def check_bytes(name: object, size: int, limits: Limits) -> None:
    """Raises an InputError for an empty file and for one over the limit."""
    if size == 0:
        raise InputError(f"{name} is empty (0 bytes).", "Replace the file or leave it out.")
    if size > limits.max_bytes:
        raise InputError(
            f"{name} has {size / 1e6:g} MB; at most {limits.max_bytes / 1e6:g} MB are read.",
            "Raise --max-megabytes if the file is meant to be that large.",
        )


def check_pixels(name: object, height: int, width: int, limits: Limits) -> None:
    """Raises an InputError for an image over the limit, before it is decoded."""
    if height < 1 or width < 1:
        raise InputError(f"{name} is {width} x {height}.", "Replace the file or leave it out.")
    if width * height > limits.max_pixels:
        raise InputError(
            f"{name} is too large, {width} x {height}; at most {limits.max_pixels / 10**6:g} megapixels are read.",
            "Crop or shrink it, or raise --max-megapixels.",
        )


def _with_article(kind: str) -> str:
    return f"an {kind}" if kind.startswith(("AVI", "FITS", "H", "Matlab", "MP4", "O", "i")) else f"a {kind}"


def _check_share(name: object, promised: float, held: int, most: int = 1100) -> None:
    """Deflate, the densest of the codecs that are decoded in this process, makes at most 1,032 bytes of one."""
    if promised > most * held + 65536:
        refuse(name, f"promises {promised / 1e6:.1f} MB of samples but holds {held} bytes")


def _check_png(data: bytes, name: object, limits: Limits) -> Header:
    width, height, depth, color = struct.unpack_from(">IIBB", data, 16)
    check_pixels(name, height, width, limits)
    at, count, held, pages = 8, 0, 0, 1
    while at + 8 <= len(data):
        length, chunk = struct.unpack_from(">I4s", data, at)
        held += length if chunk == b"IDAT" else 0
        if chunk == b"acTL" and at + 12 <= len(data):
            pages = struct.unpack_from(">I", data, at + 8)[0]
        if chunk == b"eXIf":
            check_exif(data[at + 8 : at + 8 + length], name)
        at, count = at + 12 + length, count + 1
        if count > 10_000 + at // 1024:  # writers of large images take 8 KiB or more for a chunk
            refuse(name, f"has more than {count - 1} chunks")
    _check_share(name, width * height * depth * {0: 1, 3: 1, 4: 2, 2: 3}.get(color, 4) / 8, held)
    return Header("PNG", pages=pages)


def _check_bmp(data: bytes, name: object, limits: Limits) -> Header:
    if struct.unpack_from("<I", data, 14)[0] == 12:
        width, height = struct.unpack_from("<HH", data, 18)
        compression = 0
    else:
        width, height, _, _, compression = struct.unpack_from("<iiHHI", data, 18)
    check_pixels(name, abs(height), width, limits)
    return Header("BMP", isolated=compression not in (0, 3))  # Pillow decodes run lengths pixel by pixel in Python


_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # in coded data: neither stuffing, nor a restart, nor a fill byte
_EXIF = b"Exif\0\0"


def _check_jpeg(data: bytes, name: object, limits: Limits) -> Header:
    at, segments, scans, pixels, junk, exif, raw, maker = 2, 0, 0, 0, 0, b"", 0, ""
    while (found := _MARKER.search(data, at)) is not None:
        marker, start = data[found.start() + 1], found.end()
        junk += 0 if scans else found.start() - at
        if marker == 0xD9:
            break
        if marker in (0xD8, 0x01):
            at = start
            continue
        length = int.from_bytes(data[start : start + 2], "big")
        content = data[start + 2 : start + 2 + min(length, 64)]
        segments, at = segments + 1, start + max(length, 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", content, 1)
            check_pixels(name, height, width, limits)
            pixels = max(pixels, height * width)
        elif marker == 0xDA:
            scans += 1
        elif marker == 0xE1 and content.startswith(_EXIF):
            exif += data[start + 2 + len(_EXIF) : at]
        elif marker == 0xE1 and content.startswith(b"FLIR\0"):
            maker = "FLIR"
        elif marker in (0xE3, 0xE4):  # where DJI keeps raw counts and calibration
            raw += length
            maker = maker or ("DJI" if raw > 100_000 or content[:3] in (b"\xaa\x55\x12", b"\xff\xd2\xd1") else "")
        if segments > 20_000 or junk > 65_536:
            refuse(name, "has more segments or filling than a photograph")
        # A progressive photograph has about ten scans, and each may touch every coefficient of the image again.
        if scans > 100 or (scans > 20 and scans * pixels > 10**9):
            refuse(name, f"has more than {scans - 1} scans of {pixels / 1e6:.1f} megapixels")
    check_exif(exif, name)
    _check_share(name, pixels, len(data))
    return Header("JPEG", radiometric=maker)


def _check_webp(data: bytes, name: object, limits: Limits) -> Header:
    """Its decoder takes memory for the picture as soon as it is opened."""
    form = data[12:16]
    if form == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif form == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    check_pixels(name, height, width, limits)
    _check_share(name, width * height, len(data), most=10_000)
    return Header("WebP", isolated=True)


def check_exif(exif: bytes, name: object) -> None:
    """Raises an InputError for an EXIF block, itself a small TIFF file, whose tags are out of proportion."""
    if exif[:4] in TIFF_MAGIC:
        with contextlib.suppress(struct.error):  # a cut block: Pillow leaves it out
            Tiff(exif, name).directory()


_PHOTOMETRIC = range(7)  # gray (two), RGB, palette, mask, CMYK, YCbCr
_UNREAD_PHOTOMETRIC = {
    8: "in CIELAB colors",
    9: "in ICC Lab colors",
    10: "in ITU Lab colors",
    32803: "of a color filter array (raw sensor data)",
    32844: "in LogL levels",
    32845: "in LogLuv colors",
    34892: "of linear raw sensor data",
}


def _check_tiff(data: bytes, name: object, limits: Limits) -> Header:
    tiff = Tiff(data, name)
    start, mask, pages = tiff.main()
    tags = tiff.directory(start)

    def first(code: int, default: int) -> int:
        return tags.get(code, ())[0] if tags.get(code) else default

    width, height, samples = first(256, 0), first(257, 0), first(277, 1)
    check_pixels(name, height, width, limits)
    photometric = first(262, 1)
    if photometric not in _PHOTOMETRIC:
        what = _UNREAD_PHOTOMETRIC.get(photometric, f"of the photometric kind {photometric}")
        raise InputError(f"{name} is a TIFF image {what}, which is not read.", "Convert it to gray or RGB.")
    if samples > 4:
        raise InputError(f"{name} is a TIFF image of {samples} channels.", "Give gray or RGB, with or without alpha.")
    depth = max(tags.get(258) or (1,))
    if depth > 64:
        raise InputError(f"{name} has {depth} bits per sample.", "Convert it to 8 or 16 bit, or to 32-bit float.")
    planes = samples if first(284, 1) == 2 else 1
    across, down = first(322, 0) or width, first(323, 0) or min(first(278, height) or height, height)
    pieces = -(-width // across) * -(-height // down) * planes
    if pieces > 100_000 or max(across - width, 0) * down > 2**24 or max(down - height, 0) * across > 2**24:
        refuse(name, f"is cut into pieces of {across} x {down}")
    held = tags.get(325) or tags.get(279) or ()
    promised, compression = width * height * samples * depth / 8, first(259, 1)
    isolated = compression not in (1, 5, 8, 32773, 32946) or across * down > 2**27
    if held and 0 in held:  # sparse: pieces that are not stored
        isolated = True
    elif held and not isolated:
        _check_share(name, promised, sum(held))
    if compression != 1 and sum(held) > 1.5 * promised + 65536:
        refuse(name, f"promises {promised / 1e3:.0f} kB of samples but holds {sum(held) / 1e3:.0f} kB")
    return Header("TIFF", isolated, pages, tags=tags, start=start if start != tiff.first else 0, mask=mask)


def check_inflated(data: bytes, header: Header, name: object) -> None:
    """Raises an InputError for a TIFF piece that makes more bytes than it promises: tifffile inflates a piece whole."""
    tags = header.tags
    opener = {8: zlib.decompressobj, 32946: zlib.decompressobj, 34925: lzma.LZMADecompressor}.get(
        tags.get(259, (1,))[0]
    )
    if opener is None:
        return
    width, rows = tags[256][0], min(tags.get(278, tags[257])[0], tags[257][0])
    area = tags[322][0] * tags[323][0] if 322 in tags else width * rows
    samples = 1 if tags.get(284, (1,))[0] == 2 else tags.get(277, (1,))[0]
    promised = area * samples * max(tags.get(258) or (1,)) // 8 + max(width, rows)  # rows end at whole bytes
    for offset, count in zip(tags.get(324, tags.get(273, ())), tags.get(325, tags.get(279, ())), strict=False):
        with contextlib.suppress(zlib.error, lzma.LZMAError):  # damage is for the decoder to name
            if len(opener().decompress(data[offset : offset + count], promised + 1)) > promised:
                refuse(name, f"has a piece that inflates to more than the {promised} bytes that it promises")


_CHECKS: dict[str, Callable[[bytes, object, Limits], Header]] = {
    "PNG": _check_png,
    "BMP": _check_bmp,
    "JPEG": _check_jpeg,
    "TIFF": _check_tiff,
    "WebP": _check_webp,
}
