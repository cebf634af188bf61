"""The twelve metrics and the noise estimate in JAX, float32, for one image of true size `(h, w)`; see `batched`.

Definitions are those of the exact path (`statistics`, `gradients`, `structure`, `fidelity`), protocol `paper`. An
undefined value is NaN here; `batched` turns it into None.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from camfuse_jax.metrics.masked import (
    Image,
    Scalar,
    Size,
    constant,
    correlation,
    counts,
    entropy_bits,
    inside,
    mean,
    replicated,
    total,
    window_means,
)
from camfuse_jax.metrics.windows import gaussian_taps

_SSIM_TAPS = gaussian_taps(11, 1.5)
_VIF_TAPS = tuple(gaussian_taps(size, size / 5) for size in (17, 9, 5, 3))
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_MIDDLE = 127.5
"""Subtracted before squares are taken: halves the magnitudes that float32 has to cancel in a variance."""


def entropy(ir: Image, vis: Image, fused: Image, size: Size) -> Scalar:
    """EN."""
    return entropy_bits(counts(_levels(fused), size, 256))


def average_gradient(ir: Image, vis: Image, fused: Image, size: Size) -> Scalar:
    """AG."""
    edge = jnp.pad(replicated(fused, size), 1, mode="edge")
    row, column = jnp.arange(fused.shape[0])[:, None], jnp.arange(fused.shape[1])[None, :]
    gy = (edge[2:, 1:-1] - edge[:-2, 1:-1]) / jnp.where((row == 0) | (row == size.h - 1), 1, 2)
    gx = (edge[1:-1, 2:] - edge[1:-1, :-2]) / jnp.where((column == 0) | (column == size.w - 1), 1, 2)
    return total(jnp.sqrt((gx**2 + gy**2) / 2), size) / ((size.h - 1) * (size.w - 1))


def sum_of_correlations_of_differences(ir: Image, vis: Image, fused: Image, size: Size) -> Scalar:
    """SCD."""
    return correlation(fused - vis, ir, size) + correlation(fused - ir, vis, size)


def mean_ssim(ir: Image, vis: Image, fused: Image, size: Size) -> Scalar:
    """SSIM."""
    padded = (jnp.pad(replicated(image - _MIDDLE, size), 5, mode="edge") for image in (ir, vis, fused))
    return sum(mean(luminance * contrast, size) for luminance, contrast in _ssim_maps(*padded)) / 2


def summed_vif(ir: Image, vis: Image, fused: Image, size: Size) -> Scalar:
    """VIF."""
    flat = jnp.stack([constant(ir, size), constant(vis, size)])
    images = jnp.stack([image - mean(image, size) for image in (ir, vis, fused)])
    kept, available = jnp.zeros(2), jnp.zeros(2)
    for index, taps in enumerate(_VIF_TAPS):
        if index:
            images = window_means(images, taps)[:, ::2, ::2]
            size = Size((size.h - len(taps) + 2) // 2, (size.w - len(taps) + 2) // 2)
        terms = _vif_terms(images, taps)
        counted = inside(terms[0].shape[1:], size.shrunk(len(taps) - 1))[None]
        kept, available = (
            old + jnp.where(counted, new, 0).sum(axis=(1, 2)) for old, new in zip((kept, available), terms, strict=True)
        )
    return jnp.where(flat, 1.0, kept / jnp.where(available > 0, available, 1)).sum()


def spatial_frequency(ir: Image, vis: Image, fused: Image, size: Size) -> Scalar:
    """SF."""
    dx, dy = jnp.diff(fused, axis=1) ** 2, jnp.diff(fused, axis=0) ** 2
    return jnp.sqrt(mean(dx, Size(size.h, size.w - 1)) + mean(dy, Size(size.h - 1, size.w)))


def standard_deviation(ir: Image, vis: Image, fused: Image, size: Size) -> Scalar:
    """SD."""
    return jnp.sqrt(mean((fused - mean(fused, size)) ** 2, size))


def mutual_information(ir: Image, vis: Image, fused: Image, size: Size) -> Scalar:
    """MI."""
    own, result = _levels(fused), 0.0
    for source in (_levels(ir), _levels(vis)):
        marginals = entropy_bits(counts(own, size, 256)) + entropy_bits(counts(source, size, 256))
        result += marginals - entropy_bits(counts(own * 256 + source, size, 65536))
    return result


def edge_transfer(ir: Image, vis: Image, fused: Image, size: Size) -> Scalar:
    """Qabf."""
    target, kept, available = _sobel_polar(fused, size), 0.0, 0.0
    for source in (ir, vis):
        strength, orientation = _sobel_polar(source, size)
        weaker, stronger = jnp.minimum(strength, target[0]), jnp.maximum(strength, target[0])
        ratio = jnp.where(weaker == stronger, weaker, weaker / jnp.where(stronger == 0, 1, stronger))
        alignment = 1 - jnp.abs(orientation - target[1]) / (jnp.pi / 2)
        quality = 0.9994 / (1 + jnp.exp(-15 * (ratio - 0.5))) * 0.9879 / (1 + jnp.exp(-22 * (alignment - 0.8)))
        kept, available = kept + total(quality * strength, size), available + total(strength, size)
    return jnp.where(available > 0, kept / jnp.where(available > 0, available, 1), jnp.nan)


def mean_ms_ssim(ir: Image, vis: Image, fused: Image, size: Size) -> Scalar:
    """MS-SSIM."""
    images, products = jnp.stack([ir, vis, fused]) - _MIDDLE, [1.0, 1.0]
    for scale, weight in enumerate(_SCALE_WEIGHTS):
        if scale:
            images, size = _halves(images), Size(size.h // 2, size.w // 2)
        for source, (luminance, contrast) in enumerate(_ssim_maps(*images)):
            value = mean(luminance * contrast if scale == 4 else contrast, size.shrunk(10))
            products[source] *= jnp.sign(value) * jnp.abs(value) ** weight
    return sum(products) / 2


def correlation_coefficient(ir: Image, vis: Image, fused: Image, size: Size) -> Scalar:
    """CC."""
    return (correlation(fused, ir, size) + correlation(fused, vis, size)) / 2


def peak_signal_to_noise(ir: Image, vis: Image, fused: Image, size: Size) -> Scalar:
    """PSNR."""
    error = (mean((fused - ir) ** 2, size) + mean((fused - vis) ** 2, size)) / 2
    return jnp.where(error > 0, 10 * jnp.log10(255.0**2 / jnp.where(error > 0, error, 1)), jnp.nan)


def noise_level(ir: Image, vis: Image, fused: Image, size: Size) -> Scalar:
    """NOISE."""
    response = jnp.abs(jnp.diff(jnp.diff(fused, n=2, axis=0), n=2, axis=1))
    return jnp.sqrt(jnp.pi / 2) / 6 * mean(response, size.shrunk(2))


FUNCTIONS = {
    "EN": entropy,
    "AG": average_gradient,
    "SCD": sum_of_correlations_of_differences,
    "SSIM": mean_ssim,
    "VIF": summed_vif,
    "SF": spatial_frequency,
    "SD": standard_deviation,
    "MI": mutual_information,
    "Qabf": edge_transfer,
    "MS-SSIM": mean_ms_ssim,
    "CC": correlation_coefficient,
    "PSNR": peak_signal_to_noise,
    "NOISE": noise_level,
}
"""Metric key to its JAX form."""


def _levels(image: Image) -> jnp.ndarray:
    return jnp.round(image).astype(jnp.int32)


def _ssim_maps(ir: Image, vis: Image, fused: Image) -> list[tuple[Image, Image]]:
    """Luminance and contrast terms of the fused image with each source; `_MIDDLE` has been subtracted from all."""
    products = [ir * ir, vis * vis, fused * fused, ir * fused, vis * fused]
    *means, ir2, vis2, fused2, ir_fused, vis_fused = window_means(jnp.stack([ir, vis, fused, *products]), _SSIM_TAPS)
    maps = []
    for mean_s, square, product in ((means[0], ir2, ir_fused), (means[1], vis2, vis_fused)):
        variances = square + fused2 - mean_s**2 - means[2] ** 2
        contrast = (2 * (product - mean_s * means[2]) + _C2) / (variances + _C2)
        level_s, level_f = mean_s + _MIDDLE, means[2] + _MIDDLE
        maps.append(((2 * level_s * level_f + _C1) / (level_s**2 + level_f**2 + _C1), contrast))
    return maps


def _halves(images: Float[Array, "k H W"]) -> Float[Array, "k H2 W2"]:
    count, height, width = images.shape[0], images.shape[1] // 2, images.shape[2] // 2
    blocks = images[:, : height * 2, : width * 2].reshape(count, height, 2, width, 2)
    return blocks.mean(axis=(2, 4))


def _vif_terms(images: Float[Array, "3 H W"], taps: np.ndarray) -> tuple[Float[Array, "2 h w"], Float[Array, "2 h w"]]:
    """Information kept of, and available in, the two sources in each window of one scale, in nats."""
    sources, fused = images[:2], images[2:]
    means = window_means(jnp.concatenate([images, images * images, sources * fused]), taps)
    variances = jnp.maximum(means[3:6] - means[:3] ** 2, 0)
    source, target = variances[:2], variances[2:]
    covariance = means[6:] - means[:2] * means[2:3]
    gain = jnp.where((source < 1e-10) | (target < 1e-10), 0, covariance / (source + 1e-10))
    noise = jnp.where(gain < 0, target, jnp.maximum(target - gain * covariance, 1e-10))
    gain = jnp.maximum(gain, 0)
    return jnp.log1p(gain**2 * source / (noise + 2)), jnp.log1p(source / 2)


def _sobel_polar(image: Image, size: Size) -> tuple[Image, Image]:
    padded = jnp.pad(jnp.where(inside(image.shape, size), image, 0), 1)
    down = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    right = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    x, y = down[:, 2:] - down[:, :-2], right[:-2] - right[2:]
    orientation = jnp.where(x == 0, jnp.pi / 2, jnp.arctan(y / jnp.where(x == 0, 1, x)))
    return jnp.sqrt(x**2 + y**2), orientation
