"""The rules that make one set of features of two, against independent float64 computations and their own promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from small_nets import NET, parts, small_params

from camfuse_jax import fuse
from camfuse_jax.config import FusionConfig, from_json, to_json
from camfuse_jax.errors import UsageError
from camfuse_jax.fusion.params import with_rule
from camfuse_jax.fusion.rules import combine


def _features(seed=0, shape=(1, 19, 34, 6)):
    rng = np.random.default_rng(seed)
    low = np.cumsum(np.cumsum(rng.normal(size=shape), axis=1), axis=2)
    return np.maximum(0.05 * low + rng.normal(size=shape), 0).astype(np.float32)


def _weights(seed=0):
    return np.random.default_rng(seed).uniform(0.1, 0.9, (2, 6)).astype(np.float32)


def test_l1_equals_the_reference():
    ir, vis = _features(1), _features(2)
    fused = combine(FusionConfig(rule="l1"), ir, vis, _weights())
    np.testing.assert_allclose(fused, reference.fuse_by_l1(ir, vis), rtol=1e-5, atol=1e-5)


def test_simple_rules():
    ir, vis, weights = _features(1), _features(2), _weights()
    for rule, expected in (
        ("eq5", 1.5 * reference.fuse_features(ir, vis, weights)),
        ("unit_sum", 1.5 * reference.fuse_features(ir, vis, weights / weights.sum(axis=0))),
        ("mean", (ir + vis) / 2),
        ("add", ir + vis),
        ("max", np.maximum(ir, vis)),
    ):
        np.testing.assert_allclose(combine(FusionConfig(rule=rule, gain=1.5), ir, vis, weights), expected, rtol=2e-6)


def test_kept_brightness_applies_the_rule_to_contrasts_and_adds_the_sources_mean():
    ir, vis, weights = _features(1), _features(2), _weights()
    means = np.concatenate([x.mean(axis=(1, 2), keepdims=True) for x in (ir, vis)])
    fused = combine(FusionConfig(rule="eq5", gain=2.0), ir, vis, weights, means=means)
    expected = means.mean(axis=0) + 2 * reference.fuse_features(ir - means[:1], vis - means[1:], weights)
    np.testing.assert_allclose(fused, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rule", ["eq5", "eq5-pooled", "l1", "max"])
@pytest.mark.parametrize("brightness", ["sum", "kept"])
def test_a_rule_is_batched_and_differentiable(rule, brightness):
    params = small_params(fusion=FusionConfig(rule=rule, brightness=brightness))
    rng = np.random.default_rng(0)
    ir, vis = rng.uniform(0, 1, (2, 3, 9, 14, 1)).astype(np.float32)
    fused = fuse(params, ir, vis)
    assert np.all((np.asarray(fused) >= 0) & (np.asarray(fused) <= 1))
    np.testing.assert_allclose(fused[1, ..., 0], fuse(params, ir[1, ..., 0], vis[1, ..., 0]), atol=1e-6)
    ir[2] = 0.4  # a flat image
    gradient = jax.jit(jax.grad(lambda ir: jnp.sum(fuse(params, ir, vis) ** 2)))(ir)
    assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("rule", ["eq5-pooled", "eq5-contribution"])
def test_weights_that_depend_on_the_images(rule):
    params = with_rule(small_params(), rule)
    rng = np.random.default_rng(3)
    ir, vis = (rng.uniform(0, 1, (1, 10, 13, 1)) for _ in range(2))
    tree = parts(params)
    features = [reference.encode(tree["encoder"], 2 * image - 1, NET.margin)[-1] for image in (ir, vis)]
    head = np.float64(tree["classifier"]["head"]["kernel"]).T
    pooled = [reference.classify(tree["classifier"], maps, NET.strides)[0].mean(axis=(0, 1, 2)) for maps in features]
    if rule == "eq5-contribution":
        pooled = [head[c] * pooled[c] for c in (0, 1)]
    weights = reference.channel_weights(np.stack(pooled))
    fused = reference.decode(tree["decoder"], reference.fuse_features(*features, weights), ir.shape[1:3], NET.margin)
    found = fuse(params, np.float32(ir), np.float32(vis))
    np.testing.assert_allclose(found, (fused + 1) / 2, atol=3e-5)


def test_older_names_of_rules_are_read():
    old = '{"rule": "place", "gain": 1.0, "base_cells": 4.0, "place_cells": 2.0, "sharpness": 5.0, "evidence": 0.15, '
    old += '"base_gain": 1.9, "detail_gain": 1.3, "level": 0.3}'
    assert from_json(FusionConfig, old) == FusionConfig()
    assert from_json(FusionConfig, '{"rule": "adaptive"}') == FusionConfig(rule="eq5-contribution")
    assert with_rule(small_params(), "adaptive").fusion.rule == "eq5-contribution"
    assert from_json(FusionConfig, to_json(FusionConfig(rule="max", gain=2.0))) == FusionConfig(rule="max", gain=2.0)


@pytest.mark.parametrize("gain", [-1.0, 9.0, float("nan")])
def test_a_gain_out_of_range_is_refused(gain):
    with pytest.raises(UsageError, match=r"fusion\.gain"):
        FusionConfig(gain=gain)
