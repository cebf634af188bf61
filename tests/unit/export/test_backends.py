"""`fuse` by ONNX Runtime and OpenVINO: the same images, types, shapes and errors as by JAX."""

import gc
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camfuse_jax
from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.export import runtimes
from camfuse_jax.export.runtimes import fuse
from camfuse_jax.fusion.fuse import fuse_arrays
from camfuse_jax.fusion.params import balanced, load_params, with_rule

RUNTIMES = ("onnxruntime", "openvino")


@pytest.fixture(scope="module")
def params():
    return load_params("tno")


def _pair(shape, dtype=np.float32, seed=0):
    pair = np.random.default_rng(seed).random((2, *shape), np.float32)
    return pair if dtype == np.float32 else np.rint(pair * np.iinfo(dtype).max).astype(dtype)


def _need(backend):
    pytest.importorskip("onnx")
    pytest.importorskip(backend)


def test_the_public_fuse_is_the_one_with_a_backend():
    assert camfuse_jax.fuse is fuse


@pytest.mark.parametrize("backend", RUNTIMES)
@pytest.mark.parametrize(
    ("shape", "dtype"), [((24, 31), np.uint8), ((24, 31, 1), np.uint16), ((2, 24, 31, 1), np.float32)]
)
def test_same_image_type_and_shape_as_jax(params, backend, shape, dtype):
    _need(backend)
    ir, vis = _pair(shape, dtype)
    ours, theirs = (fuse(params, ir, vis, backend=name) for name in ("jax", backend))
    assert isinstance(theirs, jax.Array)
    assert (theirs.shape, theirs.dtype) == (ours.shape, ours.dtype) == (shape, dtype)
    top = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
    apart = np.abs(np.asarray(ours, np.float64) - np.asarray(theirs, np.float64))
    assert np.max(apart) <= max(2e-5 * top, 0 if dtype == np.float32 else 1)


def test_types_that_differ_give_float32(params):
    _need("onnxruntime")
    ir, vis = _pair((24, 31))[0], _pair((24, 31), np.uint8)[1]
    assert fuse(params, ir, vis, backend="onnxruntime").dtype == jnp.float32


def test_gains_are_seen_and_the_network_is_kept_as_long_as_its_weights():
    _need("onnxruntime")
    ir, vis = _pair((24, 31))
    before = len(runtimes._NETWORKS)
    leaning = balanced(load_params("tno"), ir_gain=4.0)
    expected = fuse_arrays(leaning, ir, vis)
    first = runtimes.network(leaning, "onnxruntime")
    np.testing.assert_allclose(fuse(leaning, ir, vis, backend="onnxruntime"), expected, atol=2e-5)
    assert runtimes.network(leaning, "onnxruntime") is first
    del leaning, first
    gc.collect()
    assert len(runtimes._NETWORKS) == before


def test_errors_say_what_to_do(params, monkeypatch):
    ir, vis = _pair((24, 31))
    with pytest.raises(InputError, match="shape"):
        fuse(params, ir, vis[:20], backend="onnxruntime")
    with pytest.raises(UsageError, match=r"within jax\.jit"):
        jax.jit(lambda ir: fuse(params, ir, vis, backend="onnxruntime"))(ir)
    _need("onnxruntime")
    with pytest.raises(UsageError, match="adaptive"):
        fuse(with_rule(params, "adaptive"), ir, vis, backend="onnxruntime")
    for backend in RUNTIMES:
        monkeypatch.setitem(sys.modules, backend, None)
        with pytest.raises(UsageError, match=f"needs the package {backend}"):
            fuse(load_params("tno"), ir, vis, backend=backend)
