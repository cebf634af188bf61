"""How much arithmetic and memory traffic fusion and training are, counted from the networks' shape.

Operations are the multiplications and additions of the convolutions, nothing else. Bytes are what a program moves that
reads every layer's input and weights once from memory and writes its output once, in float32; one that keeps layers
together moves less.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from camfuse_jax.config import NetConfig
from camfuse_jax.nets.autoencoder import ENCODER_STRIDES, UPSAMPLED_BEFORE


class Work(NamedTuple):
    """Arithmetic and traffic.

    Attributes:
        flops: Floating-point operations.
        moved: Bytes read and written.
        largest: Bytes of the largest layer's input and output, which are in memory at the same time.
    """

    flops: float
    moved: float
    largest: float


def fuse_work(net: NetConfig, count: int, height: int, width: int) -> Work:
    """Fusing `count` pairs."""
    return _sum([*_encoder(net, 2 * count, height, width), *_decoder(net, count, height, width)])


def training_work(stage: str, net: NetConfig, count: int, side: int) -> Work:
    """One step of stage `ae` or `cls` on `count` square images.

    A trained layer costs three times its forward pass (forward, gradient of the input, gradient of the weights), but
    the first one needs no gradient of its input.
    """
    encoder = list(_encoder(net, count, side, side))
    trained = [*encoder, *_decoder(net, count, side, side)] if stage == "ae" else list(_classifier(net, count, side))
    frozen = [] if stage == "ae" else encoder
    backward = [Work(2 * layer.flops, 2 * layer.moved, layer.largest) for layer in trained]
    first = trained[0]
    backward[0] = Work(first.flops, first.moved, first.largest)
    return _sum([*frozen, *trained, *backward])


def _encoder(net: NetConfig, count: int, height: int, width: int) -> Iterator[Work]:
    rows, cols, channels = height + 2 * net.margin, width + 2 * net.margin, 1
    for out, stride in zip(net.encoder_widths, ENCODER_STRIDES, strict=True):
        small = math.ceil(rows / stride), math.ceil(cols / stride)
        taps = 9 * channels * out
        yield _layer(count, rows * cols * channels, small[0] * small[1] * out, taps, small[0] * small[1])
        (rows, cols), channels = small, out


def _decoder(net: NetConfig, count: int, height: int, width: int) -> Iterator[Work]:
    rows, cols = (math.ceil((length + 2 * net.margin) / 4) for length in (height, width))
    channels = net.encoder_widths[-1]
    for i, out in enumerate(net.decoder_widths, start=1):
        if i in UPSAMPLED_BEFORE:
            yield _layer(count, rows * cols * channels, 4 * rows * cols * channels, 0, 0)
            rows, cols = 2 * rows, 2 * cols
        yield _layer(count, rows * cols * channels, rows * cols * out, 9 * channels * out, rows * cols)
        channels = out
    yield _layer(count, rows * cols * channels, rows * cols, channels, rows * cols)


def _classifier(net: NetConfig, count: int, side: int) -> Iterator[Work]:
    length, channels = math.ceil((side + 2 * net.margin) / 4), net.encoder_widths[-1]
    for stride in net.strides:
        small = math.ceil(length / stride)
        yield _layer(count, length**2 * channels, small**2 * channels, 9 * channels * net.branches, small**2)
        length = small


def _layer(count: int, read: int, written: int, taps: int, pixels: int) -> Work:
    values = count * (read + written)
    return Work(2.0 * count * taps * pixels, 4.0 * (values + taps), 4.0 * values)


def _sum(layers: list[Work]) -> Work:
    return Work(
        sum(layer.flops for layer in layers),
        sum(layer.moved for layer in layers),
        max(layer.largest for layer in layers),
    )
