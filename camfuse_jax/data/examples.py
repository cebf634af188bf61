"""Sliding windows over an image that may be smaller than the window."""

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from camfuse_jax.config import Modality
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


# From a decoded record to what a training step takes: crops, labels, and the variations that real sensors have.


def to_sym(image_u8: UInt8[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
    """Maps 0..255 to [-1, 1], float32."""
    return image_u8.astype(np.float32) / np.float32(127.5) - np.float32(1)


def random_crop(image: UInt8[ndarray, "h w"], size: int, rng: np.random.Generator) -> UInt8[ndarray, "size size"]:
    """Cuts a random square; an image smaller than it is first continued by mirroring."""
    missing = [max(0, size - length) for length in image.shape]
    if any(missing):
        image = np.pad(image, [(0, m) for m in missing], mode="symmetric")
    top, left = (int(rng.integers(0, length - size + 1)) for length in image.shape)
    return image[top : top + size, left : left + size]


def flip(image: ndarray, rng: np.random.Generator) -> ndarray:
    """Mirrors left and right every other time."""
    return image[:, ::-1] if rng.random() < 0.5 else image


class PhotoExample:
    """Auto-encoder example: a random crop, mirrored every other time.

    Args:
        crop: Height and width in pixels.
    """

    def __init__(self, crop: int):
        self.crop = crop

    def __call__(self, image: UInt8[ndarray, "h w"], rng: np.random.Generator) -> dict[str, ndarray]:
        """Returns `image` (crop, crop, 1) in [-1, 1]."""
        return {"image": to_sym(flip(random_crop(image, self.crop, rng), rng))[..., None]}


class PairExample:
    """Classifier example: the same window of both images, so that the scene cannot give the answer away.

    Args:
        augment: Vary each of the two on its own, as sensors do (`vary`).
    """

    def __init__(self, *, augment: bool):
        self.augment = augment

    def __call__(
        self, windows: tuple[UInt8[ndarray, "h w"], UInt8[ndarray, "h w"]], rng: np.random.Generator
    ) -> dict[str, ndarray]:
        """Returns `image` (2, h, w, 1) in [-1, 1] and `label` (2,), infrared first."""
        mirrored = rng.random() < 0.5
        images = []
        for window in windows:
            image = to_sym(window[:, ::-1] if mirrored else window)
            images.append(vary(image, rng) if self.augment else image)
        return {"image": np.stack(images)[..., None], "label": np.asarray([Modality.IR, Modality.VIS], np.int32)}


def vary(image_sym: Float[ndarray, "h w"], rng: np.random.Generator) -> Float[ndarray, "h w"]:
    """Changes what must not decide between infrared and visible: brightness, contrast, gamma and noise.

    Args:
        image_sym: Image in [-1, 1].
        rng: Source of the random choices.

    Returns:
        Image in [-1, 1], float32.
    """
    unit = np.clip((image_sym + 1) / 2, 0, 1) ** np.float32(np.exp(rng.uniform(-0.15, 0.15)))
    sym = (unit * 2 - 1) * rng.uniform(0.85, 1.15) + rng.uniform(-0.1, 0.1)
    if rng.random() < 0.5:
        sym = sym + rng.normal(scale=rng.uniform(0, 0.02), size=sym.shape)
    return np.clip(sym, -1, 1).astype(np.float32)
