"""Blurs, and moves between pixels and coarser grids, on maps (n, h, w, 1)."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from camfuse_jax.nets.masking import Size, extended

Maps = Float[Array, "n h w c"]


def gaussian_weights(sigma: float) -> Float[np.ndarray, " t"]:
    """Weights of `blurred` along one axis, from -3 to 3 standard deviations; their sum is 1."""
    reach = math.ceil(3 * sigma)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return taps / taps.sum()


def blurred(x: Maps, sigma: float, size: Size | None = None) -> Maps:
    """Gaussian blur along both axes, edges repeated, cut off at three standard deviations.

    As products with banded matrices: on the small grids it is for, they take a tenth of the time of a convolution.

    Args:
        x: Maps of one channel.
        sigma: Standard deviation in pixels of the map.
        size: Rows and columns that are image; the rest is taken as copies of the last ones. None for all.
    """
    if not all(isinstance(length, int) for length in x.shape[1:3]):
        return blurred_pixels(extended(x, size), sigma)  # free sizes of StableHLO: no matrix to write down
    rows, cols = (_band_matrix(length, sigma) for length in x.shape[1:3])
    highest = jax.lax.Precision.HIGHEST
    return jnp.einsum("ri,nijc,sj->nrsc", rows, extended(x, size), cols, precision=highest)


def _band_matrix(length: int, sigma: float) -> Float[np.ndarray, "length length"]:
    weights = gaussian_weights(sigma)
    reach = len(weights) // 2
    matrix = np.zeros((length, length))
    for offset, weight in zip(range(-reach, reach + 1), weights, strict=True):
        rows = np.arange(length)
        np.add.at(matrix, (rows, np.clip(rows + offset, 0, length - 1)), weight)
    return matrix.astype(np.float32)


def blurred_pixels(x: Maps, sigma: float) -> Maps:
    """The same for maps of many pixels and small deviations: a sum of shifted maps, quick to run, slow to compile."""
    return _blurred_along(_blurred_along(x, sigma, 1), sigma, 2)


def _blurred_along(x: Maps, sigma: float, axis: int) -> Maps:
    # All axes from the blurred one on are laid in one row, so that a shift is a step in memory: XLA turns that into
    # long vector loops, which are several times faster than a depthwise convolution on a CPU.
    taps = gaussian_weights(sigma).astype(np.float32)
    reach = len(taps) // 2
    around = [(0, 0)] * x.ndim
    around[axis] = (reach, reach)
    step = math.prod(x.shape[axis + 1 :])
    length = x.shape[axis] * step
    row = jnp.pad(x, around, mode="edge").reshape(*x.shape[:axis], length + 2 * reach * step)
    row = jax.lax.optimization_barrier(row)  # or every tap would do the padding again
    shifts = (jax.lax.slice_in_dim(row, i * step, i * step + length, axis=axis) for i in range(len(taps)))
    return sum(tap * shift for tap, shift in zip(taps, shifts, strict=True)).reshape(x.shape)


def pooled(x: Maps, side: int, reduce: Callable[..., Array] = jnp.mean) -> Maps:
    """One value for each cell of side x side pixels; the outermost row and column fill the last cell."""
    n, rows, cols, channels = x.shape
    h, w = ((length + side - 1) // side for length in (rows, cols))  # in a form that free sizes can be reasoned with
    x = jnp.pad(x, ((0, 0), (0, h * side - rows), (0, w * side - cols), (0, 0)), mode="edge")
    return reduce(x.reshape(n, h, side, w, side, channels), axis=(2, 4))


def enlarged(x: Maps, side: int, shape: tuple[int, ...]) -> Maps:
    """Linear interpolation between the centers of cells of side x side pixels, cut to a shape."""
    for axis in (2, 1):  # columns while there are few rows: laying them side by side is slow
        before, here, after = _neighbors(x, axis)
        phases = []
        for i in range(side):
            t = (i - (side - 1) / 2) / side
            phases.append(here + t * (after - here) if t > 0 else here - t * (before - here))
        larger = list(x.shape)
        larger[axis] *= side
        x = jax.lax.optimization_barrier(jnp.stack(phases, axis + 1).reshape(larger))
    return x[:, : shape[0], : shape[1]]


def dilated(x: Maps) -> Maps:
    """Largest of the 3x3 pixels around each."""
    for axis in (1, 2):
        x = jnp.maximum(jnp.maximum(*_neighbors(x, axis)[:2]), _neighbors(x, axis)[2])
    return x


def beyond(x: Array, low: Array, high: Array) -> Array:
    """By how much x leaves [low, high]; signed."""
    return jnp.maximum(x - high, 0) - jnp.maximum(low - x, 0)


def _neighbors(x: Maps, axis: int) -> tuple[Maps, Maps, Maps]:
    around = [(0, 0)] * x.ndim
    around[axis] = (1, 1)
    padded = jnp.pad(x, around, mode="edge")
    return tuple(jax.lax.slice_in_dim(padded, i, i + x.shape[axis], axis=axis) for i in range(3))
