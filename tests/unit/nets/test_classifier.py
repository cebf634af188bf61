"""The depthwise classifier: Eqs. 1 and 2, and channel k stays channel k from end to end."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from random_params import random_params

from camfuse_jax.cam import class_weights
from camfuse_jax.config import Modality, NetConfig
from camfuse_jax.nets.build import averaging_start, init_classifier, make_classifier, rescale_head
from camfuse_jax.nets.classifier import Classifier, DepthwiseBranches, depthwise_layers

CHANNELS, SIZE, STRIDES = 5, (13, 10), (1, 2, 1, 2, 1, 2)
NETWORK = Classifier()


def _features(size=SIZE, channels=CHANNELS, n=2):
    return np.random.default_rng(3).uniform(0, 1, (n, *size, channels)).astype(np.float32)


@functools.cache
def _params():
    return random_params(NETWORK, jnp.zeros((1, *SIZE, CHANNELS)), seed=4)


@jax.jit
def _classify(params, features):
    return NETWORK.apply({"params": params}, features)


def test_equals_the_reference():
    logits, named = _classify(_params(), _features())
    last, probabilities = reference.classify(_params(), _features(), STRIDES)
    assert np.max(last, axis=(0, 1, 2)).min() > 0  # no channel died: the comparison sees them all
    np.testing.assert_allclose(named["last"], last, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(named["pooled"], last.mean(axis=(1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(reference.sigmoid(logits), probabilities, rtol=1e-4, atol=1e-6)


def test_rescaling_the_head_of_ten_layers_changes_no_logit():
    net = NetConfig(encoder_widths=(4, 4, 4, 4, 4), branches=2, strides=(1,) * 10)
    features = np.random.default_rng(0).uniform(size=(2, 6, 6, 4)).astype(np.float32)
    params = random_params(make_classifier(net), features, seed=0)
    params["head"]["kernel"] = np.random.default_rng(1).normal(size=(4, 2)).astype(np.float32)
    rescaled = rescale_head(params, rms=0.5)
    assert depthwise_layers(params) == [f"depthwise{i}" for i in range(1, 11)]
    before, after = (make_classifier(net).apply({"params": p}, features)[0] for p in (params, rescaled))
    np.testing.assert_allclose(after, before, rtol=1e-4)
    np.testing.assert_allclose(np.sqrt(np.mean(rescaled["head"]["kernel"] ** 2)), 0.5, rtol=1e-6)


def test_averaging_start_shows_the_mean_of_a_channel_wherever_it_is():
    net = NetConfig(encoder_widths=(4, 4, 4, 4, 32))
    started = averaging_start(init_classifier(net, seed=0))
    flat = np.full((1, 16, 16, 32), 3.0, np.float32)
    _, named = _classify(started, flat)
    # Six layers of 36 taps, each varied by a third: about an eighth from channel to channel.
    np.testing.assert_allclose(np.mean(named["last"]), 3, rtol=0.05)
    np.testing.assert_allclose(named["last"], 3, rtol=0.5)
    other = averaging_start(init_classifier(net, seed=1))
    assert not np.array_equal(started["depthwise1"]["kernel"], other["depthwise1"]["kernel"])
    branches = np.asarray(started["depthwise3"]["kernel"])
    assert np.abs(branches[0] - branches[1]).max() > 1e-3  # or they would be trained alike for ever
    assert not np.any(started["head"]["kernel"])


def test_every_layer_is_named_and_has_ceil_of_its_stride():
    _, named = _classify(_params(), _features())
    sizes = [(13, 10), (7, 5), (7, 5), (4, 3), (4, 3), (2, 2)]
    layers = {f"depthwise{i}": (2, *size, CHANNELS) for i, size in enumerate(sizes, start=1)}
    shapes = {name: value.shape for name, value in named.items()}
    assert shapes == {**layers, "last": (2, 2, 2, CHANNELS), "pooled": (2, CHANNELS)}


@pytest.mark.parametrize("size", [(1, 1), (1, 12), (2, 3), (9, 8)], ids=str)
def test_any_size_of_features_will_do(size):
    run = functools.partial(NETWORK.apply, {"params": _params()})
    logits, named = jax.eval_shape(run, jax.ShapeDtypeStruct((3, *size, CHANNELS), jnp.float32))
    assert logits.shape == (3, 2)
    assert named["last"].shape == (3, -(-size[0] // 8), -(-size[1] // 8), CHANNELS)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(1, 1), (6, 7)], ids=str)
def test_branches_equal_grouped_convolutions(size, stride):
    layer, x = DepthwiseBranches(branches=3, stride=stride), _features(size)
    params = random_params(layer, x)
    result = jax.jit(layer.apply)({"params": params}, x)
    grouped = nn.Conv(CHANNELS, (3, 3), (stride, stride), padding="VALID", feature_group_count=CHANNELS)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    branches = zip(params["kernel"], params["bias"], strict=True)
    convolve = jax.jit(grouped.apply)
    expected = sum(nn.relu(convolve({"params": {"kernel": k[:, :, None], "bias": b}}, padded)) for k, b in branches)
    assert result.shape == (2, -(-size[0] // stride), -(-size[1] // stride), CHANNELS)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_an_input_channel_reaches_its_own_map_only():
    _, before = _classify(_params(), _features())
    for channel in range(CHANNELS):
        changed = _features()
        changed[..., channel] = 2 * changed[..., channel] + 1
        _, after = _classify(_params(), changed)
        differs = np.any(np.asarray(before["last"]) != np.asarray(after["last"]), axis=(0, 1, 2))
        np.testing.assert_array_equal(differs, np.arange(CHANNELS) == channel)


def test_permuted_channels_permute_maps_and_class_weights_and_nothing_else():
    order = np.array([3, 0, 4, 1, 2])
    params = {name: {k: v[..., order] for k, v in layer.items()} for name, layer in _params().items() if name != "head"}
    params["head"] = {"kernel": _params()["head"]["kernel"][order]}
    logits, named = _classify(_params(), _features())
    permuted_logits, permuted = _classify(params, _features()[..., order])
    np.testing.assert_array_equal(permuted["last"], np.asarray(named["last"])[..., order])
    np.testing.assert_array_equal(permuted["pooled"], np.asarray(named["pooled"])[..., order])
    np.testing.assert_array_equal(class_weights(params), np.asarray(class_weights(_params()))[:, order])
    np.testing.assert_allclose(permuted_logits, logits, rtol=0, atol=1e-6)  # the same sum in another order


def test_rows_of_class_weights_are_columns_of_logits():
    logits, named = _classify(_params(), _features())
    weights = np.asarray(class_weights(_params()), np.float64)
    assert weights.shape == (2, CHANNELS)
    for modality in Modality:
        expected = np.asarray(named["pooled"], np.float64) @ weights[modality]
        np.testing.assert_allclose(logits[:, modality], expected, rtol=1e-5, atol=1e-6)


@functools.cache
def _start():
    # The other generator compiles in a fraction of the time.
    network, key = Classifier(strides=(1,)), jax.random.key(0, impl="rbg")
    return network, jax.jit(network.init)(key, jnp.zeros((1, 16, 16, 64)))


def test_head_starts_at_zero_without_bias():
    head = _start()[1]["params"]["head"]
    assert set(head) == {"kernel"}
    np.testing.assert_array_equal(head["kernel"], np.zeros((64, 2)))


def test_start_keeps_the_size_of_signals():
    network, params = _start()
    x = np.random.default_rng(0).normal(size=(1, 16, 16, 64)).astype(np.float32)
    last = np.asarray(jax.jit(network.apply)(params, x)[1]["last"])
    assert 0.5 < np.mean(last**2) / np.mean(x**2) < 4


def test_bfloat16_inside_float32_head():
    run = functools.partial(Classifier(dtype=jnp.bfloat16).apply, {"params": _params()})
    logits, named = jax.eval_shape(run, jax.ShapeDtypeStruct((1, 8, 8, CHANNELS), jnp.bfloat16))
    assert named["depthwise1"].dtype == jnp.bfloat16
    assert {named["last"].dtype, named["pooled"].dtype, logits.dtype} == {jnp.dtype("float32")}
