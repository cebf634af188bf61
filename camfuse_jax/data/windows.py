"""Sliding windows over an image that may be smaller than the window."""

import numpy as np
from jaxtyping import UInt8

from camfuse_jax.errors import InputError


def windows(shape: tuple[int, int], *, size: int, stride: int) -> list[tuple[int, int]]:
    """Positions of square windows that together cover the image, its last row and column too.

    Args:
        shape: Height and width of the image.
        size: Side of the window.
        stride: Step between windows; the last step of a row or column may be shorter.

    Returns:
        `(top, left)` row by row. An image smaller than the window in both directions has the one window (0, 0).

    Raises:
        InputError: A number below 1.
    """
    if min(*shape, size, stride) < 1:
        raise InputError(
            f"No windows of size {size} and stride {stride} over {shape[0]} x {shape[1]}.", "All must be at least 1."
        )
    tops, lefts = (_starts(side, size, stride) for side in shape)
    return [(top, left) for top in tops for left in lefts]


def take_window(image: UInt8[np.ndarray, "h w"], top: int, left: int, size: int) -> UInt8[np.ndarray, "s s"]:
    """Cut a square window; what lies below or right of the image is filled by reflection.

    The reflection repeats the border pixel and goes back and forth as often as needed, so that it is defined from one
    pixel on. It is meant for training: fusion pads in its own way.

    Args:
        image: Gray levels.
        top: First row, within the image.
        left: First column, within the image.
        size: Side of the window.

    Returns:
        The window, always (size, size); a view of the image where it fits.

    Raises:
        InputError: The window starts outside the image.
    """
    height, width = image.shape
    if not (0 <= top < height and 0 <= left < width):
        raise InputError(f"A window at ({top}, {left}) does not start inside {height} x {width}.", "Use `windows`.")
    part = image[top : top + size, left : left + size]
    if part.shape == (size, size):
        return part
    return image[np.ix_(_reflected(top, size, height), _reflected(left, size, width))]


def _starts(side: int, size: int, stride: int) -> list[int]:
    last = max(side - size, 0)
    starts = list(range(0, last + 1, stride))
    return starts if starts[-1] == last else [*starts, last]


def _reflected(start: int, size: int, side: int) -> np.ndarray:
    """Indices start ... start + size - 1 folded into [0, side) by reflection at the borders."""
    folded = np.arange(start, start + size) % (2 * side)
    return np.where(folded < side, folded, 2 * side - 1 - folded)
