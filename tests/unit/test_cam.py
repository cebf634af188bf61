"""Class weights, channel weights and activation maps: Eqs. 1, 3, 5, 13 and 14."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from random_params import random_params

from camfuse_jax.cam import caam, cam, channel_gains, channel_weights, class_weights, fuse_features, min_max
from camfuse_jax.config import Modality
from camfuse_jax.nets.autoencoder import Decoder, Encoder
from camfuse_jax.nets.classifier import Classifier

RNG = np.random.default_rng(5)
LAST = RNG.uniform(0, 2, (3, 4, 5, 6)).astype(np.float32)
WEIGHTS = RNG.normal(size=(3, 6)).astype(np.float32)


def test_class_weights_have_one_row_per_modality():
    kernel = RNG.normal(size=(6, 2)).astype(np.float32)
    weights = class_weights({"head": {"kernel": kernel}, "depthwise1": {}})
    assert weights.shape == (2, 6)
    np.testing.assert_array_equal(weights[Modality.IR], kernel[:, 0])
    np.testing.assert_array_equal(weights[Modality.VIS], kernel[:, 1])


def test_channel_gains_equal_the_reference_and_what_the_classifier_shows_of_a_flat_map():
    classifier = random_params(Classifier(branches=3, strides=(1, 2, 1)), jnp.ones((1, 8, 8, 6)))
    gains = channel_gains(classifier)
    np.testing.assert_allclose(gains, reference.channel_gains(classifier), rtol=1e-5)
    unbiased = {n: {**layer, "bias": 0 * layer["bias"]} if n != "head" else layer for n, layer in classifier.items()}
    _, named = Classifier(branches=3, strides=(1, 2, 1)).apply({"params": unbiased}, jnp.full((1, 8, 8, 6), 2.0))
    np.testing.assert_allclose(named["last"], np.broadcast_to(2 * gains, named["last"].shape), rtol=1e-5)


def test_channel_weights_equal_the_reference():
    weights = 3 * RNG.normal(size=(2, 50)).astype(np.float32)
    np.testing.assert_allclose(channel_weights(weights), reference.channel_weights(weights), rtol=0, atol=1e-6)


@given(hnp.arrays(np.float32, (2, 4), elements=st.floats(-7, 7, width=32)))
def test_channel_weights_lie_between_0_and_1_and_are_odd_about_a_half(weights):
    squashed = np.asarray(channel_weights(weights))
    assert np.all((squashed > 0) & (squashed < 1))
    np.testing.assert_allclose(squashed + np.asarray(channel_weights(-weights)), 1, rtol=0, atol=1e-6)
    order = np.argsort(weights, axis=None)
    assert np.all(np.diff(squashed.ravel()[order]) >= 0)


def test_channel_weights_of_zero_average_and_of_extremes_choose():
    np.testing.assert_array_equal(channel_weights(jnp.array([[0.0], [0.0]])), [[0.5], [0.5]])
    np.testing.assert_array_equal(channel_weights(jnp.array([[100.0], [-100.0]])), [[1.0], [0.0]])


@pytest.mark.parametrize("shape", [(4, 5, 6), (3, 4, 5, 6)], ids=["one", "batch"])
def test_fuse_features_weights_each_channel_of_each_modality(shape):
    ir, vis = (RNG.normal(size=shape).astype(np.float32) for _ in range(2))
    weights = RNG.uniform(0, 1, (2, 6)).astype(np.float32)
    fused = fuse_features(ir, vis, weights)
    np.testing.assert_allclose(fused, reference.fuse_features(ir, vis, weights), rtol=1e-6, atol=1e-6)
    only_ir = np.array([[1.0] * 6, [0.0] * 6], np.float32)
    np.testing.assert_array_equal(fuse_features(ir, vis, only_ir), ir)
    np.testing.assert_array_equal(fuse_features(ir, vis, 1 - only_ir), vis)


def test_maps_equal_the_reference():
    np.testing.assert_allclose(caam(LAST), reference.caam(LAST), rtol=0, atol=1e-5)
    np.testing.assert_allclose(cam(LAST, WEIGHTS), reference.cam(LAST, WEIGHTS), rtol=0, atol=1e-5)


def test_cam_with_equal_weights_is_caam():
    np.testing.assert_allclose(cam(LAST, np.full((3, 6), 0.3, np.float32)), caam(LAST), rtol=0, atol=1e-5)


_min_max = jax.jit(min_max)


@given(hnp.arrays(np.float32, (2, 3, 4), elements=st.floats(-1e6, 1e6, width=32)))
def test_min_max_spans_0_to_1_or_is_zero(maps):
    scaled = np.asarray(_min_max(maps))
    assert np.all((scaled >= 0) & (scaled <= 1))
    for before, after in zip(maps, scaled, strict=True):
        if np.ptp(before) > 1e-3 * max(np.max(np.abs(before)), 1e-3):
            np.testing.assert_allclose(after, reference.min_max(before.astype(np.float64)), rtol=0, atol=1e-3)
            np.testing.assert_allclose((after.min(), after.max()), (0, 1), rtol=0, atol=1e-6)
        elif np.ptp(before) == 0:
            assert not after.any()


_min_max_gradient = jax.jit(jax.grad(lambda x: jnp.sum(min_max(x) * jnp.arange(12.0).reshape(1, 3, 4))))


@pytest.mark.parametrize("span", [1e-30, 1e-20, 1e-10, 1.0, 1e30])
def test_gradient_of_min_max_is_finite_for_maps_of_any_span(span):
    maps = span * np.random.default_rng(0).uniform(0, 1, (2, 3, 4)).astype(np.float32)
    assert np.all(np.isfinite(_min_max(maps)))
    assert np.all(np.isfinite(_min_max_gradient(maps)))


@pytest.mark.parametrize("value", [0.0, 1.0, -3.7, 1e30])
def test_constant_maps_become_zero_with_zero_gradient(value):
    maps = np.full((2, 3, 4), value, np.float32)
    np.testing.assert_array_equal(_min_max(maps), np.zeros_like(maps))
    np.testing.assert_array_equal(_min_max_gradient(maps), np.zeros_like(maps))


@pytest.mark.parametrize("size", [(9, 9), (8, 8), (13, 7)], ids=str)
def test_maps_of_constant_features_are_zero_whatever_the_channels_hold(size):
    values = RNG.uniform(0, 1, (2, 1, 1, 128)).astype(np.float32)
    last = np.broadcast_to(values, (2, *size, 128))
    weights = RNG.normal(size=(2, 128)).astype(np.float32)
    np.testing.assert_array_equal(jax.jit(caam)(last), np.zeros((2, *size)))
    np.testing.assert_array_equal(jax.jit(cam)(last, weights), np.zeros((2, *size)))


def test_one_constant_map_in_a_batch_leaves_the_others_alone():
    mixed = LAST.copy()
    mixed[1] = 0.25
    maps = np.asarray(caam(mixed))
    np.testing.assert_array_equal(maps[[0, 2]], np.asarray(caam(LAST))[[0, 2]])
    assert not maps[1].any()
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(cam(x, WEIGHTS) ** 2)))(mixed)
    assert np.all(np.isfinite(gradient))
    assert not np.asarray(gradient)[1].any()


def test_the_whole_method_equals_the_reference():
    """Eqs. 1 and 3 to 6 in a row, with networks of random weights."""
    encoder, decoder, classifier = Encoder((4, 4, 6, 6, 8)), Decoder((8, 6, 4, 4)), Classifier(strides=(1, 2))
    image, features = jnp.zeros((1, 8, 8, 1)), jnp.zeros((1, 4, 4, 8))
    params = {
        "encoder": random_params(encoder, image, seed=1),
        "decoder": random_params(decoder, features, (8, 8), seed=2),
        "classifier": random_params(classifier, features, seed=3),
    }
    ir, vis = (RNG.uniform(-1, 1, (2, 9, 6, 1)).astype(np.float32) for _ in range(2))

    @jax.jit
    def run(params, ir, vis):
        both, _ = encoder.apply({"params": params["encoder"]}, jnp.concatenate([ir, vis]))
        fused = fuse_features(*jnp.split(both, 2), channel_weights(class_weights(params["classifier"])))
        return decoder.apply({"params": params["decoder"]}, fused, (9, 6))[0]

    np.testing.assert_allclose(run(params, ir, vis), reference.fuse(params, ir, vis, 4), rtol=1e-4, atol=1e-5)


def test_channel_gains_follow_the_layers_beyond_nine():
    rng = np.random.default_rng(0)
    params = {f"depthwise{i}": {"kernel": rng.normal(size=(2, 3, 3, 4)).astype(np.float32)} for i in range(1, 13)}
    level = np.ones((1, 4))
    for i in range(1, 13):
        taps = params[f"depthwise{i}"]["kernel"].astype(np.float64).sum(axis=(1, 2))
        level = np.maximum(taps * level, 0).sum(axis=0, keepdims=True)
    np.testing.assert_allclose(channel_gains(params), level[0], rtol=1e-5)
