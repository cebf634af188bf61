"""PNG with 16 bits per channel and more than one channel, of which Pillow keeps only the high bytes."""

import struct
import zlib

import numpy as np
from jaxtyping import UInt16
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> gray, gray + alpha, RGB, RGBA


def is_deep_colour(header: bytes) -> bool:
    """Whether a PNG's first 29 bytes say 16 bits and several channels (gray 16 bit is read by Pillow in full)."""
    return header[:8] == SIGNATURE and len(header) >= 29 and header[24] == 16 and header[25] in (2, 4, 6)


def read_png16(data: bytes) -> UInt16[np.ndarray, "h w c"]:
    """Decodes a PNG for which `is_deep_colour` holds; the caller has checked its size.

    Pillow's decoder does the work, called twice: as big-endian samples it returns the high bytes, as little-endian
    ones the low bytes.

    Raises:
        ValueError: The compressed data is damaged or ends too early.
    """
    size = struct.unpack(">II", data[16:24])
    colour_type, interlaced = data[25], data[28]
    stream = b"".join(content for kind, content in _chunks(data) if kind == b"IDAT")

    def plane(mode: str, raw: str) -> np.ndarray:
        return np.asarray(Image.frombytes(mode, size, stream, "zip", raw, interlaced)).astype(np.uint16)

    if colour_type == 4:  # two 16-bit samples are as wide as four 8-bit ones
        four = plane("RGBA", "RGBA")
        return four[..., 0::2] << 8 | four[..., 1::2]
    mode = "RGB" if colour_type == 2 else "RGBA"
    return plane(mode, f"{mode};16B") << 8 | plane(mode, f"{mode};16L")


def png16_bytes(samples: UInt16[np.ndarray, "h w c"], *, icc: bytes | None = None, text: dict[str, str]) -> bytes:
    """Encodes 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGBA) channels of 16 bits.

    Args:
        samples: The image.
        icc: Colour profile to embed.
        text: Keyword to Latin-1 text, written before the pixels.

    Source: W3C PNG specification, third edition; filter 2 (up) on every row but the first.
    """
    height, width, channels = samples.shape
    rows = np.ascontiguousarray(samples.astype(">u2")).view(np.uint8).reshape(height, -1)
    filtered = np.zeros((height, rows.shape[1] + 1), np.uint8)
    filtered[0, 1:] = rows[0]
    filtered[1:, 0] = 2
    filtered[1:, 1:] = rows[1:] - rows[:-1]  # modulo 256, as the format wants it
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPE[channels], 0, 0, 0)
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
