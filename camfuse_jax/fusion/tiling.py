"""Large images tile by tile: sums over the whole image are taken first, then each tile is drawn with their result.

A tile overlaps its neighbors by as many pixels as a pixel of the result depends on (`pixel_reach`), so that the inner
part of a tile is what it would be in the whole image; only sums over the whole image are rounded otherwise.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from camfuse_jax.errors import ResourceError
from camfuse_jax.fusion import rules, spatial
from camfuse_jax.fusion.dispatch import Buckets, Program, cut, run_by_size
from camfuse_jax.fusion.forward import (
    POOLED_RULES,
    Context,
    ImageSums,
    context_of,
    fuse_unit,
    image_sums,
    to_type,
    to_unit,
)
from camfuse_jax.fusion.params import Params
from camfuse_jax.nets.autoencoder import ENCODER_STRIDES, UPSAMPLED_BEFORE
from camfuse_jax.nets.layers import SHRINK, Size

DEFAULT_MEMORY = 3 * 2**29
"""Bytes that computing may take where nothing is said: 1.5 GiB, whole images of up to about three megapixels."""
_QUANTUM = 128  # sides of tiles are multiples: few shapes, so few programs
_SHALLOW_BYTES = 100  # a pixel, measured
_BEYOND = 2**30  # pixels; more than any tile has


def memory_needed(params: Params, pixels: int) -> int:
    """Bytes that fusing an image of so many pixels takes, besides the images themselves (docs/bench.md)."""
    net = params.net
    if net.kind == "shallow":
        return pixels * _SHALLOW_BYTES
    encoder = 4 * net.encoder_widths[0]  # first layer's maps of both images, and padded copies of them
    decoder = 2 * net.decoder_widths[2] + net.decoder_widths[3]  # the last layer's input, its padded copy, its maps
    return pixels * 4 * (max(encoder, decoder) + net.encoder_widths[0] + net.decoder_widths[3])


def pixel_reach(params: Params) -> int:
    """Pixels from which a pixel of the result, or a sum over the image, takes anything; the margin included."""
    net, layers = params.net, range(len(ENCODER_STRIDES))
    encoder = SHRINK + SHRINK if net.kind == "shallow" else sum(math.prod(ENCODER_STRIDES[:i]) for i in layers)
    if params.fusion.rule == "spatial":
        return encoder + net.margin + spatial.reach(params.fusion.spatial)
    decoder, cell = SHRINK, SHRINK
    for layer in range(1, len(net.decoder_widths) + 1) if net.kind == "deep" else ():
        if layer in UPSAMPLED_BEFORE:
            decoder, cell = decoder + cell, cell // 2
        decoder += cell
    own = encoder + net.margin + SHRINK * rules.rule_reach(params.fusion) + decoder
    if params.fusion.rule not in POOLED_RULES:
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
    """Parts an axis into tiles that read `tile` pixels each and start at multiples of `step`."""
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


def fuse_tiled(params: Params, ir: np.ndarray, vis: np.ndarray, *, memory: int) -> np.ndarray:
    """Fuses one image (h, w) tile by tile; types as for `fuse`.

    Args:
        params: Weights.
        ir: Infrared.
        vis: Visible.
        memory: Bytes that computing may take.

    Raises:
        ResourceError: A tile that holds what the rule's blurs reach does not fit.
    """
    size, step = ir.shape, math.lcm(SHRINK * math.prod(params.net.strides), 2 * SHRINK)  # warmth is found on 8x8 pixels
    overlap = -(-pixel_reach(params) // step) * step
    shapes = tile_shapes(size, overlap, step, memory // memory_needed(params, 1))
    if not shapes:
        least = memory_needed(params, (2 * overlap + step + _QUANTUM) ** 2)
        raise ResourceError(
            f"{size[1]} x {size[0]} pixels do not fit into {memory / 2**30:.2g} GiB, nor do tiles: rule "
            f"{params.fusion.rule} looks {overlap} pixels far.",
            f"Allow {math.ceil(10 * least / 2**30) / 10:g} GiB, or use smaller images or another rule.",
        )
    shape = shapes[0][1:]
    program = Buckets([Program(*shape, False)])
    tiles = [(r, c) for r in spans(size[0], shape[0], overlap, step) for c in spans(size[1], shape[1], overlap, step)]

    def part(image: np.ndarray, rows: Span, cols: Span) -> np.ndarray:
        return image[rows.start : rows.start + shape[0], cols.start : cols.start + shape[1]]

    sums = None
    for rows, cols in tiles:
        own = np.array([*_counted(rows, size[0]), *_counted(cols, size[1])], np.int32)
        found = run_by_size(_sums, (params, own), part(ir, rows, cols), part(vis, rows, cols), buckets=program)
        found = jax.tree.map(lambda x: np.asarray(x, np.float64), found)
        sums = found if sums is None else jax.tree.map(np.add, sums, found)
    context = context_of(params, jax.tree.map(np.float32, sums))
    dtype = ir.dtype if ir.dtype == vis.dtype else np.dtype(np.float32)
    fused = np.empty(size, jax.dtypes.canonicalize_dtype(dtype))
    for rows, cols in tiles:
        inputs = (params, context), part(ir, rows, cols), part(vis, rows, cols)
        drawn = cut(run_by_size(_draw, *inputs, buckets=program), rows.stop - rows.start, cols.stop - cols.start)
        inner = drawn[rows.first - rows.start :, cols.first - cols.start :]
        fused[rows.first : rows.stop, cols.first : cols.stop] = inner
    return fused


def _counted(span: Span, length: int) -> tuple[int, int]:
    """First row of the tile that is its own, and their end; the last tile also has the margin beyond the image."""
    return span.first - span.start, _BEYOND if span.stop == length else span.stop - span.start


def _sums(inputs: tuple[Params, Array], ir: Array, vis: Array, size: Size) -> ImageSums:
    params, own = inputs
    return image_sums(params, to_unit(ir)[None, ..., None], to_unit(vis)[None, ..., None], size, counted=own)


def _draw(inputs: tuple[Params, Context], ir: Array, vis: Array, size: Size) -> Array:
    params, context = inputs
    dtype = ir.dtype if ir.dtype == vis.dtype else jnp.dtype(jnp.float32)
    pair = (to_unit(image)[None, ..., None] for image in (ir, vis))
    return to_type(fuse_unit(params, *pair, size=size, context=context), dtype)[0, ..., 0]
