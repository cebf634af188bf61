"""How a command ends: signals, errors and the state of its output become one exit code, for every command line.

The first SIGTERM or Ctrl-C ends a run in order and within seconds, the second at once. Python runs signal handlers in
its main thread between two bytecodes, and that thread may sit in XLA's compiler for a minute. So a thread of its own
hears of every signal (through the descriptor Python writes signal numbers to) and ends the process when the main thread
does not come to it. That is always safe: every file is written whole or not at all.
"""

import _thread
import contextlib
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple

from camfuse_jax.errors import CamfuseError, StoppedError
from camfuse_jax.system.files import as_resource_error

# What a terminal obeys instead of showing it: control characters, and those that turn the direction of text.
_COMMANDS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Outcome(NamedTuple):
    """How a command ended.

    Attributes:
        code: Exit code.
        everywhere: Whether all processes of a cluster end this way at the same time.
    """

    code: int
    everywhere: bool


def run_program(work: Callable[[], object], *, left: str) -> Outcome:
    """Calls `work` and turns what it raises into one line on standard error and an exit code.

    Args:
        work: The command.
        left: What to say of unfinished work when a signal ends it.
    """
    # Of damaged metadata; the pixels are checked. Once for the program: Python's filters belong to all threads.
    warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
    with _safe_streams():
        try:
            with handled(left), as_resource_error():
                work()
                sys.stdout.flush()  # a full disk behind `>` is an error as any other
            return Outcome(0, True)
        except BrokenPipeError:  # whoever read the output has ended, as `head` does
            _discard_output()
            return Outcome(141, False)
        except CamfuseError as error:
            if not _flushed():
                _discard_output()
            print(error if isinstance(error, StoppedError) else f"error: {error}", file=sys.stderr)
            return Outcome(error.exit_code, error.everywhere)
        except KeyboardInterrupt as stop:
            print(f"interrupted; {left}", file=sys.stderr)
            return Outcome(stop.exit_code if isinstance(stop, Stop) else 130, False)


class _Shown:
    """A text stream that shows control characters instead of sending them to the terminal."""

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(_COMMANDS.sub(lambda match: ascii(match[0])[1:-1], text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _safe_streams() -> Iterator[None]:
    """File names hold what they like, and a stream's encoding may know less: both are shown with escapes."""
    former: tuple[Any, Any] = sys.stdout, sys.stderr
    for stream in former:
        with contextlib.suppress(AttributeError, OSError, ValueError):  # not every replacement can
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = map(_Shown, former)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = former


def _flushed() -> bool:
    try:
        sys.stdout.flush()
    except OSError:
        return False
    return True


def _discard_output() -> None:
    """Python would try once more when it ends, and fail with a code of its own."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


PATIENCE_SECONDS = 4.5
SIGNALS = (signal.SIGTERM, signal.SIGINT)

_END = b"\0"
_AGAIN_SECONDS = 0.05


class Stop(KeyboardInterrupt):
    """Raised in the main thread by the first signal; no `except Exception` on the way stops it.

    Args:
        signum: Number of the signal.
    """

    def __init__(self, signum: int):
        super().__init__(signal.Signals(signum).name)
        self.exit_code = 128 + signum


class _State:
    deferred = False  # whether training is at work, which looks for signals itself
    received: int | None = None
    repeated = False  # whether the next number that the watcher reads is our own repetition


_state = _State()


@contextlib.contextmanager
def handled(left: str = "the same command goes on from the last checkpoint") -> Iterator[None]:
    """Handles both signals inside the block; for the main thread of a program.

    Inside `deferred` a first signal is only noted; elsewhere it raises `Stop`. If the block has not ended
    `PATIENCE_SECONDS` later, or at a second signal, the process exits with 128 and the signal's number.
    In any other thread than the main one nothing changes.

    Args:
        left: What to say of unfinished work where the process is ended that way.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe()
    if os.name == "posix":  # elsewhere Python neither can nor needs to
        os.set_blocking(writing, False)
    _state.deferred, _state.received, _state.repeated = False, None, False
    before = set(threading.enumerate())
    watcher = threading.Thread(target=_watch, args=(reading, left), name="signals", daemon=True)
    watcher.start()
    former_descriptor = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    former = {number: signal.signal(number, _note) for number in SIGNALS}
    former_hook, sys.unraisablehook = sys.unraisablehook, _repeat_lost
    try:
        yield
    finally:
        if _state.received is not None:  # Python would wait for them at its end, when nobody watches any more
            for thread in set(threading.enumerate()) - before - {watcher}:
                if not thread.daemon:
                    thread.join()
        sys.unraisablehook = former_hook
        signal.set_wakeup_fd(former_descriptor)
        for number, handler in former.items():
            signal.signal(number, handler)
        os.write(writing, _END)
        watcher.join()
        os.close(reading)
        os.close(writing)


@contextlib.contextmanager
def deferred() -> Iterator[Callable[[], int | None]]:
    """Inside the block a first signal is noted instead of raised.

    Yields:
        A function that returns the signal's number or None. A block that ends without having asked raises `Stop`.
    """
    _state.deferred = True
    try:
        yield lambda: _state.received
    finally:
        _state.deferred = False
    if _state.received is not None:
        raise Stop(_state.received)


def _note(number: int, frame: FrameType | None) -> None:
    del frame
    if _state.received is None:
        _state.received = number
        if not _state.deferred:
            raise Stop(number)


def _repeat_lost(lost: "sys.UnraisableHookArgs") -> None:
    """What a callback of the garbage collector raises goes nowhere; a lost `Stop` is raised again a moment later."""
    if not isinstance(lost.exc_value, Stop):
        sys.__unraisablehook__(lost)
        return
    _state.received, _state.repeated = None, True
    timer = threading.Timer(_AGAIN_SECONDS, _raise_again, args=(lost.exc_value.exit_code - 128,))
    timer.daemon = True
    timer.start()


def _raise_again(number: int) -> None:
    if hasattr(signal, "pthread_kill") and (main := threading.main_thread().ident) is not None:
        signal.pthread_kill(main, number)  # also ends what it waits in
    else:
        _thread.interrupt_main(signal.Signals(number))


def _watch(reading: int, left: str) -> None:
    """Ends the process where the main thread does not."""
    first = None
    while (byte := os.read(reading, 1)) != _END:
        number = byte[0]
        if number not in SIGNALS:
            continue
        if _state.repeated:
            _state.repeated = False
            continue
        if first is not None:
            os._exit(128 + number)
        first = number
        timer = threading.Timer(PATIENCE_SECONDS, _give_up, args=(number, left))
        timer.daemon = True
        timer.start()
    if first is not None:
        timer.cancel()


def _give_up(number: int, left: str) -> None:
    line = f"stopped before the work in hand was done; {left}\n"
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, line.encode())
    os._exit(128 + number)
