"""Fusion rules that make one set of features of two, to be decoded: the paper's weighted sum and its alternatives.

Every rule takes both images' features, not negative, and channel weights, and gives features for the decoder. Rule
`spatial`, which decides in features and blends pixels, is in `fusion.spatial`.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from camfuse_jax import cam
from camfuse_jax.config import FusionConfig
from camfuse_jax.nets.layers import Size, extended

Features = Float[Array, "n h w k"]
Weights = Float[Array, "*n 2 k"]


def combine(
    config: FusionConfig,
    ir_features: Features,
    vis_features: Features,
    weights: Weights,
    *,
    means: Float[Array, "m 1 1 k"] | None = None,
    size: Size | None = None,
) -> Features:
    """Applies the rule that a config names.

    Args:
        config: Which rule, and its settings.
        ir_features: Features of the infrared images.
        vis_features: Features of the visible images.
        weights: Channel weights, rows ordered as `Modality`; one set, or one per pair.
        means: Mean of each channel over the infrared images, then over the visible ones, where brightness is "kept":
            the rule then acts on what differs from them, and their average is added.
        size: Rows and columns of the features that are image (`nets.layers`); None for all.
    """
    if means is None:
        return extended(_rule(config, ir_features, vis_features, weights, size), size)
    ir_mean, vis_mean = jnp.split(means, 2)
    contrast = _rule(config, ir_features - ir_mean, vis_features - vis_mean, weights, size)
    return extended(0.5 * (ir_mean + vis_mean) + contrast, size)


def rule_reach(config: FusionConfig) -> int:
    """How many feature pixels away a feature pixel of the result still depends on."""
    return 1 if config.rule == "l1" else 0


def _rule(config: FusionConfig, ir: Features, vis: Features, weights: Weights, size: Size | None) -> Features:
    return _l1(ir, vis, size) if config.rule == "l1" else _RULES[config.rule](config, ir, vis, weights)


def _eq5(config: FusionConfig, ir: Features, vis: Features, weights: Weights) -> Features:
    """Eq. 5: each channel times its weight, added; `gain` scales both."""
    return config.gain * cam.fuse_features(ir, vis, weights)


def _unit_sum(config: FusionConfig, ir: Features, vis: Features, weights: Weights) -> Features:
    """Eq. 5 with the two weights of a channel scaled to sum to `gain`."""
    return config.gain * cam.fuse_features(ir, vis, weights / jnp.sum(weights, axis=-2, keepdims=True))


def _mean(config: FusionConfig, ir: Features, vis: Features, weights: Weights) -> Features:
    """The features' average."""
    del config, weights
    return 0.5 * (ir + vis)


def _add(config: FusionConfig, ir: Features, vis: Features, weights: Weights) -> Features:
    """The features' sum."""
    del config, weights
    return ir + vis


def _max(config: FusionConfig, ir: Features, vis: Features, weights: Weights) -> Features:
    """The larger of both, channel by channel and pixel by pixel."""
    del config, weights
    return jnp.maximum(ir, vis)


def _l1(ir: Features, vis: Features, size: Size | None) -> Features:
    """DenseFuse's l1-norm strategy (Li and Wu 2019): sum over channels, 3x3 average, shares of the total."""
    activity = [_box(extended(jnp.sum(jnp.abs(x), axis=-1, keepdims=True), size)) for x in (ir, vis)]
    share = activity[0] / jnp.maximum(activity[0] + activity[1], 1e-12)
    return share * ir + (1 - share) * vis


def _box(x: Float[Array, "n h w 1"]) -> Float[Array, "n h w 1"]:
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows, cols = x.shape[1:3]
    total: Any = sum(padded[:, i : i + rows, j : j + cols] for i in range(3) for j in range(3))
    return total / 9


_RULES: dict[str, Callable[[FusionConfig, Features, Features, Weights], Features]] = {
    "eq5": _eq5,
    "eq5-pooled": _eq5,
    "eq5-contribution": _eq5,
    "unit_sum": _unit_sum,
    "mean": _mean,
    "add": _add,
    "max": _max,
}
