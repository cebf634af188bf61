"""SSIM in the forms the field uses, and MS-SSIM. Exact path, float64."""

import math

import numpy as np
from jaxtyping import Float64
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

_TAPS = window_taps(11, 1.5)
_RADIUS = 5
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
MS_SSIM_MIN_SIZE = 176
"""Four halvings of 176 leave 11 pixels: one window at the fifth scale."""


def structural_similarity(a: ArrayLike, b: ArrayLike, *, border: str = "replicate") -> float:
    """SSIM of two images: Gaussian 11 x 11 window, sigma 1.5, L = 255, K = .01 and .03, population covariance.

    Source: Wang et al., IEEE TIP 13, 2004.

    In [-1, 1]; 1 for identical images, constant ones included. Border `"replicate"` repeats the border pixels and
    averages the map over the whole image (MATLAB's `ssim`; any size from 1 x 1), `"crop"` averages over windows wholly
    inside (scikit-image, piq; from 11 x 11).
    """
    a, b = as_gray(a, name="a"), as_gray(b, name="b")
    require_same_shape(a=a, b=b)
    if border == "replicate":
        a, b = np.pad(a, _RADIUS, mode="edge"), np.pad(b, _RADIUS, mode="edge")
    elif border != "crop":
        raise ValueError(f'border is "replicate" or "crop", not {border!r}.')
    require_size("SSIM", a, at_least=11)
    luminance, contrast = _ssim_maps(a, b)
    return float((luminance * contrast).mean())


def ms_ssim(a: ArrayLike, b: ArrayLike) -> float:
    """Five-scale SSIM of two images, in [-1, 1].

    Windows wholly inside, 2 x 2 means between scales, an odd last row or column is dropped. A negative mean
    keeps its sign under the fractional exponent: sign(x) |x|^w. (piq and others set it to 0.)
    Source: Wang, Simoncelli and Bovik, Asilomar 2003.
    """
    a, b = as_gray(a, name="a"), as_gray(b, name="b")
    require_same_shape(a=a, b=b)
    require_size("MS-SSIM", a, at_least=MS_SSIM_MIN_SIZE)
    product = 1.0
    for scale, weight in enumerate(_SCALE_WEIGHTS):
        if scale:
            a, b = _halve(a), _halve(b)
        luminance, contrast = _ssim_maps(a, b)
        last = scale == len(_SCALE_WEIGHTS) - 1
        mean = float((luminance * contrast if last else contrast).mean())
        product *= math.copysign(abs(mean) ** weight, mean)
    return product


def mean_ssim(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """SSIM: mean of `structural_similarity(fused, ir)` and `structural_similarity(fused, vis)`, in [-1, 1]."""
    return (structural_similarity(fused, ir) + structural_similarity(fused, vis)) / 2


def summed_uniform_ssim(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """SSIM2: *sum* over both sources of SSIM with a uniform 7 x 7 window, sample covariance, cropped border and L = 2.

    L = 2 although the levels are 0..255: what scikit-image before 0.20 took for float images, hence CDDFuse's tables.
    """
    ir, vis, fused = as_triplet(ir, vis, fused)
    require_size("SSIM2", fused, at_least=7)
    return _uniform_ssim(fused, ir) + _uniform_ssim(fused, vis)


def mean_ms_ssim(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """MS-SSIM: mean of `ms_ssim(fused, ir)` and `ms_ssim(fused, vis)`, in [-1, 1]."""
    return (ms_ssim(fused, ir) + ms_ssim(fused, vis)) / 2


def _ssim_maps(a: Gray, b: Gray) -> tuple[Gray, Gray]:
    """Luminance and contrast-structure terms of every Gaussian window wholly inside."""
    mean_a, mean_b = window_mean(a, _TAPS), window_mean(b, _TAPS)
    # Both variances only occur as a sum, which saves one filter.
    variances = window_mean(a * a + b * b, _TAPS) - mean_a**2 - mean_b**2
    covariance = window_mean(a * b, _TAPS) - mean_a * mean_b
    return _ssim_terms(mean_a, mean_b, variances, covariance, value_range=255.0)


def _uniform_ssim(a: Gray, b: Gray) -> float:
    taps = np.full(7, 1 / 7)
    mean_a, mean_b = window_mean(a, taps), window_mean(b, taps)
    unbias = 49 / 48
    variances = unbias * (window_mean(a * a + b * b, taps) - mean_a**2 - mean_b**2)
    covariance = unbias * (window_mean(a * b, taps) - mean_a * mean_b)
    luminance, contrast = _ssim_terms(mean_a, mean_b, variances, covariance, value_range=2.0)
    return float((luminance * contrast).mean())


def _ssim_terms(
    mean_a: Gray, mean_b: Gray, variances: Gray, covariance: Gray, *, value_range: float
) -> tuple[Gray, Gray]:
    c1, c2 = (0.01 * value_range) ** 2, (0.03 * value_range) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance, (2 * covariance + c2) / (variances + c2)


def _halve(image: Gray) -> Float64[np.ndarray, "h2 w2"]:
    height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    return image[:height, :width].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
