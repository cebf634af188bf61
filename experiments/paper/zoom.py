"""Details of an image that a comparison shows enlarged: read, checked and found."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import gaussian_filter, uniform_filter

from camfuse_jax.errors import UsageError

MAX_BOXES = 2
_SHARE = 0.24
"""Width of a box found by itself, as a share of the image's width."""


class Box(NamedTuple):
    """A rectangle in pixels: left column, top row, width, height."""

    x: int
    y: int
    width: int
    height: int

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The part of an image inside the box."""
        return image[self.y : self.y + self.height, self.x : self.x + self.width]


def parse_box(text: str) -> Box:
    """Reads `X,Y,WIDTH,HEIGHT`.

    Raises:
        UsageError: Not four whole numbers, or a box without extent.
    """
    parts = text.replace(" ", "").split(",")
    if len(parts) != 4 or not all(part.isdecimal() for part in parts) or min(map(int, parts[2:])) < 1:
        raise UsageError(f"--zoom {text} is not a box.", "Write --zoom X,Y,WIDTH,HEIGHT in whole pixels.")
    return Box(*map(int, parts))


def check_box(box: Box, shape: tuple[int, int]) -> None:
    """Raises UsageError if a box does not lie inside an image of this height and width."""
    height, width = shape
    if box.x + box.width > width or box.y + box.height > height:
        raise UsageError(
            f"The box {','.join(map(str, box))} leaves the image, which is {width} wide and {height} high.",
            "Give a box inside it.",
        )


def find_boxes(ir: UInt8[np.ndarray, "h w"], vis: UInt8[np.ndarray, "h w"]) -> tuple[Box, Box]:
    """Two boxes worth a look: bright things that only infrared sees, and fine detail that only the visible image has.

    The first is where bright spots up to half a box wide stand out most in `ir` over those in `vis`, the second where
    the texture of `vis` exceeds that of `ir`. The boxes have one size and overlap only in images too small for two.

    Args:
        ir: Infrared luminance.
        vis: Visible luminance, same size.
    """
    height, width = ir.shape
    box_width = min(width, max(8, round(_SHARE * width)))
    size = (min(height, max(6, round(0.75 * box_width))), box_width)
    scale = box_width / 4
    targets = _strength(_spots(ir, scale), size) - _strength(_spots(vis, scale), size)
    first = _best(targets, size)
    texture = _strength(_relief(vis, scale / 4), size) - _strength(_relief(ir, scale / 4), size)
    near = np.zeros(texture.shape, bool)
    rows = slice(max(0, first.y - size[0] + 1), first.y + size[0])
    near[rows, max(0, first.x - size[1] + 1) : first.x + size[1]] = True
    second = _best(texture if near.all() else np.where(near, -np.inf, texture), size)
    return first, second


def _relief(image: UInt8[np.ndarray, "h w"], scale: float) -> Float[np.ndarray, "h w"]:
    """The image less its Gaussian average: what is smaller than the scale."""
    levels = image.astype(np.float64)
    return levels - gaussian_filter(levels, scale)


def _spots(image: UInt8[np.ndarray, "h w"], scale: float) -> Float[np.ndarray, "h w"]:
    return np.maximum(_relief(image, scale), 0)


def _strength(values: Float[np.ndarray, "h w"], size: tuple[int, int]) -> Float[np.ndarray, "y x"]:
    """Root mean square inside the box (height, width) whose upper left corner is at each place where it fits."""
    mean = uniform_filter(values**2, size)
    # `uniform_filter` puts the value of a window at its center, index size // 2 of the window.
    top, left = size[0] // 2, size[1] // 2
    fits = mean[top : top + values.shape[0] - size[0] + 1, left : left + values.shape[1] - size[1] + 1]
    return np.sqrt(np.maximum(fits, 0))


def _best(score: Float[np.ndarray, "y x"], size: tuple[int, int]) -> Box:
    y, x = np.unravel_index(int(score.argmax()), score.shape)
    return Box(int(x), int(y), size[1], size[0])
