"""Do the two images show the same pixels? Cross-correlation of edge strength, and the shift at its peak."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image
from scipy import fft, ndimage

_LONG_SIDE = 512


class Shift(NamedTuple):
    """Where the infrared edges lie, seen from the visible ones.

    Attributes:
        rows: Pixels downwards.
        cols: Pixels to the right.
        score: Height of the peak in standard deviations of the correlation over all shifts looked at.
        gain: Correlation at the peak minus correlation without a shift.
    """

    rows: float
    cols: float
    score: float
    gain: float

    @property
    def length(self) -> float:
        """Pixels."""
        return float(np.hypot(self.rows, self.cols))


def shrink(image: Float[np.ndarray, "h w"], long_side: int) -> Float[np.ndarray, "a b"]:
    """The image at no more than `long_side` pixels, averaged, not sampled."""
    longest = max(image.shape)
    if longest <= long_side:
        return np.asarray(image, np.float32)
    size = [max(1, round(length * long_side / longest)) for length in image.shape[::-1]]
    return np.asarray(Image.fromarray(np.asarray(image, np.float32)).resize(size, Image.Resampling.BOX))


def edge_strength(image: Float[np.ndarray, "h w"], *, sigma: float = 1.5) -> Float[np.ndarray, "h w"]:
    """Gradient magnitude, which both cameras share even where one is bright and the other dark.

    Compressed by a square root so that a few strong edges do not decide alone, and free of its local mean.
    """
    strength = np.sqrt(ndimage.gaussian_gradient_magnitude(np.asarray(image, np.float64), sigma))
    return strength - ndimage.gaussian_filter(strength, 8 * sigma)


def find_shift(ir_unit: Float[np.ndarray, "h w"], vis_luma: Float[np.ndarray, "h w"], *, reach: float = 0.15) -> Shift:
    """The shift at which the edges of both images agree best.

    Args:
        ir_unit: Infrared.
        vis_luma: Visible luma of the same size.
        reach: Largest shift, as a share of each side.
    """
    height = ir_unit.shape[0]
    ir, vis = (edge_strength(shrink(image, _LONG_SIDE)) for image in (ir_unit, vis_luma))
    scale = height / ir.shape[0]
    norm = np.sqrt(np.sum(ir**2) * np.sum(vis**2))
    if norm < 1e-9 or min(ir.shape) < 16:
        return Shift(0.0, 0.0, 0.0, 0.0)
    shape = [fft.next_fast_len(2 * length) for length in ir.shape]
    spectrum = fft.rfft2(ir, shape) * np.conj(fft.rfft2(vis, shape))
    surface = fft.fftshift(fft.irfft2(spectrum, shape)) / norm
    centre = [length // 2 for length in shape]
    half = [max(2, int(reach * length)) for length in ir.shape]
    window = surface[centre[0] - half[0] : centre[0] + half[0] + 1, centre[1] - half[1] : centre[1] + half[1] + 1]
    row, col = np.unravel_index(int(window.argmax()), window.shape)
    score = (window[row, col] - window.mean()) / (window.std() + 1e-12)
    gain = window[row, col] - window[half[0], half[1]]
    return Shift((row - half[0]) * scale, (col - half[1]) * scale, float(score), float(gain))
