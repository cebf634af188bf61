"""Training that is stopped: by a signal, by a second process, by damage; and goes on as if nothing had been."""

import os
import shutil
import signal

import jax
import numpy as np
import pytest
from stress.fixtures import SETTINGS

from camfuse_jax.data.synthetic import write_synthetic_dataset
from camfuse_jax.stages import run_stages as main
from camfuse_jax.system import program
from camfuse_jax.system.files import locked
from camfuse_jax.training import autoencoder, loop
from camfuse_jax.training import step as parallel

SHORT = (*SETTINGS, "--ae.steps-per-epoch", "8")


@pytest.fixture(autouse=True)
def _process(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    # This is pytest's own process: on a slow machine it must not be ended with the training.
    monkeypatch.setattr(program, "PATIENCE_SECONDS", 300)


def _train(workdir, data, *settings):
    return main(["--stage", "ae", "--dataset", str(data), "--workdir", str(workdir), *SHORT, *settings])


def _newest(workdir):
    return max(int(path.name) for path in (workdir / "ae").iterdir() if path.name.isdigit())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Data, and a workdir that was trained without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    write_synthetic_dataset(folder / "pairs", pairs=4, seed=0, height=64, width=64)
    before = os.environ.get("XLA_FLAGS")
    assert _train(folder / "w", folder / "pairs") == 0
    os.environ["XLA_FLAGS"] = before or ""
    return folder


def _state(workdir, monkeypatch):
    """What training returns when it is already done."""
    kept = []
    original = loop.fit

    def fit(*arguments, **options):
        kept.append(original(*arguments, **options))
        return kept[-1]

    with monkeypatch.context() as patch:
        patch.setattr(autoencoder, "fit", fit)
        assert _train(workdir, workdir.parent / "pairs") == 0
    return kept[-1]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_the_same_command_goes_on(tmp_path, whole, monkeypatch, capsys, number, code):
    shutil.copytree(whole / "pairs", tmp_path / "pairs")
    original = parallel.make_step

    def make_step(*arguments, **options):
        run, taken = original(*arguments, **options), []

        def step(*arguments):
            taken.append(1)
            if len(taken) == 3:
                os.kill(os.getpid(), number)
            return run(*arguments)

        return step

    with monkeypatch.context() as patch:
        patch.setattr(parallel, "make_step", make_step)
        assert _train(tmp_path / "w", tmp_path / "pairs") == code
    assert capsys.readouterr().err.splitlines()[-1].startswith("ae: stopped and saved after step 3.")
    assert _newest(tmp_path / "w") == 3
    found, expected = _state(tmp_path / "w", monkeypatch), _state(whole / "w", monkeypatch)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_second_process_is_told_in_one_line(whole, capsys):
    with locked(whole / "w" / "ae"):
        assert _train(whole / "w", whole / "pairs") == 5
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1
    assert f"{whole / 'w' / 'ae'} is in use by process {os.getpid()} on" in err[0]


@pytest.mark.slow
def test_damage_falls_back_and_without_a_good_step_ends_with_four(tmp_path, whole, monkeypatch, capsys):
    shutil.copytree(whole, tmp_path / "copy")
    workdir = tmp_path / "copy" / "w"
    (workdir / "ae" / "8" / "state" / "_METADATA").write_bytes(b"{}")
    found, expected = _state(workdir, monkeypatch), _state(whole / "w", monkeypatch)
    assert "step 8 is damaged" in capsys.readouterr().err
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    for step in ("4", "8"):
        (workdir / "ae" / step / "manifest.json").unlink()
    assert _train(workdir, whole / "pairs") == 4
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1
    for text in ("step 4 is damaged", "step 8 is damaged", "manifest.json is missing"):
        assert text in err[0]


def test_a_classifier_is_not_trained_on_half_an_autoencoder(tmp_path, whole, capsys):
    shutil.copytree(whole, tmp_path / "copy")
    workdir = tmp_path / "copy" / "w"
    shutil.rmtree(workdir / "ae" / "8")
    arguments = ["--stage", "cls", "--dataset", str(whole / "pairs"), "--workdir", str(workdir), *SHORT]
    assert main(arguments) == 4
    assert "trained to step 4 only. Finish it with --stage ae first." in capsys.readouterr().err


@pytest.mark.slow
def test_a_damaged_log_stops_nothing(tmp_path, whole, capsys):
    shutil.copytree(whole, tmp_path / "copy")
    workdir = tmp_path / "copy" / "w"
    shutil.rmtree(workdir / "ae" / "8")
    (workdir / "ae" / "metrics.jsonl").write_bytes(
        b'\xff\n[]\n{"step": "x"}\n{"step": 3, "loss": 1.0}\n{"step": 4, "lo'
    )
    assert _train(workdir, whole / "pairs") == 0
    lines = (workdir / "ae" / "metrics.jsonl").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ['{"step": 3', '{"step": 6', '{"step": 8']
