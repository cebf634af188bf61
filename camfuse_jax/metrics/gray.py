"""What every metric accepts: gray arrays of one size, finite, in 0..255; and separable windows over them."""

import numpy as np
from jaxtyping import Float64, UInt8
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from camfuse_jax.errors import InputError

Gray = Float64[np.ndarray, "h w"]
"""A gray image (h, w), float64, levels in [0, 255]."""


class UndefinedMetricError(InputError):
    """A metric has no value for these images (no variance, too small); says which one, and why."""


def as_gray(image: ArrayLike, *, name: str = "image") -> Gray:
    """Check one image and turn it into float64 (h, w).

    Args:
        image: (h, w) or (h, w, 1), any real dtype, levels in [0, 255]. Nothing is rescaled: an image in [0, 1] is
            a very dark one here.
        name: What to call it in an error.

    Raises:
        InputError: Wrong number of axes, no pixels, complex or non-finite values, or levels outside [0, 255].
    """
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 2 or array.size == 0:
        raise InputError(
            f"Metrics need {name} of shape (h, w), got {array.shape}.", "Reduce color to luma, drop the batch axis."
        )
    if array.dtype.kind not in "buif":
        raise InputError(f"Metrics need real numbers, {name} has dtype {array.dtype}.", "Convert it to uint8 first.")
    gray = array.astype(np.float64)
    low, high = float(gray.min()), float(gray.max())
    if not (low >= 0.0 and high <= 255.0):  # Also true for NaN, which compares false.
        raise InputError(
            f"Metrics need levels in [0, 255], {name} has {low:g} to {high:g}.", "Round and clip it to 8 bit first."
        )
    return gray


def as_triplet(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike) -> tuple[Gray, Gray, Gray]:
    """The two sources and the fused image as float64; InputError unless all are gray (`as_gray`) and of one size."""
    grays = as_gray(ir, name="ir"), as_gray(vis, name="vis"), as_gray(fused, name="fused")
    require_same_shape(ir=grays[0], vis=grays[1], fused=grays[2])
    return grays


def require_same_shape(**images: Gray) -> None:
    """Raise InputError naming every shape unless all are equal."""
    if len({image.shape for image in images.values()}) > 1:
        shapes = ", ".join(f"{name} {image.shape[0]} x {image.shape[1]}" for name, image in images.items())
        raise InputError(f"The images differ in size (height x width): {shapes}.", "Score images of one size only.")


def require_size(key: str, image: Gray, *, at_least: int) -> None:
    """Raise UndefinedMetricError if a side is shorter than the metric's support."""
    height, width = image.shape
    if min(height, width) < at_least:
        raise UndefinedMetricError(
            f"{key} needs at least {at_least} x {at_least} pixels, the image has {height} x {width}.",
            "Leave this metric out for such images.",
        )


def levels(image: Gray) -> UInt8[np.ndarray, "h w"]:
    """Round to 8-bit levels, halves to even, as a saved PNG would hold them."""
    return np.rint(image).astype(np.uint8)


def window_taps(size: int, sigma: float) -> Float64[np.ndarray, " size"]:
    """Normalized samples of a Gaussian; the outer product of two is MATLAB's `fspecial('gaussian', size, sigma)`."""
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
