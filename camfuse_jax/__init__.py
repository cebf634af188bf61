"""Infrared and visible image fusion by class activation mapping.

Names are imported on first use: `camfuse --help` and the reading of files need no JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from camfuse_jax.config import Modality
    from camfuse_jax.errors import CamfuseError
    from camfuse_jax.export.runtimes import fuse
    from camfuse_jax.fusion.fuse import explain
    from camfuse_jax.fusion.params import Params, balanced, load_params, save_params, with_look
    from camfuse_jax.pair.fuse import fuse_frame

__version__ = "0.1.0"

_HOMES = {
    "CamfuseError": "errors",
    "Modality": "config",
    "Params": "fusion.params",
    "balanced": "fusion.params",
    "explain": "fusion.fuse",
    "fuse": "export.runtimes",
    "fuse_frame": "pair.fuse",
    "load_params": "fusion.params",
    "save_params": "fusion.params",
    "with_look": "fusion.params",
}

__all__ = [
    "CamfuseError",
    "Modality",
    "Params",
    "__version__",
    "balanced",
    "explain",
    "fuse",
    "fuse_frame",
    "load_params",
    "save_params",
    "with_look",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'camfuse_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(f"camfuse_jax.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
