"""Infrared and visible image fusion by class activation mapping."""

from camfuse_jax.config import Modality
from camfuse_jax.errors import CamfuseError
from camfuse_jax.fusion import Params, explain, fuse, load_params, save_params

__all__ = ["CamfuseError", "Modality", "Params", "explain", "fuse", "load_params", "save_params"]
