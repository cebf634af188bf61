"""Settings and folders that cannot work end with an exit code and a line, never with a traceback."""

import json
import shutil

import numpy as np
import pytest

from camfuse_jax.config import Config, from_json
from camfuse_jax.data.synthetic import write_synthetic_dataset
from camfuse_jax.errors import UsageError
from camfuse_jax.images.write import write_picture
from camfuse_jax.stages import run_stages as main

NARROW = (
    *("--net.init", "he", "--net.encoder-widths", 4, 4, 4, 4, 4, "--net.decoder-widths", 4, 4, 4, 4),
    *("--net.branches", 1, "--net.strides", 1, "--ae.steps-per-epoch", 1),
)


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")  # `main` sets it for its process; here it is put back
    monkeypatch.delenv("CAMFUSE_DATA", raising=False)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    write_synthetic_dataset(folder / "synthetic", pairs=8, seed=0, height=64, width=64)
    return folder


def _main(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert code == 0 or captured.err.splitlines()[-1].startswith("error: ")
    return code, captured.err


@pytest.mark.parametrize(
    "setting",
    [
        ("--ae.batch-size", 0),
        ("--ae.batch-size", -4),
        ("--ae.crop", 8),
        ("--ae.crop", 0),
        ("--ae.log-every", 0),
        ("--ae.checkpoint-every", 0),
        ("--ae.epochs", 0),
        ("--ae.steps-per-epoch", -1),
        ("--ae.learning-rate", "nan"),
        ("--ae.learning-rate", -1),
        ("--ae.warmup", 2),
        ("--net.encoder-widths", 4, 4),
        ("--net.encoder-widths", 4, 4, 0, 4, 4),
        ("--net.decoder-widths", 4),
        ("--net.margin", -4),
        ("--net.margin", 3),
        ("--net.branches", 0),
        ("--seed", -1),
    ],
    ids=lambda setting: " ".join(map(str, setting)),
)
def test_numbers_that_cannot_be(capsys, tmp_path, prepared, setting):
    shutil.copytree(prepared, tmp_path / "w")
    code, err = _main(capsys, "--stage", "ae", "--preset", "tiny", "--workdir", tmp_path / "w", *NARROW, *setting)
    assert code == 2, err


def test_without_an_autoencoder_the_classifier_takes_the_shipped_one_and_says_so(capsys, tmp_path, prepared):
    shutil.copytree(prepared, tmp_path / "w")
    arguments = ("--stage", "cls", "--preset", "tiny", "--workdir", tmp_path / "w", "--cls.epochs", 1)
    assert main([str(argument) for argument in arguments]) == 0
    out, err = capsys.readouterr()
    assert f"{tmp_path / 'w' / 'ae'} holds no auto-encoder" in err
    assert "--stage ae" in err
    made = tmp_path / "w" / "cls-synthetic" / "params.safetensors"
    assert made.exists()
    assert out == f"wrote {made}; use it with `camfuse fuse IR VIS --weights {made}`\n"


def test_without_data_the_synthetic_pairs_are_taken_and_a_misspelt_name_gets_the_nearest(capsys, tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    monkeypatch.delenv("CAMFUSE_DATA", raising=False)
    code, err = _main(capsys, "--stage", "data")
    assert code == 0
    assert "train pairs of synthetic" in err
    for text in ("note: there is no data folder", "--data", "--download", "--dataset"):
        assert text in err
    code, err = _main(capsys, "--stage", "data", "--dataset", "tno")
    assert code == 3
    assert "--download" in err
    for stage in ("data", "ae", "cls", "eval", "all", "report"):
        code, err = _main(capsys, "--stage", stage, "--dataset", "roadscen")
        assert code == 3
        assert "Did you mean roadscene?" in err


def test_fewer_images_than_a_batch(capsys, tmp_path):
    write_synthetic_dataset(tmp_path / "mine", pairs=2, seed=0, height=32, width=32)
    arguments = ("--stage", "ae", "--dataset", tmp_path / "mine", "--workdir", tmp_path / "w", "--net.init", "he")
    code, err = _main(capsys, *arguments, "--ae.batch-size", 16, "--ae.crop", 16)
    assert code in (2, 3), err
    assert "16" in err


@pytest.mark.parametrize(
    "arguments", [("--dataset", "nowhere"), ("--dataset", "tno", "--data", "nowhere")], ids=" ".join
)
def test_an_absent_data_set(capsys, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    code, err = _main(capsys, "--stage", "data", *arguments)
    assert code == 3
    assert "nowhere" in err


def test_a_workdir_that_is_a_file(capsys, tmp_path):
    (tmp_path / "w").write_text("in the way")
    code, err = _main(capsys, "--stage", "ae", "--preset", "tiny", "--workdir", tmp_path / "w", "--net.init", "he")
    assert code == 5, err


@pytest.mark.parametrize("text", ["theirs", "=folder", "theirs="])
def test_fused_that_names_no_folder(capsys, tmp_path, prepared, text):
    shutil.copytree(prepared, tmp_path / "w")
    arguments = ("--stage", "eval", "--preset", "tiny", "--workdir", tmp_path / "w")
    code, err = _main(capsys, *arguments, "--fused", text)
    assert code == 2
    assert "NAME=DIR" in err


def test_damaged_trained_weights(capsys, tmp_path, prepared):
    shutil.copytree(prepared, tmp_path / "w")
    trained = tmp_path / "w" / "cls-synthetic" / "params.safetensors"
    trained.parent.mkdir()
    trained.write_bytes(b"not weights")
    code, err = _main(capsys, "--stage", "eval", "--preset", "tiny", "--workdir", tmp_path / "w")
    assert code == 4
    assert str(trained) in err


def test_a_split_that_names_an_absent_image(capsys, tmp_path, prepared):
    shutil.copytree(prepared / "synthetic", tmp_path / "mine")
    (tmp_path / "mine" / "splits.json").write_text(json.dumps({"train": ["scene_0000"], "test": ["ghost"]}))
    code, err = _main(capsys, "--stage", "data", "--dataset", tmp_path / "mine", "--workdir", tmp_path / "w")
    assert code == 3
    assert "ghost" in err


def test_json_that_is_nested_without_end(capsys, tmp_path, prepared):
    shutil.copytree(prepared / "synthetic", tmp_path / "mine")
    (tmp_path / "mine" / "splits.json").write_text("[" * 100_000)
    code, err = _main(capsys, "--stage", "data", "--dataset", tmp_path / "mine", "--workdir", tmp_path / "w")
    assert code == 3
    assert "splits.json cannot be read as JSON" in err
    for text in ('{"net":' * 100_000, '{"seed": ' + "9" * 5000 + "}"):
        with pytest.raises(UsageError, match="Config is not readable as JSON"):
            from_json(Config, text)


def test_images_too_small_for_a_metric_are_still_evaluated(capsys, tmp_path):
    from small_nets import small_params

    from camfuse_jax import save_params

    rng = np.random.default_rng(0)
    for kind in ("ir", "vis"):
        for name in ("a", "b"):
            write_picture(tmp_path / "mine" / kind / f"{name}.png", rng.integers(0, 256, (20, 24), dtype=np.uint8))
    save_params(tmp_path / "x.safetensors", small_params())
    arguments = ("--stage", "eval", "--dataset", tmp_path / "mine", "--workdir", tmp_path / "w")
    code, err = _main(capsys, *arguments, "--weights", tmp_path / "x.safetensors")
    assert code == 0, err
