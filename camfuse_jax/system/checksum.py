"""Digests of arrays and of code, and how saved arrays differ from those a network expects.

The digest of arrays travels with them: safetensors itself takes a flipped bit for another weight.
"""

import functools
import hashlib
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

_PACKAGE = pathlib.Path(__file__).parents[1]


def array_digest(arrays: Mapping[str, np.ndarray], text: str) -> str:
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


@functools.cache
def code_digest(parts: tuple[str, ...], root: pathlib.Path = _PACKAGE) -> str:
    """Sha256 over Python files: a result kept on disk is worth nothing to code that has changed.

    Args:
        parts: Files and folders, relative to `root`.
        root: This package, or another folder.
    """
    sha256 = hashlib.sha256()
    for path in sorted(path for part in parts for path in _sources(root / part)):
        sha256.update(f"\0{path.relative_to(root).as_posix()}\0".encode())
        sha256.update(path.read_bytes())
    return sha256.hexdigest()


def _sources(path: pathlib.Path) -> list[pathlib.Path]:
    files = [path] if path.is_file() else list(path.rglob("*.py"))
    if not files:
        raise FileNotFoundError(f"{path} holds no Python source")
    return files


def mismatch(wanted: Mapping[str, Any], present: Mapping[str, Any]) -> str:
    """Compares arrays by name, shape and type.

    Args:
        wanted: What is expected: anything with `shape` and `dtype`, by name.
        present: What is there, likewise.

    Returns:
        `missing: ...; unexpected: ...; shape: ...; type: ...`, or an empty text where all fit.
    """
    both = sorted(wanted.keys() & present.keys())
    lists = {
        "missing": sorted(wanted.keys() - present.keys()),
        "unexpected": sorted(present.keys() - wanted.keys()),
        "shape": [name for name in both if wanted[name].shape != present[name].shape],
        "type": [name for name in both if wanted[name].dtype != present[name].dtype],
    }
    if not any(lists.values()):
        return ""
    return "; ".join(f"{kind}: {', '.join(names) or 'none'}" for kind, names in lists.items())
