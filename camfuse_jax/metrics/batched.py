"""The JAX path: many images at once, float32, compiled once per size bucket. Tables use the exact path.

Images are padded to multiples of 64 pixels and scored with their true sizes, so padding enters no metric: it can change
a value only by the order of a float32 sum. The images of a batch are scored one after the other by one compiled
program, so that the batch's size and what else is in it change no digit.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from camfuse_jax.errors import UsageError
from camfuse_jax.metrics.fast import FUNCTIONS
from camfuse_jax.metrics.gray import as_triplet
from camfuse_jax.metrics.masked import Size
from camfuse_jax.metrics.registry import PAPER_METRICS, check_keys, find_metric

BUCKET = 64
"""Padded sides are multiples of this many pixels (and at least 64)."""


def score_batch(
    ir: Float[Array, "n H W"],
    vis: Float[Array, "n H W"],
    fused: Float[Array, "n H W"],
    sizes: Int[Array, "n 2"],
    *,
    metrics: Sequence[str] = PAPER_METRICS,
) -> dict[str, Float[Array, " n"]]:
    """Score a batch; compiled per shape and set of metrics, usable under `jit`.

    Args:
        ir: Infrared images in [0, 255], each in the upper left corner of its array; other pixels are ignored.
        vis: Visible images.
        fused: Fused images.
        sizes: True height and width of each.
        metrics: Keys of `fast.FUNCTIONS`.

    Returns:
        Key to one value per image; NaN where the metric is undefined. Images below a metric's minimum size must not be
        given: their values mean nothing (`score_images` sees to that).

    Raises:
        UsageError: A metric without a JAX form.
    """
    keys = check_keys(metrics)
    absent = [key for key in keys if key not in FUNCTIONS]
    if absent:
        raise UsageError(f"No JAX form of {', '.join(absent)}.", f"There is one of: {', '.join(FUNCTIONS)}.")
    images = (jnp.asarray(image, jnp.float32) for image in (ir, vis, fused))
    return _score_batch(*images, jnp.asarray(sizes, jnp.int32), keys=keys)


def score_images(
    triplets: Sequence[tuple[ArrayLike, ArrayLike, ArrayLike]],
    *,
    metrics: Sequence[str] = PAPER_METRICS,
    batch_size: int = 8,
) -> list[dict[str, float | None]]:
    """Score images of any sizes: sorted into size buckets, padded, scored in batches.

    Args:
        triplets: `(ir, vis, fused)`, gray images of one size in [0, 255].
        metrics: Keys of `fast.FUNCTIONS`.
        batch_size: Largest number of images scored at once; the last batch of a bucket is filled up with copies.

    Returns:
        For each triplet, in order, key to value; None where the metric is undefined or the image too small for it.

    Raises:
        InputError: Not gray images of one size (see `gray.as_triplet`).
        UsageError: A metric without a JAX form.
    """
    keys = check_keys(metrics)
    checked = [np.stack(as_triplet(*triplet)).astype(np.float32) for triplet in triplets]
    buckets: dict[tuple[int, int], list[int]] = {}
    for index, images in enumerate(checked):
        buckets.setdefault(tuple(-(-side // BUCKET) * BUCKET for side in images.shape[1:]), []).append(index)
    results: list[dict[str, float | None]] = [{} for _ in checked]
    for shape, members in buckets.items():
        usable = [key for key in keys if find_metric(key).min_size <= min(shape)]
        for start in range(0, len(members), batch_size):
            chosen = members[start : start + batch_size]
            values = _score_padded([checked[i] for i in chosen], shape, usable, min(batch_size, len(members)))
            for position, index in enumerate(chosen):
                results[index] = {key: _defined(key, values, position, checked[index].shape[1:]) for key in keys}
    return results


@partial(jax.jit, static_argnames="keys")
def _score_batch(ir: Array, vis: Array, fused: Array, sizes: Array, *, keys: tuple[str, ...]) -> dict[str, Array]:
    def one(images: tuple[Array, Array, Array, Array]) -> dict[str, Array]:
        *triplet, size = images
        return {key: FUNCTIONS[key](*triplet, Size(size[0], size[1])) for key in keys}

    # Not vmap: that gave other last digits for other batch sizes, and was no faster.
    return jax.lax.map(one, (ir, vis, fused, sizes))


def _score_padded(
    images: list[np.ndarray], shape: tuple[int, int], keys: list[str], count: int
) -> dict[str, np.ndarray]:
    """Pad to `shape`, fill the batch up to `count`, score, and fetch the values."""
    padded = np.zeros((count, 3, *shape), np.float32)
    sizes = np.zeros((count, 2), np.int32)
    for position in range(count):
        image = images[min(position, len(images) - 1)]
        padded[position, :, : image.shape[1], : image.shape[2]] = image
        sizes[position] = image.shape[1:]
    if not keys:
        return {}
    return jax.device_get(score_batch(padded[:, 0], padded[:, 1], padded[:, 2], sizes, metrics=keys))


def _defined(key: str, values: dict[str, np.ndarray], position: int, shape: tuple[int, int]) -> float | None:
    if min(shape) < find_metric(key).min_size:
        return None
    value = float(values[key][position])
    return None if np.isnan(value) else value
