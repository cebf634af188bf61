"""One program in a process of its own: so that threads and memory of the compared programs do not mix."""

import dataclasses
import importlib
import os
import pathlib
import time
from multiprocessing.connection import Connection
from typing import Any

from camfuse_jax.config import Config
from camfuse_jax.errors import UsageError

RUN, STOP = "run", "stop"


@dataclasses.dataclass(frozen=True)
class Case:
    """What is timed.

    Attributes:
        work: `fuse`, `ae` or `cls`.
        count: Pairs, or images of a training batch.
        height: Rows.
        width: Columns.
        weights: As `load_params` takes them.
        config: Settings of training.
        threads: Processor threads; 0 means all.
    """

    work: str
    count: int
    height: int
    width: int
    weights: str
    config: Config
    threads: int = 0

    @property
    def told(self) -> str:
        """Images of a call in words."""
        return f"{self.count} of {self.width}x{self.height}"


def serve(pipe: Connection, backend: str, case: Case) -> None:
    """Prepares a call, says how long the first took, and makes one more for each `RUN` until `STOP`.

    Sends `("ready", seconds)` or `("missing", why)`, then `(seconds, processor seconds)` per call, then `(bytes of
    memory at the peak above what the loaded libraries take, device)`.
    """
    limit_threads(case.threads)
    os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"  # or "first call" would be a read from disk
    try:
        programs = importlib.import_module("torch_reference.bench_programs")
        program = programs.PROGRAMS[backend](case)
    except (ImportError, UsageError) as error:
        pipe.send(("missing", f"not installed or not possible: {error}"))
        return
    before = memory("VmRSS")
    start = time.perf_counter()
    try:
        program.call()
    except Exception as error:  # whatever a compiler may raise: the row then says so instead of a time
        pipe.send(("missing", f"failed: {type(error).__name__}: {str(error).splitlines()[0][:200]}"))
        return
    pipe.send(("ready", time.perf_counter() - start))
    while pipe.recv() == RUN:
        wall, used = time.perf_counter(), time.process_time()
        program.call()
        pipe.send((time.perf_counter() - wall, time.process_time() - used))
    pipe.send((program.device_memory() or memory("VmHWM") - before, program.device))


def limit_threads(threads: int) -> None:
    """Ties the process to its first processors: those threads too that NumPy has already made for its products."""
    if threads:
        first = sorted(os.sched_getaffinity(0))[:threads]
        for thread in pathlib.Path("/proc/self/task").iterdir():
            os.sched_setaffinity(int(thread.name), first)


def memory(field: str) -> int:
    """Bytes of this process: `VmRSS` now, `VmHWM` at the peak (Linux)."""
    lines: list[Any] = [line.split() for line in pathlib.Path("/proc/self/status").read_text().splitlines()]
    return next(int(words[1]) * 1024 for words in lines if words[0] == f"{field}:")
