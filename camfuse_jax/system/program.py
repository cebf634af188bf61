"""How a command ends: signals, errors and the state of its output become one exit code, for every command line."""

import contextlib
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from camfuse_jax.errors import CamfuseError, StoppedError
from camfuse_jax.system import signals
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
            with signals.handled(left), as_resource_error():
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
            return Outcome(stop.exit_code if isinstance(stop, signals.Stop) else 130, False)


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
