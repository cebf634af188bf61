"""Color around a fused luma, of one hue and inside the gamut; and the scalar image behind infrared stored as color."""

import functools
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Num

_BLOWN_POWER = 8
_BLOWN = (0.94, 0.7)  # second highest and lowest channel from which on colors come from clipping
_WEIGHTS = np.array([0.299, 0.587, 0.114])


def luma_unit(rgb_unit: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """BT.601 luma, not rounded; equal channels give that channel (ITU-R BT.601-7, section 2.5.1).

    float32 where the colors are, else float64.
    """
    return _luma_of(*_channels(rgb_unit))


def shows_color(image: Num[np.ndarray, "h w 3"]) -> bool:
    """Whether RGB is in color: more than a thousandth of its pixels are, by more than eight gray levels of 255."""
    part = image[::4, ::4]
    white = 1.0 if np.issubdtype(image.dtype, np.floating) else np.iinfo(image.dtype).max
    return bool(np.mean(part.max(axis=-1) - part.min(axis=-1) > 8 / 255 * white) > 1e-3)


def _channels(rgb_unit: Float[np.ndarray, "h w 3"]) -> list[np.ndarray]:
    rgb = np.asarray(rgb_unit)
    kind = rgb.dtype if rgb.dtype == np.float32 else np.float64
    return [np.ascontiguousarray(rgb[..., channel], kind) for channel in range(3)]


def _luma_of(red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> np.ndarray:
    # Written as a difference from green, equal channels come out exactly, whatever the weights' rounding.
    return green + green.dtype.type(_WEIGHTS[0]) * (red - green) + green.dtype.type(_WEIGHTS[2]) * (blue - green)


def with_luma(rgb_unit: Float[np.ndarray, "h w 3"], luma: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    """The same picture at another luma: hue constant, RGB inside [0, 1], luma exactly the one asked for.

    Chroma (RGB minus luma) is multiplied by one number s from 0 to 1 per pixel, so its direction, the hue, stays:

    - luma unchanged: s = 1, and the pixel is returned as it came;
    - darker: s = new / old luma, as if less light fell on the same surface. Keeping chroma as it is would turn a pale
      color vivid where the other camera is dark: a fringe along every edge that only one camera sees;
    - darker where the source is blown out (near white, two channels at their end): s falls much faster. What hue such
      a pixel has comes from the channels' clipping, and darkening it would turn a lamp's white core cyan;
    - brighter: s = 1, or as much less as keeps the largest channel at 1. Chroma is never amplified, nor is its noise.

    s changes continuously with both lumas, so there is no seam where one case meets another.

    Args:
        rgb_unit: Colors in [0, 1].
        luma: New luma in [0, 1].

    Returns:
        RGB in [0, 1], float32 where the colors are, else float64.
    """
    # Plane by plane and without a power of every pixel: ten times faster, which is what a video's rate hung on.
    red, green, blue = _channels(rgb_unit)
    old, kind = _luma_of(red, green, blue), red.dtype
    new = np.clip(np.asarray(luma, kind), 0, 1)
    largest = np.maximum(np.maximum(red, green), blue)
    room = (1 - new) / np.maximum(largest - old, kind.type(1e-12))
    scale = np.minimum(np.where(new < old, new / np.maximum(old, kind.type(1e-12)), room), 1)
    lowest = np.minimum(np.minimum(red, green), blue)
    middle = np.maximum(np.minimum(red, green), np.minimum(np.maximum(red, green), blue))
    blown = (middle > _BLOWN[0]) & (lowest > _BLOWN[1]) & (new < old)
    if blown.any():
        # 0 where colors are trustworthy, 1 where two channels are at their end and the third is close.
        out = np.clip((middle[blown] - _BLOWN[0]) / 0.06, 0, 1) * np.clip((lowest[blown] - _BLOWN[1]) / 0.2, 0, 1)
        scale[blown] **= 1 + _BLOWN_POWER * out
    gray = new - scale * old
    return np.stack([np.clip(scale * plane + gray, 0, 1) for plane in (red, green, blue)], axis=-1)


CANDIDATES = ("inferno", "magma", "plasma", "viridis", "cividis", "jet", "turbo", "hot", "afmhot", "gnuplot2", "CMRmap")
_LEVELS = 256
_SAMPLE = 4096
# Largest median and third quartile of the distance in RGB of [0, 1] to a map. What JPEG of quality 90 does to a map's
# colors stays below (0.028, 0.055 measured); the closest of 221 road photographs is at 0.037 and 0.084.
_NEAR = (0.033, 0.075)
_GRAY_MEAN, _GRAY_FAR = 1.5 / 255, 8 / 255  # spread of channels that JPEG leaves in a gray image


class Scalar(NamedTuple):
    """One value per pixel, and how it was found.

    Attributes:
        values: (h, w) in [0, 1] if the source was colored; the source's own channel if it was gray.
        how: `equal channels`, the name of a color map, or `luma`.
        note: One phrase for the user.
        sure: False where values may be out of order.
    """

    values: Float[np.ndarray, "h w"]
    how: str
    note: str
    sure: bool = True


def scalar_from_rgb(rgb_unit: Float[np.ndarray, "h w 3"]) -> Scalar:
    """Gets back the scalar image behind three channels.

    Equal channels (up to what JPEG does to them) are that channel. Colors that lie on one of matplotlib's maps in
    `CANDIDATES` are looked up in it; a map and its reverse have the same colors, and the forward one is assumed.
    Anything else becomes luma: right in order for maps that get brighter with temperature (iron, gray with
    marks drawn in color), wrong for rainbows.

    Args:
        rgb_unit: Colors in [0, 1].
    """
    spread = rgb_unit.max(axis=-1) - rgb_unit.min(axis=-1)
    luma = luma_unit(rgb_unit).astype(np.float32)
    if spread.mean() <= _GRAY_MEAN and np.percentile(spread, 99.5) <= _GRAY_FAR:
        return Scalar(luma, "equal channels", "gray stored as RGB")
    sample = _sample(rgb_unit)
    distances = {name: _lookup(name, sample)[0] for name in CANDIDATES}
    best = min(CANDIDATES, key=lambda name: np.median(distances[name]))
    if np.all(np.percentile(distances[best], (50, 75)) <= _NEAR):
        values = _lookup(best, rgb_unit.reshape(-1, 3))[1].reshape(rgb_unit.shape[:2])
        return Scalar(values.astype(np.float32), best, f"color map '{best}' turned back into a scalar")
    note = "colors of no known map; their luma is used, hot and cold may be out of order"
    return Scalar(luma, "luma", note, sure=False)


def scalar_as(rgb_unit: Float[np.ndarray, "h w 3"], how: str) -> Float[np.ndarray, "h w"]:
    """As `scalar_from_rgb`, in the way that was found for an earlier frame of the same video.

    Args:
        rgb_unit: Colors in [0, 1].
        how: `Scalar.how` of that frame.
    """
    if how not in CANDIDATES:
        return luma_unit(rgb_unit).astype(np.float32)
    return _lookup(how, rgb_unit.reshape(-1, 3))[1].reshape(rgb_unit.shape[:2]).astype(np.float32)


def _sample(rgb_unit: np.ndarray) -> np.ndarray:
    """Some thousand pixels in a regular grid over the image."""
    flat = rgb_unit.reshape(-1, 3)
    return flat[:: max(1, len(flat) // _SAMPLE)]


@functools.cache
def _tree(name: str) -> Any:
    import matplotlib
    from scipy.spatial import KDTree

    return KDTree(matplotlib.colormaps[name](np.linspace(0, 1, _LEVELS))[:, :3], leafsize=16)


def _lookup(name: str, colors: Num[np.ndarray, "n 3"]) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each color to a map, and its place on the map in [0, 1]."""
    distance, index = _tree(name).query(colors)
    return distance, index / (_LEVELS - 1)
