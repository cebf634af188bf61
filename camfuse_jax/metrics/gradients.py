"""Metrics from differences of neighboring pixels: AG, SF, Qabf and a noise estimate. Float64.

Here and in the other files a metric takes `(ir, vis, fused)`, gray (h, w) in [0, 255], and raises UndefinedMetricError
where it has no value: a side is too short (`Metric.min_size`), or what its text names.
"""

import numpy as np
from numpy.typing import ArrayLike

from camfuse_jax.metrics.gray import Gray, UndefinedMetricError, as_triplet, require_size

# Constants of Xydeas and Petrovic 2000: height, slope and center of the strength and of the orientation sigmoid.
_STRENGTH = (0.9994, -15.0, 0.5)
_ORIENTATION = (0.9879, -22.0, 0.8)


def average_gradient(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """AG: sqrt((gx^2 + gy^2) / 2) of central differences, summed over all pixels, divided by (h - 1)(w - 1).

    One-sided differences on the border, as `numpy.gradient`. This is Tang's `AG_evaluation.m`; the divisor makes it a
    little larger than a mean. Source: Cui et al., Optics Communications 341, 2015.
    """
    steepness = _steepness(ir, vis, fused)
    height, width = steepness.shape
    return float(steepness.sum() / ((height - 1) * (width - 1)))


def average_gradient_mean(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """AG as a plain mean over the pixels, as CDDFuse's evaluator has it; about half a percent below `AG`."""
    return float(_steepness(ir, vis, fused).mean())


def average_gradient_forward(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """AG from forward differences: mean of sqrt((dx^2 + dy^2) / 2) over the (h - 1)(w - 1) pixels that have both."""
    _, _, fused = as_triplet(ir, vis, fused)
    require_size("AG_FORWARD", fused, at_least=2)
    dx, dy = fused[:-1, 1:] - fused[:-1, :-1], fused[1:, :-1] - fused[:-1, :-1]
    return float(np.sqrt((dx**2 + dy**2) / 2).mean())


def spatial_frequency(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """SF: sqrt(mean squared horizontal difference + mean squared vertical difference), each over its own differences.

    Source: Eskicioglu and Fisher, IEEE Trans. Communications 43, 1995.
    """
    _, _, fused = as_triplet(ir, vis, fused)
    require_size("SF", fused, at_least=2)
    return float(np.sqrt((np.diff(fused, axis=1) ** 2).mean() + (np.diff(fused, axis=0) ** 2).mean()))


def spatial_frequency_unit(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """SF of the image on [0, 1], as Tang's tables print it: `SF` / 255."""
    return spatial_frequency(ir, vis, fused) / 255.0


def edge_transfer(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """Qabf: how much of the sources' Sobel edge strength and orientation the fused image keeps, in [0, 1).

    Zero padding, no exponent on the weights, and an orientation of pi/2 where the horizontal response is exactly 0: the
    form of `analysis_Qabf.m` and of CDDFuse's evaluator. Because of the padding an image's frame counts as an edge.
    Source: Xydeas and Petrovic, Electronics Letters 36, 2000.
    """
    ir, vis, fused = as_triplet(ir, vis, fused)
    target = _sobel_polar(fused)
    kept, available = 0.0, 0.0
    for source in (ir, vis):
        strength, orientation = _sobel_polar(source)
        kept += float((_edge_preservation(strength, orientation, *target) * strength).sum())
        available += float(strength.sum())
    if available == 0.0:
        raise UndefinedMetricError(
            "Qabf is undefined: ir and vis are black, they have no edges.", "Leave this image or this metric out."
        )
    return kept / available


def noise_level(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> float:
    """NOISE: standard deviation of additive Gaussian noise in the fused image, estimated from its second differences.

    sqrt(pi / 2) times the mean absolute response of (1, -2, 1) x (1, -2, 1), over 6. Lines and texture add to it: a
    guide to reading EN, AG and SF, not a verdict. Source: Immerkaer, CVIU 64, 1996.
    """
    _, _, fused = as_triplet(ir, vis, fused)
    require_size("NOISE", fused, at_least=3)
    response = np.diff(np.diff(fused, n=2, axis=0), n=2, axis=1)
    return float(np.sqrt(np.pi / 2) / 6 * np.abs(response).mean())


def _steepness(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> Gray:
    _, _, fused = as_triplet(ir, vis, fused)
    require_size("AG", fused, at_least=2)
    gy, gx = np.gradient(fused)
    return np.sqrt((gx**2 + gy**2) / 2)


def _sobel_polar(image: Gray) -> tuple[Gray, Gray]:
    """Edge strength and orientation in (-pi/2, pi/2]; the image continues with zeros."""
    padded = np.pad(image, 1)
    down = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    right = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    x, y = down[:, 2:] - down[:, :-2], right[:-2] - right[2:]
    orientation = np.where(x == 0, np.pi / 2, np.arctan(y / np.where(x == 0, 1.0, x)))
    return np.sqrt(x**2 + y**2), orientation


def _edge_preservation(strength: Gray, orientation: Gray, fused_strength: Gray, fused_orientation: Gray) -> Gray:
    weaker, stronger = np.minimum(strength, fused_strength), np.maximum(strength, fused_strength)
    # Equal strengths give the strength itself, not 1, as in the reference code; above 1 the sigmoid is saturated.
    ratio = np.where(weaker == stronger, weaker, weaker / np.where(stronger == 0, 1.0, stronger))
    alignment = 1 - np.abs(orientation - fused_orientation) / (np.pi / 2)
    return _sigmoid(ratio, *_STRENGTH) * _sigmoid(alignment, *_ORIENTATION)


def _sigmoid(value: Gray, height: float, slope: float, center: float) -> Gray:
    return height / (1 + np.exp(slope * (value - center)))
