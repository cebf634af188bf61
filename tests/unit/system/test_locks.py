"""Locks: one writer, also across processes, and freed by whatever end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import camfuse_jax
from camfuse_jax.errors import ResourceError
from camfuse_jax.system.files import locked

HOLD = """
import pathlib, sys
from camfuse_jax.system.files import locked
with locked(pathlib.Path(sys.argv[1]), shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Starts another process that holds the folder's lock."""
    started = []

    def start(kind):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path), kind],
            env={**os.environ, "PYTHONPATH": str(Path(camfuse_jax.__file__).parents[1])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_another_process_is_kept_out_until_it_is_killed(tmp_path, holder):
    process = holder("exclusive")
    for shared in (False, True):
        with pytest.raises(ResourceError, match=f"in use by process {process.pid} on"), locked(tmp_path, shared=shared):
            pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    with locked(tmp_path):
        pass


def test_readers_admit_readers_only(tmp_path, holder):
    holder("shared")
    with locked(tmp_path, shared=True):
        pass
    with pytest.raises(ResourceError, match="in use by another process"), locked(tmp_path):
        pass


def test_an_error_inside_frees_the_lock(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        1 / 0  # noqa: B018
    with locked(tmp_path):
        pass


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError), locked(tmp_path / "no"):
        pass


def test_a_lock_that_is_a_link_to_another_file_leaves_that_file_alone(tmp_path):
    for number, make in enumerate((os.symlink, os.link)):
        folder, precious = tmp_path / str(number), tmp_path / f"precious{number}"
        folder.mkdir()
        precious.write_text("kept")
        make(precious, folder / ".lock")
        with pytest.raises(ResourceError, match="cannot be a lock"), locked(folder):
            pass
        assert precious.read_text() == "kept"
