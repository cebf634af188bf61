"""A start for the auto-encoder at which it already reconstructs: a lapped frequency transform and its inverse.

From a random start most of the training time goes into learning to copy pixels through a quarter of the resolution.
That part has a closed form, so training can start behind it. Every layer begins with pairs of opposite filters
("mirrored"), of which ReLU keeps the positive and the negative half: on such pairs the network is linear.

- The encoder gathers 4x4 pixels into 16 signals (the two strided layers) and takes, in its last layer, 8x8 windowed
  cosines over 12x12 pixels from them: 64 bands, each as a positive and a negative channel.
- The decoder's first layer inverts those bands (the exact inverse of least norm, found by least squares) and bends the
  result by a piecewise linear inverse of tanh; the layers after the upsamplings sharpen what bilinear
  interpolation blurred, each pixel parity with the filter that is exact for it (`PhaseBias` chooses).

Channels not needed for this start at random with nothing reading them: training may use them as it likes.
Features are thus local frequencies with a sign, which is also what a channel weight can sensibly turn up or down.
"""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from camfuse_jax.errors import UsageError

ENCODER_WIDTHS = (16, 32, 64, 128, 128)
DECODER_WIDTHS = (128, 64, 32, 16)

_BANDS = 8  # per axis
SIGNALS = 16  # pixels of a cell
_HOP = 4
_LENGTH = 12
_GATE = 16.0  # larger than anything a convolution can bring at the wrong parity
_KNOTS = (0.45, 0.75, 0.92)  # where the inverse of tanh bends
_TOP = 0.995  # white is drawn as this: tanh never reaches 1
_SHARPEN = {0: (-0.5, 1.5, 0.0), 1: (0.0, 1.5, -0.5)}  # undoes (3/4, 1/4) at even and odd pixels


def lapped_deep(
    encoder: dict[str, Any], decoder: dict[str, Any], *, seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Replaces the parameters of a freshly made encoder and decoder by the lapped transform.

    Args:
        encoder: Parameters of `Encoder` at its default widths.
        decoder: Parameters of `Decoder` at its default widths, with phase bias.
        seed: Seed of the channels that start at random.

    Raises:
        UsageError: If widths differ or the decoder has no phase bias.
    """
    cores = _encoder_cores(np.random.default_rng(seed))
    encoder_widths = tuple(encoder[f"conv{i}"]["conv"]["kernel"].shape[-1] for i in range(1, 6))
    decoder_widths = tuple(decoder[f"conv{i}"]["conv"]["kernel"].shape[-1] for i in range(1, 5))
    if encoder_widths != ENCODER_WIDTHS or decoder_widths != DECODER_WIDTHS or "phase" not in decoder["conv3"]:
        raise UsageError(
            f"Lapped-transform initialization needs widths {ENCODER_WIDTHS} and {DECODER_WIDTHS} and phase bias, "
            f"got {encoder_widths} and {decoder_widths}.",
            "Use --net.init he for other networks.",
        )
    encoder_out = {}
    for i, core in enumerate(cores, start=1):
        encoder_out[f"conv{i}"] = {"conv": {"kernel": _mirror(core, first=i == 1), "bias": np.zeros(2 * core.shape[3])}}
    decoder_out = _decoder(np.random.default_rng(seed + 1))
    return _float32(encoder_out), _float32(decoder_out)


def lapped_shallow() -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters of `ShallowEncoder` and `ShallowDecoder` at their default widths: the transform and its inverse."""
    order = [4 * row + col for row, col in map(_pixel, range(SIGNALS))]
    analysis, synthesis = _analysis(), _synthesis()
    kernel, inverse = np.empty_like(analysis), np.empty_like(synthesis)
    kernel[:, :, order], inverse[..., order] = analysis, synthesis
    encoder = {"conv": {"kernel": kernel, "bias": np.zeros(_BANDS**2)}}
    decoder = {"conv": {"kernel": np.concatenate([inverse, -inverse], axis=2), "bias": np.zeros(SIGNALS)}}
    return _float32(encoder), _float32(decoder)


def _float32(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _float32(value) for name, value in tree.items()}
    return np.asarray(tree, np.float32)


def _mirror(core: Float[ndarray, "r c i o"], *, first: bool = False) -> Float[ndarray, "r c i2 o2"]:
    """Turns a linear kernel into one on pairs: outputs (+, -) of inputs (+, -)."""
    paired = np.concatenate([core, -core], axis=3)
    return paired if first else np.concatenate([paired, -paired], axis=2)


def _random_core(rng: np.random.Generator, inputs: int, outputs: int) -> Float[ndarray, "3 3 i o"]:
    return rng.normal(size=(3, 3, inputs, outputs)) / np.sqrt(9 * inputs)


def _encoder_cores(rng: np.random.Generator) -> list[Float[ndarray, "3 3 i o"]]:
    """Linear kernels of the five layers, half as wide as the layers."""
    first = _random_core(rng, 1, 8)
    first[..., 0] = 0
    first[1, 1, 0, 0] = 1
    second = _random_core(rng, 8, 16)
    third = _random_core(rng, 16, 32)
    fourth = _random_core(rng, 32, 64)
    second[..., :4] = third[..., :4] = fourth[..., :16] = 0
    for row in range(2):
        for col in range(2):
            parity = 2 * row + col
            second[1 + row, 1 + col, 0, parity] = 1
            third[1, 1, parity, parity] = 1
            for finer in range(4):
                fourth[1 + row, 1 + col, finer, 4 * parity + finer] = 1
    fifth = np.zeros((3, 3, 64, _BANDS**2))
    fifth[:, :, :16, :] = _analysis()
    return [first, second, third, fourth, fifth]


def _cosines() -> Float[ndarray, "8 12"]:
    """One axis of the bands: cosines of rising frequency under a sine window."""
    t = np.arange(_LENGTH) - (_LENGTH - 1) / 2
    window = np.cos(np.pi * t / _LENGTH)
    band = np.arange(_BANDS)[:, None]
    waves = window * np.cos(np.pi * (band + 0.5) / _BANDS * (t + _HOP / 2 + 0.5))
    return waves / np.linalg.norm(waves, axis=1, keepdims=True)


def _pixel(signal: int) -> tuple[int, int]:
    """Row and column inside the 4x4 cell of one of the 16 signals (coarse parity first)."""
    coarse, fine = divmod(signal, 4)
    return 2 * (coarse // 2) + fine // 2, 2 * (coarse % 2) + fine % 2


def _analysis() -> Float[ndarray, "3 3 16 64"]:
    waves = _cosines()
    kernel = np.empty((3, 3, 16, _BANDS**2))
    for signal in range(16):
        row, col = _pixel(signal)
        for i in range(3):
            for j in range(3):
                kernel[i, j, signal] = np.outer(waves[:, 4 * i + row], waves[:, 4 * j + col]).ravel()
    return kernel


def _inverse_axis() -> Float[ndarray, "3 8 4"]:
    """Weights (cell, band, pixel) that give back 4 pixels from the bands of three neighboring cells, exactly."""
    waves = _cosines()
    # Bands of cells -1, 0, 1 as combinations of the pixels of cells -2 .. 2.
    forward = np.zeros((3 * _BANDS, 5 * _HOP))
    for cell in range(3):
        forward[cell * _BANDS : (cell + 1) * _BANDS, cell * _HOP : cell * _HOP + _LENGTH] = waves
    wanted = np.eye(5 * _HOP)[2 * _HOP : 3 * _HOP]
    solution, *_ = np.linalg.lstsq(forward.T, wanted.T, rcond=None)
    return solution.reshape(3, _BANDS, _HOP)


def _synthesis() -> Float[ndarray, "3 3 64 16"]:
    axis = _inverse_axis()
    synthesis = np.empty((3, 3, _BANDS**2, SIGNALS))
    for signal in range(SIGNALS):
        row, col = _pixel(signal)
        synthesis[..., signal] = np.einsum("ia,jb->ijab", axis[:, :, row], axis[:, :, col]).reshape(3, 3, -1)
    return synthesis


def _bend() -> tuple[float, Float[ndarray, " 3"]]:
    """Slope at zero and changes of slope at the knots of a piecewise linear inverse of tanh."""
    x = np.linspace(0, 1, 2001)
    basis = np.stack([x] + [np.maximum(x - knot, 0) for knot in _KNOTS], axis=1)
    slope = 1 - (x * _TOP) ** 2  # errors count after tanh
    solution, *_ = np.linalg.lstsq(basis * slope[:, None], np.arctanh(x * _TOP) * slope, rcond=None)
    return float(solution[0]), solution[1:]


def _decoder(rng: np.random.Generator) -> dict[str, Any]:
    first = np.tile(_synthesis(), 4)
    first_bias = -np.repeat((0.0, *_KNOTS), 16)
    second = _random_core(rng, 64, 32)
    second[..., :16] = 0
    slope, bends = _bend()
    for signal in range(16):
        for level, gain in enumerate((slope, *bends)):
            second[1, 1, 16 * level + signal, signal] = gain
    third, fourth = np.zeros((3, 3, 32, 16)), _random_core(rng, 16, 8)
    fourth[..., :4] = 0
    for parity in range(4):
        taps = np.outer(_SHARPEN[parity // 2], _SHARPEN[parity % 2])
        for finer in range(4):
            third[:, :, 4 * parity + finer, 4 * parity + finer] = taps
            fourth[:, :, 4 * finer + parity, parity] = taps
    fifth = np.zeros((1, 1, 16, 1))
    fifth[0, 0, :4], fifth[0, 0, 8:12] = 1, -1
    return {
        "conv1": {"conv": {"kernel": _mirror(first), "bias": np.tile(first_bias, 2)}},
        "conv2": {"conv": {"kernel": _mirror(second), "bias": np.zeros(64)}},
        "conv3": {"conv": {"kernel": _mirror(third)}, "phase": {"bias": _gates(np.repeat(np.arange(4), 4))}},
        "conv4": {"conv": {"kernel": _mirror(fourth)}, "phase": {"bias": _gates(np.tile(np.arange(4), 2))}},
        "conv5": {"kernel": fifth, "bias": np.zeros(1)},
    }


def _gates(parity: ndarray) -> Float[ndarray, "2 2 c"]:
    """Biases that let each pair of channels through at its own parity and shut it elsewhere."""
    bias = np.full((2, 2, 2 * len(parity)), -_GATE)
    for channel, p in enumerate(np.tile(parity, 2)):
        bias[p // 2, p % 2, channel] = 0
    return bias
