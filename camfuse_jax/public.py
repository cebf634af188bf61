"""Names of the package's top level and where they live, imported when first asked for (PEP 562)."""

import importlib
from typing import Any

_HOMES = {
    "CamfuseError": "camfuse_jax.errors",
    "Modality": "camfuse_jax.config",
    "Params": "camfuse_jax.fusion",
    "balanced": "camfuse_jax.fusion",
    "explain": "camfuse_jax.fusion",
    "fuse": "camfuse_jax.export",
    "fuse_frame": "camfuse_jax.frames",
    "load_params": "camfuse_jax.fusion",
    "save_params": "camfuse_jax.fusion",
}


def __getattr__(name: str) -> Any:
    """A public name of `camfuse_jax`.

    Raises:
        AttributeError: There is no such name.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'camfuse_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
