"""Weights to PyTorch and back: names and layouts of PyTorch, and no bit lost."""

import dataclasses
import json

import numpy as np
import pytest
import safetensors.numpy
from small_nets import NET, small_params
from torch_reference.convert import convert, read, to_jax, to_torch

from camfuse_jax.config import FusionConfig
from camfuse_jax.errors import CheckpointError, UsageError
from camfuse_jax.fusion.params import load_params, save_params


@pytest.mark.parametrize("phase_bias", [True, False])
def test_there_and_back_is_the_same_file(tmp_path, phase_bias):
    net = dataclasses.replace(NET, phase_bias=phase_bias)
    start, there, back = (tmp_path / f"{name}.safetensors" for name in ("start", "there", "back"))
    save_params(start, small_params(net, fusion=FusionConfig(rule="unit_sum", gain=1.25)))
    convert(weights=str(start), to="torch", out=there)
    convert(weights=str(there), to="jax", out=back)
    assert back.read_bytes() == start.read_bytes()
    assert there.read_bytes() != start.read_bytes()


def test_shipped_weights_come_back_as_the_same_arrays(tmp_path):
    convert(weights="tno", to="torch", out=tmp_path / "t.safetensors")
    convert(weights=str(tmp_path / "t.safetensors"), to="jax", out=tmp_path / "j.safetensors")
    arrays, header = read(tmp_path / "t.safetensors")
    assert arrays["encoder.conv2.weight"].shape == (32, 16, 3, 3)
    assert arrays["decoder.phase3.bias"].shape == (32, 2, 2)
    assert arrays["classifier.depthwise1.branches.3.weight"].shape == (128, 1, 3, 3)
    assert arrays["classifier.head.weight"].shape == (2, 128)
    described = json.loads(header["camfuse_jax"])
    assert described["net"]["margin"] == 4
    assert described["fusion"] == json.loads(json.dumps(dataclasses.asdict(load_params("tno").fusion)))
    back, _ = read(tmp_path / "j.safetensors")
    assert all(np.array_equal(value, to_jax(arrays)[name]) for name, value in back.items())


def test_values_stand_where_pytorch_reads_them():
    kernel = np.arange(3 * 3 * 2 * 5, dtype=np.float32).reshape(3, 3, 2, 5)
    branches = np.arange(2 * 3 * 3 * 7, dtype=np.float32).reshape(2, 3, 3, 7)
    out = to_torch({"encoder/conv2/conv/kernel": kernel, "classifier/depthwise4/kernel": branches})
    assert out["encoder.conv2.weight"][4, 1, 0, 2] == kernel[0, 2, 1, 4]
    assert out["classifier.depthwise4.branches.1.weight"][6, 0, 2, 1] == branches[1, 2, 1, 6]


def test_more_than_ten_branches_keep_their_order():
    kernel = np.arange(12 * 3 * 3 * 2, dtype=np.float32).reshape(12, 3, 3, 2)
    there = to_torch({"classifier/depthwise1/kernel": kernel})
    back = to_jax(dict(sorted(there.items())))
    assert np.array_equal(back["classifier/depthwise1/kernel"], kernel)


def test_names_of_no_layer_are_refused():
    with pytest.raises(CheckpointError, match="encoder/attention/kernel"):
        to_torch({"encoder/attention/kernel": np.zeros(3)})
    with pytest.raises(CheckpointError, match="attention"):
        to_jax({"encoder.attention.weight": np.zeros(3)})


@pytest.mark.parametrize(("to", "out"), [(None, "x"), ("onnx", "x"), ("torch", None)])
def test_wrong_options_are_refused(tmp_path, to, out):
    with pytest.raises(UsageError):
        convert(weights="tno", to=to, out=out and tmp_path / out)
    assert list(tmp_path.iterdir()) == []


def test_files_that_do_not_fit_are_refused(tmp_path):
    absent, text, bare, short = (tmp_path / name for name in ("absent", "text", "bare", "short"))
    text.write_text("no weights")
    convert(weights="tno", to="torch", out=short)
    arrays, header = read(short)
    bare.write_bytes(safetensors.numpy.save(arrays))
    del arrays["encoder.conv3.bias"]
    short.write_bytes(safetensors.numpy.save(arrays, header))
    for file, told in (
        (absent, "no weights at"),
        (text, "not a safetensors"),
        (bare, "camfuse_jax"),
        (short, "conv3/conv/bias"),
    ):
        with pytest.raises(CheckpointError, match=told):
            convert(weights=str(file), to="jax", out=tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_weights_changed_in_pytorch_need_no_digest(tmp_path):
    there, back = tmp_path / "t.safetensors", tmp_path / "j.safetensors"
    save_params(tmp_path / "start", small_params())
    convert(weights=str(tmp_path / "start"), to="torch", out=there)
    arrays, header = read(there)
    arrays["encoder.conv1.bias"] = arrays["encoder.conv1.bias"] + np.float32(0.5)
    there.write_bytes(safetensors.numpy.save(arrays, header))
    with pytest.raises(CheckpointError, match="damaged"):
        convert(weights=str(there), to="jax", out=back)
    described = json.loads(header["camfuse_jax"])
    del described["sha256"]
    there.write_bytes(safetensors.numpy.save(arrays, {"camfuse_jax": json.dumps(described)}))
    convert(weights=str(there), to="jax", out=back)
    assert np.array_equal(load_params(back).encoder["conv1"]["conv"]["bias"], arrays["encoder.conv1.bias"])
