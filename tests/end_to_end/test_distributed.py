"""Training of several processes through the real command: one process's losses, and an end for all when one ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from command_line import RUN, environment
from stress.fixtures import SETTINGS

from camfuse_jax.data.synthetic import write_synthetic_dataset

SHORT = (*SETTINGS, "--ae.steps-per-epoch", "8", "--cls.epochs", "8", "--ae.log-every", "1", "--cls.log-every", "1")
LONG = (*SHORT, "--ae.steps-per-epoch", "100000")


class _Cluster:
    """Trainings started together, each in a process of its own."""

    def __init__(self, folder, workdir, count, *arguments):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        self.processes = []
        for number in range(count):
            place = ("--coordinator", f"localhost:{port}", "--processes", count, "--process", number)
            place = place if count > 1 else ()
            command = [RUN, *arguments, "--workdir", workdir, "--dataset", folder / "pairs", *place]
            process = subprocess.Popen(
                [sys.executable, *map(str, command)],
                cwd=folder,
                env=environment(folder / "cache"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            self.processes.append(process)

    def end(self, seconds=400):
        """Exit codes and what was told, of each process."""
        told = [process.communicate(timeout=seconds)[1] for process in self.processes]
        return [process.returncode for process in self.processes], told


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    write_synthetic_dataset(folder / "pairs", pairs=4, seed=0, height=64, width=64)
    for stage in ("ae", "cls"):
        codes, told = _Cluster(folder, folder / "w1", 1, "--stage", stage, *SHORT).end()
        assert codes == [0], told
    return folder


def _losses(workdir, stage):
    lines = (workdir / stage / "metrics.jsonl").read_text().splitlines()
    return {line["step"]: line["loss"] for line in map(json.loads, lines)}


def _await_step(workdir, step):
    """Waits until a step is reported."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        path = workdir / "ae" / "metrics.jsonl"
        if path.exists() and max([0, *_losses(workdir, "ae")]) >= step:
            return
        time.sleep(0.1)
    raise AssertionError("training did not get there")


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_the_losses_of_one_process(folder, count):
    workdir = folder / f"w{count}"
    for stage, where in (("ae", "ae"), ("cls", "cls-pairs")):
        codes, told = _Cluster(folder, workdir, count, "--stage", stage, *SHORT).end()
        assert codes == [0] * count, told
        one, several = _losses(folder / "w1", where), _losses(workdir, where)
        assert len(one) == 8
        assert several == pytest.approx(one, rel=1e-6)


@pytest.mark.slow
def test_one_is_lost_and_all_go_on_from_the_last_step(folder):
    workdir = folder / "lost"
    cluster = _Cluster(folder, workdir, 2, "--stage", "ae", *LONG)
    _await_step(workdir, 7)
    cluster.processes[1].kill()
    codes, told = cluster.end(60)
    assert codes == [5, -signal.SIGKILL], told
    assert "Another process of the 2 is gone" in told[0]
    assert "Traceback" not in told[0]
    before = _losses(workdir, "ae")
    again = _Cluster(folder, workdir, 2, "--stage", "ae", *LONG)
    _await_step(workdir, max(before) + 2)
    again.processes[0].kill()  # the leader: the other one ends as well, by itself or by JAX
    codes, told = again.end(100)
    assert codes[0] == -signal.SIGKILL
    assert codes[1] in (5, -signal.SIGABRT), told
    after = _losses(workdir, "ae")
    assert before.keys() < after.keys()
    assert [after[step] for step in before] == pytest.approx(list(before.values()))


@pytest.mark.slow
def test_a_signal_to_one_saves_and_ends_all(folder):
    workdir = folder / "stopped"
    cluster = _Cluster(folder, workdir, 2, "--stage", "ae", *LONG)
    _await_step(workdir, 5)
    os.kill(cluster.processes[1].pid, signal.SIGTERM)
    codes, told = cluster.end(60)
    assert codes == [143, 143], told
    steps = [int(path.name) for path in (workdir / "ae").iterdir() if path.name.isdigit()]
    for text in told:
        assert f"ae: stopped and saved after step {max(steps)}." in text


@pytest.mark.slow
def test_what_fails_in_the_leader_is_told_by_all(folder):
    changed = (*SHORT, "--ae.learning-rate", "0.5")
    codes, told = _Cluster(folder, folder / "w1", 2, "--stage", "ae", *changed).end()
    assert codes == [4, 4], told
    assert all("was trained with another config" in text for text in told)


@pytest.mark.slow
def test_a_loss_that_is_nan_ends_all(folder):
    broken = (*SHORT, "--ae.learning-rate", "1e38")
    codes, told = _Cluster(folder, folder / "nan", 2, "--stage", "ae", *broken).end()
    assert codes == [1, 1], told
    assert all("Traceback" not in text for text in told)


@pytest.mark.slow
def test_other_stages_are_for_one_process(folder):
    codes, told = _Cluster(folder, folder / "w1", 2, "--stage", "eval", *SHORT).end()
    assert codes == [2, 2]
    assert "Stage eval is for one process" in told[0]
