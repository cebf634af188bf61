"""Full disks, names and folders that refuse: one line, exit code 5, former results as they were."""

import os
import shutil
import subprocess

import numpy as np
import pytest
from command_line import run_command
from stress import fixtures
from stress.fixtures import SETTINGS

from camfuse_jax import save_params
from camfuse_jax.data.synthetic import write_synthetic_dataset
from camfuse_jax.images.read import read_gray
from camfuse_jax.images.write import write_picture
from camfuse_jax.stages import run_stages as main


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    for kind, seed in (("ir", 0), ("vis", 1)):
        for name in ("a", "b"):
            write_picture(folder / kind / f"{name}.png", fixtures.picture(seed, (60, 80)))
    save_params(folder / "fixtures.safetensors", fixtures.params())
    return folder


@pytest.fixture
def tiny_disk(tmp_path):
    """A folder on a disk of 64 KiB; skips where none can be made."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _fuse(capsys, sources, out, ir="ir", vis="vis"):
    arguments = ["--stage", "fuse", "--ir", sources / ir, "--vis", sources / vis, "--out", out]
    code = main([str(a) for a in (*arguments, "--weights", sources / "fixtures.safetensors")])
    return code, capsys.readouterr().err.splitlines()


def test_a_full_disk_while_fusing(capsys, sources, tiny_disk):
    assert _fuse(capsys, sources, tiny_disk, "ir/a.png", "vis/a.png")[0] == 0
    before = {path.name: path.read_bytes() for path in tiny_disk.iterdir()}
    (tiny_disk / "filler").write_bytes(b"x" * (64 * 1024 - sum(-(-len(b) // 4096) * 4096 for b in before.values())))
    code, err = _fuse(capsys, sources, tiny_disk)
    assert code == 5
    (told,) = [line for line in err if line.startswith("error")]
    assert str(tiny_disk / "b.png") in told
    assert "No space left" in told
    assert {path.name: path.read_bytes() for path in tiny_disk.iterdir() if path.name != "filler"} == before


@pytest.mark.slow
def test_a_full_disk_while_training(tmp_path, tiny_disk):
    write_synthetic_dataset(tmp_path / "pairs", pairs=4, seed=0, height=64, width=64)
    arguments = ["--stage", "ae", "--dataset", str(tmp_path / "pairs"), "--workdir", str(tiny_disk), *SETTINGS]
    # In a process of its own: Orbax leaves tasks behind when the disk is full, which pytest takes for an error here.
    assert "No space left on device" in _told(arguments, tmp_path)
    # With the data prepared elsewhere, or enough space for it, the checkpoints are what does not fit.
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "ae").symlink_to(tiny_disk)
    shutil.rmtree(tiny_disk / "data", ignore_errors=True)
    arguments[arguments.index(str(tiny_disk))] = str(tmp_path / "w")
    place = tmp_path / "w" / "ae"
    told = f"error: Step 4 could not be saved in {place}: No space left on device."
    assert _told(arguments, tmp_path).startswith(told)


def _told(arguments, tmp_path):
    done = run_command(*arguments, "--ae.steps-per-epoch", "8", cache=tmp_path / "cache", cwd=tmp_path)
    assert done.returncode == 5, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert "Traceback" not in done.stderr
    return line


def test_a_target_that_is_a_file(capsys, sources, tmp_path):
    (tmp_path / "out").write_text("precious")
    code, err = _fuse(capsys, sources, tmp_path / "out")
    assert (code, len(err)) == (5, 1)
    assert (tmp_path / "out").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_rights(capsys, sources, tmp_path):
    (tmp_path / "out").mkdir(mode=0o555)
    code, err = _fuse(capsys, sources, tmp_path / "out")
    assert (code, len(err)) == (5, 1)


def test_names_of_other_scripts_and_of_the_greatest_length(capsys, sources, tmp_path):
    name = "n" * 251 + ".png"
    for kind in ("ir", "vis"):
        (tmp_path / "夜 вид" / kind).mkdir(parents=True)
        shutil.copy(sources / kind / "a.png", tmp_path / "夜 вид" / kind / name)
        shutil.copy(sources / kind / "a.png", tmp_path / "夜 вид" / kind / "é ü.png")
    out = tmp_path / "夜 вид" / "résultat"
    arguments = ["--ir", tmp_path / "夜 вид" / "ir", "--vis", tmp_path / "夜 вид" / "vis", "--out", out]
    assert main([str(a) for a in ("--stage", "fuse", *arguments, "--weights", sources / "fixtures.safetensors")]) == 0
    np.testing.assert_array_equal(read_gray(out / name), read_gray(out / "é ü.png"))
    capsys.readouterr()
    # A single pair has heat maps, whose names are longer still.
    pair = ("--ir", arguments[1] / name, "--vis", arguments[3] / name, "--out", out)
    assert main([str(a) for a in ("--stage", "fuse", *pair, "--weights", sources / "fixtures.safetensors")]) == 5
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1
    assert "File name too long" in err[0]
