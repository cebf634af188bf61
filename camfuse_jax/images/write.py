"""The one way out: results of 8 or 16 bit with alpha, profile and metadata, and either the whole file or none."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import tifffile
from jaxtyping import UInt, UInt16
from PIL import Image, PngImagePlugin, TiffImagePlugin

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.images.decode import DECODER_ERRORS, EXIF_POINTER, GPS_POINTER, KEPT_TAGS, PILLOW
from camfuse_jax.images.picture import Metadata
from camfuse_jax.system.files import replace_file

WRITABLE_SUFFIXES = {".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".jpg": "JPEG", ".jpeg": "JPEG"}
_KEYWORD = "camfuse"  # under which a result says how it was made
_SOFTWARE_TAG = 305
_PNG_COLOR = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> gray, gray + alpha, RGB, RGBA
_JPEG_QUALITY = 95
_PNG_LEVEL = 4  # 6, the usual, takes more than twice as long for 4 % fewer bytes (docs/bench.md)


def write_picture(
    path: str | os.PathLike[str],
    samples: UInt[np.ndarray, "h w *c"],
    *,
    alpha: UInt[np.ndarray, "h w"] | None = None,
    icc: bytes | None = None,
    metadata: Metadata | None = None,
    provenance: str = "",
    exclusive: bool = False,
) -> None:
    """Writes gray or RGB of 8 or 16 bit as PNG, TIFF (deflate) or JPEG (quality 95, 8 bit, no alpha).

    The file is written beside its final place and renamed; the parent folder is created.

    Args:
        path: Where to write; the ending chooses the format.
        samples: (h, w) or (h, w, 3), uint8 or uint16.
        alpha: Opacity of the same size; converted to the samples' depth.
        icc: Color profile to embed.
        metadata: Of the picture whose geometry this one has; PNG and JPEG hold no GeoTIFF tags.
        provenance: How the file was made, read back by `read_provenance`.
        exclusive: Never replace a file.

    Raises:
        UsageError: The ending is none of PNG, TIFF and JPEG, or the format cannot hold the depth or alpha.
        InputError: The array is of another type or shape.
        ResourceError: The folder or file cannot be written (rights, disk full).
        FileExistsError: `exclusive`, and the file is there.
    """
    path = Path(path)
    options = {"alpha": alpha, "icc": icc, "metadata": metadata, "provenance": provenance}
    replace_file(path, picture_bytes(samples, kind=file_format(path), name=path, **options), exclusive=exclusive)


def picture_bytes(
    samples: UInt[np.ndarray, "h w *c"],
    *,
    kind: str = "PNG",
    name: object = "the image",
    alpha: UInt[np.ndarray, "h w"] | None = None,
    icc: bytes | None = None,
    metadata: Metadata | None = None,
    provenance: str = "",
) -> bytes:
    """The content of the file that `write_picture` writes, of a `kind` PNG, TIFF or JPEG; all else as there."""
    samples = np.asarray(samples)
    fits = samples.ndim == 2 or (samples.ndim == 3 and samples.shape[2] == 3)
    if samples.dtype not in (np.uint8, np.uint16) or not fits or samples.size == 0:
        raise InputError(f"Cannot write {name}: {samples.dtype} of shape {samples.shape} is not an 8 or 16 bit image.")
    if kind == "JPEG" and (samples.dtype != np.uint8 or alpha is not None):
        raise UsageError(f"Cannot write {name}: JPEG holds 8 bits and no alpha.", "Write a .png or .tif.")
    layers = np.atleast_3d(samples)
    if alpha is not None:
        layers = np.concatenate([layers, to_depth(alpha, samples.dtype)[..., None]], axis=2)
    return _ENCODERS[kind](layers, icc, metadata or Metadata(), provenance)


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


def read_provenance(path: Path) -> str | None:
    """How a file that `write_picture` wrote was made, None for any other file."""
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            with tifffile.TiffFile(path) as file:
                return _own(str(file.pages.first.tags.valueof(_SOFTWARE_TAG, "")))
        with path.open("rb") as file:
            kind = "PNG" if file.read(1) == b"\x89" else "JPEG"
            file.seek(0)
            with PILLOW[kind](file) as image:
                return image.info.get(_KEYWORD) or _own(image.info.get("comment", b"").decode("latin-1"))
    except DECODER_ERRORS:
        return None  # not a file of ours, whatever it is


def _own(text: str) -> str | None:
    return text.removeprefix(f"{_KEYWORD} ") if text.startswith(f"{_KEYWORD} ") else None


def _png(layers: np.ndarray, icc: bytes | None, metadata: Metadata, provenance: str) -> bytes:
    if layers.dtype == np.uint16:
        return _png16(layers, icc, metadata, provenance)
    info = PngImagePlugin.PngInfo()
    if provenance:
        info.add_text(_KEYWORD, provenance)
    return _pillow(layers, "PNG", icc_profile=icc, exif=metadata.exif, pnginfo=info, compress_level=_PNG_LEVEL)


def _png16(layers: UInt16[np.ndarray, "h w c"], icc: bytes | None, metadata: Metadata, provenance: str) -> bytes:
    """PNG of 16 bits per channel, which Pillow writes for gray only.

    Source: W3C PNG specification, third edition; filter 2 (up) on every row but the first.
    """
    height, width, channels = layers.shape
    rows = np.ascontiguousarray(layers.astype(">u2")).view(np.uint8).reshape(height, -1)
    filtered = np.zeros((height, rows.shape[1] + 1), np.uint8)
    filtered[0, 1:] = rows[0]
    filtered[1:, 0] = 2
    filtered[1:, 1:] = rows[1:] - rows[:-1]  # modulo 256, as the format wants it
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, _PNG_COLOR[channels], 0, 0, 0))]
    chunks += [(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc))] if icc else []
    chunks += [(b"eXIf", metadata.exif.removeprefix(b"Exif\0\0"))] if metadata.exif else []
    chunks += [(b"tEXt", f"{_KEYWORD}\0{provenance}".encode("latin-1"))] if provenance else []
    chunks += [(b"IDAT", zlib.compress(filtered.tobytes(), 6)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def _jpeg(layers: np.ndarray, icc: bytes | None, metadata: Metadata, provenance: str) -> bytes:
    options = {"comment": f"{_KEYWORD} {provenance}"} if provenance else {}
    options |= {"exif": metadata.exif} if metadata.exif else {}
    return _pillow(layers, "JPEG", icc_profile=icc, quality=_JPEG_QUALITY, subsampling=0, **options)


def _tiff(layers: np.ndarray, icc: bytes | None, metadata: Metadata, provenance: str) -> bytes:
    exif = Image.Exif()
    exif.load(metadata.exif or b"")
    inner = {code: exif.get_ifd(code) for code in (EXIF_POINTER, GPS_POINTER) if code in exif}
    tags = [(tag.code, tag.kind, tag.count, tag.value, True) for tag in metadata.geo]
    tags += [(code, "s", 0, str(exif[code]), True) for code in KEPT_TAGS if code in exif]
    buffer = io.BytesIO()
    channels = layers.shape[2]
    tifffile.imwrite(
        buffer,
        layers[..., 0] if channels == 1 else layers,
        byteorder="<",
        photometric="rgb" if channels >= 3 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        compression="zlib",
        metadata=None,
        iccprofile=icc,
        software=f"{_KEYWORD} {provenance}".strip(),
        extratags=tags,
    )
    return _with_directories(buffer.getvalue(), inner) if inner else buffer.getvalue()


def _with_directories(tiff: bytes, inner: dict[int, dict]) -> bytes:
    """A little-endian TIFF file with directories inside its first one, which tifffile does not write."""
    start = struct.unpack_from("<I", tiff, 4)[0]
    count = struct.unpack_from("<H", tiff, start)[0]
    entries = [tiff[at : at + 12] for at in range(start + 2, start + 2 + count * 12, 12)]
    last = tiff[start + 2 + count * 12 :][:4]
    for code, values in inner.items():
        tiff += bytes(len(tiff) % 2)
        directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II", group=code)
        for key, value in values.items():
            directory[key] = value
        entries.append(struct.pack("<HHII", code, 4, 1, len(tiff)))
        tiff += directory.tobytes(len(tiff))
    tiff += bytes(len(tiff) % 2)
    entries.sort(key=lambda entry: int.from_bytes(entry[:2], "little"))
    listed = struct.pack("<H", len(entries)) + b"".join(entries) + last
    return tiff[:4] + struct.pack("<I", len(tiff)) + tiff[8:] + listed


def _pillow(layers: np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    pixels = layers[..., 0] if layers.shape[2] == 1 else layers
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[layers.shape[2]]
    height, width = layers.shape[:2]
    Image.frombytes(mode, (width, height), np.ascontiguousarray(pixels).tobytes()).save(buffer, kind, **options)
    return buffer.getvalue()


_ENCODERS = {"PNG": _png, "TIFF": _tiff, "JPEG": _jpeg}
