"""From a decoded record to the batches of a training step: windows, crops, labels, variations of sensors, order."""

import concurrent.futures
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

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


class Indexed(Protocol):
    """Anything with a length that can be indexed."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...


Example = dict[str, np.ndarray]


class Loader:
    """An endless iterator of batches in which batch number s depends on the seed and s alone.

    Each epoch is a new permutation of the source; what does not fill a batch is left for other epochs. Because no
    batch depends on the one before, resuming is exact: restore the number of the next batch.

    Args:
        source: Records by index.
        example: Makes the images of one record with a random generator: arrays with a leading axis of images.
        batch_size: Records per batch.
        seed: Seed of order and augmentation.
        step: Number of the first batch.
        threads: Threads that decode and augment.
        ahead: Batches prepared in advance.

    Raises:
        InputError: If the source has fewer records than a batch needs.
    """

    def __init__(
        self,
        source: Indexed,
        example: Callable[[Any, np.random.Generator], Example],
        *,
        batch_size: int,
        seed: int,
        step: int = 0,
        threads: int = 2,
        ahead: int = 4,
    ):
        if not 0 < batch_size <= len(source):
            raise InputError(
                f"A batch of {batch_size} needs at least as many records; the source has {len(source)}.",
                "Give more images or a smaller batch size.",
            )
        self._source, self._example = source, example
        self._batch_size, self._seed = batch_size, seed
        self._step, self._ahead = step, ahead
        self._pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="loader")
        self._pending: dict[int, concurrent.futures.Future[Example]] = {}
        self._order: tuple[int, np.ndarray] | None = None

    @property
    def batches_per_epoch(self) -> int:
        """Whole batches in one pass over the source."""
        return len(self._source) // self._batch_size

    def state(self) -> dict[str, int]:
        """What `restore` needs to go on with the next batch."""
        return {"seed": self._seed, "step": self._step}

    def restore(self, state: dict[str, int]) -> None:
        """Goes to where `state` was taken.

        Raises:
            ValueError: If the state belongs to another seed.
        """
        if state["seed"] != self._seed:
            raise ValueError(f"The saved order has seed {state['seed']}, this loader has {self._seed}.")
        self._cancel()
        self._step = state["step"]

    def __iter__(self) -> Iterator[Example]:
        """Returns the loader itself."""
        return self

    def __next__(self) -> Example:
        """Returns the next batch: the images of `batch_size` records, joined along their leading axis."""
        for step in range(self._step, self._step + self._ahead):
            if step not in self._pending:
                self._pending[step] = self._pool.submit(self._batch, step, self._indices(step))
        batch = self._pending.pop(self._step).result()
        self._step += 1
        return batch

    def close(self) -> None:
        """Stops the threads."""
        self._cancel()
        self._pool.shutdown()

    def __enter__(self) -> "Loader":
        """Returns the loader itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Stops the threads."""
        self.close()

    def _cancel(self) -> None:
        for future in self._pending.values():
            future.cancel()
        self._pending.clear()

    def _indices(self, step: int) -> np.ndarray:
        epoch, place = divmod(step, self.batches_per_epoch)
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, np.random.default_rng([self._seed, epoch]).permutation(len(self._source)))
        return self._order[1][place * self._batch_size : (place + 1) * self._batch_size]

    def _batch(self, step: int, indices: np.ndarray) -> Example:
        rng = np.random.default_rng([self._seed, 1, step])
        examples = [self._example(self._source[int(i)], rng) for i in indices]
        return {name: np.concatenate([example[name] for example in examples]) for name in examples[0]}
