"""What a file is by its content, and whether its header bounds the work: checked before memory or time is spent."""

import contextlib
import dataclasses
import functools
import lzma
import re
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple, NoReturn

import numpy as np

from camfuse_jax.errors import InputError

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
        pages: Pages of a TIFF file or frames of an animated PNG.
        radiometric: Maker of a thermal camera whose raw data the file holds, or nothing.
        tags: Of the first page of a TIFF file: its numbers, and its texts as bytes.
    """

    kind: str
    isolated: bool = False
    pages: int = 1
    radiometric: str = ""
    tags: dict[int, tuple[int, ...]] = {}  # noqa: RUF012 (never changed)


_CONVERT = "Save it as PNG, TIFF or JPEG."
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SIGNATURES = {
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "JPEG": (b"\xff\xd8\xff",),
    "BMP": (b"BM",),
    "TIFF": _TIFF_MAGIC,
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
        raise InputError(f"{name} is not a whole PNG, JPEG, BMP or TIFF image.", "Replace the file or leave it out.")
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


def _refuse(name: object, why: str) -> NoReturn:
    raise InputError(f"{name} {why}: damaged, or made to exhaust a reader.", "Replace the file or leave it out.")


def _check_share(name: object, promised: float, held: int, most: int = 1100) -> None:
    """Deflate, the densest of the codecs that are decoded in this process, makes at most 1,032 bytes of one."""
    if promised > most * held + 65536:
        _refuse(name, f"promises {promised / 1e6:.1f} MB of samples but holds {held} bytes")


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
            _refuse(name, f"has more than {count - 1} chunks")
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
            _refuse(name, "has more segments or filling than a photograph")
        # A progressive photograph has about ten scans, and each may touch every coefficient of the image again.
        if scans > 100 or (scans > 20 and scans * pixels > 10**9):
            _refuse(name, f"has more than {scans - 1} scans of {pixels / 1e6:.1f} megapixels")
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
    if exif[:4] in _TIFF_MAGIC:
        with contextlib.suppress(struct.error):  # a cut block: Pillow leaves it out
            _Tiff(exif, name).directory()


_TYPE_SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_NUMBERS = {1: "u1", 2: "u1", 3: "u2", 4: "u4", 8: "i2", 9: "i4", 13: "u4", 16: "u8"}
_DIRECTORIES = (34665, 34853, 40965)  # EXIF, GPS and interoperability
_PIECES = {273: 279, 324: 325}  # where strips or tiles are, and their lengths
_PAGES = 100_000


class _Tiff:
    """Directories of a TIFF file, classic or Big, without its pixels."""

    def __init__(self, data: bytes, name: object):
        self.data, self.name = data, name
        self.order, big = "<" if data[:2] == b"II" else ">", data[2:4] in (b"+\0", b"\0+")
        self.count_form, self.link_form, self.entry = ("Q", "Q", 20) if big else ("H", "I", 12)
        self.first = self.unpack(self.link_form, 8 if big else 4)
        self.link = struct.calcsize(self.link_form)

    def unpack(self, form: str, at: int) -> int:
        return struct.unpack_from(self.order + form, self.data, at)[0]

    def pages(self) -> list[int]:
        """Where each page's directory is."""
        at, seen, held = self.first, dict[int, None](), 0
        while at and len(seen) < _PAGES:
            if at in seen:
                _refuse(self.name, "has a page chain that is a loop")
            seen[at] = None
            try:
                count = self.unpack(self.count_form, at)
                at = self.unpack(self.link_form, at + struct.calcsize(self.count_form) + count * self.entry)
            except struct.error:  # a chain that points nowhere
                break
            held += count * self.entry
            if held > len(self.data):
                _refuse(self.name, "has pages whose directories overlap")
        return list(seen)

    def entries(self, at: int) -> range:
        """Where each entry of the directory at `at` is."""
        begin = at + struct.calcsize(self.count_form)
        return range(begin, begin + self.unpack(self.count_form, at) * self.entry, self.entry)

    def directory(self, at: int | None = None, depth: int = 0) -> dict[int, tuple[int, ...]]:
        """Tags of a directory with the numbers they hold; text as its bytes; no fractions and floats."""
        at = self.first if at is None else at
        places = self.entries(at)
        tags, outside = {}, 0
        for entry in places[:4096]:
            code, form = self.unpack("H", entry), self.unpack("H", entry + 2)
            number, value = self.unpack(self.link_form, entry + 4), entry + 4 + self.link
            size = number * _TYPE_SIZES.get(form, 1)
            if size > self.link:
                value = self.unpack(self.link_form, value)
                outside += max(0, min(size, len(self.data) - value))  # what a reader copies
            if size <= min(len(self.data) - value, 2**20) and form in _NUMBERS:
                tags[code] = tuple(np.frombuffer(self.data, self.order + _NUMBERS[form], number, value).tolist())
            if outside > 2 * len(self.data) + 65536:  # tags that share bytes: each is a copy for whoever reads it
                break
            if code in _DIRECTORIES and depth < 3 and tags.get(code, (0,))[0]:
                with contextlib.suppress(struct.error):  # points nowhere: left out by who reads it
                    self.directory(tags[code][0], depth + 1)
        else:
            if not places[4096:]:
                return tags
        _refuse(self.name, "has tags out of proportion to its size")

    def page(self, at: int) -> bytes:
        """The page whose directory is at `at` as a TIFF file, without EXIF data and smaller copies."""
        data, tags, entries, body = self.data, self.directory(at), b"", bytearray()
        kept = [entry for entry in self.entries(at) if self.unpack("H", entry) not in (*_DIRECTORIES, 330)]
        head = data[: self.link] + struct.pack(self.order + self.link_form + self.count_form, 2 * self.link, len(kept))
        begin = len(head) + len(kept) * self.entry + self.link

        def moved(content: bytes) -> int:
            body.extend(content)
            return begin + len(body) - len(content)

        for entry in kept:
            code, form, number = struct.unpack_from(f"{self.order}HH{self.link_form}", data, entry)
            size, start = number * _TYPE_SIZES.get(form, 1), entry + 4 + self.link
            start = self.unpack(self.link_form, start) if size > self.link else start
            value = data[start : start + max(size, self.link)]
            if code in _PIECES and code in tags:
                lengths = tags.get(_PIECES[code]) or (len(data),)
                if sum(lengths) > len(data):
                    _refuse(self.name, "has a page that claims more than the file holds")
                starts = [moved(data[o : o + n]) if n else 0 for o, n in zip(tags[code], lengths, strict=False)]
                form, number = (16 if self.link == 8 else 4), len(starts)
                value = struct.pack(f"{self.order}{number}{self.link_form}", *starts)
            if len(value) > self.link:
                value = struct.pack(self.order + self.link_form, moved(value))
            entries += struct.pack(f"{self.order}HH{self.link_form}", code, form, number) + value
        return head + entries + b"\0" * self.link + bytes(body)


def frames_of_tiff(data: bytes, name: object) -> list[Callable[[], bytes]]:
    """The pages of a TIFF file apart from masks and smaller copies, each as what gives it as a file of its own."""
    tiff = _Tiff(data, name)

    def is_frame(at: int) -> bool:
        kinds = (entry + 4 + tiff.link for entry in tiff.entries(at) if tiff.unpack("H", entry) == 254)
        return not any(tiff.unpack("I", kind) & 5 for kind in kinds)

    return [functools.partial(tiff.page, at) for at in tiff.pages() if is_frame(at)]


def _check_tiff(data: bytes, name: object, limits: Limits) -> Header:
    tiff = _Tiff(data, name)
    pages, tags = len(tiff.pages()), tiff.directory()

    def first(code: int, default: int) -> int:
        return tags.get(code, ())[0] if tags.get(code) else default

    width, height, samples = first(256, 0), first(257, 0), first(277, 1)
    check_pixels(name, height, width, limits)
    if samples > 4:
        raise InputError(f"{name} is a TIFF image of {samples} channels.", "Give gray or RGB, with or without alpha.")
    depth = max(tags.get(258) or (1,))
    if depth > 64:
        raise InputError(f"{name} has {depth} bits per sample.", "Convert it to 8 or 16 bit, or to 32-bit float.")
    planes = samples if first(284, 1) == 2 else 1
    across, down = first(322, 0) or width, first(323, 0) or min(first(278, height) or height, height)
    pieces = -(-width // across) * -(-height // down) * planes
    if pieces > 100_000 or max(across - width, 0) * down > 2**24 or max(down - height, 0) * across > 2**24:
        _refuse(name, f"is cut into pieces of {across} x {down}")
    held = tags.get(325) or tags.get(279) or ()
    promised, compression = width * height * samples * depth / 8, first(259, 1)
    isolated = compression not in (1, 5, 8, 32773, 32946) or across * down > 2**27
    if held and 0 in held:  # sparse: pieces that are not stored
        isolated = True
    elif held and not isolated:
        _check_share(name, promised, sum(held))
    if compression != 1 and sum(held) > 1.5 * promised + 65536:
        _refuse(name, f"promises {promised / 1e3:.0f} kB of samples but holds {sum(held) / 1e3:.0f} kB")
    return Header("TIFF", isolated, pages, tags=tags)


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
                _refuse(name, f"has a piece that inflates to more than the {promised} bytes that it promises")


_CHECKS: dict[str, Callable[[bytes, object, Limits], Header]] = {
    "PNG": _check_png,
    "BMP": _check_bmp,
    "JPEG": _check_jpeg,
    "TIFF": _check_tiff,
    "WebP": _check_webp,
}
