"""Which program an image is fused by: programs are compiled for array sizes, and a few serve images of all sizes.

An image in a larger array costs the pixels beyond it; a program costs seconds to compile. Where a folder's sizes are
known beforehand, `plan_programs` chooses few programs for them. Otherwise a size alone decides (`program_for`), so that
results do not depend on what was fused before.

Large images are fused tile by tile: sums over the whole image are taken first, then each tile is drawn with their
result. A tile overlaps its neighbors by as many pixels as a pixel of the result depends on (`pixel_reach`), so that the
inner part of a tile is what it would be in the whole image; only sums over the whole image are rounded otherwise.
"""

import functools
import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int64

from camfuse_jax.errors import ResourceError
from camfuse_jax.fusion import rules, spatial
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
from camfuse_jax.system.runtime import compiler_options

MOST = 8
"""Most programs that a plan has."""
COMPILING = 500_000
"""Pixels that are fused in about half the time in which a program is compiled, which happens once for many runs."""
_STEP = 64
_PLANNED = 250  # sizes that a plan starts from


class Program(NamedTuple):
    """Size of the arrays that a program takes.

    Attributes:
        rows: Rows of the array.
        cols: Columns.
        exact: The image fills the array; otherwise its size is given at run time.
    """

    rows: int
    cols: int
    exact: bool

    def holds(self, rows: int, cols: int) -> bool:
        """Whether an image of a size can be fused by it."""
        fills = (self.rows, self.cols) == (rows, cols)
        return fills if self.exact else rows <= self.rows and cols <= self.cols


class Buckets:
    """Programs by size: those of a plan (`plan_programs`), and one by the size alone for what none of them holds.

    Attributes:
        programs: Those of the plan.
    """

    def __init__(self, programs: Iterable[Program] = ()) -> None:
        """Starts with the programs of a plan, or with none."""
        self.programs = tuple(programs)

    def choose(self, rows: int, cols: int) -> Program:
        """The program for an image of a size."""
        fits = [p for p in self.programs if p.holds(rows, cols)]
        return min(fits, key=lambda p: (p.rows * p.cols, not p.exact), default=None) or program_for(rows, cols)


class Exact(Buckets):
    """A program for each size: for images that all have one, such as the frames of a video."""

    def choose(self, rows: int, cols: int) -> Program:
        """A program of just this size."""
        return Program(rows, cols, True)


def program_for(rows: int, cols: int) -> Program:
    """The program for an image of a size of which no plan was made."""
    if rows % 8 == cols % 8 == 0:  # a size that cameras have, and that comes again
        return Program(rows, cols, True)
    return Program(_rounded(rows), _rounded(cols), False)


def plan_programs(sizes: Iterable[tuple[int, int]], *, most: int = MOST) -> Buckets:
    """Programs for images whose sizes are known: few, and with few pixels to spare.

    Starts with a program for each size and joins the two that cost least to join, as long as there are more than
    `most` or joining costs less than compiling.

    Args:
        sizes: Rows and columns of each image.
        most: Most programs.
    """
    counted = Counter(sizes)
    step = 2
    while len(counted) > _PLANNED:  # a folder of thousands of sizes is planned at once too
        rounded: Counter[tuple[int, int]] = Counter()
        for (rows, cols), count in counted.items():
            rounded[-(-rows // step) * step, -(-cols // step) * step] += count
        counted, step = rounded, 2 * step
    groups = np.array([(*size, count) for size, count in sorted(counted.items())], np.int64).reshape(-1, 3)
    while len(groups) > 1:
        one, other, cost = _cheapest(groups)
        if len(groups) <= most and cost > COMPILING:
            break
        joined = [*np.maximum(groups[one, :2], groups[other, :2]), groups[one, 2] + groups[other, 2]]
        groups = np.vstack([np.delete(groups, (one, other), axis=0), joined])
    alone = {size for size, count in counted.items() if step == 2 and [*size, count] in groups.tolist()}
    return Buckets(Program(rows, cols, (rows, cols) in alone) for rows, cols, _ in sorted(groups.tolist()))


def _cheapest(groups: Int64[np.ndarray, "n 3"]) -> tuple[int, int, float]:
    """The two groups that cost least when one program serves both, and how many pixels more that is."""
    rows, cols, count = groups.T
    together = np.maximum.outer(rows, rows) * np.maximum.outer(cols, cols) * np.add.outer(count, count)
    own = rows * cols * count
    cost = (together - np.add.outer(own, own)).astype(np.float64)
    np.fill_diagonal(cost, np.inf)
    one, other = np.unravel_index(int(cost.argmin()), cost.shape)
    return int(one), int(other), float(cost[one, other])


def _rounded(length: int) -> int:
    """Up to a multiple of 64; of 16 and 32 for small images."""
    step = min(_STEP, max(8, _power_of_two(length) // 8))
    return -(-length // step) * step


def _power_of_two(length: int) -> int:
    return 1 << (length - 1).bit_length()


def run_by_size(function: Callable[..., Any], params: Any, *images: Any, buckets: Buckets | None = None) -> Any:
    """Calls `function(params, *images, size)`, compiled once for each program rather than for each size.

    Args:
        function: Defined at the top of a module (it is compiled once). Its `size` is None where images fill the
            arrays, else their rows and columns as numbers of the run (`nets.layers`).
        params: First argument.
        images: Of one shape: (h, w), (h, w, 1) or (n, h, w, 1).
        buckets: A plan; by default a size alone decides.

    Returns:
        What the function returns; its arrays have the program's size, `cut` gives the images' part.
    """
    program, size = _program(jnp.shape(images[0]), buckets)
    if program.exact:
        return _compiled(function)(params, *images, None)
    return _compiled(function)(params, *(_padded(image, program) for image in images), size)


def cut(maps: Any, height: int, width: int, *, axis: int = 0) -> np.ndarray:
    """The first rows and columns, in the host's memory: cutting on the device would compile for each size.

    Args:
        maps: Array of which two axes are rows and columns.
        height: Rows to keep.
        width: Columns to keep.
        axis: Which axis the rows are; the columns follow.
    """
    return np.asarray(maps)[(*[slice(None)] * axis, slice(height), slice(width))]


def height_width(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of images of a shape (h, w), (h, w, 1) or (n, h, w, 1)."""
    first = int(len(shape) > 3)
    return shape[first], shape[first + 1]


@functools.cache
def _compiled(function: Callable[..., Any]) -> Any:
    return jax.jit(function, compiler_options=compiler_options())


def _program(shape: tuple[int, ...], buckets: Buckets | None) -> tuple[Program, Size]:
    height, width = height_width(shape)
    many = len(shape) == 4 and shape[0] > 1  # of one size: a program for them pays
    program = Program(height, width, True) if many else (buckets or Buckets()).choose(height, width)
    return program, (np.int32(height), np.int32(width))


def _padded(image: Any, program: Program) -> np.ndarray:
    """One image in the corner of a program's array, continued by its last row and column."""
    image = np.asarray(image)
    height, width = height_width(image.shape)
    around = (0, program.rows - height), (0, program.cols - width)
    return np.pad(image.reshape(height, width), around, mode="edge")


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
