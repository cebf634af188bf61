"""The method's equations in float64 NumPy, written from the paper with plain loops: the tests' independent opinion.

Nothing here is imported from camfuse_jax. Parameters are trees of arrays as Flax makes them.
"""

import math

import numpy as np
import scipy.ndimage

SSIM_SIDE, SSIM_SIGMA = 11, 1.5


def _f64(array):
    return np.asarray(array, np.float64)


def at_edge(x, rows, cols):
    """x[:, rows, cols] where indices outside the image mean the nearest pixel inside."""
    rows, cols = np.clip(rows, 0, x.shape[1] - 1), np.clip(cols, 0, x.shape[2] - 1)
    return x[:, rows[:, None], cols[None, :]]


def windows(x, stride):
    """Yields (i, j, 3x3 window) for each output position of a 3x3 layer; windows sit on every stride-th pixel."""
    for i in range(-(-x.shape[1] // stride)):
        for j in range(-(-x.shape[2] // stride)):
            offsets = np.arange(-1, 2)
            yield i, j, at_edge(x, i * stride + offsets, j * stride + offsets)


def conv3x3(x, kernel, bias, stride=1):
    """3x3 convolution (correlation) with repeated edges."""
    x, kernel = _f64(x), _f64(kernel)
    shape = (x.shape[0], -(-x.shape[1] // stride), -(-x.shape[2] // stride), kernel.shape[3])
    result = np.empty(shape)
    for i, j, window in windows(x, stride):
        result[:, i, j] = np.tensordot(window, kernel, axes=([1, 2, 3], [0, 1, 2]))
    return result + _f64(bias)


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-_f64(x)))


def upsample(x):
    """Twice the height and width: output pixel i lies at (i + 1/2)/2 - 1/2 of the input, linear in between."""
    x = _f64(x)
    for axis in (1, 2):
        size = x.shape[axis]
        where = np.clip((np.arange(2 * size) + 0.5) / 2 - 0.5, 0, size - 1)
        low = np.floor(where).astype(int)
        high = np.minimum(low + 1, size - 1)
        share = (where - low).reshape([-1 if a == axis else 1 for a in range(4)])
        x = (1 - share) * np.take(x, low, axis) + share * np.take(x, high, axis)
    return x


def encode(params, image, margin):
    """Eq. 4: every layer's output; the last is phi_c."""
    image = _f64(image)
    rows, cols = (np.arange(-margin, size + margin) for size in image.shape[1:3])
    layers = [at_edge(image, rows, cols)]
    for i, stride in enumerate((1, 2, 1, 2, 1), start=1):
        conv = params[f"conv{i}"]["conv"]
        layers.append(relu(conv3x3(layers[-1], conv["kernel"], conv["bias"], stride)))
    return layers[1:]


def decode(params, features, size, margin):
    """Eq. 6: the image drawn from features."""
    x = _f64(features)
    for i in range(1, 5):
        layer = params[f"conv{i}"]
        x = upsample(x) if i in (3, 4) else x
        if "phase" in layer:
            x = conv3x3(x, layer["conv"]["kernel"], 0)
            for row in range(x.shape[1]):
                for col in range(x.shape[2]):
                    x[:, row, col] += _f64(layer["phase"]["bias"])[row % 2, col % 2]
        else:
            x = conv3x3(x, layer["conv"]["kernel"], layer["conv"]["bias"])
        x = relu(x)
    x = x @ _f64(params["conv5"]["kernel"])[0, 0] + _f64(params["conv5"]["bias"])
    return np.tanh(x[:, margin : margin + size[0], margin : margin + size[1]])


def depthwise(params, x, stride):
    """Sum over branches of ReLU(depthwise 3x3 + bias)."""
    x, kernel, bias = _f64(x), _f64(params["kernel"]), _f64(params["bias"])
    result = np.empty((x.shape[0], -(-x.shape[1] // stride), -(-x.shape[2] // stride), x.shape[3]))
    for i, j, window in windows(x, stride):
        branches = [relu((window * kernel[b]).sum(axis=(1, 2)) + bias[b]) for b in range(len(kernel))]
        result[:, i, j] = np.sum(branches, axis=0)
    return result


def classify(params, features, strides):
    """Last feature maps (phi of Eqs. 12-14) and probabilities P_c (Eq. 2)."""
    x = _f64(features)
    for i, stride in enumerate(strides, start=1):
        x = depthwise(params[f"depthwise{i}"], x, stride)
    weights = _f64(params["head"]["kernel"]).T  # W_c of Eq. 1: row c, column k
    pooled = x.sum(axis=(1, 2)) / (x.shape[1] * x.shape[2])
    return x, sigmoid([[np.sum(row * image) for row in weights] for image in pooled])


def channel_weights(weights):
    """Eq. 3."""
    e = np.exp(2 * _f64(weights))
    return 0.5 * (e - 1) / (e + 1) + 0.5


def fuse_features(ir, vis, weights):
    """Eq. 5, channel by channel."""
    ir, vis = _f64(ir), _f64(vis)
    channels = [weights[0, k] * ir[..., k] + weights[1, k] * vis[..., k] for k in range(ir.shape[-1])]
    return np.stack(channels, axis=-1)


def blur(maps, sigma):
    """Gaussian blur of maps (n, h, w, k) by SciPy, edges repeated, cut off at three standard deviations."""
    for axis in (1, 2):
        maps = scipy.ndimage.gaussian_filter1d(maps, sigma, axis=axis, mode="nearest", radius=math.ceil(3 * sigma))
    return maps


def channel_gains(classifier):
    """What the last map shows of a channel that is 1 everywhere, biases left out, channel by channel."""
    kernels = [_f64(classifier[name]["kernel"]) for name in sorted(classifier) if name != "head"]
    gains = np.ones(kernels[0].shape[-1])
    for k in range(len(gains)):
        for kernel in kernels:
            gains[k] = sum(max(branch[:, :, k].sum() * gains[k], 0) for branch in kernel)
    return gains


def fuse_by_place(config, ir, vis, weights, evidence=None):
    """Rule `place` for one pair: `config` has the settings as attributes."""
    images = [_f64(ir), _f64(vis)]
    bases = [blur(image, config.base_cells) for image in images]
    details = [image - base for image, base in zip(images, bases, strict=True)]
    activity = [
        1e-3 + blur((np.abs(detail) * row).sum(axis=-1, keepdims=True), config.place_cells)
        for detail, row in zip(details, _f64(weights), strict=True)
    ]
    means = [image.mean(axis=(1, 2), keepdims=True) for image in images]
    a, b = (base - mean for base, mean in zip(bases, means, strict=True))
    powers = [a**config.sharpness for a in activity]
    if evidence is not None:
        for c, contrast in enumerate((a, b)):
            own = np.einsum("nhwk,k->nhw", contrast, _f64(evidence)[c])[..., None]
            powers[c] = powers[c] * np.exp(config.evidence * own)
    share = powers[0] / (powers[0] + powers[1])
    correlation = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
    same = max(correlation, 0) ** 4
    gains = [g / (1 + same * (g - 1)) for g in (config.base_gain, config.detail_gain)]
    level = config.level * (1 - same) + same
    detail = share * details[0] + (1 - share) * details[1]
    return level * (means[0] + means[1]) / 2 + gains[0] * (a + b) / 2 + gains[1] * detail


def fuse_by_l1(ir, vis):
    """DenseFuse's l1-norm strategy."""
    ir, vis = _f64(ir), _f64(vis)
    fused = np.empty_like(ir)
    for i, j, window in windows(np.concatenate([np.abs(ir).sum(-1), np.abs(vis).sum(-1)])[..., None], 1):
        a, b = window.mean(axis=(1, 2))[:, 0]
        fused[0, i, j] = (a * ir[0, i, j] + b * vis[0, i, j]) / (a + b)
    return fused


def fuse(params, ir_sym, vis_sym, margin):
    """Eqs. 1 and 3-6: the fused image in [-1, 1]; params holds `encoder`, `decoder`, `classifier`."""
    weights = channel_weights(_f64(params["classifier"]["head"]["kernel"]).T)
    ir, vis = (encode(params["encoder"], image, margin)[-1] for image in (ir_sym, vis_sym))
    return decode(params["decoder"], fuse_features(ir, vis, weights), ir_sym.shape[1:3], margin)


def min_max(single):
    """MMN of one map."""
    low, high = single.min(), single.max()
    return np.zeros_like(single) if high == low else (single - low) / (high - low)


def caam(last):
    """Eq. 13, per image."""
    return np.stack([min_max(_f64(image).sum(axis=-1)) for image in last])


def cam(last, weights):
    """Eq. 14, per image, with one row of class weights per image."""
    return np.stack([min_max((_f64(image) * _f64(row)).sum(axis=-1)) for image, row in zip(last, weights, strict=True)])


def pixel_loss(image, reconstructed):
    """Eq. 8: squared Frobenius norm over height times width."""
    difference = (_f64(reconstructed) - _f64(image))[..., 0]
    return np.array([np.linalg.norm(d, "fro") ** 2 / d.size for d in difference])


def ssim(a, b):
    """Mean structural similarity with a two-dimensional Gaussian window, windows inside the image only; range 2."""
    offsets = np.arange(SSIM_SIDE) - SSIM_SIDE // 2
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None, :] ** 2) / (2 * SSIM_SIGMA**2))
    window /= window.sum()
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    result = []
    for x, y in zip(_f64(a)[..., 0], _f64(b)[..., 0], strict=True):
        values = []
        for i in range(x.shape[0] - SSIM_SIDE + 1):
            for j in range(x.shape[1] - SSIM_SIDE + 1):
                p, q = x[i : i + SSIM_SIDE, j : j + SSIM_SIDE], y[i : i + SSIM_SIDE, j : j + SSIM_SIDE]
                mp, mq = (window * p).sum(), (window * q).sum()
                vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
                cov = (window * (p - mp) * (q - mq)).sum()
                values.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
        result.append(np.mean(values))
    return np.array(result)


def autoencoder_loss(image, reconstructed, ssim_weight):
    """Eqs. 7 and 9."""
    return pixel_loss(image, reconstructed) + ssim_weight * (1 - ssim(image, reconstructed))


def cross_entropy_loss(logits, label):
    """Eq. 11 on both outputs, one against the rest, mean of the two; in stable form: log(1 + e^z) - t z."""
    result = []
    for row, own in zip(_f64(logits), label, strict=True):
        target = [1.0 if c == own else 0.0 for c in range(2)]
        result.append(np.mean([np.logaddexp(0, z) - t * z for z, t in zip(row, target, strict=True)]))
    return np.array(result)


def distance_loss(last, weights, label):
    """Eq. 12: mean over pixels of |m_i - m_r|."""
    own = np.stack([_f64(weights)[c] for c in label])
    return np.abs(caam(last) - cam(last, own)).mean(axis=(1, 2))


def classifier_loss(logits, last, weights, label, alpha):
    """Eq. 10."""
    return cross_entropy_loss(logits, label) + alpha * distance_loss(last, weights, label)


def slope(function, x, direction, step=1e-6):
    """Derivative of a scalar function along a direction, by central differences in float64."""
    x, direction = _f64(x), _f64(direction)
    return (function(x + step * direction) - function(x - step * direction)) / (2 * step)
