"""Whether the infrared and the visible image of a pair, or of a folder of pairs, are swapped.

Certain is what only one of the two cameras can give: colors, or temperatures. Where both images are gray, statistics
of a thermal image decide (`thermal_features`), and a folder's pairs together.
"""

import itertools
import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from camfuse_jax.images.color import luma_unit, scalar_from_rgb
from camfuse_jax.images.picture import Picture
from camfuse_jax.pair.prepare import PreparedPair
from camfuse_jax.pair.register import fill_nearest, shrink

# Fitted by `experiments/swapped_folders.py --fit`: logistic regression on pairs of both training lists.
_ALIKE = [-4.45, -3.28, 2.75, -0.06, -0.27, 0.97, 0.14, -0.05, -0.11, 0.48, -0.20, 5.38]  # in both polarities
_SIGNED = [-0.48, -0.52, -0.03, 0.17, 0.39, -0.72]
WEIGHTS = np.array([*_ALIKE, *_SIGNED])
_SIGMAS = (0.7, 1.4, 2.8, 5.6, 11.2, 22.4)
_LONGEST = 1024  # pixels; larger images are averaged down to it
# Log-odds, summed over pairs: one pair alone proves nothing, and pairs of one folder are alike, so few count.
_MOST_ODDS, _MOST_PAIRS, _SURE, _LIKELY = 3.0, 8, 6.0, 2.5


class Swap(NamedTuple):
    """What one pair says about whether infrared and visible are swapped.

    Attributes:
        certain: 1: surely swapped, -1: surely not, by color or depth; 0: neither.
        log_odds: What the statistics of both images say; above 0: rather swapped. 0 where `certain` is not.
    """

    certain: int
    log_odds: float


def swap_evidence(certain: int, ready: PreparedPair) -> Swap:
    """What a pair says: what is certain (`certain_swap`), else the statistics of both images as they are fused."""
    if certain:
        return Swap(certain, 0.0)
    sides = (ready.ir_unit, ready.ir_valid), (ready.luma, ready.vis_valid)
    ir, vis = (score_of(thermal_features(fill_nearest(image, valid))) for image, valid in sides)
    return Swap(0, float(vis - ir))


def swap_verdict(swaps: Iterable[Swap]) -> Literal["swapped", "unsure", "as named"]:
    """Whether a folder's sides are swapped: by the majority of its certain pairs, else by what all together say."""
    swaps = list(swaps)
    certain = [swap.certain for swap in swaps if swap.certain]
    if certain:
        return "swapped" if sum(certain) > 0 else "as named"
    odds = np.clip([swap.log_odds for swap in swaps], -_MOST_ODDS, _MOST_ODDS)
    together = min(len(swaps), _MOST_PAIRS) * float(odds.mean()) if swaps else 0.0
    return "swapped" if together > _SURE else "unsure" if together > _LIKELY else "as named"


def certain_swap(ir: Picture, vis: Picture) -> int:
    """1 or -1 where only one of the two can be what it is named, else 0.

    Only a visible camera sees colors, and only an infrared one measures counts or degrees beside 8-bit color.
    """
    colors = _many_colors(ir) - _many_colors(vis)
    return colors or (vis.samples.dtype == np.float32) - (ir.samples.dtype == np.float32)


def certainly_swapped(ir: Picture, vis: Picture) -> str:
    """A note for a pair that by what it holds is surely swapped, else nothing; gray infrared costs no time."""
    if not (ir.is_color or vis.samples.dtype == np.float32) or certain_swap(ir, vis) <= 0:
        return ""
    colors = _many_colors(ir)
    what = "infrared is in color and visible is gray" if colors else "visible holds temperatures and infrared does not"
    return f"{what}: are they swapped?"


def score_of(
    features: Float[np.ndarray, "*n 18"], weights: Float[np.ndarray, "18"] = WEIGHTS
) -> Float[np.ndarray, "*n"]:
    """How much an image looks like a thermal one, in log-odds; only the difference of two images means something.

    What depends on the polarity (small bright spots, a dark sky) never counts against a thermal image, because in a
    black-hot one it is the other way round.
    """
    parts = [np.split(values, [len(_ALIKE)], axis=-1) for values in (features, weights)]
    alike, signed = (values @ weight for values, weight in zip(*parts, strict=True))
    return alike + np.maximum(signed, 0.0)


def thermal_features(image: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "18"]:
    """Statistics of an image that neither brightness nor contrast changes.

    Returns:
        Of six bands of frequency, finest first: five ratios of the standard deviations of neighbors (logarithm) and six
        kurtoses (logarithm); median over mean of the gradients (logarithm); then what changes its sign with polarity:
        skewness of all bands but the finest, and by how many standard deviations the upper third is brighter than the
        lower one.
    """
    x = shrink(image, _LONGEST).astype(np.float64)
    blurred = [x, *(ndimage.gaussian_filter(x, sigma, truncate=3.0) for sigma in _SIGMAS)]
    bands = [(fine - coarse).ravel() for fine, coarse in itertools.pairwise(blurred)]
    spread = np.log([band.std() + 1e-4 for band in bands])
    moments = np.array([_moments(band) for band in bands])
    skews, tails = np.clip(moments[1:, 0], -6, 6), np.clip(moments[:, 1] - 3, 0, 200)
    gradient = ndimage.gaussian_gradient_magnitude(x, 1.0)
    texture = math.log(float(np.median(gradient)) / (float(gradient.mean()) + 1e-6) + 1e-3)
    third = max(1, len(x) // 3)
    top = (x[:third].mean() - x[-third:].mean()) / (x.std() + 1e-3)
    return np.array([*(spread[:-1] - spread[1:]), *np.log1p(tails), texture, *skews, top])


def _moments(band: np.ndarray) -> tuple[float, float]:
    """Third and fourth moment of a standardized band; those of a normal distribution where it is constant."""
    spread = band.std()
    if spread <= 1e-6:
        return 0.0, 3.0
    z = (band - band.mean()) / spread
    squares = z * z
    return float((squares * z).mean()), float((squares * squares).mean())


def _many_colors(picture: Picture) -> bool:
    """Whether an image has colors that no map from one value to a color can give."""
    if not picture.is_color:
        return False
    step = max(1, math.isqrt(picture.samples[..., 0].size // 50_000))
    rgb = picture.samples[::step, ::step, :3].astype(np.float64) / float(np.iinfo(picture.samples.dtype).max)
    if np.percentile(np.ptp(rgb, axis=-1), 95) < 0.024:  # equal channels, up to what JPEG does to them
        return False
    luma, tint = luma_unit(rgb).ravel(), (rgb[..., 0] - rgb[..., 2]).ravel()
    order = np.argsort(luma, kind="stable")
    within = np.mean([np.std(part) for part in np.array_split(tint[order], 64)])
    # Maps such as jet have two colors of one luma; the reader knows them.
    return bool(within > 0.3 * np.std(tint)) and not scalar_from_rgb(rgb).sure
