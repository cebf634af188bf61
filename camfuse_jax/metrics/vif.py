"""VIF: pixel-domain visual information fidelity. Exact path, float64."""

import numpy as np
from numpy.typing import ArrayLike

from camfuse_jax.metrics.gray import (
    Gray,
    as_gray,
    as_triplet,
    require_same_shape,
    require_size,
    window_mean,
    window_taps,
)

VIF_MIN_SIZE = 41
"""The 17-, 9-, 5- and 3-pixel windows of the four scales leave one pixel of a 41-pixel side."""

_NOISE_VARIANCE = 2.0
_TINY = 1e-10
_TAPS = tuple(window_taps(size, size / 5) for size in (17, 9, 5, 3))


def vif(reference: ArrayLike, image: ArrayLike) -> float:
    """VIF of one image against one reference (`vifp_mscale`: 4 scales, noise variance 2).

    Source: Sheikh and Bovik, IEEE TIP 15, 2006, in the authors' pixel-domain form.

    At least 0; 1 for identical images; above 1 if the contrast is raised without noise. A reference without any
    variance holds no information that could be lost: 1, as CDDFuse's evaluator and piq define it.
    """
    reference, image = as_gray(reference, name="reference"), as_gray(image, name="image")
    require_same_shape(reference=reference, image=image)
    require_size("VIF", image, at_least=VIF_MIN_SIZE)
    return _ratio(_pyramid(reference), _pyramid(image))


def summed_vif(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """VIF: *sum* of `vif(ir, fused)` and `vif(vis, fused)`."""
    ir, vis, fused = as_triplet(ir, vis, fused)
    require_size("VIF", fused, at_least=VIF_MIN_SIZE)
    scales = _pyramid(fused)
    return _ratio(_pyramid(ir), scales) + _ratio(_pyramid(vis), scales)


def mean_vif(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """VIF as a *mean* over both sources: half of `VIF`."""
    return summed_vif(ir, vis, fused) / 2


_Scale = tuple[Gray, Gray, Gray]
"""An image at one scale, its local mean and its local variance."""


def _pyramid(image: Gray) -> list[_Scale]:
    """The image at four scales with local means and variances; computed once for a fused image with two sources."""
    scales = []
    # Shifting changes no variance, and makes those of a constant image exactly 0 instead of a rounding error.
    image = image - image.mean()
    for index, taps in enumerate(_TAPS):
        if index:
            image = window_mean(image, taps)[::2, ::2]
        mean = window_mean(image, taps)
        scales.append((image, mean, np.maximum(window_mean(image * image, taps) - mean * mean, 0.0)))
    return scales


def _ratio(reference: list[_Scale], image: list[_Scale]) -> float:
    kept, available = 0.0, 0.0  # In nats; the base cancels in the ratio.
    for taps, (source, source_mean, source_variance), (target, target_mean, target_variance) in zip(
        _TAPS, reference, image, strict=True
    ):
        covariance = window_mean(source * target, taps) - source_mean * target_mean
        gain, noise = _channel(source_variance, target_variance, covariance)
        source_variance = np.where(source_variance < _TINY, 0.0, source_variance)
        kept += float(np.log(1 + gain**2 * source_variance / (noise + _NOISE_VARIANCE)).sum())
        available += float(np.log(1 + source_variance / _NOISE_VARIANCE).sum())
    return kept / available if available > 0 else 1.0


def _channel(source: Gray, target: Gray, covariance: Gray) -> tuple[Gray, Gray]:
    """Gain and noise variance of `target = gain * source + noise` in each window, with the reference code's guards."""
    gain = covariance / (source + _TINY)
    noise = target - gain * covariance
    flat_source, flat_target, inverted = source < _TINY, target < _TINY, gain < 0
    noise = np.where(flat_source | inverted, target, noise)
    noise = np.where(flat_target, 0.0, noise)
    gain = np.where(flat_source | flat_target | inverted, 0.0, gain)
    return gain, np.maximum(noise, _TINY)
