"""Infrared stored as colour: a gray image in three channels, or one with a colour map burnt in."""

import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num

from camfuse_jax.images.colour import luma_unit

CANDIDATES = ("inferno", "magma", "plasma", "viridis", "cividis", "jet", "turbo", "hot", "afmhot", "gnuplot2", "CMRmap")
_LEVELS = 256
_SAMPLE = 4096
# Largest median and third quartile of the distance in RGB of [0, 1] to a map. What JPEG of quality 90 does to a map's
# colours stays below (0.028, 0.055 measured); the closest of 221 road photographs is at 0.037 and 0.084.
_NEAR = (0.033, 0.075)
_GRAY_MEAN, _GRAY_FAR = 1.5 / 255, 8 / 255  # spread of channels that JPEG leaves in a gray image


class Scalar(NamedTuple):
    """One value per pixel, and how it was found.

    Attributes:
        values: (h, w) in [0, 1] if the source was coloured; the source's own channel if it was gray.
        how: `equal channels`, the name of a colour map, or `luma`.
        note: One phrase for the user.
        sure: False where values may be out of order.
    """

    values: Float[np.ndarray, "h w"]
    how: str
    note: str
    sure: bool = True


def scalar_from_rgb(rgb_unit: Float[np.ndarray, "h w 3"]) -> Scalar:
    """Gets back the scalar image behind three channels.

    Equal channels (up to what JPEG does to them) are that channel. Colours that lie on one of matplotlib's maps in
    `CANDIDATES` are looked up in it; a map and its reverse have the same colours, and the forward one is assumed.
    Anything else becomes luma: right in order for maps that get brighter with temperature (iron, gray with
    marks drawn in colour), wrong for rainbows.

    Args:
        rgb_unit: Colours in [0, 1].
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
        return Scalar(values.astype(np.float32), best, f"colour map '{best}' turned back into a scalar")
    note = "colours of no known map; their luma is used, hot and cold may be out of order"
    return Scalar(luma, "luma", note, sure=False)


def scalar_as(rgb_unit: Float[np.ndarray, "h w 3"], how: str) -> Float[np.ndarray, "h w"]:
    """As `scalar_from_rgb`, in the way that was found for an earlier frame of the same video.

    Args:
        rgb_unit: Colours in [0, 1].
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
def _tree(name: str):
    import matplotlib
    from scipy.spatial import cKDTree

    return cKDTree(matplotlib.colormaps[name](np.linspace(0, 1, _LEVELS))[:, :3])


def _lookup(name: str, colours: Num[np.ndarray, "n 3"]) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each colour to a map, and its place on the map in [0, 1]."""
    distance, index = _tree(name).query(colours)
    return distance, index / (_LEVELS - 1)
