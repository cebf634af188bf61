"""Blurs and grids of rule `spatial`, and what it needs to know of whole images: means, noise, correlation."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from camfuse_jax.nets.layers import Size, extended, inside, shrunk

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
    total: Any = sum(tap * shift for tap, shift in zip(taps, shifts, strict=True))
    return total.reshape(x.shape)


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


def _neighbors(x: Maps, axis: int) -> list[Maps]:
    around = [(0, 0)] * x.ndim
    around[axis] = (1, 1)
    padded = jnp.pad(x, around, mode="edge")
    return [jax.lax.slice_in_dim(padded, i, i + x.shape[axis], axis=axis) for i in range(3)]


CELL = 4
"""Pixels along one side of a cell, the grid of the features."""
LEVEL = 1 / 255
Pixels = Float[Array, "n h w 1"]
Masks = tuple[Pixels | None, Pixels | None]
"""Where the infrared and the visible image show something (1) or not (0); None for everywhere."""
FLAT = 1e-12  # product of two contrasts' energies up to which there is nothing to correlate
NOISE_LEVELS = tuple(LEVEL * 2.0 ** (-6 + i / 6) for i in range(73))
NOISE_QUANTILE, QUANTILE_TO_SIGMA = 0.25, 1.09  # that quantile of white noise's own estimates lies a little lower
LAPLACIAN_TO_SIGMA = math.sqrt(math.pi / 2) / 6  # Immerkaer 1996


class Probe(NamedTuple):
    """How an encoder answers what shows nothing, (k,) each.

    Attributes:
        black: Features of flat black.
        white: Features of flat white.
        noise: Standard deviation of the features of white noise of unit deviation.
    """

    black: Float[Array | np.ndarray, " k"]
    white: Float[Array | np.ndarray, " k"]
    noise: Float[Array | np.ndarray, " k"]

    def flat(self, level: Float[Array, "n h w 1"]) -> Float[Array, "n h w k"]:
        """Features of flat images of a level in [0, 1]; gray has none."""
        white, black = (x.reshape(1, 1, 1, -1) for x in (self.white, self.black))
        return jnp.maximum(2 * level - 1, 0) * white + jnp.maximum(1 - 2 * level, 0) * black


class Statistics(NamedTuple):
    """What the rule knows of whole images; for a video it is averaged over frames. Infrared first, then visible.

    Attributes:
        mean: Mean of each image, in [0, 1].
        noise: Standard deviation of each image's noise, in [0, 1].
        same: Correlation gate of each pair: near 1 only for two copies of one image.
    """

    mean: Float[Array, "m 1 1 1"]
    noise: Float[Array, "m 1 1 1"]
    same: Float[Array, "n 1 1 1"]


class Sums(NamedTuple):
    """What `Statistics` are computed from; sums of tiles add up.

    Attributes:
        moments: Of pixels that are image in both: count, ir, vis, and their squares and product about mid gray.
        counts: Cells whose noise is below each of 73 levels, of the infrared and the visible image.
    """

    moments: Float[Array, "n 6"]
    counts: Float[Array, "n 2 b"]


def probe(encode: Callable[[Pixels], Float[Array, "n h4 w4 k"]]) -> Probe:
    """Answers of an encoder of images in [0, 1]."""
    side = 96
    noise = 0.05 * jax.random.normal(jax.random.key(0), (1, side, side, 1))
    images = jnp.concatenate([jnp.full_like(noise, level) for level in (0.0, 1.0, 0.5)] + [0.5 + noise])
    middle = slice(side // CELL // 2 - 6, side // CELL // 2 + 6)
    black, white, gray, noisy = encode(images)[:, middle, middle]
    deviation = jnp.sqrt(jnp.mean((noisy - gray) ** 2, axis=(0, 1))) / 0.05
    return Probe(black.mean(axis=(0, 1)), white.mean(axis=(0, 1)), deviation)


def sums(
    ir: Pixels, vis: Pixels, size: Size | None = None, valid: Masks = (None, None), counted: Pixels | None = None
) -> Sums:
    """Sums over one image or tile.

    Args:
        ir: Infrared images in [0, 1].
        vis: Visible images.
        size: Rows and columns that are image.
        valid: Where the images show something.
        counted: Mask of the pixels of a tile that no other tile counts.
    """
    rows, cols = ir.shape[1:3] if size is None else size
    around = ((0, 0), (0, -ir.shape[1] % CELL), (0, -ir.shape[2] % CELL), (0, 0))  # else pooling would count copies
    ir, vis = (jnp.pad(x, around, mode="edge") for x in (ir, vis))
    weight = jnp.broadcast_to(inside(ir, (rows, cols)), ir.shape).astype(ir.dtype)
    for mask in (*valid, counted):
        weight = weight if mask is None else weight * jnp.pad(mask, around)
    a, b = (ir - 0.5) * weight, (vis - 0.5) * weight
    moments = pooled(jnp.concatenate([weight, a, b, a * a, b * b, a * b]), CELL)
    moments = CELL**2 * jnp.sum(moments, axis=(1, 2, 3)).reshape(6, -1).T
    whole = (pooled(weight, CELL) > 0.99).astype(ir.dtype)
    counts = _noise_counts(jnp.concatenate([ir, vis]), jnp.concatenate([whole, whole]), shrunk((rows, cols), CELL))
    return Sums(moments, jnp.stack(jnp.split(counts, 2), axis=1))


def statistics(total: Sums) -> Statistics:
    """Statistics of whole images from their sums."""
    count, *rest = (x[:, None, None, None] for x in jnp.moveaxis(total.moments, -1, 0))
    a, b, aa, bb, ab = (x / jnp.maximum(count, 1) for x in rest)
    noise = jnp.concatenate([_noise(total.counts[:, i])[:, None, None, None] for i in range(2)])
    energy = jnp.maximum(aa - a * a, 0) * jnp.maximum(bb - b * b, 0)
    return Statistics(jnp.concatenate([a, b]) + 0.5, noise, correlation_gate(ab - a * b, energy))


def correlation_gate(product: Float[Array, "n 1 1 1"], energy: Float[Array, "n 1 1 1"]) -> Float[Array, "n 1 1 1"]:
    """Fourth power of a correlation, 0 where it is negative: near 1 only for near copies.

    Args:
        product: Mean of the two contrasts' product.
        energy: Product of the means of their squares.
    """
    # Two where's: the root has no finite derivative at 0, and the unused branch must not reach it.
    flat = energy <= FLAT
    correlation = jnp.where(flat, 0.0, product / jnp.sqrt(jnp.where(flat, 1.0, energy)))
    return jnp.maximum(correlation, 0.0) ** 4


def fill_invalid(x: Pixels, valid: Pixels | None, size: Size | None = None) -> Pixels:
    """The image, and where it is invalid a wide mean of its valid surroundings, so that no edge shows there."""
    if valid is None:
        return x
    cells = shrunk(size, CELL)
    weight, value = pooled(valid, CELL), pooled(x * valid, CELL)
    filled = jnp.sum(value, axis=(1, 2), keepdims=True) / jnp.maximum(jnp.sum(weight, axis=(1, 2), keepdims=True), 1e-6)
    for sigma in (8.0, 2.0, 0.7):
        near = blurred(weight, sigma, cells)
        mean = blurred(value, sigma, cells) / jnp.maximum(near, 1e-6)
        filled = filled + jnp.clip(8 * near, 0, 1) * (mean - filled)
    return jnp.where(valid > 0, x, enlarged(extended(filled, cells), CELL, x.shape[1:3]))


def _noise_counts(x: Pixels, whole: Float[Array, "n h4 w4 1"], cells: Size | None) -> Float[Array, "n b"]:
    """Cells whose Laplacian difference, scaled to noise, is below each level; clipped cells are left out."""
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    across = padded[:, :, :-2] - 2 * padded[:, :, 1:-1] + padded[:, :, 2:]
    response = jnp.abs(across[:, :-2] - 2 * across[:, 1:-1] + across[:, 2:])
    noise = blurred(pooled(response, CELL), 0.7, cells) * LAPLACIAN_TO_SIGMA
    level = pooled(x, CELL)
    usable = whole * ((level > 2 * LEVEL) & (level < 253 * LEVEL)).astype(whole.dtype)
    below = (noise < jnp.asarray(NOISE_LEVELS, x.dtype).reshape(1, 1, 1, -1)).astype(x.dtype)
    below = below.reshape(x.shape[0], -1, len(NOISE_LEVELS))
    # As a product: XLA's own sum is five times slower.
    return jnp.matmul(usable.reshape(x.shape[0], 1, -1), below)[:, 0]


def _noise(counts: Float[Array, "n b"]) -> Float[Array, " n"]:
    """The quantile of the counted cells' noise, interpolated between the levels; 0 where nothing was counted."""
    wanted = NOISE_QUANTILE * counts[:, -1:]
    below = jnp.concatenate([jnp.zeros_like(wanted), counts[:, :-1]], axis=1)
    part = jnp.clip((wanted - below) / jnp.maximum(counts - below, 1e-6), 0, 1)
    steps = jnp.diff(jnp.asarray(NOISE_LEVELS, counts.dtype), prepend=0.0)
    return QUANTILE_TO_SIGMA * jnp.sum(part * steps[None], axis=1)
