"""Infrared and visible image fusion by class activation mapping."""

from camfuse_jax.public import __getattr__

# Each is imported on first use: `camfuse --help` and the reading of files need no JAX.
__all__ = [
    "CamfuseError",
    "Modality",
    "Params",
    "__getattr__",
    "balanced",
    "explain",
    "fuse",
    "fuse_frame",
    "load_params",
    "save_params",
]
