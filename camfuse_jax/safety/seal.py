"""A digest of arrays that travels with them: safetensors itself takes a flipped bit for another weight."""

import hashlib
from collections.abc import Mapping

import numpy as np


def seal(arrays: Mapping[str, np.ndarray], text: str) -> str:
    """Sha256 over arrays and a text; names, types and shapes count, the order does not.

    Args:
        arrays: By name.
        text: What belongs to them, such as their network's shape.
    """
    sha256 = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        sha256.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        sha256.update(array.data)
    return sha256.hexdigest()
