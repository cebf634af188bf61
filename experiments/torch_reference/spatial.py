"""Rule `spatial` in PyTorch: features decide where each image shows, and pixels are blended (docs/method.md).

Images are (n, 1, h, w) in [0, 1]. Without validity masks, balance and tiles, which `camfuse_jax` has.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from torch_reference.networks import CELL, CamFuse
from torch_reference.rules import channel_gains, channel_weights

LEVEL = 1 / 255
Pixels = Float[Tensor, "n 1 h w"]


def spatial(model: CamFuse, ir: Pixels, vis: Pixels, look: float) -> Pixels:
    """Fuses images.

    Args:
        model: Networks, with `model.fusion.spatial`.
        ir: Infrared images.
        vis: Visible images.
        look: From 0 (natural) to 1 (contrast).
    """
    config, size = model.fusion.spatial, ir.shape[2:]
    noise_answer = _noise_answer(model) if model.noise_answer is None else model.noise_answer
    noise_answer = noise_answer.to(ir.dtype)
    flat = [model.encoder(torch.full((1, 1, 96, 96), value, dtype=ir.dtype))[0, :, 12, 12] for value in (-1.0, 1.0)]
    black, white = (answer.reshape(1, -1, 1, 1) for answer in flat)

    def flat_features(level: Tensor) -> Tensor:
        return (2 * level - 1).clamp(min=0) * white + (1 - 2 * level).clamp(min=0) * black

    def at(ends: tuple[float, float]) -> float:
        return ends[0] + look * (ends[1] - ends[0])

    both = torch.cat([ir, vis])
    mean = both.mean(dim=(1, 2, 3), keepdim=True)
    noise = torch.stack([_noise(image) for image in both]).reshape(-1, 1, 1, 1)
    same = _correlation_gate(ir, vis)
    cells = _pooled(both, CELL)
    bases = _blurred(cells, config.base_sigma / CELL)

    features = _without_margin(model.encoder(both * 2 - 1), cells.shape)
    energy = (features - flat_features(bases)) ** 2
    class_weights = model.classifier.head.weight
    own = channel_weights(class_weights)
    activity = _own_sums(energy, own**2)
    of_noise = 1.4 * config.denoise * _own_sums((noise * noise_answer.reshape(1, -1, 1, 1)) ** 2, own**2)
    silent = (0.5 * LEVEL) ** 2 * (own.mean(dim=0) ** 2 * noise_answer**2).sum()
    sigma = config.activity_sigma / CELL / math.sqrt(2)
    activity = (_blurred(_blurred(activity, sigma), sigma) - of_noise).clamp(min=0)
    ir_level, vis_level = torch.log(silent + activity).chunk(2)
    ir_score, vis_score = _own_sums(features - flat_features(mean), class_weights * channel_gains(model)).chunk(2)
    score = _blurred(ir_score - vis_score, config.base_sigma / CELL)
    odds = 0.5 * config.sharpness * (ir_level - vis_level) + config.class_score * score
    odds = 6 * torch.tanh(odds / 6)
    warm = _warmth(config, ir, cells[: len(ir)])
    rim = (2 * _enlarged(_blurred(_pooled(warm, CELL), 2.0), CELL, size)).clamp(0, 1)
    share = torch.sigmoid(_enlarged(odds, CELL, size) + config.saliency * torch.maximum(warm, rim))

    (ir_base, vis_base), (ir_mean, vis_mean) = bases.chunk(2), mean.chunk(2)
    level = 0.5 * (ir_mean + vis_mean)
    level = level + min(max(at(config.visible_mean), 0.0), 1.0) * (vis_mean - level)
    gain = at(config.base_gain)
    gain = gain + same * (1 - gain)
    mixed = level + gain * 0.5 * (ir_base - ir_mean + vis_base - vis_mean)
    outside = _beyond(mixed, torch.minimum(ir_base, vis_base), torch.maximum(ir_base, vis_base))
    mixed = mixed - config.base_bound * (1 - same) * outside
    bright, cold = ((vis_base - 0.45) / 0.2).clamp(0, 1), ((ir_mean - ir_base) / 0.1 + 0.5).clamp(0, 1)
    tone = at(config.visible_tone) + bright * cold * (at(config.bright_tone) - at(config.visible_tone))
    mixed = mixed + tone.clamp(0, 1) * (vis_base - mixed)
    base, full_bases = _enlarged(mixed, CELL, size), _enlarged(bases, CELL, size)
    base = base + at(config.warm_base) * warm * (full_bases.chunk(2)[0] - base).clamp(min=0)
    ir_detail, vis_detail = _denoised(both - full_bases, both, config.denoise, noise).chunk(2)
    gain = at(config.detail_gain)
    fused = base + (gain + same * (1 - gain)) * (vis_detail + share * (ir_detail - vis_detail))

    low, high = torch.minimum(ir, vis), torch.maximum(ir, vis)
    ends = _pooled(torch.cat([-low, high]), CELL, largest=True)
    ends = _enlarged(F.max_pool2d(F.pad(ends, (1,) * 4, mode="replicate"), 3, 1), CELL, size)
    fused = fused - at(config.bound) * _beyond(fused, -ends.chunk(2)[0], ends.chunk(2)[1])
    width = config.knee * LEVEL
    return 1 - _knee(1 - _knee(fused, high, width), 1 - low, width)


def _noise_answer(model: CamFuse) -> Float[Tensor, " k"]:
    """Deviation of each feature for white noise of unit deviation; camfuse_jax draws other random numbers for it."""
    dtype = next(model.parameters()).dtype
    noise = 0.05 * torch.randn((1, 1, 96, 96), generator=torch.Generator().manual_seed(0)).to(dtype)
    noisy, gray = (model.encoder(2 * x)[:, :, 6:18, 6:18] for x in (noise, torch.zeros_like(noise)))
    return ((noisy - gray) ** 2).mean(dim=(0, 2, 3)).sqrt() / 0.05


def _noise(image: Float[Tensor, "1 h w"]) -> Tensor:
    """Immerkaer's estimate in each cell, its lower quartile by counts below 73 levels."""
    levels = LEVEL * 2.0 ** (torch.arange(73, dtype=image.dtype) / 6 - 6)
    rows, cols = image.shape[1:]
    x = F.pad(image[None], (0, -cols % CELL, 0, -rows % CELL), mode="replicate")
    laplacian = torch.tensor([[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=x.dtype).reshape(1, 1, 3, 3)
    response = F.conv2d(F.pad(x, (1,) * 4, mode="replicate"), laplacian).abs()
    noise = _blurred(_pooled(response, CELL), 0.7) * math.sqrt(math.pi / 2) / 6
    whole = _pooled(F.pad(torch.ones_like(image[None]), (0, -cols % CELL, 0, -rows % CELL)), CELL) > 0.99
    brightness = _pooled(x, CELL)
    usable = whole & (brightness > 2 * LEVEL) & (brightness < 253 * LEVEL)
    counts = (noise[usable][:, None] < levels).sum(dim=0).to(x.dtype)
    wanted = 0.25 * counts[-1]
    below = torch.cat([counts.new_zeros(1), counts[:-1]])
    part = ((wanted - below) / (counts - below).clamp(min=1e-6)).clamp(0, 1)
    return 1.09 * (part * torch.diff(levels, prepend=levels.new_zeros(1))).sum()


def _correlation_gate(ir: Pixels, vis: Pixels) -> Float[Tensor, "n 1 1 1"]:
    a, b = (x - x.mean(dim=(1, 2, 3), keepdim=True) for x in (ir, vis))
    product, aa, bb = ((x * y).mean(dim=(1, 2, 3), keepdim=True) for x, y in ((a, b), (a, a), (b, b)))
    flat = aa * bb <= 1e-12
    return torch.where(flat, 0.0, product / torch.where(flat, 1.0, aa * bb).sqrt()).clamp(min=0) ** 4


def _warmth(config, ir: Pixels, ir_cells: Tensor) -> Pixels:
    coarse, margin = _pooled(ir_cells, 2), config.warm_levels * LEVEL
    around = _blurred(coarse, 2.5)
    for reach in (1.0, 0.5, 0.5):
        around = _blurred(around + (coarse - around).clamp(-reach * margin, 0.5 * reach * margin), 2.5)
    around = _enlarged(_enlarged(around, 2, ir_cells.shape[2:]), CELL, ir.shape[2:])
    return torch.sigmoid((_blurred(ir, 1.0) - around - margin) / (6 * LEVEL))


def _denoised(detail: Pixels, both: Pixels, strength: float, noise: Tensor) -> Pixels:
    strength = strength * (noise / LEVEL / 2 - 1).clamp(0, 1)
    blurs = [both, *(_blurred(both, sigma) for sigma in (1.0, 2.0, 4.0))]
    for fine, coarse, part in zip(blurs[:-1], blurs[1:], (0.82, 0.25, 0.12), strict=True):
        band = fine - coarse
        energy = _enlarged(_blurred(_pooled(band**2, CELL), 1.0), CELL, both.shape[2:]) + 1e-9
        keep = (energy - 1.5 * (part * noise) ** 2).clamp(min=0) / energy
        detail = detail - strength * (1 - keep) * band
    return detail


def _knee(x: Pixels, highest: Pixels, width: float) -> Pixels:
    start = highest.clamp(min=1 - width).clamp(0, 1 - 1e-4)
    over, room = (x - start).clamp(min=0), 1 - start
    return torch.minimum(x, start) + over * room / (over + room)


def _beyond(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return (x - high).clamp(min=0) - (low - x).clamp(min=0)


def _own_sums(maps: Tensor, weights: Float[Tensor, "2 k"]) -> Tensor:
    """Sum over channels times the weights of each image's own class: infrared images first, then visible ones."""
    rows = weights.repeat_interleave(len(maps) // 2, dim=0)[:, :, None, None]
    return (maps * rows).sum(dim=1, keepdim=True)


def _without_margin(features: Tensor, shape: torch.Size) -> Tensor:
    top, left = ((have - want) // 2 for have, want in zip(features.shape[2:], shape[2:], strict=True))
    return features[:, :, top : top + shape[2], left : left + shape[3]]


def _blurred(x: Tensor, sigma: float) -> Tensor:
    reach = math.ceil(3 * sigma)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / sigma) ** 2)
    weights = (weights / weights.sum()).to(x.dtype)
    x = F.pad(x, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(x, weights.reshape(1, 1, -1, 1)), weights.reshape(1, 1, 1, -1))


def _pooled(x: Tensor, side: int, *, largest: bool = False) -> Tensor:
    x = F.pad(x, (0, -x.shape[3] % side, 0, -x.shape[2] % side), mode="replicate")
    return F.max_pool2d(x, side) if largest else F.avg_pool2d(x, side)


def _enlarged(x: Tensor, side: int, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, scale_factor=side, mode="bilinear", align_corners=False)[:, :, : size[0], : size[1]]
