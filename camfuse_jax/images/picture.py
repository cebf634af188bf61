"""A picture as a camera meant it: samples at their own depth, upright, and which of them show the scene."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Num, Shaped, UInt8

from camfuse_jax.images.borders import find_border


class GeoTag(NamedTuple):
    """A GeoTIFF tag: its code, the number of its type, how many values, and they or the text."""

    code: int
    kind: int
    count: int
    value: tuple | str


@dataclasses.dataclass(frozen=True)
class Metadata:
    """What a file says beside its pixels.

    Attributes:
        exif: EXIF block with GPS and date, without orientation, thumbnail and maker's notes, or None.
        geo: GeoTIFF tags: where on earth the pixels are.
    """

    exif: bytes | None = None
    geo: tuple[GeoTag, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """What a file holds.

    Attributes:
        samples: Values as stored, upright, (h, w) or (h, w, 3); uint8, uint16 or float32 (raw counts, degrees).
        bits: Bits that carry values: 8, 10, 12, 14 or 16; 32 for float.
        top: The value that means white where the full range is used; None for float.
        alpha: Opacity, (h, w), uint8 or uint16, or None.
        icc: Embedded color profile or None.
        notes: What a user should know, such as "12 bit in a 16-bit file".
        valid: Where the samples show the scene, (h, w); None for everywhere.
        metadata: What the file says beside its pixels, or None.
        sha256: Of the bytes that were read; empty for a picture that was not read.
    """

    samples: Num[np.ndarray, "h w *c"]
    bits: int
    top: int | None
    alpha: Shaped[np.ndarray, "h w"] | None = None
    icc: bytes | None = None
    notes: tuple[str, ...] = ()
    valid: Bool[np.ndarray, "h w"] | None = None
    metadata: Metadata | None = None
    sha256: str = ""

    @property
    def is_color(self) -> bool:
        """Whether there are three channels, equal or not."""
        return self.samples.ndim == 3

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.samples.shape[:2]


def depth(samples: Num[np.ndarray, "..."]) -> tuple[int, int | None, tuple[str, ...]]:
    """How many bits of the samples carry values, which value is white, and notes about it.

    In a 16-bit file: values up to 255 are 8-bit data; up to 1023, 4095 or 16383 data of 10, 12 or 14 bits; multiples
    of 257 or 256 are 8-bit data spread over 16 bits, multiples of 64, 16 or 4 are 10, 12 or 14 bits in the high end.
    This is a guess from one image: a dark 16-bit image looks like one of fewer bits.
    """
    if samples.dtype == np.uint8:
        return 8, 255, ()
    if samples.dtype != np.uint16:
        return 32, None, ()
    highest = int(samples.max())
    for bits in (8, 10, 12, 14):
        if 0 < highest < 2**bits:
            return bits, 2**bits - 1, (f"{bits} bit in a 16-bit file",)
    if highest and not np.any(samples % 257):
        return 8, 65535, ("8 bit spread over a 16-bit file",)
    for bits in (8, 10, 12, 14):
        step = 2 ** (16 - bits)
        if highest and not np.any(samples % step):
            return bits, 65536 - step, (f"{bits} bit in the high end of a 16-bit file",)
    return 16, 65535, ()


def upright(pixels: Shaped[np.ndarray, "..."], orientation: int) -> Shaped[np.ndarray, "..."]:
    """Applies an EXIF orientation, 1 to 8, to the first two axes; other values mean 1."""
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def luma(rgb: Num[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w"]:
    """BT.601 luma of 8 or 16 bit RGB, rounded once to 8 bit.

    `rint(0.299 R + 0.587 G + 0.114 B)` in float64. Pillow's own `convert("L")` works in 16-bit fixed point and differs
    by one level now and then. Where the three channels are equal the result is that channel exactly: this is what a
    gray or infrared image stored as RGB needs.

    Source: ITU-R BT.601-7, section 2.5.1.
    """
    red, green, blue = (rgb[..., channel].astype(np.float64) for channel in range(3))
    levels = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.rint(levels if rgb.dtype == np.uint8 else levels / 257).astype(np.uint8)


# Pixels that show no scene.

_NO_TEMPERATURE, _HUGE = -273.15, 1e30
_FILL_SHARE = 1e-4  # dead pixels are fewer


def scene_mask(
    samples: Num[np.ndarray, "h w *c"],
    nodata: float | None = None,
    extremes: tuple[float, ...] = (),
    hidden: Mapping[str, Shaped[np.ndarray, "h w"] | None] | None = None,
) -> tuple[Bool[np.ndarray, "h w"] | None, tuple[str, ...]]:
    """Where samples show the scene, None for everywhere, and one note for each reason why others do not.

    No scene is: what a mask or an alpha channel hides; what is not finite; the value that the file declares as nodata;
    a fill value, which is one end of the type (for float: 0, a value below absolute zero, a huge one) that many pixels
    have and that is farther from all other values than these are from each other; and a constant frame, see
    `find_border`.

    Args:
        samples: Values as stored.
        nodata: The declared value.
        extremes: Ends of the stored type where the samples have another one.
        hidden: Masks that are 0 where something is hidden, by what they are called in the note; one that hides
            everything is passed over.
    """
    flat = samples if samples.ndim == 3 else samples[..., None]
    valid, notes = np.ones(samples.shape[:2], bool), []

    def leave_out(bad: np.ndarray, why: str) -> None:
        nonlocal valid
        if np.any(bad & valid):
            valid = valid & ~bad
            notes.append(f"pixels without data are left out ({why})")

    for why, shown in (hidden or {}).items():
        if shown is not None and np.any(shown):
            leave_out(shown == 0, why)
    if samples.dtype.kind == "f":
        leave_out(~np.all(np.isfinite(flat), axis=-1), "not finite")
    if nodata is not None:
        with np.errstate(over="ignore"):
            leave_out((flat == np.asarray(nodata).astype(samples.dtype)).all(-1), f"nodata value {nodata:g}")
    if samples.ndim == 2 and samples.dtype != np.uint8:
        for value in _fill_values(samples, valid, extremes):
            leave_out(samples == value, f"fill value {value:g}")
    frame = find_border(flat)
    if frame is not None and np.any(valid & ~frame):
        leave_out(frame, "constant to the edge")
    return (None if valid.all() else valid), tuple(notes)


def _fill_values(samples: np.ndarray, valid: np.ndarray, extremes: tuple[float, ...]) -> list[float]:
    counted = samples.dtype.kind == "u"
    found, rest = [], samples[valid]
    for end in (np.min, np.max):
        value = float(end(rest)) if rest.size else 0.0
        ends = (0, np.iinfo(rest.dtype).max) if counted else (0, *extremes)
        others = rest[rest != value]
        if not others.size or rest.size - others.size < max(16, _FILL_SHARE * samples.size):
            continue
        low, high = float(others.min()), float(others.max())
        gap, span = (low - value if end is np.min else value - high), high - low
        apart = gap > span > (8 if counted else 0)
        if abs(value) > _HUGE or (apart and (value in ends or (not counted and value < _NO_TEMPERATURE))):
            found.append(value)
            rest = others
    return found
