"""Encoder, decoder and depthwise classifier in PyTorch, NCHW (section 2.1, Eqs. 1, 2, 4 and 6)."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

ENCODER_STRIDES = (1, 2, 1, 2, 1)
CELL = 4


def conv3x3(inputs: int, outputs: int, *, stride: int = 1, groups: int = 1, bias: bool = True) -> nn.Conv2d:
    """A 3x3 convolution whose border repeats the outermost pixel."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, padding_mode="replicate", groups=groups, bias=bias)


class Encoder(nn.Module):
    """Five 3x3 convolutions with ReLU, stride 2 in the second and the fourth (Eq. 4).

    Args:
        widths: Channels of the five layers; the last is k.
        margin: Pixels by which the image is continued on each side first, a multiple of 4.
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 128, 128), *, margin: int = 4):
        super().__init__()
        self.margin = margin
        self.conv1, self.conv2, self.conv3, self.conv4, self.conv5 = (
            conv3x3(inputs, outputs, stride=stride)
            for inputs, outputs, stride in zip((1, *widths[:-1]), widths, ENCODER_STRIDES, strict=True)
        )

    def forward(self, image_sym: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n k h4 w4"]:
        """Encodes images in [-1, 1]."""
        x = F.pad(image_sym, (self.margin,) * 4, mode="replicate")
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5):
            x = F.relu(conv(x))
        return x


class PhaseBias(nn.Module):
    """A bias per channel, row parity and column parity."""

    def __init__(self, channels: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels, 2, 2))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Adds it; height and width are even."""
        return x + self.bias.repeat(1, x.shape[2] // 2, x.shape[3] // 2)


class Decoder(nn.Module):
    """Four 3x3 convolutions with ReLU and a 1x1 with tanh, upsampling before the third and fourth (Eq. 6).

    Args:
        features: k, channels of the encoder's features.
        widths: Channels of the four 3x3 layers.
        phase_bias: One bias per pixel parity after an upsampling.
        margin: The encoder's margin.
    """

    def __init__(
        self,
        features: int = 128,
        widths: Sequence[int] = (128, 64, 32, 16),
        *,
        phase_bias: bool = True,
        margin: int = 4,
    ):
        super().__init__()
        self.margin = margin
        self.conv1 = conv3x3(features, widths[0])
        self.conv2 = conv3x3(widths[0], widths[1])
        self.conv3 = conv3x3(widths[1], widths[2], bias=not phase_bias)
        self.phase3 = PhaseBias(widths[2]) if phase_bias else nn.Identity()
        self.conv4 = conv3x3(widths[2], widths[3], bias=not phase_bias)
        self.phase4 = PhaseBias(widths[3]) if phase_bias else nn.Identity()
        self.conv5 = nn.Conv2d(widths[3], 1, 1)

    def forward(self, features: Float[Tensor, "n k h4 w4"], size: tuple[int, int]) -> Float[Tensor, "n 1 h w"]:
        """Draws images of a size, in [-1, 1]."""
        x = F.relu(self.conv1(features))
        x = F.relu(self.conv2(x))
        x = F.relu(self.phase3(self.conv3(_upsample(x))))
        x = F.relu(self.phase4(self.conv4(_upsample(x))))
        x = _at_least_float32(self.conv5(x))
        return torch.tanh(x[:, :, self.margin : self.margin + size[0], self.margin : self.margin + size[1]])


class ShallowEncoder(nn.Module):
    """One 3x3 convolution over cells of 4x4 pixels, each output as a positive and a negative channel."""

    def __init__(self, bands: int = 64, *, margin: int = 4):
        super().__init__()
        self.margin = margin
        self.conv = nn.Conv2d(CELL * CELL, bands, 3)

    def forward(self, image_sym: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n k h4 w4"]:
        """Encodes images in [-1, 1]."""
        rows, cols = image_sym.shape[2:]
        around = self.margin + CELL
        x = F.pad(image_sym, (around, around + -cols % CELL, around, around + -rows % CELL), mode="replicate")
        x = self.conv(F.pixel_unshuffle(x, CELL))
        return F.relu(torch.cat([x, -x], dim=1))


class ShallowDecoder(nn.Module):
    """One 3x3 convolution from features to the 4x4 pixels of each cell; the result is clipped to [-1, 1]."""

    def __init__(self, features: int = 128, *, margin: int = 4):
        super().__init__()
        self.margin = margin
        self.conv = conv3x3(features, CELL * CELL)

    def forward(self, features: Float[Tensor, "n k h4 w4"], size: tuple[int, int]) -> Float[Tensor, "n 1 h w"]:
        """Draws images of a size, in [-1, 1]."""
        x = _at_least_float32(F.pixel_shuffle(self.conv(features), CELL))
        return x[:, :, self.margin : self.margin + size[0], self.margin : self.margin + size[1]].clamp(-1, 1)


class DepthwiseBranches(nn.Module):
    """Parallel depthwise 3x3 convolutions with ReLU, summed."""

    def __init__(self, channels: int, *, branches: int = 4, stride: int = 1):
        super().__init__()
        self.branches = nn.ModuleList(
            conv3x3(channels, channels, stride=stride, groups=channels) for _ in range(branches)
        )

    def forward(self, x: Float[Tensor, "n k h w"]) -> Float[Tensor, "n k h2 w2"]:
        """Channel i sees nothing but channel i."""
        return sum(F.relu(branch(x)) for branch in self.branches)


class Classifier(nn.Module):
    """Depthwise layers, global average pooling and one linear layer without bias (Eqs. 1 and 2)."""

    def __init__(self, features: int = 128, *, branches: int = 4, strides: Sequence[int] = (1, 2, 1, 2, 1, 2)):
        super().__init__()
        self._layers = [f"depthwise{i}" for i in range(1, len(strides) + 1)]
        for name, stride in zip(self._layers, strides, strict=True):
            self.add_module(name, DepthwiseBranches(features, branches=branches, stride=stride))
        self.head = nn.Linear(features, 2, bias=False)
        nn.init.zeros_(self.head.weight)

    def depthwise(self) -> list[DepthwiseBranches]:
        """The depthwise layers in order."""
        return [getattr(self, name) for name in self._layers]

    def forward(self, features: Float[Tensor, "n k h w"]) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n k h2 w2"]]:
        """Returns logits, infrared first, and the last maps, which Eqs. 12-14 call phi."""
        last = features
        for layer in self.depthwise():
            last = layer(last)
        last = _at_least_float32(last)
        return self.head(last.mean(dim=(2, 3))), last


class CamFuse(nn.Module):
    """The three networks and the rule they fuse by.

    Arguments are those of `camfuse_jax.config.NetConfig` (`init` is of no use here), and `fusion`, a `FusionConfig` of
    camfuse_jax or anything with the same names, which only fusing needs.
    """

    def __init__(
        self,
        encoder_widths: Sequence[int] = (16, 32, 64, 128, 128),
        decoder_widths: Sequence[int] = (128, 64, 32, 16),
        phase_bias: bool = True,
        margin: int = 4,
        init: str = "lapped",
        branches: int = 4,
        strides: Sequence[int] = (1, 2, 1, 2, 1, 2),
        *,
        kind: str = "deep",
        fusion: Any = None,
    ):
        super().__init__()
        del init
        self.fusion = fusion
        self.noise_answer: Tensor | None = None  # for rule spatial; measured where nobody gives it
        k = encoder_widths[-1]
        if kind == "shallow":
            self.encoder, self.decoder = ShallowEncoder(k // 2, margin=margin), ShallowDecoder(k, margin=margin)
        else:
            self.encoder = Encoder(encoder_widths, margin=margin)
            self.decoder = Decoder(k, decoder_widths, phase_bias=phase_bias, margin=margin)
        self.classifier = Classifier(k, branches=branches, strides=strides)
        self.strides = tuple(strides)

    def reconstruct(self, image_sym: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
        """Encodes and decodes images in [-1, 1]."""
        return self.decoder(self.encoder(image_sym), image_sym.shape[2:])


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _upsample(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
