"""A picture as a camera meant it: samples at their own depth, upright, and which of them show the scene."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Num, Shaped, UInt8


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


_SPECK = 16  # pixels
_FRAME_SHARE, _SCENE_SHARE, _BENT_SHARE, _EXACT_SHARE = 0.02, 0.25, 0.03, 0.85
_THIN_SHARE = 0.7  # as `_EXACT_SHARE`, where no block is border alone
_JPEG_LEVELS = (8, 16, 32, 48)  # by which JPEG changes a flat area in the block that holds an edge
_LINE_SHARE = 0.995  # of a line of a frame
_TOUCHED = 0.3  # of a frame's inner edge; an object before a white backdrop touches less of its outline
_BLOCKS = (8, 16)  # of JPEG; where it stores color at half size, an edge is felt in 16 x 16 pixels
_CORNERS = ((0, 0), (0, -1), (-1, 0), (-1, -1))


def find_border(flat: Num[np.ndarray, "h w c"]) -> Bool[np.ndarray, "h w"] | None:
    """Where a border of one constant value lies around a convex scene, or None.

    A saturated sky is constant to the edge too, but what is left below it is not convex, unless a frame of the same
    value is around both. Beside an edge, JPEG moves the pixels of a border: the amount is allowed that leaves the
    straightest edge, if the blocks that hold nothing but border are constant.
    """
    if min(flat.shape[:2]) < 16:
        return None
    seen = list[np.ndarray]()
    for row, col in _CORNERS:
        down, right = (slice(8) if at == 0 else slice(-8, None) for at in (row, col))
        edges = np.concatenate([flat[row, right], flat[down, col]]).astype(np.float64)
        value = np.median(edges, axis=0)
        known = any(np.array_equal(value, other) for other in seen)
        if known or np.mean(_near(edges, value, _JPEG_LEVELS[0])) < _EXACT_SHARE:
            continue
        seen.append(value)
        exact = _near(flat, value, 1)
        if exact.mean() < _FRAME_SHARE / 4:
            continue
        slacks = _JPEG_LEVELS if flat.dtype == np.uint8 else (0,)
        found = [_rectangle(_near(flat, value, slacks[-1]))]
        found.append(_around_convex(_near(flat, value, slacks[0]), slacks[0]))
        if slacks[0] and _is_constant(found[-1][1], exact):  # else it is with no other slack
            found += [_around_convex(_near(flat, value, slack), slack) for slack in slacks[1:]]
        kept = [pair for pair in found if pair[0] < np.inf and (not slacks[0] or _is_constant(pair[1], exact))]
        if kept:
            return min(kept, key=lambda pair: pair[0])[1]
    return None


def _near(values: Num[np.ndarray, "*n c"], value: np.ndarray, slack: int) -> Bool[np.ndarray, "*n"]:
    near = np.ones(values.shape[:-1], bool)
    for channel, middle in enumerate(value):
        near &= (values[..., channel] >= middle - slack) & (values[..., channel] <= middle + slack)
    return near


def _is_constant(outside: Bool[np.ndarray, "h w"], exact: Bool[np.ndarray, "h w"]) -> bool:
    """Whether the blocks inside a border are constant; a smooth sky or a backdrop is not."""
    for side in _BLOCKS:
        rows, cols = (np.arange(0, length, side) for length in outside.shape)
        cells = [np.add.reduceat(np.add.reduceat(mask, rows, 0, int), cols, 1) for mask in (outside, exact)]
        sizes = np.outer(np.diff(rows, append=outside.shape[0]), np.diff(cols, append=outside.shape[1]))
        whole = cells[0] == sizes
        if not whole.any():  # so thin that each block holds an edge
            return bool(outside.any() and exact[outside].mean() >= _THIN_SHARE)
        if cells[1][whole].sum() >= _EXACT_SHARE * sizes[whole].sum():
            return True
    return False


def _around_convex(same: Bool[np.ndarray, "h w"], slack: int) -> tuple[float, Bool[np.ndarray, "h w"]]:
    """How many pixels the rest lacks to be convex, infinite for too many, and what of `same` hangs with the corners."""
    from scipy import ndimage

    labels = np.empty(same.shape, np.int32)
    ndimage.label(same, output=labels)
    outside = np.isin(labels, list({int(labels[at]) for at in _CORNERS} - {0}))
    if slack:  # single pixels that JPEG moved farther than that
        ndimage.label(~outside, output=labels)
        outside |= np.bincount(labels.ravel())[labels] < _SPECK
    scene = ~outside
    count = int(scene.sum())
    if outside.mean() < _FRAME_SHARE or count < _SCENE_SHARE * scene.size:
        return np.inf, outside
    rows = np.flatnonzero(scene.any(1))
    first, last = scene[rows].argmax(1), same.shape[1] - 1 - scene[rows, ::-1].argmax(1)
    holes = int(np.sum(last - first + 1)) - count
    bent = holes + _dents(rows, first) + _dents(rows, -last)
    return (bent if bent <= _BENT_SHARE * outside.sum() else np.inf), outside


def _rectangle(same: Bool[np.ndarray, "h w"]) -> tuple[float, Bool[np.ndarray, "h w"]]:
    """As `_around_convex` for a frame with four straight sides, whatever touches these from inside."""
    rows, cols = (np.flatnonzero(same.mean(axis) < _LINE_SHARE) for axis in (1, 0))
    outside = np.ones(same.shape, bool)
    if not rows.size or not cols.size:
        return np.inf, outside
    inner = slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)
    outside[inner] = False
    ends = rows[0], same.shape[0] - 1 - rows[-1], cols[0], same.shape[1] - 1 - cols[-1]
    within = same[inner]
    touched = 1 - np.concatenate([within[0], within[-1], within[:, 0], within[:, -1]]).mean()
    fits = min(ends) > 0 and touched >= _TOUCHED and _FRAME_SHARE <= outside.mean() <= 1 - _SCENE_SHARE
    return (_BENT_SHARE * outside.sum() if fits else np.inf), outside  # rather a convex scene where there is one


def _dents(rows: Int[np.ndarray, " n"], edge: Int[np.ndarray, " n"]) -> float:
    """Pixels that a left edge lacks to be convex; the steps of a slanted line are no dents."""
    from scipy.spatial import ConvexHull

    if len(rows) < 3:
        return 0.0
    far = 2 * (abs(edge).max() + 1)
    points = np.stack([np.append(rows, rows[[0, -1]]), np.append(edge, [far, far])], 1)
    corners = np.sort(ConvexHull(points).vertices)
    corners = corners[corners < len(rows)]
    return float(np.floor(edge - np.interp(rows, rows[corners], edge[corners]) + 1e-6).sum())
