"""Rule `spatial` in float64 NumPy and SciPy, one pair at a time: the tests' independent opinion (docs/method.md).

Nothing here is imported from camfuse_jax. `config` has the settings as attributes; images are (h, w) in [0, 1].
"""

import math

import jax
import numpy as np
import reference
import scipy.ndimage as nd

LEVEL = 1 / 255


def blur(x, sigma):
    """Gaussian, edges repeated, cut off at three deviations."""
    for axis in (0, 1):
        x = nd.gaussian_filter1d(x, sigma, axis=axis, mode="nearest", radius=math.ceil(3 * sigma))
    return x


def filled(x, side):
    """Last row and column repeated until both sides are multiples."""
    return np.pad(x, [(0, -length % side) for length in x.shape], mode="edge")


def pooled(x, side, reduce=np.mean):
    """One value for each cell."""
    x = filled(x, side)
    cells = [[x[i : i + side, j : j + side] for j in range(0, x.shape[1], side)] for i in range(0, x.shape[0], side)]
    return np.array([[reduce(cell) for cell in row] for row in cells])


def enlarged(x, side, shape):
    """Linear between the centers of cells, constant beyond the outermost."""
    where = [np.clip((np.arange(n) + 0.5) / side - 0.5, 0, m - 1) for n, m in zip(shape, x.shape, strict=True)]
    return nd.map_coordinates(x, np.meshgrid(*where, indexing="ij"), order=1, mode="nearest")


def encode(net, encoder, image):
    """Features (h4, w4, k) of an image in [0, 1]; the margin's are around."""
    sym = 2 * np.asarray(image, np.float64) - 1
    if net.kind == "deep":
        return reference.encode(encoder, sym[None, ..., None], net.margin)[-1][0]
    x = filled(np.pad(sym, net.margin + 4, mode="edge"), 4)
    cells = x.reshape(x.shape[0] // 4, 4, x.shape[1] // 4, 4).swapaxes(1, 2).reshape(x.shape[0] // 4, -1, 16)
    kernel, bias = (np.asarray(encoder["conv"][name], np.float64) for name in ("kernel", "bias"))
    h, w = cells.shape[0] - 2, cells.shape[1] - 2
    linear = bias + sum(cells[i : i + h, j : j + w] @ kernel[i, j] for i in range(3) for j in range(3))
    return np.concatenate([np.maximum(linear, 0), np.maximum(-linear, 0)], axis=-1)


def answers(net, encoder):
    """Features of black and of white, and the deviation of those of noise."""
    noise = 0.05 * np.asarray(jax.random.normal(jax.random.key(0), (1, 96, 96, 1)), np.float64)[0, ..., 0]
    images = [np.zeros_like(noise), np.ones_like(noise), np.full_like(noise, 0.5), 0.5 + noise]
    black, white, gray, noisy = (encode(net, encoder, image)[6:18, 6:18] for image in images)
    return black.mean((0, 1)), white.mean((0, 1)), np.sqrt(((noisy - gray) ** 2).mean((0, 1))) / 0.05


def noise_of(image):
    """Deviation of noise: a low quantile, over cells of four pixels, of what a Laplacian difference shows."""
    whole = tuple(length // 4 for length in image.shape)
    difference = nd.correlate1d(
        nd.correlate1d(filled(image, 4), [1, -2, 1], 0, mode="nearest"), [1, -2, 1], 1, mode="nearest"
    )
    sigma = blur(pooled(np.abs(difference), 4), 0.7) * math.sqrt(math.pi / 2) / 6
    level = pooled(image, 4)
    usable = (level > 2 * LEVEL) & (level < 253 * LEVEL)
    values = sigma[: whole[0], : whole[1]][usable[: whole[0], : whole[1]]]
    levels = LEVEL * 2.0 ** (-6 + np.arange(73) / 6)
    counts = np.array([(values < one).sum() for one in levels], np.float64)
    if counts[-1] == 0:
        return 0.0
    i = int(np.argmax(counts >= 0.25 * counts[-1]))
    low, below = (levels[i - 1], counts[i - 1]) if i else (0.0, 0.0)
    return 1.09 * (low + (levels[i] - low) * (0.25 * counts[-1] - below) / (counts[i] - below))


def beyond(x, low, high):
    """By how much x leaves [low, high]."""
    return x - np.clip(x, low, high)


def bend(x, highest, width):
    """What is above both images and within `width` of white stays below white."""
    start = np.clip(np.maximum(highest, 1 - width), 0, 1 - 1e-4)
    over = np.maximum(x - start, 0)
    return np.minimum(x, start) + over * (1 - start) / (over + 1 - start)


def fuse(config, look, net, params, ir, vis, ir_share=0.5):
    """The fused image."""
    images = [np.asarray(x, np.float64) for x in (ir, vis)]
    shape, vis_share = images[0].shape, 1 - ir_share

    def at(ends):
        return (1 - look) * ends[0] + look * ends[1]

    def up(x):
        return enlarged(x, 4, shape)

    cells = [pooled(x, 4) for x in images]
    bases = [blur(x, config.base_sigma / 4) for x in cells]
    means = [x.mean() for x in images]
    noises = [noise_of(x) for x in images]
    (a, b) = (x - m for x, m in zip(images, means, strict=True))
    energy = (a * a).mean() * (b * b).mean()
    same = max((a * b).mean() / math.sqrt(energy), 0) ** 4 if energy > 1e-12 else 0.0

    # Which image's detail
    black, white, noise_answer = answers(net, params["encoder"])
    head = np.asarray(params["classifier"]["head"]["kernel"], np.float64).T
    weights = reference.channel_weights(head)
    gained = weights * [[ir_share], [vis_share]]
    weights = gained * weights.sum(axis=0) / gained.sum(axis=0)
    own = head * reference.channel_gains(params["classifier"])
    logs, scores = [], []
    mean_weight = weights.mean(axis=0)
    silent = (0.5 * LEVEL) ** 2 * (mean_weight**2 * noise_answer**2).sum()
    for c in (0, 1):
        features, margin = encode(net, params["encoder"], images[c]), net.margin // 4
        features = features[margin : margin + cells[c].shape[0], margin : margin + cells[c].shape[1]]
        level = 2 * bases[c][..., None] - 1
        change = features - np.maximum(level, 0) * white - np.maximum(-level, 0) * black
        sigma = config.activity_sigma / 4 / math.sqrt(2)
        power = blur(blur((change**2 * weights[c] ** 2).sum(-1), sigma), sigma)
        of_noise = ((noises[c] * noise_answer) ** 2 * weights[c] ** 2).sum()
        logs.append(np.log(silent + np.maximum(power - 1.4 * config.denoise * of_noise, 0)))
        level = 2 * means[c] - 1
        scores.append(((features - max(level, 0) * white - max(-level, 0) * black) * own[c]).sum(-1))
    odds = 0.5 * config.sharpness * (logs[0] - logs[1])
    odds += config.class_score * blur(scores[0] - scores[1], config.base_sigma / 4)
    odds = 6 * np.tanh(odds / 6)
    odds += 2 * (math.log(ir_share + 1e-6) - math.log(vis_share + 1e-6))

    # Warm targets
    coarse, margin = pooled(cells[0], 2), config.warm_levels * LEVEL
    around = blur(coarse, 2.5)
    for reach in (1.0, 0.5, 0.5):
        around = blur(around + np.clip(coarse - around, -reach * margin, 0.5 * reach * margin), 2.5)
    around = enlarged(enlarged(around, 2, cells[0].shape), 4, shape)
    warm = reference.sigmoid((blur(images[0], 1.0) - around - margin) / (6 * LEVEL))
    rim = np.clip(2 * up(blur(pooled(warm, 4), 2.0)), 0, 1)
    share = reference.sigmoid(up(odds) + config.saliency * np.maximum(warm, rim))

    # Base
    gain = 1 + (at(config.base_gain) - 1) * 4 * ir_share * vis_share
    gain = gain + same * (1 - gain)
    mean = ir_share * means[0] + vis_share * means[1]
    mean += min(2 * vis_share * at(config.visible_mean), 1) * (means[1] - mean)
    mixed = mean + gain * (ir_share * (bases[0] - means[0]) + vis_share * (bases[1] - means[1]))
    mixed -= config.base_bound * (1 - same) * beyond(mixed, np.minimum(*bases), np.maximum(*bases))
    sky = np.clip(5 * (bases[1] - 0.45), 0, 1) * np.clip(10 * (means[0] - bases[0]) + 0.5, 0, 1)
    tone = (1 - sky) * at(config.visible_tone) + sky * at(config.bright_tone)
    base = up(mixed + np.minimum(2 * vis_share * tone, 1) * (bases[1] - mixed))
    base = base + at(config.warm_base) * min(2 * ir_share, 1) * warm * np.maximum(up(bases[0]) - base, 0)

    # Detail, less its noise
    details = []
    for image, low, noise in zip(images, bases, noises, strict=True):
        detail, strength = image - up(low), config.denoise * np.clip(noise / LEVEL / 2 - 1, 0, 1)
        blurs = [image, blur(image, 1.0), blur(image, 2.0), blur(image, 4.0)]
        for i, part in enumerate((0.82, 0.25, 0.12)):
            band = blurs[i] - blurs[i + 1]
            power = up(blur(pooled(band**2, 4), 1.0)) + 1e-9
            detail = detail - strength * (1 - np.maximum(power - 1.5 * (part * noise) ** 2, 0) / power) * band
        details.append(detail)
    detail_gain = at(config.detail_gain)
    fused = base + (detail_gain + same * (1 - detail_gain)) * (share * details[0] + (1 - share) * details[1])

    # Ends
    lowest, highest = np.minimum(*images), np.maximum(*images)
    low = up(nd.minimum_filter(pooled(lowest, 4, np.min), 3, mode="nearest"))
    high = up(nd.maximum_filter(pooled(highest, 4, np.max), 3, mode="nearest"))
    fused = fused - at(config.bound) * beyond(fused, low, high)
    knee = config.knee * LEVEL
    return 1 - bend(1 - bend(fused, highest, knee), 1 - lowest, knee)
