"""Fusion: the weights, the pure function and the files."""

from camfuse_jax.fusion.apply import explain, fuse
from camfuse_jax.fusion.balance import balanced
from camfuse_jax.fusion.buckets import Buckets, Exact, plan
from camfuse_jax.fusion.params import SHIPPED, Params, card, load_params, save_params, with_rule

__all__ = [
    "SHIPPED",
    "Buckets",
    "Exact",
    "Params",
    "balanced",
    "card",
    "explain",
    "fuse",
    "load_params",
    "plan",
    "save_params",
    "with_rule",
]
