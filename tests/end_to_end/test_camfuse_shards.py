"""`camfuse fuse` shared among processes: each takes its part, together they do what one does."""

import json
import subprocess
import sys

import numpy as np
import pytest
from command_line import environment, free_port, refused

from camfuse_jax.data.synthetic import synthetic_pair
from camfuse_jax.images.write import write_picture

NAMES = [f"{number:02d}" for number in range(1, 8)]


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(NAMES):
        ir, vis = synthetic_pair(number, 24, 30)
        write_picture(tmp_path / "ir" / f"{name}.png", ir)
        write_picture(tmp_path / "vis" / f"{name}.png", np.stack([vis, vis // 2, 255 - vis], -1))
    write_picture(tmp_path / "ir" / "alone.png", ir)
    return tmp_path


def _contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_parts_are_everything_and_share_nothing(camfuse, folder, weights):
    """Two parts, one of them twice: it goes on where it was; the orphan is told by the first part only."""
    common = ("fuse", "ir", "vis", "-o", "o", "--weights", weights, "--json")
    first = camfuse(*common, "--shard", "1/2", cwd=folder)
    refused(first, 1, "1 file pairs with nothing")
    report = json.loads(first.stdout)
    assert report["shard"] == "1/2"
    assert [entry["name"] for entry in report["pairs"]] == NAMES[0::2]
    assert {path.stem for path in (folder / "o").iterdir()} == set(NAMES[0::2])
    (folder / "o" / "03.png").unlink()
    again = json.loads(camfuse(*common, "--shard", "1/2", cwd=folder).stdout)
    assert (again["counts"]["fused"], again["counts"]["skipped"]) == (1, 3)
    second = camfuse(*common, "--shard", "2/2", cwd=folder)
    assert second.returncode == 0, second.stderr
    assert [entry["name"] for entry in json.loads(second.stdout)["pairs"]] == NAMES[1::2]
    whole = json.loads(camfuse(*common, cwd=folder).stdout)
    assert (whole["counts"]["fused"], whole["counts"]["skipped"]) == (0, 7)
    empty = camfuse(*common[:-1], "--shard", "9/9", cwd=folder)
    assert (empty.returncode, empty.stdout) == (0, "shard 9/9: 0 of 7 pairs\n")


def test_what_cannot_be_a_part(camfuse, folder):
    for arguments, told in (
        (("--shard", "0/2"), "--shard 0/2"),
        (("--shard", "3/2"), "--shard 3/2"),
        (("--shard", "1"), "I/N"),
        (("--shard", "1/2", "--distributed"), "--shard is given beside"),
        (("--distributed",), "does not know its place"),
        (("--coordinator", "here", "--processes", "2", "--process", "0"), "HOST:PORT"),
        (("--coordinator", "here:1", "--processes", "2", "--process", "2"), "--process 2 of 2"),
    ):
        refused(camfuse("fuse", "ir", "vis", *arguments, cwd=folder), 2, told)
    refused(camfuse("fuse", "ir", "vis", "-o", "v.mp4", "--shard", "1/2", cwd=folder), 2, "not for videos")


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_processes_of_a_cluster_do_what_one_does(camfuse, folder, weights, tmp_path_factory, count):
    """`jax.distributed` on this machine: the union of the parts is the single process's folder, byte for byte."""
    (folder / "ir" / "alone.png").unlink()
    common = ("fuse", "ir", "vis", "--weights", str(weights))
    assert camfuse(*common, "-o", "one", cwd=folder).returncode == 0
    cluster = ("--coordinator", f"127.0.0.1:{free_port()}", "--processes", str(count), "--process")
    cache = environment(tmp_path_factory.getbasetemp() / "jax-cache")
    command = [sys.executable, "-m", "camfuse_jax.cli", *common, "-o", "many", *cluster]
    processes = [
        subprocess.Popen(
            [*command, str(i)], cwd=folder, env=cache, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for i in range(count)
    ]
    told = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0] * count, told
    for i, (out, _) in enumerate(told):
        done = [line for line in out.splitlines() if line.startswith("fused: ")]
        assert f"shard {i + 1}/{count}: {len(done)} of 7 pairs" in out
        assert len(done) == len(NAMES[i::count])
    assert _contents(folder / "many") == _contents(folder / "one")
    assert len(_contents(folder / "one")) == len(NAMES)


@pytest.mark.slow
def test_a_process_that_dies_takes_no_other_with_it(folder, weights, tmp_path_factory):
    """The cluster is left once each knows its number: one is killed, the other finishes its part."""
    cluster = ("--coordinator", f"127.0.0.1:{free_port()}", "--processes", "2", "--process")
    cache = environment(tmp_path_factory.getbasetemp() / "jax-cache")
    command = [
        sys.executable,
        "-m",
        "camfuse_jax.cli",
        "fuse",
        "ir",
        "vis",
        "-o",
        "o",
        "--weights",
        str(weights),
        *cluster,
    ]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # Process 1 finds its weights unreadable as soon as it has joined, and ends with 4.
    bad = [*command, "1", "--weights", "none.safetensors"]
    first = subprocess.Popen([*command, "0"], cwd=folder, env=cache, **pipes)
    second = subprocess.Popen(bad, cwd=folder, env=cache, **pipes)
    assert second.communicate(timeout=200)[1].startswith("error: There are no weights")
    out, err = first.communicate(timeout=200)
    assert (second.returncode, first.returncode) == (4, 1), err  # 1: the orphan
    assert "shard 1/2: 4 of 7 pairs" in out
