"""Which program an image is fused by: programs are compiled for array sizes, and a few serve images of all sizes.

An image in a larger array costs the pixels beyond it; a program costs seconds to compile. Where a folder's sizes are
known beforehand, `plan_programs` chooses few programs for them. Otherwise a size alone decides (`program_for`), so that
results do not depend on what was fused before.
"""

import functools
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int64

from camfuse_jax.nets.layers import Size
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
