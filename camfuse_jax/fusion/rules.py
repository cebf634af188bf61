"""How two images' features become one set: the paper's weighted sum, ours by place, and what they are held against.

Every rule takes both images' features, not negative, and the channel weights of Eq. 3, and gives features for the
decoder. The decoder is nearly linear in features, so those may be negative.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from camfuse_jax import cam
from camfuse_jax.config import FusionConfig, Modality

SILENT = 1e-3  # activity below which neither image has anything to show and both count alike
FLAT = 1e-12  # product of two contrasts' energies up to which there is nothing to correlate

Features = Float[Array, "n h w k"]
Weights = Float[Array, "*n 2 k"]


def combine(
    config: FusionConfig,
    ir_features: Features,
    vis_features: Features,
    weights: Weights,
    balance: tuple[float | Array, float | Array] = (0.5, 0.5),
) -> Features:
    """Applies the rule that a config names.

    Args:
        config: Which rule, and its settings.
        ir_features: Features of the infrared images.
        vis_features: Features of the visible images.
        weights: Channel weights, rows ordered as `Modality`; one set, or one per pair (rule `adaptive`).
        balance: Shares of the two images in what rule `place` adds; they sum to 1.
    """
    if config.rule == "place":
        return _place(config, ir_features, vis_features, weights, balance)
    return _RULES[config.rule](config, ir_features, vis_features, weights)


def smooth(x: Float[Array, "n h w c"], cells: float) -> Float[Array, "n h w c"]:
    """Gaussian blur along both axes, edges repeated, cut off at three standard deviations.

    Args:
        x: Maps.
        cells: Standard deviation in cells of the map; 0 returns the maps as they are.
    """
    if not cells:
        return x
    return _smooth_axis(_smooth_axis(x, cells, 1), cells, 2)


def _smooth_axis(x: Array, cells: float, axis: int) -> Array:
    # A sum of shifted maps. All axes from the blurred one on are laid in one row, so that a shift is a step in memory:
    # XLA turns that into long vector loops, which are several times faster than a depthwise convolution, or than
    # matrix products with a banded matrix.
    taps = gaussian_taps(cells).astype(np.float32)
    reach = len(taps) // 2
    around = [(0, 0)] * x.ndim
    around[axis] = (reach, reach)
    step = math.prod(x.shape[axis + 1 :])
    length = x.shape[axis] * step
    row = jnp.pad(x, around, mode="edge").reshape(*x.shape[:axis], length + 2 * reach * step)
    row = jax.lax.optimization_barrier(row)  # or every tap would do the padding again
    shifts = (jax.lax.slice_in_dim(row, i * step, i * step + length, axis=axis) for i in range(len(taps)))
    return sum(tap * shift for tap, shift in zip(taps, shifts, strict=True)).reshape(x.shape)


def gaussian_taps(cells: float) -> Float[np.ndarray, " t"]:
    """Weights of `smooth` along one axis, from -3 to 3 standard deviations; their sum is 1."""
    reach = math.ceil(3 * cells)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / cells) ** 2)
    return taps / taps.sum()


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
    """The larger of both, channel by channel and place by place."""
    del config, weights
    return jnp.maximum(ir, vis)


def _l1(config: FusionConfig, ir: Features, vis: Features, weights: Weights) -> Features:
    """DenseFuse's l1-norm strategy (Li and Wu 2019): sum over channels, 3x3 average, shares of the total."""
    del config, weights
    activity = [_box(jnp.sum(jnp.abs(features), axis=-1, keepdims=True)) for features in (ir, vis)]
    share = activity[0] / jnp.maximum(activity[0] + activity[1], 1e-12)
    return share * ir + (1 - share) * vis


def _box(x: Float[Array, "n h w 1"]) -> Float[Array, "n h w 1"]:
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows, cols = x.shape[1:3]
    return sum(padded[:, i : i + rows, j : j + cols] for i in range(3) for j in range(3)) / 9


def _place(
    config: FusionConfig,
    ir: Features,
    vis: Features,
    weights: Weights,
    balance: tuple[float | Array, float | Array],
) -> Features:
    """Class activation by place: brightness is added, detail is taken from where the class activity is.

    Each image's features are split into a base (blurred over `base_cells`) and the detail upon it. At each place the
    activity of an image is the sum over channels of its detail's size times the channel weight of its class, blurred
    over `place_cells`; the detail of both enters in the ratio of the activities' powers (`sharpness`). The bases'
    contrasts are added (`base_gain` 2 is the plain sum) around a mean between mid gray (`level` 0) and the sources' own
    (`level` 1). Two images that show the same are not added: then gains become 1 and the sources' mean is kept.
    """
    bases = [smooth(features, config.base_cells) for features in (ir, vis)]
    details = [features - base for features, base in zip((ir, vis), bases, strict=True)]
    share = ir_share(config, *details, weights)
    means = [_channel_sums(features) / math.prod(features.shape[1:3]) for features in (ir, vis)]
    contrasts = [base - mean for base, mean in zip(bases, means, strict=True)]
    same = _sameness(*contrasts)

    def once(gain: float) -> Array:
        return gain / (1 + same * (gain - 1))

    mean = balance[0] * means[0] + balance[1] * means[1]
    contrast = balance[0] * contrasts[0] + balance[1] * contrasts[1]
    detail = share * details[0] + (1 - share) * details[1]
    level = config.level + same * (1 - config.level)
    return level * mean + once(config.base_gain) * contrast + once(config.detail_gain) * detail


def _sameness(ir: Features, vis: Features) -> Float[Array, "n 1 1 1"]:
    """Fourth power of the correlation of two contrasts, 0 where it is negative: near 1 only for near copies."""

    def total(x: Array) -> Array:
        return jnp.sum(_channel_sums(x), axis=3, keepdims=True)

    energy = total(ir * ir) * total(vis * vis)
    # Two where's: the root has no finite derivative at 0, and the unused branch must not reach it.
    flat = energy <= FLAT
    correlation = jnp.where(flat, 0.0, total(ir * vis) / jnp.sqrt(jnp.where(flat, 1.0, energy)))
    return jnp.maximum(correlation, 0.0) ** 4


def _channel_sums(x: Features) -> Float[Array, "n 1 1 k"]:
    # As a product with ones: XLA's own sum adds one pixel after the other, which is slower and keeps fewer digits.
    n, rows, cols, k = x.shape
    flat = x.reshape(n, rows * cols, k)
    ones = jnp.ones((n, 1, rows * cols), x.dtype)
    return jnp.matmul(ones, flat, precision=jax.lax.Precision.HIGHEST).reshape(n, 1, 1, k)


def ir_share(
    config: FusionConfig, ir_detail: Features, vis_detail: Features, weights: Weights
) -> Float[Array, "n h w 1"]:
    """How much of the detail comes from the infrared image at each place, from 0 to 1 (rule `place`)."""
    logs = []
    for modality, detail in ((Modality.IR, ir_detail), (Modality.VIS, vis_detail)):
        own = cam.over_places(weights, modality, detail.ndim)
        logs.append(
            jnp.log(SILENT + smooth(jnp.sum(own * jnp.abs(detail), axis=-1, keepdims=True), config.place_cells))
        )
    odds = config.sharpness * (logs[0] - logs[1])
    return 1 / (1 + jnp.exp(-odds))


# Rule `place` alone takes a balance.
_RULES: dict[str, Callable[[FusionConfig, Features, Features, Weights], Features]] = {
    "eq5": _eq5,
    "adaptive": _eq5,
    "unit_sum": _unit_sum,
    "l1": _l1,
    "mean": _mean,
    "add": _add,
    "max": _max,
}
