"""Encoder and decoder: Eqs. 4 and 6 against the reference, and every size from 1 to 40 pixels a side."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from random_params import random_params

from camfuse_jax.nets.autoencoder import Decoder, Encoder

LAYERS = [f"conv{i}" for i in range(1, 6)]
ENCODER_WIDTHS, DECODER_WIDTHS = (4, 6, 8, 6, 10), (10, 8, 6, 4)  # narrow: quick to compile


def _networks(*, margin=4, phase_bias=True, dtype=jnp.float32):
    encoder = Encoder(ENCODER_WIDTHS, margin=margin, dtype=dtype)
    return encoder, Decoder(DECODER_WIDTHS, phase_bias=phase_bias, margin=margin, dtype=dtype)


@functools.cache
def _params(phase_bias=True):
    encoder, decoder = _networks(phase_bias=phase_bias)
    features = jnp.zeros((1, 4, 4, ENCODER_WIDTHS[-1]))
    return random_params(encoder, jnp.zeros((1, 8, 8, 1)), seed=1), random_params(decoder, features, (8, 8), seed=2)


def _images(size, n=2):
    return np.random.default_rng(size).uniform(-1, 1, (n, *size, 1)).astype(np.float32)


def _run(networks, params, images):
    encoder, decoder = networks
    features, encoded = encoder.apply({"params": params[0]}, images)
    drawn, decoded = decoder.apply({"params": params[1]}, features, images.shape[1:3])
    return features, encoded, drawn, decoded


@functools.cache
def _compiled(margin=4, phase_bias=True):
    return jax.jit(functools.partial(_run, _networks(margin=margin, phase_bias=phase_bias)))


def _check(size, *, margin=4, phase_bias=True):
    params, images = _params(phase_bias), _images(size)
    features, encoded, drawn, decoded = _compiled(margin, phase_bias)(params, images)
    assert sorted(encoded) == sorted(decoded) == LAYERS
    expected = reference.encode(params[0], images, margin)
    for name, layer in zip(LAYERS, expected, strict=True):
        np.testing.assert_allclose(encoded[name], layer, rtol=1e-4, atol=1e-5, err_msg=name)
    np.testing.assert_array_equal(features, encoded["conv5"])
    assert features.shape == (2, *(-(-(side + 2 * margin) // 4) for side in size), ENCODER_WIDTHS[-1])
    assert drawn.shape == images.shape
    np.testing.assert_allclose(drawn, reference.decode(params[1], expected[-1], size, margin), rtol=1e-4, atol=1e-5)
    rows, cols = (slice(margin, margin + side) for side in size)
    np.testing.assert_allclose(np.tanh(decoded["conv5"])[:, rows, cols], drawn, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 5), (17, 23), (40, 1)], ids=str)
def test_both_equal_the_reference_at_any_size(size):
    _check(size)


@pytest.mark.parametrize("size", [(1, 7)], ids=str)
def test_plain_form_of_the_paper_equals_the_reference(size):
    _check(size, margin=0, phase_bias=False)


def _shapes(size):
    images = jax.ShapeDtypeStruct((3, *size, 1), jnp.float32)
    features, _, drawn, _ = jax.eval_shape(functools.partial(_run, _networks()), _params(), images)
    return features.shape, drawn.shape


def _expected_shapes(size):
    return (3, -(-size[0] // 4) + 2, -(-size[1] // 4) + 2, ENCODER_WIDTHS[-1]), (3, *size, 1)


@pytest.mark.parametrize("height", range(1, 41))
def test_each_height_and_each_width_comes_back(height):
    size = (height, height * 18 % 41)  # 18 and 41 have no common factor: each width occurs once
    assert _shapes(size) == _expected_shapes(size)


@pytest.mark.slow
@pytest.mark.parametrize("height", range(1, 41))
def test_all_sizes_from_1_to_40_come_back(height):
    for width in range(1, 41):
        assert _shapes((height, width)) == _expected_shapes((height, width))


def test_features_are_not_negative_and_drawn_images_lie_in_range():
    features, _, drawn, _ = _compiled()(_params(), 50 * _images((3, 5)))
    assert np.min(features) == 0
    assert np.max(np.abs(drawn)) <= 1


def test_images_of_a_batch_do_not_see_each_other():
    images = _images((3, 5))
    changed = images.copy()
    changed[1] = -changed[1]
    before, after = (np.asarray(_compiled()(_params(), batch)[2]) for batch in (images, changed))
    np.testing.assert_array_equal(before[0], after[0])
    assert not np.array_equal(before[1], after[1])


def test_bfloat16_inside_float32_parameters_and_image():
    encoder, decoder = _networks(dtype=jnp.bfloat16)
    images = jax.ShapeDtypeStruct((1, 6, 7, 1), jnp.float32)
    params = jax.eval_shape(lambda x: encoder.init(jax.random.key(0), x), images)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    features, _, drawn, _ = jax.eval_shape(functools.partial(_run, (encoder, decoder)), _params(), images)
    assert (features.dtype, drawn.dtype) == (jnp.bfloat16, jnp.float32)
