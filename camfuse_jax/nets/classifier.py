"""The classifier that tells infrared from visible without ever mixing channels (section 2.1, Eq. 2)."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from camfuse_jax.nets.depthwise import depthwise_branches
from camfuse_jax.nets.layers import Dtype


class DepthwiseBranches(nn.Module):
    """Parallel depthwise 3x3 convolutions with bias and ReLU, summed: channel k sees nothing but channel k.

    Attributes:
        branches: Number of parallel branches.
        stride: Step in rows and columns.
        dtype: Type of the arithmetic.
    """

    branches: int = 4
    stride: int = 1
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n h w k"]) -> Float[Array, "n h2 w2 k"]:
        channels = x.shape[-1]
        # Each branch sees 9 inputs and `branches` of them add up: variance is kept from layer to layer.
        scale = nn.initializers.variance_scaling(
            2.0 / self.branches, "fan_in", "normal", in_axis=(1, 2), out_axis=(), batch_axis=(0, 3)
        )
        kernel = self.param("kernel", scale, (self.branches, 3, 3, channels)).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.branches, channels)).astype(self.dtype)
        return depthwise_branches(x.astype(self.dtype), kernel, bias, self.stride)


class Classifier(nn.Module):
    """Six depthwise layers, global average pooling and one linear layer without bias (Eqs. 1 and 2).

    Attributes:
        branches: Parallel branches per layer.
        strides: Step of each layer.
        dtype: Type of the arithmetic; pooling and head are float32.
    """

    branches: int = 4
    strides: Sequence[int] = (1, 2, 1, 2, 1, 2)
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, features: Float[Array, "n h4 w4 k"]) -> tuple[Float[Array, "n 2"], dict[str, Array]]:
        """Classifies encoder features.

        Returns:
            Logits (n, 2), columns ordered as `Modality`; sigmoid of them is P_c of Eq. 2. The named intermediates
            hold each layer's output, `last` (the maps that Eqs. 12-14 call phi) and `pooled` (n, k).
        """
        named = {}
        x = features
        for i, stride in enumerate(self.strides, start=1):
            x = named[f"depthwise{i}"] = DepthwiseBranches(
                self.branches, stride, dtype=self.dtype, name=f"depthwise{i}"
            )(x)
        named["last"] = x = x.astype(jnp.float32)
        named["pooled"] = pooled = jnp.mean(x, axis=(1, 2))
        # Zero start: the weights then hold what training put there and nothing else (Eq. 3 squashes them).
        head = nn.Dense(2, use_bias=False, kernel_init=nn.initializers.zeros_init(), name="head")
        return head(pooled), named
