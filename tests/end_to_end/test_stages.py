"""Training, fusing and scoring through the real command; on narrow networks, and in full as the tiny preset."""

import json
import shutil
import time

import jax
import numpy as np
import pytest
from command_line import refused

from camfuse_jax import load_params
from camfuse_jax.images.read import read_gray
from camfuse_jax.images.write import write_picture

NARROW = (
    *("--net.encoder-widths", 4, 4, 6, 6, 6, "--net.decoder-widths", 6, 6, 4, 4),
    *("--net.init", "he", "--net.branches", 2, "--net.strides", 1, 2),
    *("--ae.steps-per-epoch", 4, "--ae.checkpoint-every", 2, "--ae.log-every", 1),
    *("--cls.epochs", 4, "--cls.steps-per-epoch", 1, "--cls.checkpoint-every", 2, "--cls.log-every", 1),
    *("--cls.distance-from-epoch", 2),
)
METRICS = ("EN", "AG", "SCD", "SSIM", "VIF")


def _all(run, folder, *options):
    return run("--stage", "all", "--preset", "tiny", "--workdir", "w", *options, cwd=folder)


def _steps(file):
    return [json.loads(line)["step"] for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("narrow")
    done = _all(run, folder, *NARROW)
    assert done.returncode == 0, done.stderr
    return folder, done


def _same_weights(a, b):
    first, second = (load_params(folder / "w" / "cls-synthetic" / "params.safetensors") for folder in (a, b))
    jax.tree.map(np.testing.assert_array_equal, first, second)


def _check_results(folder, done):
    table = folder / "w" / "eval-synthetic"
    assert all(key in done.stdout for key in METRICS)
    assert "classifier:" in done.stdout
    assert "| ir |" in done.stdout
    assert "| vis |" in done.stdout
    csv = "".join(path.read_text() for path in table.glob("*.csv"))
    assert all(key in csv for key in METRICS)
    assert (table / "networks.md").read_text() in done.stdout
    test = json.loads((folder / "w" / "synthetic" / "splits.json").read_text())["test"]
    assert sorted(path.stem for path in (table / "camfuse").iterdir()) == test
    for name in test:
        assert read_gray(table / "camfuse" / f"{name}.png").shape == (160, 192)
    params = load_params(folder / "w" / "cls-synthetic" / "params.safetensors")
    assert np.any(params.class_weights)


@pytest.mark.slow
def test_all_stages_leave_tables_weights_and_images(trained):
    folder, done = trained
    _check_results(folder, done)
    assert _steps(folder / "w" / "ae" / "metrics.jsonl") == [1, 2, 3, 4]
    assert _steps(folder / "w" / "cls-synthetic" / "metrics.jsonl") == [1, 2, 3, 4]
    assert json.loads((folder / "w" / "ae" / "config.json").read_text())["ae"]["steps_per_epoch"] == 4


@pytest.mark.slow
def test_a_second_call_trains_nothing_and_prints_the_same(run, trained):
    folder, first = trained
    files = [folder / "w" / stage / "metrics.jsonl" for stage in ("ae", "cls-synthetic")]
    before = [(file.read_bytes(), file.stat().st_mtime_ns) for file in files]
    again = _all(run, folder, *NARROW)
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout
    assert [(file.read_bytes(), file.stat().st_mtime_ns) for file in files] == before
    assert "step 4/4" not in again.stderr


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_weights(run, trained, tmp_path):
    folder, first = trained
    shutil.copytree(folder / "w", tmp_path / "w")
    for stage in ("ae", "cls-synthetic"):
        shutil.rmtree(tmp_path / "w" / stage / "4")
    (tmp_path / "w" / "cls-synthetic" / "params.safetensors").unlink()
    done = _all(run, tmp_path, *NARROW)
    assert done.returncode == 0, done.stderr
    assert done.stdout == first.stdout
    _same_weights(folder, tmp_path)
    assert _steps(tmp_path / "w" / "ae" / "metrics.jsonl") == [1, 2, 3, 4]


@pytest.mark.slow
def test_a_new_run_with_the_same_seed_gives_the_same_weights_and_another_seed_others(run, trained, tmp_path):
    folder, first = trained
    done = _all(run, tmp_path, *NARROW)
    assert done.stdout == first.stdout
    _same_weights(folder, tmp_path)
    (tmp_path / "other").mkdir()
    assert _all(run, tmp_path / "other", *NARROW, "--seed", 1).returncode == 0
    with pytest.raises(AssertionError):
        _same_weights(folder, tmp_path / "other")


@pytest.mark.slow
def test_eval_of_other_methods_images(run, trained, tmp_path):
    folder, _ = trained
    shutil.copytree(folder / "w", tmp_path / "w")
    (name,) = json.loads((folder / "w" / "synthetic" / "splits.json").read_text())["test"]
    write_picture(tmp_path / "theirs" / f"{name}.png", read_gray(tmp_path / "w" / "synthetic" / "vis" / f"{name}.png"))
    (tmp_path / "none").mkdir()
    command = ("--stage", "eval", "--preset", "tiny", "--workdir", "w")
    done = run(*command, "--fused", "theirs=theirs", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "theirs" in done.stdout
    done = run(*command, "--fused", "theirs=theirs", "--fused", "lacking=none", cwd=tmp_path)
    refused(done, 3, "lacking", "1 missing", name)


@pytest.mark.slow
def test_the_tiny_preset_in_full(run, tmp_path):
    started = time.monotonic()
    done = _all(run, tmp_path)
    assert done.returncode == 0, done.stderr
    print(f"tiny took {time.monotonic() - started:.0f} s")
    _check_results(tmp_path, done)
    assert "classifier: 4 of 4" in done.stdout or "classifier: 2 of 2" in done.stdout
    again = _all(run, tmp_path)
    assert again.stdout == done.stdout
