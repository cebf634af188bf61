"""Losses of both stages (Eqs. 7-14). Images are in [-1, 1]; each function returns one value per image."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from camfuse_jax import cam
from camfuse_jax.config import Modality

SSIM_WINDOW = 11
_SIGMA = 1.5
_C1 = (0.01 * 2.0) ** 2  # dynamic range 2: images in [-1, 1]
_C2 = (0.03 * 2.0) ** 2
_MEET = 1e-5


def _blur(x: Float[Array, "n h w"]) -> Float[Array, "n h2 w2"]:
    """Separable 11-tap Gaussian over the positions where the whole window fits."""
    offsets = jnp.arange(SSIM_WINDOW, dtype=jnp.float32) - SSIM_WINDOW // 2
    taps = jnp.exp(-(offsets**2) / (2 * _SIGMA**2))
    taps = taps / jnp.sum(taps)
    height, width = x.shape[1] - SSIM_WINDOW + 1, x.shape[2] - SSIM_WINDOW + 1
    rows: Any = sum(taps[i] * x[:, i : i + height, :] for i in range(SSIM_WINDOW))
    blurred: Any = sum(taps[i] * rows[:, :, i : i + width] for i in range(SSIM_WINDOW))
    return blurred


def dissimilarity(a: Float[Array, "n h w 1"], b: Float[Array, "n h w 1"]) -> Float[Array, " n"]:
    """1 - SSIM (Wang et al. 2004), Gaussian window 11, sigma 1.5, dynamic range 2.

    SSIM equals scikit-image's with `gaussian_weights=True, use_sample_covariance=False`, averaged over the positions
    where the window fits. No square root and no division that can be zero, so its gradient is finite on flat images.

    Raises:
        ValueError: If an image is smaller than the window.
    """
    if min(a.shape[1:3]) < SSIM_WINDOW:
        raise ValueError(f"SSIM needs images of at least {SSIM_WINDOW} x {SSIM_WINDOW} pixels, got {a.shape[1:3]}.")
    a, b = a[..., 0].astype(jnp.float32), b[..., 0].astype(jnp.float32)
    moments = _blur(jnp.concatenate([a, b, a * a + b * b, (a - b) ** 2]))
    mean_a, mean_b, squares, apart = jnp.split(moments, 4)
    mean_squares, mean_apart = mean_a**2 + mean_b**2, (mean_a - mean_b) ** 2
    # Both factors of SSIM as what they lack to one: good reconstructions have 0.999, and 1 minus that keeps few digits.
    luminance = mean_apart / (mean_squares + _C1)
    structure = (apart - mean_apart) / (squares - mean_squares + _C2)
    return jnp.mean(luminance + structure - luminance * structure, axis=(1, 2))


def ssim(a: Float[Array, "n h w 1"], b: Float[Array, "n h w 1"]) -> Float[Array, " n"]:
    """Structural similarity; see `dissimilarity`."""
    return 1 - dissimilarity(a, b)


def pixel_loss(image: Float[Array, "n h w 1"], reconstructed: Float[Array, "n h w 1"]) -> Float[Array, " n"]:
    """Squared Frobenius norm of the difference, divided by the number of pixels (Eq. 8)."""
    return jnp.mean((reconstructed - image) ** 2, axis=(1, 2, 3))


def autoencoder_loss(
    image: Float[Array, "n h w 1"], reconstructed: Float[Array, "n h w 1"], *, ssim_weight: float
) -> tuple[Float[Array, " n"], dict[str, Array]]:
    """L_ae = L_pixel + lambda (1 - SSIM) (Eqs. 7 and 9)."""
    pixel = pixel_loss(image, reconstructed)
    unlike = dissimilarity(image, reconstructed)
    return pixel + ssim_weight * unlike, {"pixel": pixel, "ssim": 1 - unlike}


def cross_entropy_loss(logits: Float[Array, "n 2"], label: Int[Array, " n"]) -> Float[Array, " n"]:
    """Binary cross entropy of both outputs against one-versus-rest targets (Eq. 11), averaged over the two."""
    targets = jnp.stack([label == Modality.IR, label == Modality.VIS], axis=-1).astype(logits.dtype)
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, targets), axis=-1)


def distance_loss(
    last: Float[Array, "n h w k"], class_weights: Float[Array, "2 k"], label: Int[Array, " n"]
) -> Float[Array, " n"]:
    """L_df: mean absolute difference of CAAM and the CAM of the image's own class (Eqs. 12-14)."""
    distance = jnp.abs(cam.caam(last) - cam.cam(last, class_weights[label]))
    # Where the maps meet, as at their common 0 and 1, the sign of the difference is rounding noise; the derivative
    # there is 0, or it would differ between machines that add in another order.
    distance = jnp.where(distance > _MEET, distance, jax.lax.stop_gradient(distance))
    return jnp.mean(distance, axis=(1, 2))


def classifier_loss(
    logits: Float[Array, "n 2"],
    last: Float[Array, "n h w k"],
    class_weights: Float[Array, "2 k"],
    label: Int[Array, " n"],
    *,
    distance_weight: Float[Array, ""] | float,
) -> tuple[Float[Array, " n"], dict[str, Array]]:
    """L_class = L_ce + alpha L_df (Eq. 10)."""
    cross_entropy = cross_entropy_loss(logits, label)
    distance = distance_loss(last, class_weights, label)
    correct = (jnp.argmax(logits, axis=-1) == label).astype(jnp.float32)
    return cross_entropy + distance_weight * distance, {
        "cross_entropy": cross_entropy,
        "distance": distance,
        "accuracy": correct,
    }
