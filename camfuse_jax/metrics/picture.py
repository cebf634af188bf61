"""Picture measures: what a person would complain of in a fused picture, as numbers. Float64, infrared white-hot.

Each takes a `PairFacts` and a fused image. What a measure needs of the sources alone is computed once for a pair,
since several methods are scored against it (finding the warm targets takes as long as the paper's SSIM).
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from numpy.typing import ArrayLike
from scipy import ndimage

from camfuse_jax.metrics.gray import Gray, UndefinedMetricError, as_triplet

_WARM_LEVELS = 30.0  # least contrast of a warm pixel to its wide surroundings
_TARGET_AREA = (40, 6000)  # pixels
_TARGET_CONTRAST = 25.0  # least infrared contrast of a target to the ring around it
_ENOUGH_CONTRAST = 60.0  # of more than this no more than half has to be kept
_INVERTED_LEVELS = 5.0
_DARK_LEVEL, _LEAST_DARK_AREA = 25.0, 500
_SHRINK, _MEDIAN_WINDOW = 4, 15  # the wide median is taken on every fourth pixel, over 15 of them
_MAD_TO_SIGMA = 1.4826


class Target(NamedTuple):
    """A warm target: a window of the image, and within it the target's pixels and a ring around them."""

    window: tuple[slice, slice]
    body: Bool[np.ndarray, "a b"]
    ring: Bool[np.ndarray, "a b"]

    def contrast(self, image: Gray) -> float:
        """Median of the target less median of the ring, in gray levels."""
        view = image[self.window]
        return float(np.median(view[self.body]) - np.median(view[self.ring]))


def find_targets(ir: Gray) -> list[Target]:
    """Compact areas of 40 to 6000 pixels that are clearly brighter than the median of the 60 pixels around them.

    An area counts if it fills a quarter of its box, is at most six times as long as wide, and exceeds the ring 3 to 7
    pixels around it by at least 25 levels.
    """
    rows, cols = ir.shape
    coarse = ndimage.median_filter(ir[::_SHRINK, ::_SHRINK], size=_MEDIAN_WINDOW)
    surroundings = coarse.repeat(_SHRINK, axis=0).repeat(_SHRINK, axis=1)[:rows, :cols]
    excess = ndimage.gaussian_filter(ir, 1.0) - surroundings
    spread = _MAD_TO_SIGMA * np.median(np.abs(excess))
    labels = np.empty(ir.shape, np.int32)
    ndimage.label(excess > max(_WARM_LEVELS, 2.5 * spread), output=labels)
    targets = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        height, width = (side.stop - side.start for side in box)
        area = int(np.count_nonzero(labels[box] == number))
        compact = area >= 0.25 * height * width and max(height, width) <= 6 * min(height, width)
        if not (compact and _TARGET_AREA[0] <= area <= _TARGET_AREA[1]):
            continue
        top, left = (slice(max(0, side.start - 8), side.stop + 8) for side in box)
        body = labels[top, left] == number
        near, far = (ndimage.binary_dilation(body, iterations=steps) for steps in (2, 7))
        ring = far & np.logical_not(near) & (labels[top, left] == 0)
        if area > 120:
            body = ndimage.binary_erosion(body)  # the mixed pixels of its edge do not count
        target = Target((top, left), body, ring)
        if np.count_nonzero(ring) >= 30 and target.contrast(ir) >= _TARGET_CONTRAST:
            targets.append(target)
    return targets


class PairFacts:
    """An infrared and a visible image, and what the measures need of them, each computed when it is first needed."""

    def __init__(self, ir: Gray, vis: Gray):
        self.ir, self.vis = ir, vis

    @functools.cached_property
    def targets(self) -> list[tuple[Target, float]]:
        """The warm targets and their infrared contrast."""
        return [(target, target.contrast(self.ir)) for target in find_targets(self.ir)]

    @functools.cached_property
    def dark(self) -> Bool[np.ndarray, "h w"]:
        """Where both are dark, blurred by 2 pixels."""
        return np.logical_and(*(ndimage.gaussian_filter(image, 2.0) < _DARK_LEVEL for image in (self.ir, self.vis)))

    @functools.cached_property
    def span(self) -> tuple[Gray, Gray]:
        """Lowest and highest level of both in the 15 x 15 pixels around each."""
        lowest = ndimage.minimum_filter(np.minimum(self.ir, self.vis), size=15)
        return lowest, ndimage.maximum_filter(np.maximum(self.ir, self.vis), size=15)

    @functools.cached_property
    def flat(self) -> Bool[np.ndarray, "h w"]:
        """The fifth of the image where both, blurred by 2 pixels, have the smallest slopes."""
        steepest = np.maximum(*(ndimage.gaussian_gradient_magnitude(image, 2.0) for image in (self.ir, self.vis)))
        return steepest <= np.quantile(steepest, 0.2)

    @functools.cached_property
    def noise(self) -> float:
        """The larger of both noise levels where they are flat."""
        return max(_noise_where(image, self.flat) for image in (self.ir, self.vis))


PictureMeasure = Callable[[PairFacts, Gray], float]


def target_fates(pair: PairFacts, fused: Gray) -> list[tuple[Target, str]]:
    """What became of each warm target: `kept`, `weak` or `inverted`.

    Kept is at least half of the infrared contrast, of which 60 levels at most count; inverted is darker than the
    surroundings by more than 5 levels.
    """
    fates = []
    for target, wanted in pair.targets:
        contrast = target.contrast(fused)
        kept = contrast >= 0.5 * min(wanted, _ENOUGH_CONTRAST)
        fates.append((target, "kept" if kept else "inverted" if contrast < -_INVERTED_LEVELS else "weak"))
    return fates


def targets_kept(pair: PairFacts, fused: Gray) -> float:
    """KEPT: per cent of the warm targets that keep enough of their infrared contrast (see `target_fates`)."""
    return _share_of_targets("KEPT", "kept", pair, fused)


def targets_inverted(pair: PairFacts, fused: Gray) -> float:
    """INVERTED: per cent of the warm targets that come out darker than their surroundings (see `target_fates`)."""
    return _share_of_targets("INVERTED", "inverted", pair, fused)


def target_count(pair: PairFacts, fused: Gray) -> float:
    """TARGETS: number of warm targets in the infrared image, by which KEPT and INVERTED are averaged over images."""
    return float(len(pair.targets))


def veil(pair: PairFacts, fused: Gray) -> float:
    """VEIL: mean fused level where both sources, blurred by 2 pixels, are below 25; needs more than 500 such pixels."""
    if np.count_nonzero(pair.dark) <= _LEAST_DARK_AREA:
        raise UndefinedMetricError(
            f"VEIL is undefined: at most {_LEAST_DARK_AREA} pixels are dark in both sources.",
            "Leave this image or this metric out.",
        )
    return float(fused[pair.dark].mean())


def clip(pair: PairFacts, fused: Gray) -> float:
    """CLIP: per cent of pixels at 252 or more where no source has 235, or at 3 or less where both are above 20."""
    burnt = (fused >= 252) & (pair.ir < 235) & (pair.vis < 235)
    crushed = (fused <= 3) & (pair.ir > 20) & (pair.vis > 20)
    return 100.0 * float(np.mean(burnt | crushed))


def levels_beyond(pair: PairFacts, fused: Gray) -> float:
    """BEYOND: mean levels by which the fused image leaves what both sources span in the 15 x 15 pixels around."""
    lowest, highest = pair.span
    return float(np.mean(np.maximum(fused - highest, 0) + np.maximum(lowest - fused, 0)))


def tone(pair: PairFacts, fused: Gray) -> float:
    """TONE: mean absolute difference of brightness to the visible image, both blurred by 16 pixels, in levels."""
    return float(np.mean(np.abs(ndimage.gaussian_filter(fused - pair.vis, 16.0))))


def noise_gain(pair: PairFacts, fused: Gray) -> float:
    """NOISE_GAIN: noise of the fused image over the larger of the sources' noise, where the sources are flat.

    Noise is Immerkaer's estimate, as in NOISE; flat is the fifth of the image where both sources, blurred by 2 pixels,
    have the smallest slopes.
    """
    if pair.noise < 0.1:
        raise UndefinedMetricError(
            "NOISE_GAIN is undefined: where the sources are flat their noise is below 0.1 level.",
            "Leave this image or this metric out.",
        )
    return _noise_where(fused, pair.flat) / pair.noise


def of_images(measure: PictureMeasure) -> Callable[[ArrayLike, ArrayLike, ArrayLike], float]:
    """A measure as a function of `(ir, vis, fused)`, as the other metrics are."""

    @functools.wraps(measure)
    def function(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
        ir, vis, fused = as_triplet(ir, vis, fused)
        return measure(PairFacts(ir, vis), fused)

    return function


def _share_of_targets(key: str, wanted: str, pair: PairFacts, fused: Gray) -> float:
    fates = [fate for _, fate in target_fates(pair, fused)]
    if not fates:
        raise UndefinedMetricError(
            f"{key} is undefined: the infrared image shows no warm target.", "Leave this image or this metric out."
        )
    return 100.0 * fates.count(wanted) / len(fates)


def _noise_where(image: Gray, flat: Bool[np.ndarray, "h w"]) -> float:
    response = ndimage.correlate1d(
        ndimage.correlate1d(image, (1, -2, 1), axis=0, mode="nearest"), (1, -2, 1), axis=1, mode="nearest"
    )
    return float(np.sqrt(np.pi / 2) / 6 * np.mean(np.abs(response[flat])))
