"""A process of its own for work on untrusted files that nothing else bounds, with limits of time and memory."""

import atexit
import contextlib
import os
import selectors
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import IO

_PATIENCE = 20  # seconds on the clock for one of processor time: a busy machine gives less than one processor


class LimitedProcess:
    """One process for all calls, started with the first and again after one that broke a limit; callers take turns.

    It is ended with the program. Ctrl-C in a terminal does not reach it: its parent decides.

    Args:
        code: Python that the process runs; it ends in a call of `answer_requests`.
    """

    def __init__(self, code: str):
        self._code, self._lock, self._owner = code, threading.Lock(), 0
        self._process: subprocess.Popen | None = None
        atexit.register(self.close)

    def close(self) -> None:
        """Ends the process; the next call starts another."""
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.communicate()

    def call(self, request: bytes, *, seconds: float) -> bytes | None:
        """What the process answers; None where it was ended by a limit.

        Args:
            request: For the function that `answer_requests` was given.
            seconds: Processor time that the process allows itself at most.
        """
        with self._lock:
            try:
                process = self._started()
                assert process.stdin is not None
                assert process.stdout is not None
                with contextlib.suppress(BrokenPipeError):  # it ended: nothing is received either
                    _send(process.stdin, request)
                reply = _receive(process.stdout, time.monotonic() + _PATIENCE * seconds)
            except BaseException:  # an answer that nobody waited for must not be the next one's
                self.close()
                raise
            if reply is None:
                self.close()
            return reply

    def _started(self) -> subprocess.Popen:
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            self.close()
            threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
            self._owner = os.getpid()
            self._process = subprocess.Popen(
                [sys.executable, "-c", self._code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | threads | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
                start_new_session=True,
            )
        return self._process


def answer_requests(answer: Callable[[bytes], bytes]) -> None:
    """Calls a function on each request until the parent is gone. For a fresh process."""
    while (request := _receive(sys.stdin.buffer, None)) is not None:
        reply = answer(request)
        limit_process(seconds=0)
        _send(sys.stdout.buffer, reply)


def limit_process(*, seconds: float, memory: int | None = None) -> None:
    """Sets what this process may use from now on: it is ended after the time, and allocations over the memory fail.

    Args:
        seconds: Processor time; 0 for no limit.
        memory: Bytes of address space; None to leave that limit.
    """
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGPROF, signal.SIG_DFL)  # the system ends the process, inside a decoder in C too
        signal.setitimer(signal.ITIMER_PROF, seconds)
    with contextlib.suppress(ImportError):  # Windows has no such limit
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        if memory is not None:
            resource.setrlimit(resource.RLIMIT_AS, (memory if hard < 0 else min(memory, hard), hard))


def _send(pipe: IO[bytes], content: bytes) -> None:
    pipe.write(struct.pack("<Q", len(content)) + content)
    pipe.flush()


def _receive(pipe: IO[bytes], deadline: float | None) -> bytes | None:
    """A message, or None where the other end is gone or the time is up."""
    length = _exactly(pipe, 8, deadline)
    return None if length is None else _exactly(pipe, struct.unpack("<Q", length)[0], deadline)


def _is_ready(pipe: IO[bytes], seconds: float) -> bool:
    with selectors.DefaultSelector() as selector:  # `select` refuses descriptors from 1,024 on, as servers have
        selector.register(pipe, selectors.EVENT_READ)
        return bool(selector.select(seconds))


def _exactly(pipe: IO[bytes], size: int, deadline: float | None) -> bytes | None:
    content = bytearray()
    while len(content) < size:
        if deadline is not None and not _is_ready(pipe, max(deadline - time.monotonic(), 0)):
            return None
        part = os.read(pipe.fileno(), min(size - len(content), 2**20))
        if not part:
            return None
        content += part
    return bytes(content)
