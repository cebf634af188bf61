"""Large images tile by tile: what is known of the whole image is summed up first, then each tile is drawn with it.

A tile overlaps its neighbors by as many pixels as a pixel of the result depends on (`reach`), so that the inner part
of a tile is what it would be in the whole image; only sums over the whole image are rounded otherwise.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from camfuse_jax.config import NetConfig
from camfuse_jax.errors import ResourceError
from camfuse_jax.fusion import rules
from camfuse_jax.fusion.dispatch import Buckets, Program, cut, run_by_size
from camfuse_jax.fusion.forward import Known, adaptive_weights, encoded, fuse_unit, last_maps, to_type, to_unit
from camfuse_jax.fusion.params import Params
from camfuse_jax.nets.autoencoder import ENCODER_STRIDES, UPSAMPLED_BEFORE
from camfuse_jax.nets.masking import SHRINK, Size, features_size, last_size, true_borders

DEFAULT_MEMORY = 3 * 2**29
"""Bytes that computing may take where nothing is said: 1.5 GiB, whole images of up to about three megapixels."""
_QUANTUM = 128  # sides of tiles are multiples: few shapes, so few programs


def memory_needed(net: NetConfig, pixels: int) -> int:
    """Bytes that fusing an image of so many pixels takes, besides the images themselves (docs/speed.md)."""
    encoder = 4 * net.encoder_widths[0]  # first layer's maps of both images, and padded copies of them
    decoder = 2 * net.decoder_widths[2] + net.decoder_widths[3]  # the last layer's input, its padded copy, its maps
    return pixels * 4 * (max(encoder, decoder) + net.encoder_widths[0] + net.decoder_widths[3])


def reach(params: Params) -> int:
    """Pixels from which a pixel of the result, or a sum over the image, takes anything; the margin included."""
    net, layers = params.net, range(len(ENCODER_STRIDES))
    encoder = sum(math.prod(ENCODER_STRIDES[:i]) for i in layers)
    decoder, cell = 0, SHRINK
    for layer in range(1, len(net.decoder_widths) + 1):
        if layer in UPSAMPLED_BEFORE:
            decoder, cell = decoder + cell, cell // 2
        decoder += cell
    own = encoder + net.margin + SHRINK * rules.reach(params.fusion) + decoder
    if params.fusion.rule != "adaptive":
        return own
    classifier = SHRINK * sum(math.prod(net.strides[:i]) for i in range(len(net.strides)))
    return max(own, encoder + net.margin + classifier)


class Span(NamedTuple):
    """Rows, or columns, of one tile.

    Attributes:
        start: First that the tile reads.
        first: First that belongs to it.
        stop: End of those that belong to it.
    """

    start: int
    first: int
    stop: int


def spans(length: int, tile: int, overlap: int, step: int) -> list[Span]:
    """Parts an axis into tiles that read `tile` places each and start at multiples of `step`."""
    starts = list(range(0, max(length - tile, 0), max(tile - 2 * overlap, step)))
    starts.append(max(0, -(-(length - tile) // step) * step))
    firsts = [0, *(start + overlap for start in starts[1:])]
    return [Span(*values) for values in zip(starts, firsts, [*firsts[1:], length], strict=True)]


def tile_shapes(size: tuple[int, int], overlap: int, step: int, pixels: int) -> list[tuple[int, int, int]]:
    """Tiles that serve for an image and have at most so many pixels: (pixels computed in all, rows, columns)."""
    smallest = -(-(2 * overlap + step) // _QUANTUM) * _QUANTUM
    sides = []
    for length in size:
        whole = -(-length // step) * step
        sides.append([whole] if whole <= smallest else [*range(smallest, whole, _QUANTUM), whole])
    found = []
    for rows in sides[0]:
        for cols in sides[1]:
            if rows * cols <= pixels:
                count = len(spans(size[0], rows, overlap, step)) * len(spans(size[1], cols, overlap, step))
                found.append((count * rows * cols, rows, cols))
    return sorted(found)


def fuse_tiled(params: Params, ir: np.ndarray, vis: np.ndarray, *, buckets: Buckets, memory: int) -> np.ndarray:
    """Fuses one image (h, w) tile by tile; types as for `fuse`.

    Args:
        params: Weights.
        ir: Infrared.
        vis: Visible.
        buckets: Remembers which tiles there are programs for.
        memory: Bytes that computing may take.

    Raises:
        ResourceError: A tile that holds what the rule's blurs reach does not fit.
    """
    size, step = ir.shape, SHRINK * math.prod(params.net.strides)
    overlap = -(-reach(params) // step) * step
    shapes = tile_shapes(size, overlap, step, memory // memory_needed(params.net, 1))
    if not shapes:
        least = memory_needed(params.net, (2 * overlap + step + _QUANTUM) ** 2)
        raise ResourceError(
            f"{size[1]} x {size[0]} pixels do not fit into {memory / 2**30:.2g} GiB, nor do tiles: rule "
            f"{params.fusion.rule} looks {overlap} pixels far.",
            f"Allow {math.ceil(10 * least / 2**30) / 10:g} GiB, or use smaller images or another rule.",
        )
    shape = buckets.tile(shapes)
    program = Buckets([Program(*shape, False)])
    tiles = [(r, c) for r in spans(size[0], shape[0], overlap, step) for c in spans(size[1], shape[1], overlap, step)]

    def part(image: np.ndarray, rows: Span, cols: Span) -> np.ndarray:
        return image[rows.start : rows.start + shape[0], cols.start : cols.start + shape[1]]

    known = _known(params, ir, vis, tiles, part, program)
    dtype = ir.dtype if ir.dtype == vis.dtype else np.dtype(np.float32)
    fused = np.empty(size, jax.dtypes.canonicalize_dtype(dtype))
    for rows, cols in tiles:
        given = (params, known), part(ir, rows, cols), part(vis, rows, cols)
        drawn = cut(run_by_size(_draw, *given, buckets=program), rows.stop - rows.start, cols.stop - cols.start)
        inner = drawn[rows.first - rows.start :, cols.first - cols.start :]
        fused[rows.first : rows.stop, cols.first : cols.stop] = inner
    return fused


class Sums(NamedTuple):
    """What a tile adds to what is known of the whole image.

    Attributes:
        features: Sums of each channel over the tile's own places, of the infrared and the visible image.
        bases: The same of the blurred features.
        products: Sums over places and channels of ir times vis, ir squared and vis squared of the blurred features
            less their means over the tile: differences of large sums would lose all digits.
        pooled: Sums of the classifier's last maps over the tile's own places.
    """

    features: Float[Array, "2 k"]
    bases: Float[Array, "2 k"]
    products: Float[Array, "3"]
    pooled: Float[Array, "2 k"]


def _known(params: Params, ir, vis, tiles, part, program: Buckets) -> Known:
    """The first pass. Rules that know nothing of the whole image need none."""
    rule, size = params.fusion.rule, ir.shape
    if rule not in ("place", "adaptive"):
        return Known(params.channel_weights, None)
    whole = features_size(params.net, size) if rule == "place" else last_size(params.net, size)
    cell = SHRINK if rule == "place" else SHRINK * math.prod(params.net.strides)
    found, counts = [], []
    for rows, cols in tiles:
        own = [_cells(s, n, t, cell) for s, n, t in zip((rows, cols), size, whole, strict=True)]
        given = (params, np.array(own, np.int32)), part(ir, rows, cols), part(vis, rows, cols)
        found.append(jax.tree.map(lambda x: np.asarray(x, np.float64), run_by_size(_sums, *given, buckets=program)))
        counts.append(math.prod(stop - first for first, stop in own))
    if rule == "adaptive":
        pooled = sum(one.pooled for one in found) / sum(counts)
        return Known(adaptive_weights(params, np.float32(pooled)), None)
    return Known(params.channel_weights, _statistics(found, counts))


def _cells(span: Span, length: int, whole: int, cell: int) -> tuple[int, int]:
    """Which of the tile's cells belong to it, counted from the tile's start; the last tile has the margin's too."""
    stop = whole if span.stop == length else span.stop // cell
    return (span.first - span.start) // cell, stop - span.start // cell


def _statistics(found: list[Sums], counts: list[int]) -> rules.Statistics:
    means = sum(one.features for one in found) / sum(counts)
    products = np.zeros(3)
    for one, count in zip(found, counts, strict=True):
        ir, vis = one.bases / count - means  # the tile's mean less the image's
        products += one.products + count * np.array([ir @ vis, ir @ ir, vis @ vis])
    product, energy = np.float32(products[0]), np.float32(products[1] * products[2])
    same = rules.sameness(product.reshape(1, 1, 1, 1), energy.reshape(1, 1, 1, 1))
    return rules.Statistics(tuple(np.float32(mean).reshape(1, 1, 1, -1) for mean in means), same)


def _sums(given: tuple[Params, Array], ir: Array, vis: Array, size: Size) -> Sums:
    params, own = given
    with true_borders(params.net, size):
        both = encoded(params, to_unit(ir)[None, ..., None], to_unit(vis)[None, ..., None], size)
        maps = both if params.fusion.rule == "place" else last_maps(params, both)
    rows, cols = (jax.lax.broadcasted_iota(jnp.int32, (1, *maps.shape[1:3], 1), axis) for axis in (1, 2))
    mask = (rows >= own[0, 0]) & (rows < own[0, 1]) & (cols >= own[1, 0]) & (cols < own[1, 1])
    count = jnp.prod(own[:, 1] - own[:, 0])

    def total(x: Array) -> Array:
        return jnp.sum(jnp.where(mask, x, 0), axis=(1, 2))

    if params.fusion.rule != "place":
        nothing = jnp.zeros((2, maps.shape[-1]))
        return Sums(nothing, nothing, jnp.zeros(3), total(maps))
    blurred = rules.smooth(both, params.fusion.base_cells)
    bases = total(blurred)
    a, b = jnp.where(mask, blurred - (bases / count)[:, None, None, :], 0.0)
    return Sums(total(both), bases, jnp.stack([jnp.sum(a * b), jnp.sum(a * a), jnp.sum(b * b)]), jnp.zeros_like(bases))


def _draw(given: tuple[Params, Known], ir: Array, vis: Array, size: Size) -> Array:
    params, known = given
    dtype = ir.dtype if ir.dtype == vis.dtype else jnp.dtype(jnp.float32)
    return to_type(fuse_unit(params, *(to_unit(x)[None, ..., None] for x in (ir, vis)), size, known), dtype)[0, ..., 0]
