"""Which program an image is fused by: programs are compiled for array sizes, and a few serve images of all sizes.

An image in a larger array costs the pixels beyond it; a program costs seconds to compile. A folder's sizes are known
beforehand and a plan is made for them; a caller who shows one image after the other gets arrays chosen as they come.
"""

import itertools
import threading
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

MOST = 8
"""Most programs that a plan has."""
COMPILING = 1_000_000
"""Pixels that are fused in about the time in which a program is compiled (docs/speed.md)."""
_STEP = 64
_PLANNED = 50  # sizes that a plan starts from
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
        self._lock = threading.Lock()

    def choose(self, rows: int, cols: int) -> Program:
        """The program for an image of a size."""
        with self._lock:
            size = rows, cols
            if size not in self._chosen:
                self._chosen[size] = self._find(rows, cols)
            return self._chosen[size]

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
    groups = [(rows, cols, count, True) for (rows, cols), count in sorted(Counter(sizes).items())]
    step = 4
    while len(groups) > _PLANNED:
        groups, step = _coarse(groups, step), 2 * step
    while len(groups) > 1:
        cost, one, other = min((_joining(a, b), a, b) for a, b in itertools.combinations(groups, 2))
        if len(groups) <= most and cost > COMPILING:
            break
        groups = [group for group in groups if group not in (one, other)] + [_joined(one, other)]
    return Buckets(Program(rows, cols, exact) for rows, cols, _, exact in sorted(groups))


Group = tuple[int, int, int, bool]


def _coarse(groups: list[Group], step: int) -> list[Group]:
    """Sizes rounded up to multiples of a step, so that a folder of thousands of sizes is planned at once."""
    found: dict[tuple[int, int], Group] = {}
    for group in groups:
        rows, cols = (-(-length // step) * step for length in group[:2])
        cell = (rows, cols, group[2], group[3] and (rows, cols) == group[:2])
        found[rows, cols] = _joined(found[rows, cols], cell) if (rows, cols) in found else cell
    return list(found.values())


def _joined(one: Group, other: Group) -> Group:
    return max(one[0], other[0]), max(one[1], other[1]), one[2] + other[2], False


def _joining(one: Group, other: Group) -> int:
    """Pixels that two groups cost more when one program serves both."""
    rows, cols, count, _ = _joined(one, other)
    return rows * cols * count - sum(r * c * n for r, c, n, _ in (one, other))


def _rounded(length: int) -> int:
    """Up to a multiple of 64; of 16 and 32 for small images."""
    step = min(_STEP, max(8, _power_of_two(length) // 8))
    return -(-length // step) * step


def _power_of_two(length: int) -> int:
    return 1 << (length - 1).bit_length()
