"""Which program an image is fused by: programs are compiled for array sizes, and a few serve images of all sizes.

An image in a larger array costs the pixels beyond it; a program costs seconds to compile. A folder's sizes are known
beforehand and a plan is made for them; a caller who shows one image after the other gets arrays chosen as they come.
"""

import functools
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int64

from camfuse_jax.nets.masking import Size
from camfuse_jax.system.runtime import compiler_options

MOST = 8
"""Most programs that a plan has."""
COMPILING = 500_000
"""Pixels that are fused in about half the time in which a program is compiled, which happens once for many runs."""
_STEP = 64
_TILES = 2  # tiles that new ones are made besides, where the old ones would cost more
_PLANNED = 250  # sizes that a plan starts from
# By the number of programs there are: how many times its own pixels an image may cost before it gets a new program.
_SLACK = (1.0, 1.2, 1.25, 1.3, 1.5, 1.75, 2.25, 4.0)


class Program(NamedTuple):
    """Size of the arrays that a program takes.

    Attributes:
        rows: Rows of the array.
        cols: Columns.
        exact: The image fills the array; otherwise its size is told at run time.
    """

    rows: int
    cols: int
    exact: bool

    def holds(self, rows: int, cols: int) -> bool:
        """Whether an image of a size can be fused by it."""
        fills = (self.rows, self.cols) == (rows, cols)
        return fills if self.exact else rows <= self.rows and cols <= self.cols


class Buckets:
    """The programs of a plan, or those chosen so far; a size that was fused by one stays with it.

    Attributes:
        programs: What there is.
    """

    def __init__(self, programs: Iterable[Program] = ()) -> None:
        """Starts with a plan (`plan`), or with none."""
        self.programs = list(programs)
        self._planned = bool(self.programs)
        self._chosen: dict[tuple[int, int], Program] = {}
        self._tiles: set[tuple[int, int]] = set()
        self._lock = threading.Lock()

    def choose(self, rows: int, cols: int) -> Program:
        """The program for an image of a size."""
        with self._lock:
            size = rows, cols
            if size not in self._chosen:
                self._chosen[size] = self._find(rows, cols)
            return self._chosen[size]

    def tile(self, options: list[tuple[int, int, int]]) -> tuple[int, int]:
        """Rows and columns of the tiles for a large image.

        Args:
            options: What there is to choose from: pixels computed in all, rows and columns; the best first.
        """
        with self._lock:
            known = [option for option in options if option[1:] in self._tiles]
            slack = 1.1 if len(self._tiles) < _TILES else math.inf
            if known and known[0][0] <= slack * options[0][0]:
                return known[0][1:]
            self._tiles.add(options[0][1:])
            return options[0][1:]

    def _find(self, rows: int, cols: int) -> Program:
        slack = _SLACK[min(len(self.programs), len(_SLACK) - 1)]
        fits = [p for p in self.programs if p.holds(rows, cols)]
        best = min(fits, key=lambda p: (p.rows * p.cols, not p.exact), default=None)
        late = self._planned or len(self.programs) >= MOST
        if best is not None and (late or best.rows * best.cols <= slack * rows * cols):
            return best
        if late:  # larger than all there are: doubled, so that this happens a few times at most
            new = Program(_power_of_two(rows), _power_of_two(cols), False)
        else:
            usual = rows % 8 == cols % 8 == 0  # a size that cameras have, and that comes again
            new = Program(rows, cols, True) if usual else Program(_rounded(rows), _rounded(cols), False)
        self.programs.append(new)
        return new


class Exact(Buckets):
    """A program for each size: for images that all have one, such as the frames of a video."""

    def _find(self, rows: int, cols: int) -> Program:
        return Program(rows, cols, True)


def plan(sizes: Iterable[tuple[int, int]], *, most: int = MOST) -> Buckets:
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


# Runs a function of images through the program for their size: places them in its arrays and cuts the results.


SEEN = Buckets()
"""Programs of callers who make no plan."""


def run_by_size(function: Callable[..., Any], params: Any, *images: Any, buckets: Buckets | None = None) -> Any:
    """Calls `function(params, *images, size)`, compiled once for each program rather than for each size.

    Args:
        function: Defined at the top of a module (it is compiled once). Its `size` is None where images fill the
            arrays, else their rows and columns as numbers of the run (`nets.borders`).
        params: First argument.
        images: Of one shape: (h, w), (h, w, 1) or (n, h, w, 1).
        buckets: Which programs there are; by default those of this process so far.

    Returns:
        What the function returns; its arrays have the program's size, `cut` gives the images' part.
    """
    program, size = _program(jnp.shape(images[0]), buckets)
    if program.exact:
        return _compiled(function)(params, *images, None)
    return _compiled(function)(params, *(_placed(image, program) for image in images), size)


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
    return shape[:2] if len(shape) < 4 else shape[1:3]


@functools.cache
def _compiled(function: Callable[..., Any]) -> Any:
    return jax.jit(function, compiler_options=compiler_options())


def _program(shape: tuple[int, ...], buckets: Buckets | None) -> tuple[Program, Size]:
    height, width = height_width(shape)
    many = len(shape) == 4 and shape[0] > 1  # of one size: a program for them pays
    program = Program(height, width, True) if many else (buckets or SEEN).choose(height, width)
    return program, (np.int32(height), np.int32(width))


def _placed(image: Any, program: Program) -> np.ndarray:
    """One image in the corner of a program's array, continued by its last row and column."""
    image = np.asarray(image)
    height, width = height_width(image.shape)
    around = (0, program.rows - height), (0, program.cols - width)
    return np.pad(image.reshape(height, width), around, mode="edge")
