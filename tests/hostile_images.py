"""Image files that promise little and cost much, built byte by byte: each a kind of attack on a reader."""

import functools
import io
import lzma
import struct
import zlib

import numpy as np
from PIL import Image

GRAY = np.random.default_rng(0).integers(0, 256, (48, 64), dtype=np.uint8)


def _entry(code, form, count, value):
    return struct.pack("<HHII", code, form, count, value)


def tiff(
    pixels=b"\0" * 12288, *, width=64, height=48, bits=16, samples=1, compression=1, extra=(), pages=1, loop=False
):
    """A little-endian TIFF whose pages share one strip; `extra` are further (code, type, count, value)."""
    fields = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, compression), (262, 3, 1, 1)]
    fields += [(273, 4, 1, 8), (277, 4, 1, samples), (278, 4, 1, height), (279, 4, 1, len(pixels)), *extra]
    entries = b"".join(_entry(*field) for field in sorted(fields))
    size = 2 + len(entries) + 4
    start = 8 + len(pixels) + len(pixels) % 2
    directories = [
        struct.pack("<H", len(fields))
        + entries
        + struct.pack("<I", start + (page + 1) * size if page + 1 < pages else 0)
        for page in range(pages)
    ]
    if loop:
        directories[-1] = directories[-1][:-4] + struct.pack("<I", start)
    return b"II*\0" + struct.pack("<I", start) + pixels + bytes(len(pixels) % 2) + b"".join(directories)


def png(*chunks, width=64, height=48, depth=8, color=0, pixels=None):
    """A PNG with chunks of (kind, content) before its pixels."""
    rows = b"".join(b"\0" + row.tobytes() for row in GRAY) if pixels is None else pixels
    listed = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)), *chunks]
    listed += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = (struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in listed)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def jpeg(image=None, **options):
    buffer = io.BytesIO()
    (Image.fromarray(GRAY) if image is None else image).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def scan_bomb(times=1000):
    """A progressive JPEG whose last scan is repeated."""
    content = jpeg(Image.new("L", (4000, 3000), 90), progressive=True)
    at = content.rindex(b"\xff\xda")
    return content[:at] + content[at:-2] * times + b"\xff\xd9"


def shared_bytes(size, entries=4000):
    """A TIFF structure, as EXIF is too, whose tags all claim the same large block."""
    listed = b"".join(_entry(700 + number, 7, size, 8) for number in range(entries))
    return b"II*\0" + struct.pack("<I", 8 + size) + bytes(size) + struct.pack("<H", entries) + listed + bytes(4)


def _deflate_bomb(size):
    packer = zlib.compressobj(9)
    block = bytes(2**24)
    return b"".join(packer.compress(block) for _ in range(size // 2**24)) + packer.flush()


@functools.cache
def refused():
    """Name of each file that no reader may spend itself on, and its content."""
    sparse = (
        b"BM" + struct.pack("<IHHI", 58, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 10**8, 1, 1, 8, 1, 4, 0, 0, 256, 0)
    )
    return {
        "loop.tif": tiff(pages=3, loop=True),
        "tags.tif": shared_bytes(3_000_000),
        "samples.tif": tiff(b"\0" * 12, width=5000, height=5000, samples=60_000, compression=8),
        "depth.tif": tiff(bits=4096),
        "deflate.tif": tiff(_deflate_bomb(2**28), compression=8),
        "lzma.tif": tiff(lzma.compress(bytes(2**22)) + bytes(200_000), compression=34925),
        "short.tif": tiff(zlib.compress(bytes(100)), width=9000, height=9000, compression=8),
        "tile.tif": tiff(extra=[(322, 4, 1, 2**20), (323, 4, 1, 2**20), (324, 4, 1, 8), (325, 4, 1, 12288)]),
        "pieces.tif": tiff(width=9999, height=9999, extra=[(322, 4, 1, 1), (323, 4, 1, 1)]),
        "chunks.png": png(*[(b"tEXt", b"a\0b")] * 10**6),
        "short.png": png(width=9000, height=9000, depth=16, color=6, pixels=b""),
        "exif.png": png((b"eXIf", shared_bytes(3_000_000))),
        "scans.jpg": scan_bomb(),
        "fill.jpg": b"\xff\xd8" + b"\xff" * 10**7 + jpeg()[2:],
        "segments.jpg": b"\xff\xd8" + b"\xff\xfe\0\2" * 10**6 + jpeg()[2:],
        "exif.jpg": b"\xff\xd8"
        + (b"\xff\xe1\xff\xff" + (b"Exif\0\0" + shared_bytes(100, 5400))[:65533].ljust(65533, b"\0")) * 20
        + jpeg()[2:],
        "short.jpg": jpeg().replace(struct.pack(">HH", 48, 64), struct.pack(">HH", 9999, 9999)),
        "run.bmp": sparse + bytes(100),
        "shape.npy": b"\x93NUMPY\1\0\x76\0"
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (9000, 9000)}".ljust(117)
        + b"\n",
        "size.webp": b"RIFF\x2a\0\0\0WEBPVP8X\n\0\0\0" + bytes(4) + b"\xff\x3f\0\xff\x3f\0" + bytes(30),
        "table.csv": b"1,2\n" * 10**6 + b"1,2,3\n",
    }


def accepted():
    """Files that cost much to a reader that walks them, and little to one that does not."""
    return {
        "pages.tif": tiff(GRAY.astype("<u2").tobytes() * 2, pages=10_000),
        "comments.jpg": b"\xff\xd8" + (b"\xff\xfe\xff\xff" + bytes(65533)) * 300 + jpeg()[2:],
    }
