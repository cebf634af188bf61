"""Fusion rule `spatial`: features decide where each image shows, and the images' own pixels are blended there.

All is local but `Statistics`. Coarse maps live on cells of 4x4 pixels, the grid of the features, and are brought to
pixels by linear interpolation before anything is chosen with them, so that a choice leaves no grid.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from camfuse_jax.config import Modality, SpatialConfig
from camfuse_jax.nets.masking import Size, extended, inside

CELL = 4
LEVEL = 1 / 255
_FLAT = 1e-12  # product of two contrasts' energies up to which there is nothing to correlate
Pixels = Float[Array, "n h w 1"]
Cells = Float[Array, "n h4 w4 1"]
Features = Float[Array, "n h4m w4m k"]


class Probe(NamedTuple):
    """How an encoder answers what shows nothing, (k,) each: flat black, flat white, and white noise of unit deviation.

    The noise's is the standard deviation of the response.
    """

    black: Float[Array, " k"]
    white: Float[Array, " k"]
    noise: Float[Array, " k"]


class Statistics(NamedTuple):
    """What the rule knows of whole images; smooth it over the frames of a video.

    Attributes:
        ir_mean: Mean of the infrared image, in [0, 1].
        vis_mean: Mean of the visible image.
        ir_noise: Standard deviation of the infrared image's noise, on [0, 1].
        vis_noise: The same of the visible image.
        same: Correlation gate: near 1 only for two copies of one image, which then come out unchanged.
        polarity: 1 where warm is bright in the infrared image, -1 where it is dark.
    """

    ir_mean: Float[Array, "n 1 1 1"]
    vis_mean: Float[Array, "n 1 1 1"]
    ir_noise: Float[Array, "n 1 1 1"]
    vis_noise: Float[Array, "n 1 1 1"]
    same: Float[Array, "n 1 1 1"]
    polarity: Float[Array, "n 1 1 1"]


class Sums(NamedTuple):
    """What `Statistics` are computed from; sums of tiles add up.

    Attributes:
        moments: Of pixels that are image in both: count, ir, vis, and their squares and product about mid gray.
        counts: Cells whose noise is below each of `NOISE_LEVELS`, of the infrared and the visible image.
    """

    moments: Float[Array, "n 6"]
    counts: Float[Array, "n 2 b"]


NOISE_LEVELS = LEVEL * 2.0 ** jnp.linspace(-6, 6, 73)
_NOISE_QUANTILE, _QUANTILE_TO_SIGMA = 0.25, 1.09  # that quantile of white noise's own estimates lies a little lower


def probe(encode: Callable[[Pixels], Features]) -> Probe:
    """Answers of an encoder of images in [0, 1]; compute them once for a set of weights."""
    side = 96
    flat = jnp.ones((1, side, side, 1))
    noise = 0.05 * jax.random.normal(jax.random.key(0), (1, side, side, 1))
    middle = slice(side // CELL // 2 - 6, side // CELL // 2 + 6)
    black, white, gray, noisy = (
        encode(image)[0, middle, middle] for image in (0 * flat, flat, 0.5 * flat, 0.5 + noise)
    )
    return Probe(black.mean((0, 1)), white.mean((0, 1)), jnp.sqrt(jnp.mean((noisy - gray) ** 2, (0, 1))) / 0.05)


def feature_detail(
    answers: Probe, pair: tuple[Pixels, Pixels], features: tuple[Features, Features], size: Size | None, sigma: float
) -> tuple[Features, Features]:
    """What features show beyond a flat image of the base's brightness."""
    del answers, pair, size, sigma
    return features


def sums(ir: Pixels, vis: Pixels, size: Size | None = None, valid=(None, None), counted: Pixels | None = None) -> Sums:
    """Sums over one image or tile.

    Args:
        ir: Infrared images in [0, 1].
        vis: Visible images.
        size: Rows and columns that are image.
        valid: Masks of the infrared and the visible image, 1 where they show something; None for everywhere.
        counted: Mask of the pixels of a tile that no other tile counts.
    """
    weight = jnp.ones_like(ir) if size is None else jnp.broadcast_to(inside(ir, size), ir.shape).astype(ir.dtype)
    for mask in (*valid, counted):
        weight = weight if mask is None else weight * mask
    a, b = (ir - 0.5) * weight, (vis - 0.5) * weight
    moments = [jnp.sum(_pooled(x), (1, 2, 3)) for x in (weight, a, b, a * a, b * b, a * b)]
    cells = _pooled(weight)
    whole = (cells > 0.99).astype(ir.dtype)
    return Sums(CELL**2 * jnp.stack(moments, -1), jnp.stack([_noise_counts(x, whole) for x in (ir, vis)], 1))


def _noise_counts(x: Pixels, whole: Cells) -> Float[Array, "n b"]:
    taps = (1.0, -2.0, 1.0)
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows, cols = x.shape[1:3]
    across = sum(t * padded[:, :, i : i + cols] for i, t in enumerate(taps))
    response = jnp.abs(sum(t * across[:, i : i + rows] for i, t in enumerate(taps)))
    noise = smooth(_pooled(response), 0.7) * (math.sqrt(math.pi / 2) / 6)
    level = _pooled(x)
    usable = whole * (level > 2 * LEVEL) * (level < 253 * LEVEL)  # clipped noise is none
    n, bins = len(x), len(NOISE_LEVELS)
    below = (noise < NOISE_LEVELS.reshape(1, 1, 1, bins)).astype(x.dtype).reshape(n, -1, bins)
    return jnp.matmul(usable.reshape(n, 1, -1), below)[:, 0]  # as a product: XLA's own sum is five times slower


def statistics(total: Sums, polarity: float | Array = 1.0) -> Statistics:
    """Statistics of whole images from their sums."""
    count, *rest = (x[:, None, None, None] for x in jnp.moveaxis(total.moments, -1, 0))
    a, b, aa, bb, ab = (x / jnp.maximum(count, 1) for x in rest)
    ir_noise, vis_noise = (_noise(total.counts[:, i])[:, None, None, None] for i in range(2))
    energy = jnp.maximum(aa - a * a, 0) * jnp.maximum(bb - b * b, 0)
    same = correlation_gate(ab - a * b, energy)
    return Statistics(a + 0.5, b + 0.5, ir_noise, vis_noise, same, jnp.broadcast_to(polarity, a.shape))


def _noise(counts: Float[Array, "n b"]) -> Float[Array, " n"]:
    """The quantile of the counted cells' noise, interpolated between the levels; 0 where nothing was counted."""
    wanted = _NOISE_QUANTILE * counts[:, -1:]
    below = jnp.concatenate([jnp.zeros_like(wanted), counts[:, :-1]], 1)
    part = jnp.clip((wanted - below) / jnp.maximum(counts - below, 1e-6), 0, 1)
    steps = jnp.diff(NOISE_LEVELS, prepend=0.0)
    return _QUANTILE_TO_SIGMA * jnp.sum(part * steps[None], 1)


def blend(
    config: SpatialConfig,
    look: float | Float[Array, ""],
    pair: tuple[Pixels, Pixels],
    features: tuple[Features, Features],
    weights: tuple[Float[Array, "2 k"], Float[Array, "2 k"]],
    balance: tuple[Float[Array, ""], Float[Array, ""]],
    known: Statistics,
    answers: Probe,
    size: Size | None = None,
    valid: tuple[Pixels | None, Pixels | None] = (None, None),
) -> Pixels:
    """Fuses images in [0, 1].

    Args:
        config: Settings.
        look: From 0 (natural) to 1 (contrast).
        pair: Infrared and visible images; where they are invalid, filled (`fill_invalid`).
        features: Of both: one for each cell, and more around if the encoder has a margin.
        weights: Weight of each channel in the activity level, and in the class-activation score; rows ordered as
            `Modality`.
        balance: Shares of the infrared and the visible image; they add up to 1.
        known: Statistics of the whole images.
        answers: Of the encoder.
        size: Rows and columns that are image where the arrays are larger: the rest repeats the last ones.
        valid: Masks as for `sums`.
    """
    (ir, vis), (ir_features, vis_features), (channel_weights, class_weights) = pair, features, weights

    def at_look(name: str) -> Array:
        natural, contrast = getattr(config, name)
        return natural + look * (contrast - natural)

    cells = None if size is None else tuple(-(-length // CELL) for length in size)
    shape = ir.shape[1:3]
    ratio = balance[0]
    same = known.same

    def once(gain):  # two copies are not added
        return gain + same * (1 - gain)

    def up(x: Cells) -> Pixels:
        return _enlarged(extended(x, cells), shape)

    def blurred(x: Cells, sigma: float) -> Cells:
        return smooth(extended(x, cells), sigma / CELL)

    ir_cells, vis_cells = _pooled(ir), _pooled(vis)
    ir_base, vis_base = (blurred(x, config.base_sigma) for x in (ir_cells, vis_cells))

    # Where does the detail come from?
    sources = (
        (Modality.IR, ir_features, ir_base, known.ir_mean, known.ir_noise),
        (Modality.VIS, vis_features, vis_base, known.vis_mean, known.vis_noise),
    )
    logs, scores = [], []
    for modality, features, base, mean, noise in sources:
        activity, score = _channel_sums(
            _without_margin(features, ir_cells.shape),
            base,
            mean,
            config.denoise * noise,
            channel_weights[modality],
            class_weights[modality],
            answers,
        )
        logs.append(jnp.log(_silent(answers, channel_weights) + blurred(activity, config.activity_sigma)))
        scores.append(blurred(score, config.base_sigma))
    odds = config.sharpness * (logs[0] - logs[1]) + config.class_score * (scores[0] - scores[1])
    odds = odds + 2 * jnp.log((ratio + 1e-6) / (1 - ratio + 1e-6))
    around = known.polarity * _surroundings(
        known.polarity * extended(ir_cells, cells), config.warm_levels * LEVEL, cells
    )
    excess = known.polarity * (smooth(ir, 1.0) - up(around)) / LEVEL
    warm = jax.nn.sigmoid((excess - config.warm_levels) / 6)
    share = jax.nn.sigmoid(up(odds) + config.saliency * warm)

    # The base, on cells.
    ir_part, vis_part = ratio, 1 - ratio
    gain = once(1 + (at_look("base_gain") - 1) * 4 * ir_part * vis_part)
    tone = at_look("visible_tone") * 2 * vis_part
    mean = ir_part * known.ir_mean + vis_part * known.vis_mean
    mean = mean + jnp.clip(2 * vis_part * at_look("visible_mean"), 0, 1) * (known.vis_mean - mean)
    mixed = mean + gain * (ir_part * (ir_base - known.ir_mean) + vis_part * (vis_base - known.vis_mean))
    mixed = mixed - config.base_bound * (1 - same) * _beyond(
        mixed, jnp.minimum(ir_base, vis_base), jnp.maximum(ir_base, vis_base)
    )
    mixed = mixed + jnp.clip(tone, 0, 1) * (vis_base - mixed)

    # Blend.
    ir_full, vis_full, base = up(ir_base), up(vis_base), up(mixed)
    lift = at_look("warm_base") * warm
    base = base + lift * known.polarity * jnp.maximum(known.polarity * (ir_full - base), 0)
    ir_detail = _denoised(ir, ir_full, config.denoise, known.ir_noise, up)
    vis_detail = _denoised(vis, vis_full, config.denoise, known.vis_noise, up)
    detail = vis_detail + share * (ir_detail - vis_detail)
    fused = base + once(at_look("detail_gain")) * detail

    # Ends.
    lowest, highest = jnp.minimum(ir, vis), jnp.maximum(ir, vis)
    window = (
        -up(_dilated(extended(_pooled(-lowest, jnp.max), cells))),
        up(_dilated(extended(_pooled(highest, jnp.max), cells))),
    )
    fused = fused - at_look("bound") * _beyond(fused, *window)
    fused = _knee(fused, highest, config.knee * LEVEL)
    fused = 1 - _knee(1 - fused, 1 - lowest, config.knee * LEVEL)
    if valid[0] is None and valid[1] is None:
        return fused
    return _shown(fused, ir, vis, valid, up, cells)


def _channel_sums(features, base, mean, noise, weights, class_weights, answers):
    """Activity level and class-activation score of each cell: sums over channels, (n, h4, w4, 1) each.

    The activity is of what the features show beyond a flat image of the base's brightness, and beyond noise.
    """
    light, dark = jnp.maximum(2 * base - 1, 0), jnp.maximum(1 - 2 * base, 0)
    change = features - (light * answers.white + dark * answers.black)
    size = jnp.maximum(jnp.abs(change) - 2.0 * noise * answers.noise, 0)
    activity = jnp.sum(weights * size, -1, keepdims=True)
    light, dark = jnp.maximum(2 * mean - 1, 0), jnp.maximum(1 - 2 * mean, 0)
    offset = jnp.sum(class_weights * (light * answers.white + dark * answers.black), -1, keepdims=True)
    score = jnp.sum(class_weights * features, -1, keepdims=True) - offset
    return activity, score


def _silent(answers: Probe, weights) -> Array:
    """Activity of noise of a quarter gray level: below it neither image has anything to show."""
    return 0.25 * LEVEL * 0.8 * jnp.sum(jnp.mean(weights, 0) * answers.noise)


def _surroundings(ir: Cells, margin: float, cells: Size | None) -> Cells:
    """Brightness around, little moved by a target: a wide mean of what is not far brighter than the mean before."""
    coarse = _pooled(ir, side=2)
    size = None if cells is None else tuple(-(-length // 2) for length in cells)
    coarse = extended(coarse, size)
    around = smooth(coarse, 2.5)
    for reach in (1.0, 0.5, 0.5):
        around = smooth(extended(around + jnp.clip(coarse - around, -reach * margin, 0.5 * reach * margin), size), 2.5)
    full = _enlarged(extended(around, size), ir.shape[1:3], side=2)
    return full


def _beyond(x: Array, low: Array, high: Array) -> Array:
    """By how much x leaves [low, high]; signed."""
    return jnp.maximum(x - high, 0) - jnp.maximum(low - x, 0)


def _knee(x: Pixels, highest: Pixels, width: float) -> Pixels:
    """Compresses what is above both images and within `width` of white so that it stays below white."""
    start = jnp.clip(jnp.maximum(highest, 1 - width), 0, 1 - 1e-4)
    over = jnp.maximum(x - start, 0)
    room = 1 - start
    return jnp.minimum(x, start) + over * room / (over + room)


def _denoised(x: Pixels, base: Pixels, strength: float, noise: Array, up: Callable[[Cells], Pixels]) -> Pixels:
    """Detail of an image with what is noise taken out of its three finest bands; clean images pay nothing."""
    strength = strength * jnp.clip(noise / LEVEL / 2 - 1, 0, 1)  # from 2 levels of noise on, in full from 4

    def clean(x, base, noise, strength):
        del noise, strength
        return x - base

    def shrunk(x, base, noise, strength):
        blurs = [x, smooth(x, 1.0), smooth(x, 2.0), smooth(x, 4.0)]
        detail = x - base
        for fine, coarse, part in zip(blurs[:-1], blurs[1:], (0.82, 0.25, 0.12), strict=True):
            band = fine - coarse
            energy = up(smooth(_pooled(band * band), 1.0)) + 1e-9
            keep = jnp.maximum(energy - 1.5 * (part * noise) ** 2, 0) / energy
            detail = detail - strength * (1 - keep) * band
        return detail

    return jax.lax.cond(jnp.any(strength > 0), shrunk, clean, x, base, noise, strength)


def fill_invalid(x: Pixels, valid: Pixels, size: Size | None = None) -> Pixels:
    """The image, and where it is invalid a wide mean of its valid surroundings, so that no edge is seen there."""
    cells = None if size is None else tuple(-(-length // CELL) for length in size)
    weight, value = _pooled(valid), _pooled(x * valid)
    filled = jnp.sum(value, (1, 2), keepdims=True) / jnp.maximum(jnp.sum(weight, (1, 2), keepdims=True), 1e-6)
    for sigma in (8.0, 2.0, 0.7):
        near = smooth(extended(weight, cells), sigma)
        mean = smooth(extended(value, cells), sigma) / jnp.maximum(near, 1e-6)
        filled = filled + jnp.clip(8 * near, 0, 1) * (mean - filled)
    return jnp.where(valid > 0, x, _enlarged(extended(filled, cells), x.shape[1:3]))


def _shown(fused, ir, vis, valid, up, cells) -> Pixels:
    """Where one image is invalid the other shows; the change is soft, within the valid part."""
    masks = [jnp.ones_like(ir) if mask is None else mask for mask in valid]
    trust = [mask * jnp.clip(2 * up(smooth(extended(_pooled(mask), cells), 2.0)) - 1, 0, 1) for mask in masks]
    both = trust[0] * trust[1]
    only_vis, only_ir = (1 - trust[0]) * masks[1], (1 - trust[1]) * masks[0]
    total = both + only_vis + only_ir
    shown = (both * fused + only_vis * vis + only_ir * ir) / jnp.where(total > 0, total, 1)
    return jnp.where(total > 0, shown, vis)


def _without_margin(features: Features, shape: tuple[int, ...]) -> Features:
    top, left = ((have - want) // 2 for have, want in zip(features.shape[1:3], shape[1:3], strict=True))
    return features[:, top : top + shape[1], left : left + shape[2]]


def _pooled(x: Array, reduce: Callable = jnp.mean, side: int = CELL) -> Array:
    n, rows, cols, _ = x.shape
    x = jnp.pad(x, ((0, 0), (0, -rows % side), (0, -cols % side), (0, 0)), mode="edge")
    return reduce(x.reshape(n, x.shape[1] // side, side, x.shape[2] // side, side, 1), axis=(2, 4))


def _dilated(x: Cells) -> Cells:
    for axis in (1, 2):
        around = [(0, 0)] * 4
        around[axis] = (1, 1)
        padded = jnp.pad(x, around, mode="edge")
        parts = [jax.lax.slice_in_dim(padded, i, i + x.shape[axis], axis=axis) for i in range(3)]
        x = jnp.maximum(jnp.maximum(parts[0], parts[1]), parts[2])
    return x


def _enlarged(x: Array, shape: tuple[int, int], side: int = CELL) -> Array:
    """Linear interpolation between the centers of cells."""
    for axis in (2, 1):  # columns while there are few rows: laying them side by side is slow
        around = [(0, 0)] * 4
        around[axis] = (1, 1)
        padded = jnp.pad(x, around, mode="edge")
        before, here, after = (jax.lax.slice_in_dim(padded, i, i + x.shape[axis], axis=axis) for i in range(3))
        phases = []
        for i in range(side):
            t = (i - (side - 1) / 2) / side
            phases.append(here + t * (after - here) if t > 0 else here - t * (before - here))
        shape_now = list(x.shape)
        shape_now[axis] *= side
        x = jax.lax.optimization_barrier(jnp.stack(phases, axis + 1).reshape(shape_now))
    return x[:, : shape[0], : shape[1]]


def smooth(x: Float[Array, "n h w c"], sigma: float) -> Float[Array, "n h w c"]:
    """Gaussian blur along both axes, edges repeated, cut off at three standard deviations.

    Args:
        x: Maps.
        sigma: Standard deviation in pixels of the map; 0 returns the maps as they are.
    """
    if not sigma:
        return x
    return _smooth_axis(_smooth_axis(x, sigma, 1), sigma, 2)


def _smooth_axis(x: Array, sigma: float, axis: int) -> Array:
    # A sum of shifted maps. All axes from the blurred one on are laid in one row, so that a shift is a step in memory:
    # XLA turns that into long vector loops, which are several times faster than a depthwise convolution, or than
    # matrix products with a banded matrix.
    taps = gaussian_taps(sigma).astype(np.float32)
    reach = len(taps) // 2
    around = [(0, 0)] * x.ndim
    around[axis] = (reach, reach)
    step = math.prod(x.shape[axis + 1 :])
    length = x.shape[axis] * step
    row = jnp.pad(x, around, mode="edge").reshape(*x.shape[:axis], length + 2 * reach * step)
    row = jax.lax.optimization_barrier(row)  # or every tap would do the padding again
    shifts = (jax.lax.slice_in_dim(row, i * step, i * step + length, axis=axis) for i in range(len(taps)))
    return sum(tap * shift for tap, shift in zip(taps, shifts, strict=True)).reshape(x.shape)


def _radius(sigma: float) -> int:
    return math.ceil(3 * sigma)


def gaussian_taps(sigma: float) -> Float[np.ndarray, " t"]:
    """Weights of `smooth` along one axis, from -3 to 3 standard deviations; their sum is 1."""
    reach = _radius(sigma)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return taps / taps.sum()


def correlation_gate(product: Float[Array, "n 1 1 1"], energy: Float[Array, "n 1 1 1"]) -> Float[Array, "n 1 1 1"]:
    """Fourth power of a correlation, 0 where it is negative.

    Args:
        product: Sum over pixels of the two contrasts' product.
        energy: Product of the sums of their squares.
    """
    # Two where's: the root has no finite derivative at 0, and the unused branch must not reach it.
    flat = energy <= _FLAT
    correlation = jnp.where(flat, 0.0, product / jnp.sqrt(jnp.where(flat, 1.0, energy)))
    return jnp.maximum(correlation, 0.0) ** 4


def reach(config: SpatialConfig) -> int:
    """Pixels from which a pixel of the result takes anything besides the statistics."""
    surroundings = 4 * _radius(2.5) * 2 * CELL
    return max(_radius(config.base_sigma), surroundings, _radius(config.activity_sigma)) + 8 * CELL
