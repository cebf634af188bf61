"""From a decoded record to what a training step takes: windows, crops, labels, and variations of real sensors."""

import itertools
from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from scipy import ndimage

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


def take_window(image: UInt8[ndarray, "*n h w"], top: int, left: int, size: int) -> UInt8[ndarray, "*n s s"]:
    """Cut a square window; what lies below or right of the image is filled by reflection.

    The reflection repeats the border pixel and goes back and forth as often as needed, so that it is defined from one
    pixel on. It is meant for training: fusion pads in its own way.

    Returns:
        The window, always of full size; a view of the image where it fits.

    Raises:
        InputError: The window starts outside the image.
    """
    height, width = image.shape[-2:]
    if not (0 <= top < height and 0 <= left < width):
        raise InputError(f"A window at ({top}, {left}) does not start inside {height} x {width}.", "Use `windows`.")
    part = image[..., top : top + size, left : left + size]
    if part.shape[-2:] == (size, size):
        return part
    return image[..., _reflected(top, size, height)[:, None], _reflected(left, size, width)]


class WindowSource:
    """Sliding windows over images, or over stacks of images of one scene: record i is the same window of a stack.

    Args:
        images: Gray images (h, w), or stacks of them (n, h, w).
        size: Side of a window in pixels.
        stride: Step in pixels.
    """

    def __init__(self, images: Iterable[UInt8[ndarray, "*n h w"]], *, size: int, stride: int):
        self._size = size
        self._windows = [
            (image, *corner) for image in images for corner in windows(image.shape[-2:], size=size, stride=stride)
        ]

    def __len__(self) -> int:
        """Number of windows."""
        return len(self._windows)

    def __getitem__(self, index: int) -> UInt8[ndarray, "*n s s"]:
        """One window, uint8 (..., size, size)."""
        return take_window(*self._windows[index], self._size)


def _starts(side: int, size: int, stride: int) -> list[int]:
    last = max(side - size, 0)
    starts = list(range(0, last + 1, stride))
    return starts if starts[-1] == last else [*starts, last]


def _reflected(start: int, size: int, side: int) -> np.ndarray:
    """Indices start ... start + size - 1 folded into [0, side) by reflection at the borders."""
    folded = np.arange(start, start + size) % (2 * side)
    return np.where(folded < side, folded, 2 * side - 1 - folded)


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
        share: Also draw the share that the image has in a mixture.
    """

    def __init__(self, crop: int, *, share: bool = False):
        self.crop, self.share = crop, share

    def __call__(self, image: UInt8[ndarray, "h w"], rng: np.random.Generator) -> dict[str, ndarray]:
        """Returns `image` (1, crop, crop, 1) in [-1, 1], and `share` (1,) in [0, 1)."""
        example = {"image": to_sym(flip(random_crop(image, self.crop, rng), rng))[None, ..., None]}
        return {**example, "share": rng.random(1, np.float32)} if self.share else example


class PairExample:
    """Classifier example: the same window of both images, so that the scene cannot give the answer away.

    Args:
        augment: Vary each of the two on its own, as sensors do (`vary`).
        strip: Take from each of the two what gives its sensor away (`strip_sensor`).
    """

    def __init__(self, *, augment: bool, strip: bool = False):
        self._changes = [*([vary] if augment else ()), *([strip_sensor] if strip else ())]

    def __call__(
        self, windows: UInt8[ndarray, "2 h w"] | tuple[UInt8[ndarray, "h w"], ...], rng: np.random.Generator
    ) -> dict[str, ndarray]:
        """Returns `image` (2, h, w, 1) in [-1, 1] and `label` (2,), infrared first."""
        mirrored = rng.random() < 0.5
        images = []
        for window in windows:
            image = to_sym(window[:, ::-1] if mirrored else window)
            for change in self._changes:
                image = change(image, rng)
            images.append(image)
        return {"image": np.stack(images)[..., None], "label": np.asarray([Modality.IR, Modality.VIS], np.int32)}


def vary(image_sym: Float[ndarray, "h w"], rng: np.random.Generator) -> Float[ndarray, "h w"]:
    """Changes what must not decide between infrared and visible: brightness, contrast, gamma and noise.

    Returns:
        Image in [-1, 1], float32.
    """
    unit = np.clip((image_sym + 1) / 2, 0, 1) ** np.float32(np.exp(rng.uniform(-0.15, 0.15)))
    sym = (unit * 2 - 1) * rng.uniform(0.85, 1.15) + rng.uniform(-0.1, 0.1)
    if rng.random() < 0.5:
        sym = sym + rng.normal(scale=rng.uniform(0, 0.02), size=sym.shape)
    return np.clip(sym, -1, 1).astype(np.float32)


_BANDS = (1.0, 2.0, 4.0, 8.0)  # standard deviations of the blurs that part an image into bands, in pixels


def strip_sensor(image_sym: Float[ndarray, "h w"], rng: np.random.Generator) -> Float[ndarray, "h w"]:
    """Hides what tells an infrared image by its spectrum and noise alone, so that content has to decide.

    Each frequency band gets a gain from 1/4 to 4, the image a blur of up to 1.5 pixels, noise of up to a twentieth of
    full scale and a new mean.

    Returns:
        Image in [-1, 1], float32.
    """
    levels = [image_sym, *(ndimage.gaussian_filter(image_sym, sigma) for sigma in _BANDS)]
    bands = [fine - coarse for fine, coarse in itertools.pairwise(levels)]
    gains = 4.0 ** rng.uniform(-1, 1, len(bands))
    sym = levels[-1] - levels[-1].mean() + sum(gain * band for gain, band in zip(gains, bands, strict=True))
    sym = ndimage.gaussian_filter(sym, rng.uniform(0, 1.5)) + rng.uniform(-0.5, 0.5)
    sym = sym + rng.normal(scale=rng.uniform(0, 0.1), size=sym.shape)
    return np.clip(sym, -1, 1).astype(np.float32)
