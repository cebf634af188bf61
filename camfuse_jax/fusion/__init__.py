"""Fusion: the weights, the pure function and the files."""

from camfuse_jax.fusion.apply import explain, fuse
from camfuse_jax.fusion.params import Params, load_params, save_params, with_rule

__all__ = ["Params", "explain", "fuse", "load_params", "save_params", "with_rule"]
