"""The rules that make one set of features of two, against independent float64 computations and their own promises."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from small_nets import parts, small_params

from camfuse_jax import fuse, load_params, save_params
from camfuse_jax.config import FusionConfig
from camfuse_jax.errors import UsageError
from camfuse_jax.fusion.params import with_rule
from camfuse_jax.fusion.rules import class_evidence, combine, ir_share, smooth

PLACE = FusionConfig(base_cells=1.5, place_cells=0.7, level=0.3)


def _features(seed=0, shape=(1, 19, 34, 6)):
    rng = np.random.default_rng(seed)
    low = np.cumsum(np.cumsum(rng.normal(size=shape), axis=1), axis=2)
    return np.maximum(0.05 * low + rng.normal(size=shape), 0).astype(np.float32)


def _weights(seed=0):
    return np.random.default_rng(seed).uniform(0.1, 0.9, (2, 6)).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "cells"), [((2, 5, 40, 3), 0.8), ((1, 33, 16, 2), 3.0), ((1, 1, 1, 4), 5.0)], ids=str
)
def test_blur_equals_scipys(shape, cells):
    maps = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(smooth(maps, cells), reference.blur(np.float64(maps), cells), atol=2e-6)


def test_no_blur_is_the_identity():
    np.testing.assert_array_equal(smooth(_features(), 0.0), _features())


def test_place_equals_the_reference():
    ir, vis, weights = _features(1), _features(2), _weights()
    fused = combine(PLACE, ir, vis, weights)
    np.testing.assert_allclose(fused, reference.fuse_by_place(PLACE, ir, vis, weights), rtol=1e-4, atol=1e-4)


def test_place_with_class_evidence_equals_the_reference():
    ir, vis, weights = _features(1), _features(2), _weights()
    evidence = np.random.default_rng(5).normal(size=(2, 6)).astype(np.float32)
    fused = combine(PLACE, ir, vis, weights, evidence=evidence)
    np.testing.assert_allclose(fused, reference.fuse_by_place(PLACE, ir, vis, weights, evidence), rtol=1e-4, atol=1e-4)
    assert np.abs(fused - combine(PLACE, ir, vis, weights)).max() > 0.05


def test_class_evidence_alone_chooses_what_speaks_for_its_own_class():
    config = dataclasses.replace(PLACE, sharpness=0.0, evidence=1.0)
    bright = np.zeros((1, 8, 16, 3), np.float32)
    bright[:, :, :8, 0], bright[:, :, 8:, 1] = 4, 4
    speaks_for_ir = np.array([[2.0, 0, 0], [0, 0, 0]])  # channel 0 says infrared, nothing says visible
    leaning = class_evidence(bright, bright, speaks_for_ir)
    share = np.asarray(ir_share(config, bright, bright, np.full((2, 3), 0.5), leaning=leaning))[0, :, :, 0]
    np.testing.assert_allclose(share[:, :8], 1 / (1 + np.exp(-8)), atol=1e-6)
    np.testing.assert_allclose(share[:, 8:], 0.5, atol=1e-6)


def test_without_class_weights_there_is_no_evidence():
    params = with_rule(small_params(), "place")
    head = {"kernel": 0 * params.classifier["head"]["kernel"]}
    silent = params.replace(classifier={**params.classifier, "head": head})
    off = silent.replace(fusion=dataclasses.replace(silent.fusion, evidence=0.0))
    ir, vis = np.random.default_rng(0).uniform(0, 1, (2, 12, 9)).astype(np.float32)
    np.testing.assert_array_equal(fuse(silent, ir, vis), fuse(off, ir, vis))


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


def test_two_equal_images_are_not_added():
    features = _features()
    np.testing.assert_allclose(combine(PLACE, features, features, _weights()), features, atol=2e-5)


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_the_two_images_are_treated_alike(seed):
    ir, vis, weights = _features(seed), _features(seed + 1), _weights(seed)
    evidence = _weights(seed + 2) - 0.5
    swapped = combine(PLACE, vis, ir, weights[::-1], evidence=evidence[::-1])
    np.testing.assert_allclose(combine(PLACE, ir, vis, weights, evidence=evidence), swapped, atol=2e-5)


def test_detail_comes_from_where_it_is():
    flat = np.ones((1, 32, 64, 6), np.float32)
    busy = flat + np.random.default_rng(0).uniform(0, 1, flat.shape).astype(np.float32)
    ir, vis = flat.copy(), flat.copy()
    ir[:, :, :32], vis[:, :, 32:] = busy[:, :, :32], busy[:, :, 32:]
    details = [image - smooth(image, 2.0) for image in (ir, vis)]
    share = np.asarray(ir_share(PLACE, *details, np.full((2, 6), 0.5)))[0, :, :, 0]
    assert share[:, :24].min() > 0.99
    assert share[:, 40:].max() < 0.01


def test_a_channel_counts_as_much_as_its_class_weight_says():
    details = [_features(1) - 0.5, _features(2) - 0.5]
    plain, favored = (np.asarray(ir_share(PLACE, *details, np.array([[w] * 6, [0.5] * 6]))) for w in (0.5, 0.9))
    assert np.all(favored > plain)
    only_first = np.zeros((2, 6))
    only_first[:, 0] = 1
    seen = ir_share(PLACE, *details, only_first)
    np.testing.assert_allclose(seen, ir_share(PLACE, *(d[..., :1] for d in details), only_first[:, :1]), atol=1e-6)


def test_no_sharpness_averages_the_detail():
    config = dataclasses.replace(PLACE, sharpness=0.0)
    np.testing.assert_allclose(ir_share(config, _features(1), _features(2), _weights()), 0.5, atol=1e-7)


@pytest.mark.parametrize("rule", ("place", "adaptive", "l1"))
def test_a_rule_is_batched_and_differentiable(rule):
    params = with_rule(small_params(), rule)
    rng = np.random.default_rng(0)
    ir, vis = rng.uniform(0, 1, (2, 3, 9, 14, 1)).astype(np.float32)
    fused = fuse(params, ir, vis)
    assert np.all((np.asarray(fused) >= 0) & (np.asarray(fused) <= 1))
    np.testing.assert_allclose(fused[1, ..., 0], fuse(params, ir[1, ..., 0], vis[1, ..., 0]), atol=1e-6)
    ir[2] = 0.4  # a flat image
    gradient = jax.jit(jax.grad(lambda ir: jnp.sum(fuse(params, ir, vis) ** 2)))(ir)
    assert np.all(np.isfinite(gradient))


def test_adaptive_weights_are_each_images_contributions():
    params = with_rule(small_params(), "adaptive")
    rng = np.random.default_rng(3)
    ir, vis = (rng.uniform(0, 1, (1, 10, 13, 1)) for _ in range(2))
    tree = parts(params)
    features = [reference.encode(tree["encoder"], 2 * image - 1, params.net.margin)[-1] for image in (ir, vis)]
    head = np.float64(tree["classifier"]["head"]["kernel"]).T
    last = [reference.classify(tree["classifier"], maps, params.net.strides)[0] for maps in features]
    weights = reference.channel_weights(np.stack([head[c] * last[c].mean(axis=(0, 1, 2)) for c in (0, 1)]))
    fused = reference.decode(
        tree["decoder"], reference.fuse_features(*features, weights), ir.shape[1:3], params.net.margin
    )
    found = fuse(params, np.float32(ir), np.float32(vis))
    np.testing.assert_allclose(found, (fused + 1) / 2, atol=3e-5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gain", -1.0),
        ("base_cells", 65.0),
        ("sharpness", 17.0),
        ("evidence", 17.0),
        ("level", 1.1),
        ("place_cells", -1.0),
    ],
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(UsageError, match=f"fusion.{name}"):
        FusionConfig(**{name: value})


def test_weights_as_they_are_in_a_file(tmp_path):
    plain = with_rule(small_params(), "place")
    ir, vis = np.random.default_rng(0).uniform(0, 1, (2, 12, 9)).astype(np.float32)
    save_params(tmp_path / "x", plain)
    np.testing.assert_array_equal(fuse(load_params(tmp_path / "x"), ir, vis), fuse(plain, ir, vis))
