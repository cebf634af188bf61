"""Losses of both stages in PyTorch (Eqs. 7-14). Images are in [-1, 1]; each function returns one value per image."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from torch_reference.fusion import caam, cam

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 2.0) ** 2, (0.03 * 2.0) ** 2
_MEET = 1e-5


def ssim(a: Float[Tensor, "n 1 h w"], b: Float[Tensor, "n 1 h w"]) -> Float[Tensor, " n"]:
    """Structural similarity (Wang et al. 2004), Gaussian window 11, sigma 1.5, dynamic range 2."""
    offsets = torch.arange(_WINDOW, dtype=a.dtype, device=a.device) - _WINDOW // 2
    taps = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    taps = taps / taps.sum()

    def blur(x: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(x, taps.reshape(1, 1, -1, 1)), taps.reshape(1, 1, 1, -1))

    mean_a, mean_b = blur(a), blur(b)
    squares, product = blur(a * a + b * b), blur(a * b)
    mean_squares = mean_a**2 + mean_b**2
    covariance = product - mean_a * mean_b
    numerator = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)
    denominator = (mean_squares + _C1) * (squares - mean_squares + _C2)
    return (numerator / denominator).mean(dim=(1, 2, 3))


def pixel_loss(image: Float[Tensor, "n 1 h w"], reconstructed: Float[Tensor, "n 1 h w"]) -> Float[Tensor, " n"]:
    """Mean squared difference (Eq. 8)."""
    return ((reconstructed - image) ** 2).mean(dim=(1, 2, 3))


def autoencoder_loss(
    image: Float[Tensor, "n 1 h w"], reconstructed: Float[Tensor, "n 1 h w"], *, ssim_weight: float
) -> Float[Tensor, " n"]:
    """L_ae = L_pixel + lambda (1 - SSIM) (Eqs. 7 and 9)."""
    return pixel_loss(image, reconstructed) + ssim_weight * (1 - ssim(image, reconstructed))


def cross_entropy_loss(logits: Float[Tensor, "n 2"], label: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Binary cross entropy of both outputs, one versus rest (Eq. 11), averaged over the two."""
    targets = F.one_hot(label, 2).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)


def distance_loss(
    last: Float[Tensor, "n k h w"], class_weights: Float[Tensor, "2 k"], label: Int[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """L_df: mean absolute difference of CAAM and the CAM of the image's own class (Eqs. 12-14)."""
    distance = (caam(last) - cam(last, class_weights[label])).abs()
    # Where the maps meet the derivative is 0, as in camfuse_jax.losses.
    return torch.where(distance > _MEET, distance, distance.detach()).mean(dim=(1, 2))


def classifier_loss(
    logits: Float[Tensor, "n 2"],
    last: Float[Tensor, "n k h w"],
    class_weights: Float[Tensor, "2 k"],
    label: Int[Tensor, " n"],
    *,
    distance_weight: float,
) -> Float[Tensor, " n"]:
    """L_class = L_ce + alpha L_df (Eq. 10)."""
    return cross_entropy_loss(logits, label) + distance_weight * distance_loss(last, class_weights, label)
