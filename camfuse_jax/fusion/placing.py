"""Runs a function of images through the program for their size: places them in its arrays and cuts the results."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from camfuse_jax.fusion.buckets import Buckets, Program
from camfuse_jax.nets.borders import Size
from camfuse_jax.runtime import compiler_options

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
