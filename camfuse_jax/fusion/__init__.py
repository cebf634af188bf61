"""Fusion: the weights, the pure function and the files."""

from camfuse_jax.fusion.apply import explain, fuse
from camfuse_jax.fusion.balance import balanced
from camfuse_jax.fusion.params import SHIPPED, Params, card, load_params, save_params, with_rule

__all__ = ["SHIPPED", "Params", "balanced", "card", "explain", "fuse", "load_params", "save_params", "with_rule"]
