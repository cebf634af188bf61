"""The classifier that tells infrared from visible without ever mixing channels (section 2.1, Eqs. 1 and 2).

Its depthwise layer is written as shifts and products, with its own gradient. A grouped convolution is tens of times
slower than this in the gradient on a CPU, and so is the gradient that JAX derives from the shifts: its sums over all
pixels per channel run one value at a time. Here they are products with a vector of ones, which the matrix kernels do at
memory speed. The nine shifts of the gradient are a loop, whose inputs are stored once: written out, XLA computes them
again inside each of the shifts, and compiles for minutes.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from camfuse_jax.nets.layers import Dtype, Size, bordered, inside, pad_edge, shrunk

_CACHE_BYTES = 3 << 19  # of features in a part of a batch; measured: 0.6 to 1.2 MB 61-76 ms, 2.4 MB more again
Kernel = Float[Array, "b 3 3 k"]


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def depthwise_branches(
    x: Float[Array, "n h w k"], kernel: Kernel, bias: Float[Array, "b k"], stride: int
) -> Float[Array, "n h2 w2 k"]:
    """Sum over branches of relu(depthwise 3x3 + bias), edge padded; ceil(h / stride) rows come out."""
    shifts = _shifts(pad_edge(x), _out_size(x, stride), stride)
    total: Any = sum(jax.nn.relu(_pre_activation(shifts, k, b)) for k, b in zip(kernel, bias, strict=True))
    return total


def _forward(x, kernel, bias, stride):
    # Weights may come as NumPy arrays, which cannot be indexed by the traced numbers of the loop below.
    x, kernel, bias = saved = jax.tree.map(jnp.asarray, (x, kernel, bias))
    y = jax.lax.map(lambda part: depthwise_branches(part, kernel, bias, stride), _in_parts(x, x))
    return y.reshape(x.shape[0], *y.shape[2:]), saved


def _backward(stride, saved, grad):
    x, kernel, bias = saved

    def add(sums: tuple[Array, Array], part: tuple[Array, Array]) -> tuple[tuple[Array, Array], Array]:
        x_grad, *grads = _part_gradient(stride, part[0], kernel, bias, part[1])
        return (sums[0] + grads[0], sums[1] + grads[1]), x_grad

    zeros = (jnp.zeros_like(kernel), jnp.zeros_like(bias))
    (kernel_grad, bias_grad), x_grad = jax.lax.scan(add, zeros, (_in_parts(x, x), _in_parts(x, grad)))
    return x_grad.reshape(x.shape), kernel_grad, bias_grad


def _in_parts(x: Float[Array, "n h w k"], arrays: Float[Array, "n a b k"]) -> Float[Array, "p n/p a b k"]:
    """Cuts a batch into parts whose features `x` fit a processor core's own cache, where there is one to fit.

    Sixteen images of 34x34 features take 65 ms in the gradient of the whole head then, and 210 ms at once.
    """
    n, size = x.shape[0], x.size // x.shape[0] * x.dtype.itemsize
    fitting = [count for count in range(1, n + 1) if n % count == 0 and count * size <= _CACHE_BYTES]
    count = max(fitting, default=1) if jax.default_backend() == "cpu" else n
    return arrays.reshape(n // count, count, *arrays.shape[1:])


def _part_gradient(stride: int, x: Array, kernel: Kernel, bias: Array, grad: Array) -> tuple[Array, Array, Array]:
    """Gradients of `depthwise_branches` for its three arrays."""
    padded, pad_gradient = jax.vjp(pad_edge, x)
    # Stored, or XLA computes them again for each of what reads them.
    padded, grad = jax.lax.optimization_barrier((padded, grad))
    rows, cols = grad.shape[1:3]
    shifts = _shifts(padded, (rows, cols), stride)
    grads = [jnp.where(_pre_activation(shifts, k, b) > 0, grad, 0) for k, b in zip(kernel, bias, strict=True)]
    grads = jax.lax.optimization_barrier(grads)
    spreads = [_spread(g, padded.shape, stride) for g in grads]
    n, channels = padded.shape[0], padded.shape[3]
    view = (n, (rows - 1) * stride + 1, (cols - 1) * stride + 1, channels)

    def tap(padded_grad: Array, row_col: Array) -> tuple[Array, Array]:
        row, col = row_col
        shift = jax.lax.dynamic_slice(padded, (0, row, col, 0), view)[:, ::stride, ::stride]
        for k, spread in zip(kernel, spreads, strict=True):
            # Pixel p was read by output p - (row, col); `spread` has a border of two in front.
            back = jax.lax.dynamic_slice(spread, (0, 2 - row, 2 - col, 0), padded.shape)
            padded_grad = padded_grad + k[row, col].reshape(1, 1, 1, -1) * back
        return padded_grad, jnp.stack([_pixel_sum(g * shift) for g in grads])

    taps = jnp.stack(jnp.meshgrid(jnp.arange(3), jnp.arange(3), indexing="ij"), axis=-1).reshape(9, 2)
    padded_grad, kernel_grad = jax.lax.scan(tap, jnp.zeros_like(padded), taps)
    kernel_grad = jnp.moveaxis(kernel_grad, 0, 1).reshape(kernel.shape)
    return pad_gradient(padded_grad)[0], kernel_grad, jnp.stack([_pixel_sum(g) for g in grads])


depthwise_branches.defvjp(_forward, _backward)


def _out_size(x: Array, stride: int) -> tuple[int, int]:
    return -(-x.shape[1] // stride), -(-x.shape[2] // stride)


def _shifts(padded: Array, size: tuple[int, int], stride: int) -> list[Array]:
    """The nine views that a 3x3 kernel multiplies, row by row."""
    n, _, _, k = padded.shape
    rows, cols = ((length - 1) * stride + 1 for length in size)
    return [
        jax.lax.slice(padded, (0, i, j, 0), (n, i + rows, j + cols, k), (1, stride, stride, 1))
        for i in range(3)
        for j in range(3)
    ]


def _pre_activation(shifts: list[Array], kernel: Float[Array, "3 3 k"], bias: Float[Array, " k"]) -> Array:
    taps = kernel.reshape(9, 1, 1, 1, -1)
    return sum(taps[t] * shifts[t] for t in range(9)) + bias.reshape(1, 1, 1, -1)


def _pixel_sum(x: Float[Array, "n h w k"]) -> Float[Array, " k"]:
    flat = x.reshape(-1, x.shape[-1])
    return (jnp.ones((1, len(flat)), flat.dtype) @ flat)[0]


def _spread(grad: Array, padded_shape: tuple[int, ...], stride: int) -> Array:
    """Puts the gradient back on the input's grid, with the border of two that a full correlation needs."""
    size = [(length - 1) * stride + 1 for length in grad.shape[1:3]]
    ends = [full - length for full, length in zip(padded_shape[1:3], size, strict=True)]
    zero = jnp.zeros((), grad.dtype)
    return jax.lax.pad(grad, zero, ((0, 0, 0), (2, ends[0], stride - 1), (2, ends[1], stride - 1), (0, 0, 0)))


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
        kernel = self.param("kernel", scale, (self.branches, 3, 3, channels), jnp.float32).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.branches, channels), jnp.float32).astype(
            self.dtype
        )
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
    def __call__(
        self, features: Float[Array, "n h4 w4 k"], size: Size | None = None
    ) -> tuple[Float[Array, "n 2"], dict[str, Array]]:
        """Classifies encoder features, of which the first `size` rows and columns are image (None: all).

        Returns:
            Logits (n, 2), columns ordered as `Modality`; sigmoid of them is P_c of Eq. 2. The named intermediates
            hold each layer's output, `last` (the maps that Eqs. 12-14 call phi) and `pooled` (n, k).
        """
        named = {}
        x = features
        for i, stride in enumerate(self.strides, start=1):
            size = shrunk(size, stride)
            layer = DepthwiseBranches(self.branches, stride, dtype=self.dtype, name=f"depthwise{i}")
            x = named[f"depthwise{i}"] = bordered(layer(x), size)
        named["last"] = x = x.astype(jnp.float32)
        mask = None if size is None else inside(x, size)
        named["pooled"] = pooled = jnp.mean(x, axis=(1, 2), where=mask)
        # Zero start: the weights then hold what training put there and nothing else (Eq. 3 squashes them).
        head = nn.Dense(2, use_bias=False, kernel_init=nn.initializers.zeros_init(), name="head")
        return head(pooled), named


def depthwise_layers(classifier_params: Mapping[str, Any]) -> list[str]:
    """Names of the classifier's depthwise layers from the first to the last; as text, 10 would come before 2."""
    return sorted((name for name in classifier_params if name != "head"), key=lambda name: (len(name), name))
