"""White-hot or black-hot: what one pair can say, which is little."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from camfuse_jax.pair.register import shrink, shrink_mask

FLIP, WARN = -2.0, -1.0
_LONG_SIDE = 512


class Polarity(NamedTuple):
    """The likely polarity of an infrared image.

    Attributes:
        kind: `white` or `black`, `unclear` between.
        skew: Skewness of what only the infrared image shows: positive where small things are brighter than what
            surrounds them, as warm things are in a white-hot image.
    """

    kind: Literal["white", "black", "unclear"]
    skew: float

    @property
    def strong(self) -> bool:
        """Whether it is enough to flip an image."""
        return self.skew <= FLIP


def guess_polarity(
    ir_unit: Float[np.ndarray, "h w"],
    vis_luma: Float[np.ndarray, "h w"],
    valid: Bool[np.ndarray, "h w"] | None = None,
) -> Polarity:
    """Guesses from the skewness of small structures in the infrared image that the visible one does not explain.

    Small warm things (people, engines, lamps) stand out more than small cold ones. The measure: take away from both
    images their surroundings (a Gaussian of 1/20 of the long side), then from the infrared rest the part that follows
    the visible rest, and take the skewness of what is left, all of it where both images show the scene (`valid`).

    Measured on 355 white-hot pairs (RoadScene 221, TNO 134) and on the same images inverted: below -2 lie 1 of the
    white-hot and 25 of the inverted ones, below -1 lie 8 and 79. So a verdict is right about 10 times in 11, but most
    black-hot images go unnoticed.
    """
    ir, vis = (shrink(image, _LONG_SIDE).astype(np.float64) for image in (ir_unit, vis_luma))
    mask = np.ones(ir.shape, bool) if valid is None else shrink_mask(valid, _LONG_SIDE)
    sigma = max(ir.shape) / 20
    weight = np.maximum(ndimage.gaussian_filter(mask.astype(np.float64), sigma), 1e-6)
    ir, vis = ((image - ndimage.gaussian_filter(image * mask, sigma) / weight)[mask] for image in (ir, vis))
    if not ir.size:
        return Polarity("unclear", 0.0)
    rest = ir - vis * (np.mean(ir * vis) / (np.mean(vis * vis) + 1e-9))
    rest -= rest.mean()
    spread = rest.std()
    skew = float(np.mean(rest**3) / spread**3) if spread > 1e-6 else 0.0
    return Polarity("black" if skew <= WARN else "white" if skew >= -WARN else "unclear", skew)
