"""Building blocks of the JAX path: float32 images of true size `(h, w)` in the corner of a larger array.

Everything outside the true size is padding of any content. Each function says which part of its result counts.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

Image = Float[Array, "H W"]
Scalar = Float[Array, ""]


class Size(NamedTuple):
    """True height and width inside a padded array; traced, so that one compilation serves all sizes of a bucket."""

    h: Int[Array, ""]
    w: Int[Array, ""]

    def shrunk(self, by: int) -> "Size":
        """Size after a window of `by + 1` pixels, valid part."""
        return Size(self.h - by, self.w - by)


def inside(shape: tuple[int, int], size: Size) -> Bool[Array, "H W"]:
    """True where a pixel lies inside the true size."""
    return (jnp.arange(shape[0])[:, None] < size.h) & (jnp.arange(shape[1])[None, :] < size.w)


def total(image: Image, size: Size) -> Scalar:
    """Sum over the true size."""
    return jnp.where(inside(image.shape, size), image, 0).sum()


def mean(image: Image, size: Size) -> Scalar:
    """Mean over the true size."""
    return total(image, size) / (size.h * size.w)


def replicated(image: Image, size: Size) -> Image:
    """The image with its last true row and column repeated into the padding."""
    rows = jnp.minimum(jnp.arange(image.shape[0]), size.h - 1)
    columns = jnp.minimum(jnp.arange(image.shape[1]), size.w - 1)
    return image[rows][:, columns]


def constant(image: Image, size: Size) -> Bool[Array, ""]:
    """Whether all true pixels are equal."""
    return jnp.all(jnp.where(inside(image.shape, size), image == image[0, 0], True))


def window_means(images: Float[Array, "k H W"], taps: np.ndarray) -> Float[Array, "k H2 W2"]:
    """Weighted means of windows wholly inside; counts for `size.shrunk(len(taps) - 1)`.

    Two products with banded matrices, for several images at once: one function for every window, or sums of shifted
    images, took over ten seconds to compile per size bucket.
    """
    rows = jnp.einsum("ph,khw->kpw", _band(images.shape[1], taps), images, precision="highest")
    return jnp.einsum("kpw,qw->kpq", rows, _band(images.shape[2], taps), precision="highest")


def correlation(a: Image, b: Image, size: Size) -> Scalar:
    """Pearson correlation over the true size; NaN if one of the two is constant."""
    undefined = constant(a, size) | constant(b, size)
    a, b = (jnp.where(inside(x.shape, size), x - mean(x, size), 0) for x in (a, b))
    norm = jnp.sqrt((a * a).sum() * (b * b).sum())
    return jnp.where(undefined, jnp.nan, (a * b).sum() / jnp.where(norm == 0, 1, norm))


def counts(levels: Int[Array, "H W"], size: Size, bins: int) -> Int[Array, " bins"]:
    """Histogram over the true size."""
    weights = inside(levels.shape, size).astype(jnp.int32)
    return jnp.zeros(bins, jnp.int32).at[levels.ravel()].add(weights.ravel())


def entropy_bits(histogram: Int[Array, " bins"]) -> Scalar:
    """Shannon entropy in bits of a histogram."""
    share = histogram / histogram.sum()
    terms = share * jnp.log2(jnp.where(histogram > 0, share, 1))
    # In two stages, as one running float32 sum over 65536 bins loses four digits. The first is a product with ones
    # because XLA merges a sum of sums into one.
    rows = jnp.matmul(terms.reshape(-1, 256), jnp.ones(256, terms.dtype), precision="highest")
    return -rows.sum() + 0.0


def _band(length: int, taps: np.ndarray) -> np.ndarray:
    """Matrix that holds the taps once per row, each row one further right; a constant of the program."""
    offset = np.arange(length)[None, :] - np.arange(length - len(taps) + 1)[:, None]
    in_window = (offset >= 0) & (offset < len(taps))
    return np.where(in_window, taps[np.clip(offset, 0, len(taps) - 1)], 0).astype(np.float32)
