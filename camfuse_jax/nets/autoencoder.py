"""Encoders and decoders: what turns an image into features and features into an image (section 2.1, Eqs. 4 and 6).

`Encoder` and `Decoder` are the paper's. `ShallowEncoder` and `ShallowDecoder` are one convolution each and have the
same interface: 128 features, one for each 4x4 pixels. All of them take and return arrays larger than the image where
`size` says how many rows and columns are image (`nets.layers`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from camfuse_jax.nets.layers import (
    SHRINK,
    Conv,
    Dtype,
    Size,
    UpsampledConv,
    bordered,
    depth_to_space,
    interleave,
    pad_edge,
    shrunk,
    space_to_depth,
)

ENCODER_STRIDES = (1, 2, 1, 2, 1)
UPSAMPLED_BEFORE = (3, 4)
_STRIP = 100_000  # numbers that a strip's linear layer puts out; measured

Features = Float[Array, "n h4 w4 k"]
Images = Float[Array, "n h w 1"]
Named = dict[str, Array]


class Encoder(nn.Module):
    """Five 3x3 convolutions with ReLU, stride 2 in the second and the fourth (Eq. 4).

    Attributes:
        widths: Channels of the five layers; the last is k, the number of features.
        margin: Pixels, a multiple of 4, by which the image is continued on each side (outermost pixel repeated), so
            that border pixels are seen by as many features as inner ones. The decoder cuts them off again.
        dtype: Type of the arithmetic; parameters stay float32.
    """

    widths: Sequence[int] = (16, 32, 64, 128, 128)
    margin: int = 4
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, image_sym: Images, size: Size | None = None) -> tuple[Features, Named]:
        """Encodes images in [-1, 1].

        Args:
            image_sym: Images; beyond `size` they repeat the last row and column.
            size: Rows and columns that are image; None for all.

        Returns:
            Features of shape (n, ceil((h + 2 margin)/4), ceil((w + 2 margin)/4), k), not negative, and every layer's
            output by name.
        """
        named = {}
        x = _with_margin(image_sym.astype(self.dtype), self.margin)
        size = None if size is None else tuple(length + 2 * self.margin for length in size)
        for i, (width, stride) in enumerate(zip(self.widths, ENCODER_STRIDES, strict=True), start=1):
            size = shrunk(size, stride)
            x = nn.relu(bordered(Conv(width, stride, dtype=self.dtype, name=f"conv{i}")(x), size))
            named[f"conv{i}"] = x
        return x, named


class Decoder(nn.Module):
    """Four 3x3 convolutions with ReLU and a 1x1 with tanh; bilinear upsampling before the third and fourth (Eq. 6).

    Attributes:
        widths: Channels of the four 3x3 layers.
        phase_bias: Give the convolutions after an upsampling one bias per pixel parity (see `layers.PhaseBias`);
            False is the paper's plain convolution.
        margin: The encoder's margin.
        dtype: Type of the arithmetic; parameters stay float32.
    """

    widths: Sequence[int] = (128, 64, 32, 16)
    phase_bias: bool = True
    margin: int = 4
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, features: Features, shape: tuple[int, int], size: Size | None = None) -> tuple[Images, Named]:
        """Draws images from features.

        Args:
            features: Encoder features, or a weighted sum of them.
            shape: Height and width of the images that were encoded; the surplus of up to 3 rows and columns is cut off.
            size: Rows and columns of the features that are image; None for all.

        Returns:
            Images in [-1, 1], float32, and every layer's output by name.
        """
        named = {}
        x = features.astype(self.dtype)
        *widths, last = self.widths
        for i, width in enumerate(widths, start=1):
            if i in UPSAMPLED_BEFORE:
                x = self._upsampled(width, i)(x)
                size = None if size is None else tuple(2 * length for length in size)
            else:
                x = Conv(width, dtype=self.dtype, name=f"conv{i}")(x)
            x = named[f"conv{i}"] = nn.relu(bordered(x, size))
        # The 1x1 layer comes before the last parities are put at their pixels: one channel is to move then, not 16.
        parities = nn.relu(self._upsampled(last, len(self.widths)).parities(x))
        named["conv4"] = interleave(parities)
        n, rows, cols, _, channels = parities.shape
        flat = nn.Conv(1, (1, 1), dtype=self.dtype, name="conv5")(parities.reshape(n, rows, cols * 4, channels))
        x = named["conv5"] = interleave(flat.reshape(n, rows, cols, 4, 1))
        return jnp.tanh(_without_margin(x.astype(jnp.float32), self.margin, shape)), named

    def _upsampled(self, width: int, number: int) -> UpsampledConv:
        return UpsampledConv(width, phase_bias=self.phase_bias, dtype=self.dtype, name=f"conv{number}")


class ShallowEncoder(nn.Module):
    """One linear 3x3 convolution over cells of 4x4 pixels, each output as a positive and a negative channel.

    Attributes:
        bands: Linear outputs; features are twice as many, band b at b and at bands + b.
        margin: As for `Encoder`.
        dtype: Type of the arithmetic; parameters stay float32.
    """

    bands: int = 64
    margin: int = 4
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, image_sym: Images, size: Size | None = None) -> tuple[Features, Named]:
        """Encodes images in [-1, 1]; arguments and result as for `Encoder`."""
        del size  # the border is made of pixels, which repeat beyond the image however large the array is
        cells = space_to_depth(_with_margin(image_sym.astype(self.dtype), self.margin + SHRINK), SHRINK)
        x = _signed(_linear(self.bands, self.dtype)(cells))
        return x, {"conv": x}


class ShallowDecoder(nn.Module):
    """One linear 3x3 convolution from features to the 4x4 pixels of each cell; the result is clipped to [-1, 1].

    Attributes:
        margin: The encoder's margin.
        dtype: Type of the arithmetic; parameters stay float32.
    """

    margin: int = 4
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, features: Features, shape: tuple[int, int], size: Size | None = None) -> tuple[Images, Named]:
        """Draws images from features; arguments and result as for `Decoder`."""
        x = bordered(features.astype(self.dtype), size)
        cells = _linear(SHRINK * SHRINK, self.dtype)(pad_edge(x)).astype(jnp.float32)
        x = _without_margin(depth_to_space(cells, SHRINK), self.margin, shape)
        return jnp.clip(x, -1, 1), {"conv": cells}


def over_strips(
    params: Mapping[str, Any],
    image_sym: Images,
    maps: Float[Array, "m h4 w4 1"],
    work: Callable[[Features, Float[Array, "m s w4 1"]], tuple[Float[Array, "m s w4 1"], Float[Array, "m s w4 1"]]],
) -> tuple[Float[Array, "m h4 w4 1"], Float[Array, "m h4 w4 1"]]:
    """Works on a shallow encoder's features a few rows at a time: they stay in the cache, a third of the time on a CPU.

    Args:
        params: Of the encoder.
        image_sym: Images in [-1, 1].
        maps: Something else to work with.
        work: From rows of features without margin, and of `maps`, to rows of results.
    """
    bands = params["conv"]["kernel"].shape[-1]
    count, height, width, _ = maps.shape
    rows = max(1, _STRIP // (count * width * bands))
    strips = (height + rows - 1) // rows
    below = ((0, 0), (0, strips * rows - height), (0, 0), (0, 0))
    cells = jnp.pad(space_to_depth(_with_margin(image_sym, SHRINK), SHRINK), below, mode="edge")
    maps = jnp.pad(maps, below, mode="edge")

    def strip(top: Array) -> tuple[Array, Array]:
        read = jax.lax.dynamic_slice_in_dim(cells, top, rows + 2, axis=1)
        linear: Any = _linear(bands, cells.dtype).apply({"params": params["conv"]}, read)
        features = _signed(linear)
        return work(features, jax.lax.dynamic_slice_in_dim(maps, top, rows, axis=1))

    def joined(x: Array) -> Array:
        return jnp.moveaxis(x, 0, 1).reshape(count, strips * rows, width, 1)[:, :height]

    first, second = jax.lax.map(strip, rows * jnp.arange(strips))
    return joined(first), joined(second)


def _signed(x: Float[Array, "n h w b"]) -> Features:
    return jnp.concatenate([nn.relu(x), nn.relu(-x)], axis=-1)


def _linear(channels: int, dtype: Dtype) -> nn.Conv:
    return nn.Conv(channels, (3, 3), padding="VALID", dtype=dtype, name="conv")


def _with_margin(images: Images, margin: int) -> Images:
    return jnp.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="edge")


def _without_margin(images: Images, margin: int, shape: tuple[int, int]) -> Images:
    rows, cols = (slice(margin, margin + length) for length in shape)
    return images[:, rows, cols, :]
