"""How two images' features become one set: the paper's weighted sum, ours by place, and what they are held against.

Every rule takes both images' features, not negative, and the channel weights of Eq. 3, and gives features for the
decoder. The decoder is nearly linear in features, so those may be negative.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from camfuse_jax import cam
from camfuse_jax.config import FusionConfig, Modality
from camfuse_jax.nets.masking import Size, extended, inside

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
    *,
    evidence: Float[Array, "2 k"] | None = None,
    size: Size | None = None,
    found: "Statistics | None" = None,
) -> Features:
    """Applies the rule that a config names.

    Whatever a rule knows of the whole image is in `found`; the rest is local (`reach`), so that an image can be drawn
    tile by tile.

    Args:
        config: Which rule, and its settings.
        ir_features: Features of the infrared images.
        vis_features: Features of the visible images.
        weights: Channel weights, rows ordered as `Modality`; one set, or one per pair (rule `adaptive`).
        balance: Shares of the two images in what rule `place` adds; they sum to 1.
        evidence: Class weights of the encoder's channels (`Params.evidence_weights`), for rule `place`; None for none.
        size: Rows and columns that are image (`nets.borders`), beyond which the features repeat the last; None for all.
        found: What is known of the whole image; by default it is taken from the features.
    """
    if config.rule == "place":
        return _place(config, ir_features, vis_features, weights, balance, evidence, size, found)
    if config.rule == "l1":
        return _l1(ir_features, vis_features, size)
    return _RULES[config.rule](config, ir_features, vis_features, weights)


def reach(config: FusionConfig) -> int:
    """How many cells away a place of the features may be that a place of the result still depends on."""
    if config.rule == "place":
        return _radius(config.base_cells) + _radius(config.place_cells)
    return 1 if config.rule == "l1" else 0


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


def _radius(cells: float) -> int:
    return math.ceil(3 * cells)


def gaussian_taps(cells: float) -> Float[np.ndarray, " t"]:
    """Weights of `smooth` along one axis, from -3 to 3 standard deviations; their sum is 1."""
    reach = _radius(cells)
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


def _l1(ir: Features, vis: Features, size: Size | None) -> Features:
    """DenseFuse's l1-norm strategy (Li and Wu 2019): sum over channels, 3x3 average, shares of the total."""
    activity = [_box(extended(jnp.sum(jnp.abs(x), axis=-1, keepdims=True), size)) for x in (ir, vis)]
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
    evidence: Float[Array, "2 k"] | None,
    size: Size | None,
    found: "Statistics | None",
) -> Features:
    """Class activation by place: brightness is added, detail is taken from where class evidence and activity are.

    Each image's features are split into a base (blurred over `base_cells`) and the detail upon it. At each place the
    activity of an image is the sum over channels of its detail's size times the channel weight of its class, blurred
    over `place_cells`; the detail of both enters in the ratio of the activities' powers (`sharpness`) and of what
    speaks for each image's own class there (`class_evidence`). The bases'
    contrasts are added (`base_gain` 2 is the plain sum) around a mean between mid gray (`level` 0) and the sources' own
    (`level` 1). Two images that show the same are not added: then gains become 1 and the sources' mean is kept.
    """
    bases = [smooth(features, config.base_cells) for features in (ir, vis)]
    details = [features - base for features, base in zip((ir, vis), bases, strict=True)]
    found = found or place_statistics((ir, vis), bases, size)
    means, same = found.means, found.same
    contrasts = [base - mean for base, mean in zip(bases, means, strict=True)]
    leaning = 0.0 if evidence is None else config.evidence * class_evidence(*contrasts, evidence)
    share = ir_share(config, *details, weights, size, leaning=leaning)

    def once(gain: float) -> Array:
        return gain / (1 + same * (gain - 1))

    mean = balance[0] * means[0] + balance[1] * means[1]
    contrast = balance[0] * contrasts[0] + balance[1] * contrasts[1]
    detail = share * details[0] + (1 - share) * details[1]
    level = config.level + same * (1 - config.level)
    return level * mean + once(config.base_gain) * contrast + once(config.detail_gain) * detail


class Statistics(NamedTuple):
    """What rule `place` knows of the whole image.

    Attributes:
        means: Mean of each channel, of the infrared and the visible features.
        same: Fourth power of the correlation of both bases' contrasts, 0 where it is negative: near 1 only for near
            copies.
    """

    means: tuple[Float[Array, "n 1 1 k"], Float[Array, "n 1 1 k"]]
    same: Float[Array, "n 1 1 1"]


def place_statistics(features: Sequence[Features], bases: Sequence[Features], size: Size | None = None) -> Statistics:
    """What rule `place` has to know of the whole image.

    Args:
        features: Of the infrared and the visible image.
        bases: The same blurred over `base_cells`.
        size: Rows and columns that are image; None for all.
    """
    mask = None if size is None else inside(features[0], size)

    def known(x: Array) -> Array:
        return x if mask is None else jnp.where(mask, x, 0)

    places = math.prod(features[0].shape[1:3]) if size is None else size[0] * size[1]
    means = [_channel_sums(known(x)) / places for x in features]
    ir, vis = (known(base - mean) for base, mean in zip(bases, means, strict=True))

    def total(x: Array) -> Array:
        return jnp.sum(_channel_sums(x), axis=3, keepdims=True)

    return Statistics(tuple(means), sameness(total(ir * vis), total(ir * ir) * total(vis * vis)))


def sameness(product: Float[Array, "n 1 1 1"], energy: Float[Array, "n 1 1 1"]) -> Float[Array, "n 1 1 1"]:
    """Fourth power of a correlation, 0 where it is negative.

    Args:
        product: Sum over places and channels of the two contrasts' product.
        energy: Product of the sums of their squares.
    """
    # Two where's: the root has no finite derivative at 0, and the unused branch must not reach it.
    flat = energy <= FLAT
    correlation = jnp.where(flat, 0.0, product / jnp.sqrt(jnp.where(flat, 1.0, energy)))
    return jnp.maximum(correlation, 0.0) ** 4


def _channel_sums(x: Features) -> Float[Array, "n 1 1 k"]:
    # As a product with ones: XLA's own sum adds one pixel after the other, which is slower and keeps fewer digits.
    n, rows, cols, k = x.shape
    flat = x.reshape(n, rows * cols, k)
    ones = jnp.ones((n, 1, rows * cols), x.dtype)
    return jnp.matmul(ones, flat, precision=jax.lax.Precision.HIGHEST).reshape(n, 1, 1, k)


def class_evidence(
    ir_contrast: Features, vis_contrast: Features, evidence: Float[Array, "2 k"]
) -> Float[Array, "n h w 1"]:
    """What speaks more for the infrared image's being infrared than for the visible image's being visible, by place.

    The sum of Eq. 14 at the encoder's resolution: features, blurred as the base is and without their mean, times class
    weights. Both sums are log-odds, so their difference is one.

    Args:
        ir_contrast: Base of the infrared features without its mean.
        vis_contrast: The same of the visible ones.
        evidence: Class weights of the encoder's channels (`Params.evidence_weights`).
    """
    own = (cam.over_places(evidence, modality, ir_contrast.ndim) for modality in Modality)
    ir, vis = (
        jnp.sum(weights * contrast, axis=-1, keepdims=True)
        for weights, contrast in zip(own, (ir_contrast, vis_contrast), strict=True)
    )
    return ir - vis


def ir_share(
    config: FusionConfig,
    ir_detail: Features,
    vis_detail: Features,
    weights: Weights,
    size: Size | None = None,
    *,
    leaning: float | Float[Array, "n h w 1"] = 0.0,
) -> Float[Array, "n h w 1"]:
    """How much of the detail comes from the infrared image at each place, from 0 to 1 (rule `place`).

    Args:
        config: Settings of the rule.
        ir_detail: Detail of the infrared features.
        vis_detail: Detail of the visible ones.
        weights: Channel weights.
        size: Rows and columns that are image; None for all.
        leaning: Log-odds for the infrared image from elsewhere.
    """
    logs = []
    for modality, detail in ((Modality.IR, ir_detail), (Modality.VIS, vis_detail)):
        own = cam.over_places(weights, modality, detail.ndim)
        activity = extended(jnp.sum(own * jnp.abs(detail), axis=-1, keepdims=True), size)
        logs.append(jnp.log(SILENT + smooth(activity, config.place_cells)))
    odds = config.sharpness * (logs[0] - logs[1]) + leaning
    return 1 / (1 + jnp.exp(-odds))


# Rule `place` alone takes a balance, and it and l1 look at neighbors.
_RULES: dict[str, Callable[[FusionConfig, Features, Features, Weights], Features]] = {
    "eq5": _eq5,
    "adaptive": _eq5,
    "unit_sum": _unit_sum,
    "mean": _mean,
    "add": _add,
    "max": _max,
}
