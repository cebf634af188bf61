"""`fuse` by ONNX Runtime and OpenVINO: the same images, types, shapes and errors as by JAX."""

import importlib.util
import os
import pathlib
import subprocess
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

TESTS = pathlib.Path(__file__).parents[2]
RUNTIMES = ("onnxruntime", "openvino")


@pytest.fixture(scope="module")
def params():
    return load_params("tno")


def _pair(shape, dtype=np.float32, seed=0):
    pair = np.random.default_rng(seed).random((2, *shape), np.float32)
    return pair if dtype == np.float32 else np.rint(pair * np.iinfo(dtype).max).astype(dtype)


def _need(backend):
    for name in ("onnx", backend):  # not importorskip: that would import OpenVINO with its telemetry, which forks
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")


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


def test_gains_are_seen_and_the_network_is_kept_until_other_weights_come():
    _need("onnxruntime")
    ir, vis = _pair((24, 31))
    leaning = balanced(load_params("tno"), ir_gain=4.0)
    expected = fuse_arrays(leaning, ir, vis)
    first = runtimes.network(leaning, "onnxruntime")
    np.testing.assert_allclose(fuse(leaning, ir, vis, backend="onnxruntime"), expected, atol=2e-5)
    assert runtimes.network(leaning, "onnxruntime") is first
    assert runtimes.network(balanced(leaning), "onnxruntime") is not first


@pytest.mark.parametrize("name", ["max_memory", "ir_valid", "vis_valid", "context"])
def test_options_that_a_backend_does_not_take_are_refused_by_name(params, name):
    ir, vis = _pair((24, 31))
    with pytest.raises(UsageError, match=f"onnxruntime does not take {name}"):
        fuse(params, ir, vis, backend="onnxruntime", **{name: np.ones((24, 31), bool)})
    with pytest.raises(TypeError, match="valid"):
        fuse(params, ir, vis, backend="onnxruntime", valid=None)


_OPENVINO_ALONE = """
import os, sys, socket, subprocess, multiprocessing.process
started = []
sys.addaudithook(lambda event, args: started.append((event, str(args)[:80])) if event in EVENTS else None)
sys.path.insert(0, {tests!r})
import numpy as np
from small_nets import NET, small_params
from camfuse_jax.config import FusionConfig
from camfuse_jax.export.runtimes import fuse
import dataclasses
params = small_params(dataclasses.replace(NET, kind="shallow"), fusion=FusionConfig())
started.clear()
ir, vis = np.random.default_rng(0).random((2, 24, 31), np.float32)
fuse(params, ir, vis, backend="openvino")
assert not any(name.startswith("openvino_telemetry") for name in sys.modules), "telemetry is loaded"
print(started)
import openvino_telemetry  # whoever wants it may still have it
"""


def test_openvino_starts_no_process_and_no_connection(tmp_path):
    _need("openvino")
    events = ("os.fork", "os.forkpty", "os.posix_spawn", "subprocess.Popen", "socket.connect", "socket.getaddrinfo")
    program = _OPENVINO_ALONE.replace("EVENTS", repr(events)).format(tests=str(TESTS))
    home = {**os.environ, "HOME": str(tmp_path), "CI": ""}
    done = subprocess.run([sys.executable, "-c", program], env=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"
    assert not list(tmp_path.rglob("*openvino*"))


def test_errors_say_what_to_do(params, monkeypatch):
    ir, vis = _pair((24, 31))
    with pytest.raises(InputError, match="shape"):
        fuse(params, ir, vis[:20], backend="onnxruntime")
    with pytest.raises(UsageError, match=r"within jax\.jit"):
        jax.jit(lambda ir: fuse(params, ir, vis, backend="onnxruntime"))(ir)
    _need("onnxruntime")
    with pytest.raises(UsageError, match="l1"):
        fuse(with_rule(params, "l1"), ir, vis, backend="onnxruntime")
    for backend in RUNTIMES:
        monkeypatch.setitem(sys.modules, backend, None)
        with pytest.raises(UsageError, match=f"needs the package {backend}"):
            fuse(load_params("tno"), ir, vis, backend=backend)
