"""From the bytes of a file to samples as they were stored: nothing stretched, no bit lost; radiometric JPEG too."""

import contextlib
import importlib.util
import io
import re
import struct
import sys
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tifffile
from jaxtyping import Float32, UInt16
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from camfuse_jax.errors import InputError
from camfuse_jax.images.bounds import Header, check_inflated
from camfuse_jax.images.picture import GeoTag

# Pillow's classes by format, not its `open`: that one has a limit and warnings of its own, which belong to the whole
# process and so to all threads. The list is closed: no file reaches a rarely tested decoder by its content.
PILLOW: dict[str, Any] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "JPEG 2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
}
DECODER_ERRORS = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    ImportError,
    EOFError,
    MemoryError,
    Warning,  # where the caller has made errors of them
    struct.error,
    zlib.error,
    tifffile.TiffFileError,
)
"""What a decoder raises on a damaged file."""

_ORIENTATION, _MAKERS_NOTE, EXIF_POINTER, GPS_POINTER = 0x0112, 0x927C, 34665, 34853
_ICC, _NODATA = 34675, 42113
_GEO_TAGS = (33550, 33922, 34264, 34735, 34736, 34737, 42112)


class Decoded(NamedTuple):
    """What a decoder makes of a file, before the orientation is applied."""

    samples: np.ndarray
    alpha: np.ndarray | None = None
    orientation: int = 1
    notes: tuple[str, ...] = ()
    icc: bytes | None = None
    exif: bytes | None = None
    nodata: float | None = None
    extremes: tuple[float, ...] = ()


@contextlib.contextmanager
def errors_as_input(name: object, kind: str) -> Iterator[None]:
    """Turns whatever a decoder raises into an InputError."""
    try:
        yield
    except InputError:
        raise
    except DECODER_ERRORS as error:
        why = str(error) or type(error).__name__
        raise InputError(f"{name} is not a whole {kind} image: {why}.", "Replace the file or leave it out.") from error


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation that still has to be applied."""
    return image.getexif().get(_ORIENTATION, 1)


def decode_pillow(image: Image.Image, data: bytes, name: object) -> Decoded:
    """What Pillow reads without loss, and PNG of 16 bits per channel, of which it keeps the high bytes."""
    image.load()
    orientation = orientation_of(image)  # a TIFF's was applied and removed by load
    if image.format == "PNG" and _is_deep_color(data):
        return _split_alpha(_read_png16(data), orientation)
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
    found = _split_alpha(np.atleast_3d(np.asarray(image)), orientation, notes)
    if mode in ("P", "PA") and found.samples.ndim == 3 and _equal_channels(found.samples):
        return found._replace(samples=found.samples[..., 0])  # a palette of grays is a gray image
    return found


def _split_alpha(channels: np.ndarray, orientation: int = 1, notes: tuple[str, ...] = ()) -> Decoded:
    """Separates the alpha channel, the last of 2 or 4, from (h, w, 1 to 4)."""
    count = channels.shape[2]
    alpha = channels[..., -1].copy() if count in (2, 4) else None
    samples = channels[..., 0].copy() if count < 3 else channels[..., :3].copy()
    return Decoded(samples, alpha, orientation, notes)


def _equal_channels(rgb: np.ndarray) -> bool:
    return bool(np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 1], rgb[..., 2]))


def decode_array(array: np.ndarray, name: object) -> Decoded:
    """A NumPy array, or a TIFF page: 8 and 16 bit as they are, all else as float32, exact up to 24 bits."""
    shape, wanted = array.shape, "Give one image of shape (height, width), or (height, width, channels) with 1 to 4."
    if array.ndim not in (2, 3) or array.size == 0 or array.dtype.kind not in "buif":
        raise InputError(f"{name} holds {array.dtype} of shape {shape}.", wanted)
    array = np.atleast_3d(array)
    if array.shape[2] > 4:
        raise InputError(f"{name} has shape {shape}, so {shape[2]} channels.", wanted)
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        return _split_alpha(array.astype(array.dtype.newbyteorder("=")))
    ends = np.iinfo(array.dtype) if array.dtype.kind in "ui" else None
    with np.errstate(over="ignore"):
        found = _split_alpha(array.astype(np.float32), notes=(f"stored as {array.dtype.name}",))
    if found.alpha is not None:
        found = found._replace(alpha=None, notes=(*found.notes, "alpha that is not 8 or 16 bit was left out"))
    return found._replace(extremes=(float(ends.min), float(ends.max)) if ends else ())


def decode_tiff(data: bytes, header: Header, name: object) -> Decoded:
    """Decodes the first page with tifffile, which knows more kinds of samples, or Pillow, which has more codecs."""
    check_inflated(data, header, name)
    tags = header.tags
    deep = max(tags.get(258) or (1,)) > 8 or tags.get(339, (1,))[0] != 1
    failures = []
    for decoder in (_by_tifffile, _by_pillow) if deep else (_by_pillow, _by_tifffile):
        try:
            found = decoder(data, header, name)
            break
        except DECODER_ERRORS as error:
            failures.append(str(error) or type(error).__name__)
    else:
        raise _undecoded(data, header, name, "; ".join(failures))
    text = bytes(tags.get(_NODATA, ())).split(b"\0")[0].decode("latin-1").strip()
    with contextlib.suppress(ValueError):  # text that is no number declares nothing
        found = found._replace(nodata=float(text))
    with contextlib.suppress(*DECODER_ERRORS), TiffImagePlugin.TiffImageFile(io.BytesIO(data)) as image:
        return with_metadata(found, image)
    return found


_COMMON_CODECS = (1, 5, 8, 32773, 32946)  # none, LZW, deflate, run lengths: no other package reads them better


def _undecoded(data: bytes, header: Header, name: object, why: str) -> InputError:
    tags, cure = header.tags, "Save it again as gray or RGB, uncompressed or with deflate"
    starts, lengths = tags.get(324, tags.get(273, ())), tags.get(325, tags.get(279, ()))
    if any(start + length > len(data) for start, length in zip(starts, lengths, strict=False)):
        return InputError(f"{name} is not a whole TIFF image: {why}.", "Replace the file or leave it out.")
    more = "leave it out" if tags.get(259, (1,))[0] in _COMMON_CODECS else "install the extra tiff for more codecs"
    return InputError(f"{name} cannot be decoded as TIFF: {why}.", f"{cure}, or {more}.")


def _by_pillow(data: bytes, header: Header, name: object) -> Decoded:
    tags = header.tags
    bits, signed = max(tags.get(258) or (1,)), tags.get(339, (1,))[0] == 2
    with _opened_tiff(data) as image:
        if bits == 16 and image.mode in ("RGB", "RGBA"):
            if tags.get(284, (1,))[0] == 2:
                raise ValueError("planes of 16 bits")
            # Pillow keeps one byte of each sample and can be asked for which.
            with _opened_tiff(data, "L") as high, _opened_tiff(data, "B") as low:
                return _split_alpha(np.asarray(high).astype(np.uint16) << 8 | np.asarray(low))
        if image.mode not in ("I", "F"):
            found = decode_pillow(image, data, name)
            inverted = found.samples.dtype == np.uint16 and tags.get(262, (1,))[0] == 0  # "white is zero"
            return found._replace(samples=2**bits - 1 - found.samples) if inverted else found
        image.load()
        samples = np.asarray(image)
    if image.mode == "I":
        samples = samples.astype(np.int16) if bits == 16 else samples if signed else samples.view(np.uint32)
    return decode_array(samples, name)


def _opened_tiff(data: bytes, byte: str = "") -> TiffImagePlugin.TiffImageFile:
    """A TIFF file in Pillow; `byte` chooses which one of 16-bit color it gives, L the second and B the first.

    libtiff gives samples in this machine's byte order, which Pillow forgets for floats and signed ones.
    """
    image = TiffImagePlugin.TiffImageFile(io.BytesIO(data))

    def native(form: str) -> str:
        if byte:
            return form[:-1] + (byte if sys.byteorder == "little" else {"L": "B", "B": "L"}[byte])
        return re.sub(r"B(?=[FS]$)|(?<=;32)B$", "", form) if sys.byteorder == "little" else form

    if all(tile.codec_name == "libtiff" for tile in image.tile):
        image.tile = [t._replace(args=(native(args[0]), *args[1:])) for t in image.tile if (args := t.args)]
    return image


def _by_tifffile(data: bytes, header: Header, name: object) -> Decoded:
    kind = header.tags.get(262, (1,))[0]
    if kind in (3, 5) or (kind == 6 and header.tags.get(259, (1,))[0] not in (6, 7)):
        raise ValueError("colors stored in a way that is not read")  # tifffile does not convert them, Pillow does
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page: Any = tiff.pages[0]
        pixels = page.asarray()
        if page.samplesperpixel > 1 and int(page.planarconfig) == 2:
            pixels = np.moveaxis(pixels, 0, -1)
        notes: tuple[str, ...] = ()
        pixels = np.atleast_3d(pixels)
        if pixels.shape[2] in (2, 4) and not any(int(kind) in (1, 2) for kind in page.extrasamples):
            notes, pixels = ("an extra channel without a meaning was left out",), pixels[..., :-1]
        if int(page.photometric) == 0 and pixels.dtype.kind == "u" and pixels.dtype.itemsize <= 2:  # "white is zero"
            pixels = np.iinfo(pixels.dtype).max - pixels
        found = decode_array(pixels, name)
        orientation = int(page.tags.valueof(_ORIENTATION, 1))
        return found._replace(orientation=orientation, notes=notes + found.notes, icc=page.tags.valueof(_ICC))


# What a file says beside its pixels.

KEPT_TAGS = (271, 272, 306, 315, 33432)  # maker, model, date, artist, copyright
_LEFT_OUT = (_MAKERS_NOTE, 40965)  # its offsets count from where it lay; interoperability: of the old file's format


def with_metadata(found: Decoded, image: Image.Image) -> Decoded:
    """Adds the color profile and what is kept of the EXIF data."""
    icc = image.info.get("icc_profile") if image.mode != "CMYK" else None  # a profile of inks says nothing about RGB
    found = found._replace(icc=found.icc or icc)
    try:
        return found._replace(exif=_kept_exif(image.getexif()))
    except DECODER_ERRORS:
        return found._replace(notes=(*found.notes, "its EXIF data is damaged and is left out"))


def _kept_exif(source: Image.Exif) -> bytes | None:
    kept = Image.Exif()
    for code in KEPT_TAGS:
        if code in source:
            kept[code] = source[code]
    for pointer in (EXIF_POINTER, GPS_POINTER):
        inner = {code: value for code, value in source.get_ifd(pointer).items() if code not in _LEFT_OUT}
        if inner:
            kept[pointer] = inner
    content = kept.tobytes() if len(kept) else b""
    return content if 0 < len(content) < 65_000 else None  # a JPEG segment holds no more


def geo_tags(data: bytes) -> tuple[GeoTag, ...]:
    """GeoTIFF tags of a TIFF file's first page."""
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page: Any = tiff.pages[0]
        tags = page.tags
        found = [tags[code] for code in _GEO_TAGS if code in tags]
        return tuple(GeoTag(tag.code, int(tag.dtype), tag.count, tag.value) for tag in found)


# PNG with 16 bits per channel and more than one channel, of which Pillow keeps only the high bytes.


def _is_deep_color(header: bytes) -> bool:
    """Whether a PNG says 16 bits and several channels (gray of 16 bits is read by Pillow in full)."""
    return len(header) >= 29 and header[24] == 16 and header[25] in (2, 4, 6)


def _read_png16(data: bytes) -> UInt16[np.ndarray, "h w c"]:
    # Pillow's decoder is called twice: as big-endian samples it gives the high bytes, as little-endian the low ones.
    size = struct.unpack(">II", data[16:24])
    color_type, interlaced = data[25], data[28]
    stream, at = [], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"IDAT":
            stream.append(data[at + 8 : at + 8 + length])
        at += 12 + length

    def plane(mode: str, raw: str) -> np.ndarray:
        return np.asarray(Image.frombytes(mode, size, b"".join(stream), "zip", raw, interlaced)).astype(np.uint16)

    if color_type == 4:  # two 16-bit samples are as wide as four 8-bit ones
        four = plane("RGBA", "RGBA")
        return four[..., 0::2] << 8 | four[..., 1::2]
    mode = "RGB" if color_type == 2 else "RGBA"
    return plane(mode, f"{mode};16B") << 8 | plane(mode, f"{mode};16L")


# Maker -> package that reads its raw data and the extra that installs it. Their licenses are copyleft (EUPL-1.2 and
# AGPL-3.0), which is why neither is a dependency and why they are two extras.
_READERS = {"FLIR": ("flyr", "radiometric"), "DJI": ("dji_thermal_cli", "radiometric-dji")}
_NO_DATA = -273.15  # what DJI's reader gives where there is no temperature


def is_readable(maker: str) -> bool:
    """Whether the package for a maker's raw data is installed."""
    return maker in _READERS and importlib.util.find_spec(_READERS[maker][0]) is not None


def unread_note(maker: str) -> str:
    """What to say where it is not."""
    extra = _READERS[maker][1]
    return f"its {maker} raw data is not used, but the drawn picture; the extra {extra} reads temperatures"


def read_radiometric(data: bytes, maker: str) -> Float32[np.ndarray, "h w"]:
    """Degrees Celsius inside a radiometric JPEG, with the emissivity and distance that it holds.

    Anything may be raised for a damaged file, and any time be taken.
    """
    if maker == "DJI":
        from dji_thermal_cli import tsdk

        celsius = tsdk.open(data).measure_temperature_c()
        return np.where(celsius > _NO_DATA + 0.01, celsius, np.nan).astype(np.float32)
    import flyr

    return np.asarray(flyr.unpack(io.BytesIO(data)).celsius, np.float32)
