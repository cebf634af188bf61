"""Both training stages on the narrowest networks, in a process of its own that starts in a moment.

The processes are forked from a server that has imported everything but has not started JAX, and share compiled
programs, so that one costs a second or two instead of ten.
"""

import functools
import multiprocessing
import os
import pathlib
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess
from typing import Any

from camfuse_jax.data.synthetic import write_synthetic_dataset

PAIRS, SIDE = 4, 64
SETTINGS = (
    *("--preset", "tiny", "--net.init", "he", "--net.margin", "0", "--net.branches", "1", "--net.strides", "1", "2"),
    *("--net.encoder-widths", "4", "4", "4", "4", "4", "--net.decoder-widths", "4", "4", "4", "4"),
    *("--ae.batch-size", "4", "--ae.crop", "16", "--ae.steps-per-epoch", "40", "--ae.checkpoint-every", "4"),
    *("--cls.batch-size", "8", "--cls.crop", "16", "--cls.epochs", "40", "--cls.steps-per-epoch", "1"),
    *("--cls.checkpoint-every", "4", "--cls.distance-from-epoch", "4", "--ae.log-every", "3", "--cls.log-every", "3"),
)
DATASET = "pairs"
SAVES = 20
"""Checkpoints that both stages write together."""


@functools.cache
def _server() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["camfuse_jax.app", "camfuse_jax.stages.train_classifier"])
    return context


def make_data(folder: pathlib.Path) -> pathlib.Path:
    """Draws the pairs that are trained on and returns their folder."""
    write_synthetic_dataset(folder / DATASET, pairs=PAIRS, seed=0, height=SIDE, width=SIDE)
    return folder / DATASET


def start(
    workdir: pathlib.Path, data: pathlib.Path, *, before: Callable[[], None] | None = None, stages: Sequence[str] = ()
) -> ForkServerProcess:
    """Starts both stages; their output goes to `WORKDIR.log`.

    Args:
        workdir: Where they train.
        data: Folder from `make_data`; compiled programs are kept beside it.
        before: Called in the new process first.
        stages: Other stages than both.
    """
    process = _server().Process(target=_work, args=(workdir, data, before, tuple(stages) or ("ae", "cls")))
    process.start()
    return process


def _work(workdir: pathlib.Path, data: pathlib.Path, before: Callable[[], None] | None, stages: Sequence[str]) -> None:
    log = os.open(f"{workdir}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    # After the fork: the flags are read when JAX starts.
    os.environ.pop("XLA_FLAGS", None)
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    from camfuse_jax.app import main

    jax.config.update("jax_compilation_cache_dir", str(data.parent / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    if before is not None:
        before()
    for stage in stages:
        code = main(["--stage", stage, "--dataset", str(data), "--workdir", str(workdir), *SETTINGS])
        if code:
            sys.stdout.flush()
            os._exit(code)
    os._exit(0)


def stage_folders(workdir: pathlib.Path) -> list[pathlib.Path]:
    """Folders of both stages' checkpoints."""
    return [workdir / "ae", workdir / f"cls-{DATASET}"]


def weights(workdir: pathlib.Path) -> bytes:
    """The file that a finished run leaves: the weights of all three networks."""
    return (workdir / f"cls-{DATASET}" / "params.safetensors").read_bytes()


def finish(process: ForkServerProcess, *, seconds: float = 600.0) -> int:
    """Waits for a process and returns its exit code, negative for a signal.

    Raises:
        TimeoutError: If it does not end in time; it is killed.
    """
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError(f"training did not end within {seconds:.0f} seconds")
    return process.exitcode


def kill_after(process: ForkServerProcess, seconds: float) -> int:
    """Sends SIGKILL after some time, unless the process has ended; returns its exit code."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    code = finish(process)
    timer.cancel()
    return code


def timed(process: ForkServerProcess) -> float:
    """Seconds until a process ends.

    Raises:
        RuntimeError: If it fails.
    """
    started = time.monotonic()
    code = finish(process)
    if code:
        raise RuntimeError(f"uninterrupted training ended with exit code {code}")
    return time.monotonic() - started
