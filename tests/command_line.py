"""The real command line in a process of its own."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import camfuse_jax

RUN = Path(__file__).resolve().parents[1] / "experiments" / "run.py"
HEIGHT, WIDTH = 41, 53  # of the fixture `pair`
PACKAGE_ROOT = Path(camfuse_jax.__file__).parents[1]


def environment(cache):
    """What a user's shell has, and a folder where compiled programs are kept between calls."""
    flags = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if "device_count" not in flag]
    return {
        **os.environ,
        "XLA_FLAGS": " ".join(flags),
        "PYTHONPATH": str(PACKAGE_ROOT),
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "COLUMNS": "120",
    }


def run_command(*arguments, cache, cwd, timeout=400):
    """Runs experiments/run.py; returns the finished process with its text."""
    command = [sys.executable, str(RUN), *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environment(cache), capture_output=True, text=True, timeout=timeout, check=False
    )


def run_camfuse(*arguments, cache, cwd, timeout=400):
    """Runs the `camfuse` command; returns the finished process with its text."""
    command = [sys.executable, "-W", "error", "-m", "camfuse_jax.cli", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environment(cache), capture_output=True, text=True, timeout=timeout, check=False
    )


def refused(done, code, *told):
    """Asserts an exit code, one error line that says what is told, and no traceback."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for text in told:
        assert str(text) in done.stderr


def free_port():
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
