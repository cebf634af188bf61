"""What the paper's tables and figures are made of: the code, and other methods' images."""

import functools
import hashlib
import os
import pathlib
from collections.abc import Sequence

import camfuse_jax
from camfuse_jax.errors import InputError
from camfuse_jax.metrics.evaluate import named_folders

_PEERS_VARIABLE = "CAMFUSE_PEERS"
_PACKAGE = pathlib.Path(camfuse_jax.__file__).parent


def folders_or_peers(texts: Sequence[str], dataset: str) -> dict[str, pathlib.Path]:
    """As `named_folders`; without any, the methods `METHOD/DATASET` of the folder that CAMFUSE_PEERS names."""
    named = os.environ.get(_PEERS_VARIABLE)
    if texts or not named:
        return named_folders(texts)
    root = pathlib.Path(named)
    if not root.is_dir():
        raise InputError(f"{_PEERS_VARIABLE} names {root}, which is not a folder.", "Correct it, or give --fused.")
    return {method.name: method / dataset for method in sorted(root.iterdir()) if (method / dataset).is_dir()}


@functools.cache
def code_digest(parts: tuple[str, ...], root: pathlib.Path = _PACKAGE) -> str:
    """Sha256 over Python files: a result kept on disk is worth nothing to code that has changed.

    Args:
        parts: Files and folders, relative to `root`.
        root: The package camfuse_jax, or another folder.
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
