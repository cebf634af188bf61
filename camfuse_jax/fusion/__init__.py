"""Fusion: the weights, the pure function and the files."""

from camfuse_jax.fusion.apply import explain, fuse
from camfuse_jax.fusion.balance import balanced
from camfuse_jax.fusion.buckets import MOST, Buckets, Exact, plan
from camfuse_jax.fusion.params import SHIPPED, Params, card, load_params, save_params, with_rule
from camfuse_jax.fusion.tiling import DEFAULT_MEMORY, memory_needed

__all__ = [
    "DEFAULT_MEMORY",
    "MOST",
    "SHIPPED",
    "Buckets",
    "Exact",
    "Params",
    "balanced",
    "card",
    "explain",
    "fuse",
    "load_params",
    "memory_needed",
    "plan",
    "save_params",
    "with_rule",
]
