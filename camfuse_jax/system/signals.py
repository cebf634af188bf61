"""SIGTERM and Ctrl-C: the first ends a run in order and within seconds, the second at once.

Python runs signal handlers in its main thread between two bytecodes, and that thread may sit in XLA's compiler for a
minute. So a thread of its own hears of every signal (through the descriptor Python writes signal numbers to) and ends
the process when the main thread does not come to it. That is always safe: every file is written whole or not at all.
"""

import _thread
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

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
