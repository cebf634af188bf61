"""Weighted channel sizes against float64 arithmetic on the encoder's output."""

import jax
import numpy as np
from small_nets import small_params

from camfuse_jax.data.synthetic import synthetic_pair
from camfuse_jax.nets.build import make_encoder
from camfuse_jax.report.build import channel_sizes


def test_weight_times_standard_deviation():
    params, pair = small_params(), synthetic_pair(1, 24, 28)
    found = channel_sizes(params, *pair)
    encode = jax.jit(lambda sym: make_encoder(params.net).apply({"params": params.encoder}, sym)[0])
    for row, image in enumerate(pair):
        sym = image.astype(np.float32)[None, ..., None] / 127.5 - 1
        size = np.std(np.asarray(encode(sym), np.float64), axis=(0, 1, 2))
        np.testing.assert_allclose(found[row], np.asarray(params.channel_weights)[row] * size, rtol=1e-4)
    assert np.all(found >= 0)


def test_what_is_the_same_all_over_an_image_has_no_size():
    flat = np.full((24, 28), 90, np.uint8)
    np.testing.assert_allclose(channel_sizes(small_params(), flat, flat), 0, atol=1e-5)
