"""Pointwise arithmetic in float64 on large images without holding a large image in float64."""

from collections.abc import Callable

import numpy as np

_PIXELS = 2**20


def by_rows(function: Callable[..., np.ndarray], *arrays: np.ndarray) -> np.ndarray:
    """Calls a function on bands of rows and puts the results together.

    Args:
        function: Treats each pixel for itself.
        arrays: Of the same height; small ones are given as they are.
    """
    height, row = len(arrays[0]), arrays[0].size // max(len(arrays[0]), 1)
    step = max(1, _PIXELS // max(row, 1))
    if step >= height:
        return function(*arrays)
    result: np.ndarray | None = None
    for start in range(0, height, step):
        band = function(*(array[start : start + step] for array in arrays))
        if result is None:
            result = np.empty((height, *band.shape[1:]), band.dtype)
        result[start : start + step] = band
    return result
