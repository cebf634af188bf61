"""Encoder and decoder: what turns an image into features and features into an image (section 2.1, Eqs. 4 and 6)."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from camfuse_jax.nets.layers import Conv, Dtype
from camfuse_jax.nets.upconv import UpsampledConv, interleave

ENCODER_STRIDES = (1, 2, 1, 2, 1)
UPSAMPLED_BEFORE = (3, 4)


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
    def __call__(self, image_sym: Float[Array, "n h w 1"]) -> tuple[Float[Array, "n h4 w4 k"], dict[str, Array]]:
        """Encodes images in [-1, 1].

        Returns:
            Features of shape (n, ceil((h + 2 margin)/4), ceil((w + 2 margin)/4), k), not negative, and every layer's
            output by name.
        """
        named = {}
        margin = (self.margin, self.margin)
        x = jnp.pad(image_sym.astype(self.dtype), ((0, 0), margin, margin, (0, 0)), mode="edge")
        for i, (width, stride) in enumerate(zip(self.widths, ENCODER_STRIDES, strict=True), start=1):
            x = named[f"conv{i}"] = nn.relu(Conv(width, stride, dtype=self.dtype, name=f"conv{i}")(x))
        return x, named


class Decoder(nn.Module):
    """Four 3x3 convolutions with ReLU and a 1x1 with tanh; bilinear upsampling before the third and fourth (Eq. 6).

    Attributes:
        widths: Channels of the four 3x3 layers.
        phase_bias: Give the convolutions after an upsampling one bias per pixel parity (see `upconv.PhaseBias`);
            False is the paper's plain convolution.
        margin: The encoder's margin.
        dtype: Type of the arithmetic; parameters stay float32.
    """

    widths: Sequence[int] = (128, 64, 32, 16)
    phase_bias: bool = True
    margin: int = 4
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: Float[Array, "n h4 w4 k"], size: tuple[int, int]
    ) -> tuple[Float[Array, "n h w 1"], dict[str, Array]]:
        """Draws images from features.

        Args:
            features: Encoder features, or a weighted sum of them.
            size: Height and width of the images that were encoded; the surplus of up to 3 rows and columns is cut off.

        Returns:
            Images in [-1, 1], float32, and every layer's output by name.
        """
        named = {}
        x = features.astype(self.dtype)
        *widths, last = self.widths
        for i, width in enumerate(widths, start=1):
            kind = self._upsampled if i in UPSAMPLED_BEFORE else self._plain
            x = named[f"conv{i}"] = nn.relu(kind(width, i)(x))
        # The 1x1 layer comes before the last parities are put at their pixels: one channel is to move then, not 16.
        parities = nn.relu(self._upsampled(last, len(self.widths)).parities(x))
        named["conv4"] = interleave(parities)
        n, rows, cols, _, channels = parities.shape
        flat = nn.Conv(1, (1, 1), dtype=self.dtype, name="conv5")(parities.reshape(n, rows, cols * 4, channels))
        x = named["conv5"] = interleave(flat.reshape(n, rows, cols, 4, 1))
        rows, cols = (slice(self.margin, self.margin + length) for length in size)
        return jnp.tanh(x.astype(jnp.float32)[:, rows, cols, :]), named

    def _plain(self, width: int, number: int) -> Conv:
        return Conv(width, dtype=self.dtype, name=f"conv{number}")

    def _upsampled(self, width: int, number: int) -> UpsampledConv:
        return UpsampledConv(width, phase_bias=self.phase_bias, dtype=self.dtype, name=f"conv{number}")
