"""Stages export, convert, parity and bench through the real command line."""

import json

import numpy as np
import pytest
from command_line import refused
from small_nets import small_params

from camfuse_jax.config import Config
from camfuse_jax.data.synthetic import synthetic_pair
from camfuse_jax.errors import CamfuseError
from camfuse_jax.fusion.params import save_params
from camfuse_jax.images.write import write_picture


@pytest.fixture
def weights(tmp_path):
    """Weights of a narrow network, as a file."""
    path = tmp_path / "small.safetensors"
    save_params(path, small_params())
    return path


def test_convert_there_and_back(run, tmp_path, weights):
    there, back = tmp_path / "t.safetensors", tmp_path / "j.safetensors"
    assert (
        run("--stage", "convert", "--weights", weights, "--to", "torch", "--out", there, cwd=tmp_path).returncode == 0
    )
    done = run("--stage", "convert", "--weights", there, "--to", "jax", "--out", back, cwd=tmp_path)
    assert done.stdout == f"jax: {back}\n"
    assert back.read_bytes() == weights.read_bytes()


def test_export_without_a_file_is_refused(run, tmp_path):
    refused(run("--stage", "export", "--to", "onnx", cwd=tmp_path), 2, "--out")


def test_export_writes_a_checked_file(run, tmp_path, weights):
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed: pip install '.[export]'")
    out = tmp_path / "new" / "camfuse.onnx"
    done = run("--stage", "export", "--weights", weights, "--to", "onnx", "--out", out, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "largest difference from fuse" in done.stdout
    assert [path.name for path in out.parent.iterdir()] == ["camfuse.onnx"]


@pytest.mark.slow
def test_parity_prints_and_writes_its_table(run, tmp_path, weights):
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install '.[torch]'")
    for name, image in zip(("ir.png", "vis.png"), synthetic_pair(3, 90, 120), strict=True):
        write_picture(tmp_path / name, image)
    images = ("--ir", tmp_path / "ir.png", "--vis", tmp_path / "vis.png", "--out", tmp_path / "parity")
    done = run("--stage", "parity", "--weights", weights, *images, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "parity" / "parity.md").read_text() == done.stdout
    told = json.loads((tmp_path / "parity" / "parity.json").read_text())
    assert all(row["passed"] for row in told["rows"])
    assert any(row["quantity"].startswith("fused, 8 bit") for row in told["rows"])


@pytest.mark.slow
def test_parity_of_a_wrong_weight_fails(tmp_path, monkeypatch, capsys):
    parity = pytest.importorskip("torch_reference.parity", reason="PyTorch is not installed: pip install '.[torch]'")
    params = small_params()
    kernel = np.array(params.decoder["conv2"]["conv"]["kernel"])
    kernel[0, 0, 0, 0] += 1e-3 * np.abs(kernel).max()
    wrong = {**params.decoder, "conv2": {"conv": {**params.decoder["conv2"]["conv"], "kernel": kernel}}}
    honest = parity.from_params
    monkeypatch.setattr(parity, "from_params", lambda _: honest(params.replace(decoder=wrong)))
    monkeypatch.setattr(parity.parity_training, "rows", lambda *_: [])
    with pytest.raises(CamfuseError, match="reconstructed images"):
        parity.parity(Config(), params, [("x", *synthetic_pair(3, 90, 120))], weights="small", out=tmp_path)
    assert "MISSED" in capsys.readouterr().out


@pytest.mark.slow
def test_bench_times_what_is_installed_and_names_what_is_not(run, tmp_path, weights):
    sizes = ("--bench.sizes", "40x30", "--bench.batches", "1", "--bench.rounds", "2", "--bench.work", "fuse", "cls")
    small = ("--cls.batch-size", "4", "--cls.crop", "32", "--out", tmp_path / "bench")
    backends = ("--bench.backends", "jax", "torch", "onnxruntime", "openvino")
    done = run("--stage", "bench", "--weights", weights, *sizes, *backends, *small, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "bench" / "bench.json").read_text())["rows"]
    assert [(row["work"], row["backend"]) for row in rows] == [(w, b) for w in ("fuse", "cls") for b in backends[1:]]
    assert all(bool(row["missing"]) != bool(row["median_s"]) for row in rows)
    assert all(row["missing"] == "" for row in rows if row["backend"] == "jax")
    assert "does not train" in rows[-1]["missing"] or "not installed" in rows[-1]["missing"]


def test_bench_refuses_a_size_that_is_none(run, tmp_path):
    refused(run("--stage", "bench", "--bench.sizes", "large", cwd=tmp_path), 2, "large")
    assert list(tmp_path.iterdir()) == []
