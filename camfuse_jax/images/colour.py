"""Colour around a fused luma: luma of BT.601 in, RGB of the same hue out, inside the gamut."""

import numpy as np
from jaxtyping import Float

_BLOWN_POWER = 8
_WEIGHTS = np.array([0.299, 0.587, 0.114])


def luma_unit(rgb_unit: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """BT.601 luma in float64, not rounded; equal channels give that channel (ITU-R BT.601-7, section 2.5.1)."""
    rgb = np.asarray(rgb_unit, np.float64)
    gray = rgb[..., 1]
    # Written as a difference from green, equal channels come out exactly, whatever the weights' rounding.
    return gray + _WEIGHTS[0] * (rgb[..., 0] - gray) + _WEIGHTS[2] * (rgb[..., 2] - gray)


def with_luma(rgb_unit: Float[np.ndarray, "h w 3"], luma: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    """The same picture at another luma: hue constant, RGB inside [0, 1], luma exactly the one asked for.

    Chroma (RGB minus luma) is multiplied by one number s from 0 to 1 per pixel, so its direction, the hue, stays:

    - luma unchanged: s = 1, and the pixel is returned as it came;
    - darker: s = new / old luma, as if less light fell on the same surface. Keeping chroma as it is would turn a pale
      colour vivid where the other camera is dark: a fringe along every edge that only one camera sees;
    - darker where the source is blown out (near white, two channels at their end): s falls much faster. What hue such
      a pixel has comes from the channels' clipping, and darkening it would turn a lamp's white core cyan;
    - brighter: s = 1, or as much less as keeps the largest channel at 1. Chroma is never amplified, nor is its noise.

    s changes continuously with both lumas, so there is no seam where one case meets another.

    Args:
        rgb_unit: Colours in [0, 1].
        luma: New luma in [0, 1].

    Returns:
        RGB in [0, 1], float64.
    """
    rgb = np.asarray(rgb_unit, np.float64)
    old = luma_unit(rgb)
    new = np.clip(np.asarray(luma, np.float64), 0, 1)
    chroma = rgb - old[..., None]
    darker = (new / np.maximum(old, 1e-12)) ** (1 + _BLOWN_POWER * _blown_out(rgb))
    room = (1 - new) / np.maximum(chroma.max(axis=-1), 1e-12)
    scale = np.minimum(1.0, np.where(new < old, darker, room))
    return np.clip(new[..., None] + scale[..., None] * chroma, 0, 1)


def _blown_out(rgb: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """0 where colours are trustworthy, 1 where two channels are at their end and the third is close."""
    lowest, middle, _ = np.moveaxis(np.sort(rgb, axis=-1), -1, 0)
    return np.clip((middle - 0.94) / 0.06, 0, 1) * np.clip((lowest - 0.7) / 0.2, 0, 1)
