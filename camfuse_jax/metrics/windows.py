"""Separable windows over an image, valid part only."""

import numpy as np
from jaxtyping import Float64
from numpy.lib.stride_tricks import sliding_window_view


def gaussian_taps(size: int, sigma: float) -> Float64[np.ndarray, " size"]:
    """Normalised samples of a Gaussian; the outer product of two is MATLAB's `fspecial('gaussian', size, sigma)`."""
    offset = np.arange(size) - (size - 1) / 2
    taps = np.exp(-(offset**2) / (2 * sigma**2))
    return taps / taps.sum()


def window_mean(image: Float64[np.ndarray, "h w"], taps: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, "h2 w2"]:
    """Weighted mean in each window that lies wholly inside the image: (h - n + 1, w - n + 1).

    `taps` must be symmetric. Each output row is one small vector-matrix product, which is two to three times as fast as
    `scipy.ndimage.correlate1d`, the larger the window the more.
    """
    transposed = np.ascontiguousarray(_column_mean(image, taps).T)
    return np.ascontiguousarray(_column_mean(transposed, taps).T)


def _column_mean(image: Float64[np.ndarray, "h w"], taps: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, "h2 w"]:
    rows = sliding_window_view(np.ascontiguousarray(image), len(taps), axis=0)
    return taps @ np.moveaxis(rows, -1, 1)
