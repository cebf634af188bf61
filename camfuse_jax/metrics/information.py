"""Metrics from gray-level statistics: EN, SD, MI, CC, SCD, PSNR; and VIF. Float64."""

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from camfuse_jax.metrics.gray import (
    Gray,
    UndefinedMetricError,
    as_gray,
    as_triplet,
    levels,
    require_same_shape,
    require_size,
    window_mean,
    window_taps,
)


def entropy(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """EN: Shannon entropy in bits of the 256-bin histogram of the fused image, in [0, 8].

    Source: Roberts, van Aardt and Ahmed, J. Applied Remote Sensing 2, 2008.
    """
    _, _, fused = as_triplet(ir, vis, fused)
    return _entropy_bits(np.bincount(levels(fused).ravel(), minlength=256))


def standard_deviation(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """SD: population standard deviation of the fused image, in [0, 127.5]."""
    _, _, fused = as_triplet(ir, vis, fused)
    return float(fused.std())


def mutual_information(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """MI: I(fused; ir) + I(fused; vis) in bits from 256 x 256 joint histograms, in [0, 16].

    Source: Qu, Zhang and Yan, Electronics Letters 38, 2002.
    """
    ir, vis, fused = as_triplet(ir, vis, fused)
    return _information_bits(fused, ir) + _information_bits(fused, vis)


def mutual_information_nats(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """MI in nats: `mutual_information` times ln 2, what scikit-learn's `mutual_info_score` gives."""
    return mutual_information(ir, vis, fused) * float(np.log(2.0))


def mutual_information_tang(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """MI in bits as Qu's `Hab.m` computes it on uint8 arrays.

    Its `+ 1` saturates, so levels 254 and 255 share a bin in the joint histogram, but not in the marginal entropies.
    """
    ir, vis, fused = as_triplet(ir, vis, fused)
    return _information_bits(fused, ir, joint_top=254) + _information_bits(fused, vis, joint_top=254)


def correlation_coefficient(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """CC: mean Pearson correlation of the fused image with the two sources, in [-1, 1]."""
    ir, vis, fused = as_triplet(ir, vis, fused)
    return (_pearson("CC", ir, fused, "ir and fused") + _pearson("CC", vis, fused, "vis and fused")) / 2


def sum_of_correlations_of_differences(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """SCD: corr(fused - vis, ir) + corr(fused - ir, vis), in [-2, 2].

    Source: Aslantas and Bendes, AEU 69, 2015.
    """
    ir, vis, fused = as_triplet(ir, vis, fused)
    from_ir = _pearson("SCD", fused - vis, ir, "fused - vis and ir")
    return from_ir + _pearson("SCD", fused - ir, vis, "fused - ir and vis")


def peak_signal_to_noise(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """PSNR in dB: 10 log10(255^2 / mean of the two mean squared errors), at least 0 dB."""
    return float(10 * np.log10(255.0**2 / _mean_squared_error(ir, vis, fused)))


def peak_signal_to_noise_own_peak(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """PSNR in dB with the fused image's own maximum as the peak, as CDDFuse's evaluator has it."""
    error, peak = _mean_squared_error(ir, vis, fused), float(as_gray(fused).max())
    if peak == 0.0:
        raise UndefinedMetricError("PSNR_PEAK is undefined: the fused image is black, its peak is 0.", "Use PSNR.")
    return float(10 * np.log10(peak**2 / error))


def peak_signal_to_noise_mixed_range(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """PSNR with errors on [0, 1] but the peak 255, as Tang's published tables have it: 48.13 dB above `PSNR`."""
    return peak_signal_to_noise(ir, vis, fused) + float(20 * np.log10(255.0))


def _entropy_bits(counts: np.ndarray) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum()) + 0.0  # Turns the -0.0 of a constant image into 0.0.


def _information_bits(a: Gray, b: Gray, *, joint_top: int = 255) -> float:
    """I(a; b) = H(a) + H(b) - H(a, b); levels above `joint_top` share one bin of the joint histogram."""
    a, b = levels(a).astype(np.int64).ravel(), levels(b).astype(np.int64).ravel()
    joint = np.bincount(np.minimum(a, joint_top) * 256 + np.minimum(b, joint_top), minlength=65536)
    marginals = _entropy_bits(np.bincount(a, minlength=256)) + _entropy_bits(np.bincount(b, minlength=256))
    return marginals - _entropy_bits(joint)


def _pearson(key: str, a: Float64[np.ndarray, "h w"], b: Float64[np.ndarray, "h w"], names: str) -> float:
    # The range, not the variance, decides: a constant that float64 cannot hold has a tiny non-zero variance.
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        raise UndefinedMetricError(
            f"{key} is undefined: of {names} at least one is constant, a correlation needs variance.",
            "Leave this image or this metric out.",
        )
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def _mean_squared_error(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    ir, vis, fused = as_triplet(ir, vis, fused)
    error = float((((fused - ir) ** 2).mean() + ((fused - vis) ** 2).mean()) / 2)
    if error == 0.0:
        raise UndefinedMetricError(
            "PSNR is unbounded: ir, vis and fused are identical.", "Leave this image or this metric out."
        )
    return error


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
