"""Rule `spatial`: features decide where each image shows, and the images' own pixels are blended there.

All of it is local but `Statistics`. Maps live on cells of 4x4 pixels, the grid of the features, and are brought to
pixels by linear interpolation before anything is chosen with them, so that a choice leaves no grid. Both sources are
stacked: infrared images first, then the visible ones, m = 2 n in all.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from camfuse_jax.config import SpatialConfig
from camfuse_jax.fusion.statistics import (
    CELL,
    LEVEL,
    Masks,
    Pixels,
    Probe,
    Statistics,
    beyond,
    blurred,
    blurred_pixels,
    dilated,
    enlarged,
    pooled,
)
from camfuse_jax.nets.layers import Size, extended, shrunk

Cells = Float[Array, "n h4 w4 1"]
Features = Float[Array, "m h4 w4 k"]
Work = Callable[[Features, Cells], tuple[Cells, Cells]]
SILENT = 0.5 * LEVEL  # noise so weak that neither image has anything to show
NOISE_SHARE = 1.4  # of the noise's mean energy: its energy in one place is seldom more
MOST_ODDS = 6.0  # a share of .0025: more would only outvote warm targets
WARM_SLOPE = 6 * LEVEL
WARM_RIM = 2.0  # cells, standard deviation: around a warm target its own background shows, not the visible image's
BRIGHT = 0.45  # visible base from which on `bright_tone` begins to count; infrared is cold below its mean
BAND_SHARES = (0.82, 0.25, 0.12)  # of white noise's deviation in the bands between blurs of 0, 1, 2 and 4 pixels


def blend(
    config: SpatialConfig,
    look: float | Float[Array, ""],
    pair: tuple[Pixels, Pixels],
    over_features: Callable[[Work, Cells], tuple[Cells, Cells]],
    weights: tuple[Float[Array, "2 k"], Float[Array, "2 k"]],
    balance: tuple[Float[Array, ""], Float[Array, ""]],
    known: Statistics,
    answers: Probe,
    size: Size | None = None,
    valid: Masks = (None, None),
) -> Pixels:
    """Fuses images in [0, 1].

    Args:
        config: Settings.
        look: From 0 (natural) to 1 (contrast).
        pair: Infrared and visible images; where they are invalid, filled (`fill_invalid`).
        over_features: Calls its first argument with the features of both images, one for each cell, and its second
            argument; whole or in parts.
        weights: Weight of each channel in the activity level, and in the class-activation score; rows ordered as
            `Modality`.
        balance: Shares of the infrared and the visible image; they add up to 1.
        known: Statistics of the whole images.
        answers: Of the encoder.
        size: Rows and columns that are image where the arrays are larger: the rest repeats the last ones.
        valid: Where the images show something.
    """
    shape, cells = pair[0].shape[1:3], shrunk(size, CELL)
    both = jnp.concatenate(pair)
    in_cells = pooled(both, CELL)
    bases = blurred(in_cells, config.base_sigma / CELL, cells)

    def up(x: Cells) -> Pixels:
        return enlarged(extended(x, cells), CELL, shape)

    odds = ir_log_odds(config, over_features, bases, weights, known, answers, cells)
    ir_part, vis_part = balance
    odds = odds + 2 * (jnp.log(ir_part + 1e-6) - jnp.log(vis_part + 1e-6))
    warm = warmth(config, pair[0], in_cells[: pair[0].shape[0]], size)
    rim = blurred(pooled(extended(warm, size), CELL), WARM_RIM, cells)
    share = jax.nn.sigmoid(up(odds) + config.saliency * jnp.maximum(warm, jnp.clip(2 * up(rim), 0, 1)))
    full_bases = up(bases)
    base = _base(config, look, bases, balance, known, up)
    lift = _at(look, config.warm_base) * jnp.clip(2 * ir_part, 0, 1)
    base = base + lift * warm * jnp.maximum(_ir(full_bases) - base, 0)
    ir_detail, vis_detail = jnp.split(_denoised(both - full_bases, both, config.denoise, known.noise, up, size), 2)
    detail = vis_detail + share * (ir_detail - vis_detail)
    fused = base + _unless_same(_at(look, config.detail_gain), known) * detail
    fused = _bounded(config, look, fused, pair, up, cells)
    return fused if valid == (None, None) else _shown(fused, pair, valid, up, cells)


def ir_log_odds(
    config: SpatialConfig,
    over_features: Callable[[Work, Cells], tuple[Cells, Cells]],
    bases: Float[Array, "m h4 w4 1"],
    weights: tuple[Float[Array, "2 k"], Float[Array, "2 k"]],
    known: Statistics,
    answers: Probe,
    cells: Size | None,
) -> Cells:
    """Log-odds that detail comes from the infrared image: activity levels, and the class-activation score (Eq. 14)."""

    def channel_sums(features: Features, bases: Cells) -> tuple[Cells, Cells]:
        energy = (features - answers.flat(bases)) ** 2
        return _channel_sums(energy, weights[0] ** 2), _channel_sums(features, weights[1])

    activity, score = over_features(channel_sums, bases)
    # After the blur, where noise is near its mean; subtracted from each cell, half of it would stay.
    noise = _channel_sums((known.noise * answers.noise.reshape(1, 1, 1, -1)) ** 2, weights[0] ** 2)
    silent = SILENT**2 * jnp.sum(jnp.mean(weights[0], axis=0) ** 2 * answers.noise**2)
    sigma = config.activity_sigma / CELL / math.sqrt(2)
    # Twice, as one Gaussian ends at three deviations: next to strong edges the logarithm shows that end as a step.
    activity = blurred(blurred(activity, sigma, cells), sigma, cells)
    levels = jnp.log(silent + jnp.maximum(activity - NOISE_SHARE * config.denoise * noise, 0))
    score = score - _channel_sums(answers.flat(known.mean), weights[1])
    score = blurred(_ir(score) - _vis(score), config.base_sigma / CELL, cells)
    odds = 0.5 * config.sharpness * (_ir(levels) - _vis(levels)) + config.class_score * score
    return MOST_ODDS * jnp.tanh(odds / MOST_ODDS)


def _channel_sums(maps: Features, weights: Float[Array, "2 k"]) -> Cells:
    """Sum over channels times the weights of each image's own class, as products: XLA's own sums are slower."""
    halves = maps.reshape(2, -1, maps.shape[-1])
    totals = jnp.matmul(halves, weights[:, :, None], precision=jax.lax.Precision.HIGHEST)
    return totals.reshape(*maps.shape[:-1], 1)


def warmth(config: SpatialConfig, ir: Pixels, ir_cells: Cells, size: Size | None) -> Pixels:
    """Thermal saliency in [0, 1]: where the infrared image is well above its wide surroundings."""
    cells = shrunk(size, CELL)
    coarse_size = shrunk(cells, 2)
    coarse = extended(pooled(extended(ir_cells, cells), 2), coarse_size)
    around, margin = blurred(coarse, 2.5, coarse_size), config.warm_levels * LEVEL
    for reach in (1.0, 0.5, 0.5):  # a mean that targets move little: what is far from the mean before counts less
        near = around + jnp.clip(coarse - around, -reach * margin, 0.5 * reach * margin)
        around = blurred(near, 2.5, coarse_size)
    around = enlarged(extended(around, coarse_size), 2, ir_cells.shape[1:3])
    around = enlarged(extended(around, cells), CELL, ir.shape[1:3])
    return jax.nn.sigmoid((blurred_pixels(ir, 1.0) - around - margin) / WARM_SLOPE)


def reach(config: SpatialConfig) -> int:
    """Pixels from which a pixel of the result takes anything besides the statistics."""
    surroundings = 4 * math.ceil(3 * 2.5) * 2 * CELL + math.ceil(3 * WARM_RIM) * CELL
    return max(math.ceil(3 * config.base_sigma + 4.5 * config.activity_sigma), surroundings) + 8 * CELL


def _base(
    config: SpatialConfig,
    look: float | Array,
    bases: Float[Array, "m h4 w4 1"],
    balance: tuple[Array, Array],
    known: Statistics,
    up: Callable[[Cells], Pixels],
) -> Pixels:
    (ir_part, vis_part), (ir, vis), (ir_mean, vis_mean) = balance, jnp.split(bases, 2), jnp.split(known.mean, 2)
    gain = _unless_same(1 + (_at(look, config.base_gain) - 1) * 4 * ir_part * vis_part, known)
    mean = ir_part * ir_mean + vis_part * vis_mean
    mean = mean + jnp.clip(2 * vis_part * _at(look, config.visible_mean), 0, 1) * (vis_mean - mean)
    mixed = mean + gain * (ir_part * (ir - ir_mean) + vis_part * (vis - vis_mean))
    outside = beyond(mixed, jnp.minimum(ir, vis), jnp.maximum(ir, vis))
    mixed = mixed - config.base_bound * (1 - known.same) * outside
    bright, cold = jnp.clip((vis - BRIGHT) / 0.2, 0, 1), jnp.clip((ir_mean - ir) / 0.1 + 0.5, 0, 1)
    tone, bright_tone = _at(look, config.visible_tone), _at(look, config.bright_tone)
    tone = tone + bright * cold * (bright_tone - tone)
    return up(mixed + jnp.clip(2 * vis_part * tone, 0, 1) * (vis - mixed))


def _denoised(
    detail: Pixels,
    both: Pixels,
    strength: float | Array,
    noise: Float[Array, "m 1 1 1"],
    up: Callable[[Cells], Pixels],
    size: Size | None,
) -> Pixels:
    """Detail with what is noise taken out of its three finest bands; clean images pay nothing."""
    strength = strength * jnp.clip(noise / LEVEL / 2 - 1, 0, 1)  # from 2 levels of noise on, in full from 4

    def shrink(detail: Pixels) -> Pixels:
        blurs = [both, *(blurred_pixels(both, sigma) for sigma in (1.0, 2.0, 4.0))]
        for fine, coarse, part in zip(blurs[:-1], blurs[1:], BAND_SHARES, strict=True):
            band = fine - coarse
            # Beyond the image there is another band than a copy of the last row's.
            energy = pooled(extended(band * band, size), CELL)
            energy = up(blurred(energy, 1.0, shrunk(size, CELL))) + 1e-9
            keep = jnp.maximum(energy - 1.5 * (part * noise) ** 2, 0) / energy
            detail = detail - strength * (1 - keep) * band
        return detail

    return jax.lax.cond(jnp.any(strength > 0), shrink, lambda detail: detail, detail)


def _bounded(
    config: SpatialConfig,
    look: float | Array,
    fused: Pixels,
    pair: tuple[Pixels, Pixels],
    up: Callable[[Cells], Pixels],
    cells: Size | None,
) -> Pixels:
    """Takes back part of what leaves the span of both images around a pixel, and bends the ends into [0, 1]."""
    lowest, highest = jnp.minimum(*pair), jnp.maximum(*pair)
    ends = pooled(jnp.concatenate([-lowest, highest]), CELL, jnp.max)
    low, high = jnp.split(up(dilated(extended(ends, cells))), 2)
    fused = fused - _at(look, config.bound) * beyond(fused, -low, high)
    knee = config.knee * LEVEL
    return 1 - _knee(1 - _knee(fused, highest, knee), 1 - lowest, knee)


def _knee(x: Pixels, highest: Pixels, width: float) -> Pixels:
    """Compresses what is above both images and within `width` of white so that it stays below white."""
    start = jnp.clip(jnp.maximum(highest, 1 - width), 0, 1 - 1e-4)
    over, room = jnp.maximum(x - start, 0), 1 - start
    return jnp.minimum(x, start) + over * room / (over + room)


def _shown(
    fused: Pixels, pair: tuple[Pixels, Pixels], valid: Masks, up: Callable[[Cells], Pixels], cells: Size | None
) -> Pixels:
    """Where one image is invalid the other shows; the change is soft, within the valid part."""
    masks = [jnp.ones_like(fused) if mask is None else mask for mask in valid]
    soft = up(blurred(pooled(jnp.concatenate(masks), CELL), 2.0, cells))
    ir_trust, vis_trust = (m * jnp.clip(2 * s - 1, 0, 1) for m, s in zip(masks, jnp.split(soft, 2), strict=True))
    shares = (ir_trust * vis_trust, (1 - vis_trust) * masks[0], (1 - ir_trust) * masks[1])
    total = sum(shares)
    shown = sum(share * image for share, image in zip(shares, (fused, *pair), strict=True))
    return jnp.where(total > 0, shown / jnp.where(total > 0, total, 1), pair[1])


def _at(look: float | Array, ends: tuple[float, float]) -> float | Array:
    return ends[0] + look * (ends[1] - ends[0])


def _unless_same(gain: float | Array, known: Statistics) -> Array:
    """A gain that becomes 1 for two copies of one image, which come out unchanged."""
    return gain + known.same * (1 - gain)


def _ir(stacked: Array) -> Array:
    return stacked[: stacked.shape[0] // 2]


def _vis(stacked: Array) -> Array:
    return stacked[stacked.shape[0] // 2 :]
