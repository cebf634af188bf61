"""fuse and explain against float64 NumPy, in every form they take."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from PIL import Image
from small_nets import NET, parts, small_params

from camfuse_jax import explain, fuse
from camfuse_jax.errors import InputError
from camfuse_jax.fusion import fuse as module

SIZE = (13, 10)


def _pair(size=SIZE, seed=0):
    rng = np.random.default_rng(seed)
    return tuple(rng.uniform(0, 1, size).astype(np.float32) for _ in range(2))


def _expected(ir_unit, vis_unit):
    sym = [2 * np.asarray(image, np.float64)[None, ..., None] - 1 for image in (ir_unit, vis_unit)]
    return (reference.fuse(parts(small_params()), *sym, NET.margin)[0, ..., 0] + 1) / 2


def test_equals_the_reference():
    ir, vis = _pair()
    fused = fuse(small_params(), ir, vis)
    assert fused.dtype == jnp.float32
    assert np.std(fused) > 0.01
    np.testing.assert_allclose(fused, _expected(ir, vis), atol=2e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 3), (6, 5)], ids=str)
def test_any_size_equals_the_reference(size):
    ir, vis = _pair(size)
    np.testing.assert_allclose(fuse(small_params(), ir, vis), _expected(ir, vis), atol=2e-5)


def test_sides_from_1_to_40_give_the_inputs_shape():
    for height in (1, 2, 3, 4, 5, 8, 13, 20, 31, 40):
        shape = jax.ShapeDtypeStruct((height, 41 - height), jnp.uint8)
        fused = jax.eval_shape(fuse, small_params(), shape, shape)
        assert (fused.shape, fused.dtype) == (shape.shape, shape.dtype)


@pytest.mark.parametrize("shape", [SIZE, (*SIZE, 1), (1, *SIZE, 1)], ids=str)
def test_the_shape_that_comes_in_goes_out(shape):
    ir, vis = (image.reshape(shape) for image in _pair())
    fused = fuse(small_params(), ir, vis)
    assert fused.shape == shape
    np.testing.assert_array_equal(fused.reshape(SIZE), fuse(small_params(), *_pair()))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_span_their_whole_range(dtype):
    top = np.iinfo(dtype).max
    ir, vis = (np.rint(image * top).astype(dtype) for image in _pair())
    fused = fuse(small_params(), ir, vis)
    assert fused.dtype == dtype
    expected = np.clip(_expected(ir / top, vis / top), 0, 1) * top
    np.testing.assert_allclose(np.asarray(fused, np.float64), expected, atol=0.5 + 2e-5 * top)


@pytest.mark.parametrize("types", [(np.uint8, np.uint16), (np.float32, np.uint8)])
def test_mixed_types_give_float32(types):
    # Levels 0 and full are the same in every type.
    pattern = [np.indices(SIZE).sum(axis=0) % 2, np.indices(SIZE)[0] % 2]
    images = [p.astype(t) * t(np.iinfo(t).max if t != np.float32 else 1) for p, t in zip(pattern, types, strict=True)]
    fused = fuse(small_params(), *images)
    assert fused.dtype == jnp.float32
    np.testing.assert_allclose(fused, _expected(*pattern), atol=2e-5)


def test_a_batch_is_each_of_its_images():
    pairs = [_pair(seed=seed) for seed in range(3)]
    ir, vis = (np.stack(images)[..., None] for images in zip(*pairs, strict=True))
    fused = fuse(small_params(), ir, vis)
    assert fused.shape == (3, *SIZE, 1)
    for i, pair in enumerate(pairs):
        np.testing.assert_allclose(fused[i, ..., 0], fuse(small_params(), *pair), atol=1e-6)


def test_pairs_of_a_batch_of_large_images_take_turns(monkeypatch):
    sizes = []
    whole = module.fuse_unit
    monkeypatch.setattr(
        module, "fuse_unit", lambda params, ir, *rest: sizes.append(ir.shape) or whole(params, ir, *rest)
    )
    monkeypatch.setattr(module, "_LARGE", 200)
    pairs = [_pair((14, 15), seed=seed) for seed in range(3)]
    ir, vis = (np.stack(images)[..., None] for images in zip(*pairs, strict=True))
    fused = fuse(small_params(), ir, vis)
    assert sizes == [(1, 14, 15, 1)]
    assert fused.shape == ir.shape
    np.testing.assert_allclose(fused[2, ..., 0], fuse(small_params(), *pairs[2]), atol=1e-6)


def test_jit_and_vmap():
    ir, vis = (np.stack(images) for images in zip(*[_pair(seed=seed) for seed in range(3)], strict=True))
    direct = fuse(small_params(), ir[..., None], vis[..., None])[..., 0]
    mapped = jax.jit(jax.vmap(fuse, in_axes=(None, 0, 0)))(small_params(), ir, vis)
    np.testing.assert_allclose(mapped, direct, atol=1e-6)
    closed_over = jax.jit(lambda image: fuse(small_params(), image, vis[0]))(ir[0])
    np.testing.assert_allclose(closed_over, direct[0], atol=1e-6)


@pytest.mark.parametrize("function", [fuse, explain])
def test_jit_when_no_argument_is_traced(function):
    ir, vis = _pair()
    inside = jax.jit(lambda: function(small_params(), ir, vis))()
    for found, expected in zip(
        jax.tree.leaves(inside), jax.tree.leaves(function(small_params(), ir, vis)), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_gradient_of_images_equals_differences_of_the_reference():
    size = (6, 5)
    ir, vis = _pair(size)
    weight, direction = (np.random.default_rng(seed).normal(size=size).astype(np.float32) for seed in (7, 8))
    gradient = jax.jit(jax.grad(lambda i, v: jnp.sum(weight * fuse(small_params(), i, v)), argnums=(0, 1)))(ir, vis)
    slopes = (
        reference.slope(lambda x: np.sum(weight * _expected(x, vis)), ir, direction),
        reference.slope(lambda x: np.sum(weight * _expected(ir, x)), vis, direction),
    )
    for ours, slope in zip(gradient, slopes, strict=True):
        assert np.all(np.isfinite(ours))
        assert np.sum(np.asarray(ours, np.float64) * direction) == pytest.approx(slope, rel=2e-3, abs=1e-4)


def test_gradient_of_weights_is_finite_and_reaches_every_network_that_takes_part():
    ir, vis = _pair()
    gradient = jax.jit(jax.grad(lambda params: jnp.mean(fuse(params, ir, vis) ** 2)))(small_params())
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))
    for tree in (gradient.encoder, gradient.decoder, gradient.classifier["head"]):
        assert all(np.any(leaf) for leaf in jax.tree.leaves(tree))


def test_gradient_of_the_probability_with_weights_from_a_file():
    ir, vis = _pair()
    gradient = jax.jit(jax.grad(lambda image: explain(small_params(), image, vis).probability[0, 0, 0]))(ir)
    assert np.all(np.isfinite(gradient))
    assert np.any(gradient)


@pytest.mark.parametrize("function", [fuse, explain])
def test_shapes_that_differ_are_both_named(function):
    with pytest.raises(InputError, match=r"ir has shape \(4, 5\) but vis has shape \(5, 4\)"):
        function(small_params(), np.zeros((4, 5), np.uint8), np.zeros((5, 4), np.uint8))
    with pytest.raises(InputError, match=r"ir has shape \(4, 5\) but vis has shape \(4, 5, 1\)"):
        function(small_params(), np.zeros((4, 5), np.uint8), np.zeros((4, 5, 1), np.uint8))


@pytest.mark.parametrize("shape", [(), (4,), (4, 5, 3), (2, 4, 5, 3), (1, 2, 4, 5, 1), (0, 5), (4, 0, 1)], ids=str)
def test_shapes_that_are_no_image_are_refused(shape):
    good, bad = np.zeros((4, 5), np.float32), np.zeros(shape, np.float32)
    with pytest.raises(InputError, match=r"vis has shape .*Give \(h, w\)"):
        fuse(small_params(), good, bad)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int32, np.int64, np.uint32, np.complex64, ">u2", ">f4"])
def test_other_types_are_refused(dtype):
    with pytest.raises(InputError, match=r"ir has type .*uint8 or uint16"):
        fuse(small_params(), np.zeros((4, 5), dtype), np.zeros((4, 5), dtype))


@pytest.mark.parametrize(
    "image",
    [[[0.1, 0.2]], "ir.png", pathlib.Path("ir.png"), Image.new("L", (2, 1)), np.ma.zeros((1, 2), np.float32), None],
    ids=lambda image: type(image).__name__,
)
def test_what_is_no_array_is_refused_by_name(image):
    with pytest.raises(InputError, match=r"vis is a .*NumPy or JAX array"):
        fuse(small_params(), np.zeros((1, 2), np.float32), image)


@pytest.mark.parametrize("value", [255.0, -3.0, 3e38, np.nan, np.inf])
def test_floats_far_outside_the_unit_range_are_refused(value):
    good, bad = np.full((4, 5), 0.5, np.float32), np.full((4, 5), 0.5, np.float32)
    bad[2, 3] = value
    with pytest.raises(InputError, match=r"ir has values from .*\[0, 1\]"):
        fuse(small_params(), bad, good)


def test_masks_are_checked():
    pair = np.zeros((2, 4, 5), np.float32)
    with pytest.raises(InputError, match=r"ir_valid is bool of shape \(5, 4\)"):
        fuse(small_params(), *pair, ir_valid=np.ones((5, 4), bool))
    with pytest.raises(InputError, match="vis_valid is float32"):
        fuse(small_params(), *pair, vis_valid=np.ones((4, 5), np.float32))


def _stretched(maps, cell, size, margin):
    """A map's cells spread over `cell` pixels each, linear between their centers; the margin cut off."""
    for axis in (1, 2):
        where = (np.arange(maps.shape[axis] * cell) + 0.5) / cell - 0.5
        maps = np.apply_along_axis(lambda v, w=where: np.interp(w, np.arange(len(v)), v), axis, maps)
    return maps[:, margin : margin + size[0], margin : margin + size[1]]


def test_explanation_equals_the_reference():
    size = (21, 30)
    ir, vis = _pair(size)
    params = parts(small_params())
    images = 2 * np.stack([ir, vis])[..., None] - 1
    features = reference.encode(params["encoder"], images, NET.margin)[-1]
    last, probability = reference.classify(params["classifier"], features, NET.strides)
    weights = np.asarray(params["classifier"]["head"]["kernel"]).T
    own = _stretched(reference.cam(last, weights), 8, size, NET.margin)
    agnostic = _stretched(reference.caam(last), 8, size, NET.margin)
    seen = explain(small_params(), ir, vis)
    assert seen.probability.shape == (1, 2, 2)
    np.testing.assert_allclose(seen.probability[0], probability, atol=1e-5)
    for found, expected in ((seen.ir_cam, own[0]), (seen.vis_cam, own[1]), (seen.ir_caam, agnostic[0])):
        assert found.shape == (1, *size)
        np.testing.assert_allclose(found[0], expected, atol=1e-4)
    np.testing.assert_allclose(seen.vis_caam[0], agnostic[1], atol=1e-4)


def test_maps_have_the_images_size_and_stay_in_the_unit_range():
    size = (3, 40)
    seen = explain(small_params(), *_pair(size))
    for maps in seen[:4]:
        assert maps.shape == (1, *size)
        assert np.all((np.asarray(maps) >= 0) & (np.asarray(maps) <= 1))
    assert np.all((np.asarray(seen.probability) > 0) & (np.asarray(seen.probability) < 1))


def test_a_constant_pair_is_explained_without_nan():
    flat = np.full(SIZE, 128, np.uint8)
    assert all(np.all(np.isfinite(leaf)) for leaf in explain(small_params(), flat, flat))
    assert fuse(small_params(), flat, flat).shape == SIZE
