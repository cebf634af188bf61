"""Thousands of malformed files, each of which must be used or refused by name, in time and without much memory."""

import contextlib
import io
import pathlib
import random
import resource
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator
from types import FrameType

from camfuse_jax.errors import CamfuseError
from camfuse_jax.stress.memory import resident_mebibytes
from camfuse_jax.stress.mutate import mutate
from camfuse_jax.stress.outcome import Outcome
from camfuse_jax.stress.targets import TARGETS, Target

SECONDS, MEBIBYTES = 5, 1024
_WALL = 60  # seconds; the five count this process's own work, others may share the machine


class _HangError(BaseException):
    """Not an Exception, so that nothing on the way takes it for a damaged file."""


def fuzz(*, count: int, seed: int, targets: tuple[str, ...] = tuple(TARGETS)) -> list[Outcome]:
    """Tries mutated files of every kind in this process.

    Args:
        count: Mutations of images; of each other kind a quarter of that.
        seed: Seed of the mutations.
        targets: Names of the kinds.

    Returns:
        One row per kind. A failure is any error but ours, one of ours that does not name the file, more than
        5 seconds, or more than 1 GiB of memory.
    """
    outcomes = []
    for name in targets:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            number = count if name == "images" else max(count // 4, 1)
            outcomes.append(_fuzz_one(name, TARGETS[name](pathlib.Path(folder)), number, random.Random(seed)))
    return outcomes


def _fuzz_one(name: str, target: Target, count: int, rng: random.Random) -> Outcome:
    outcome = Outcome(f"malformed {name}")
    _try(target, target.seeds[0])  # compiles
    before, held, slowest = _memory(), resident_mebibytes(), 0.0
    for number in range(count):
        seed = target.seeds[number % len(target.seeds)]
        # The seeds themselves first: some are valid in an unusual way, some are hostile as they are.
        content = seed if number < len(target.seeds) else mutate(seed, target.seeds, rng)
        started = time.process_time()
        told = _try(target, content)
        seconds = time.process_time() - started
        slowest = max(slowest, seconds)
        outcome.count("refused" if told == "refused" else "used", int(told in ("refused", "used")))
        outcome.check(told in ("refused", "used"), f"case {number}: {told}")
        if seconds > SECONDS:
            outcome.failures.append(f"case {number}: {seconds:.1f} s")
    # The most ever had does not grow where the process was larger before; what it holds now still does.
    grown = max(_memory() - before, resident_mebibytes() - held)
    if grown > MEBIBYTES:
        outcome.failures.append(f"memory grew by {grown:.0f} MiB")
    outcome.notes |= {"slowest s": round(slowest, 2), "most memory MiB": round(grown)}
    return outcome


def _try(target: Target, content: bytes) -> str:
    try:
        with _watchdog(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a decoder may doubt a file and still read it
            target.use(content)
    except CamfuseError as error:
        text = str(error)
        if target.named not in text:
            return f"refused without naming the file: {text[:200]}"
        return "refused" if "\n" not in text else f"refused in several lines: {text[:200]!r}"
    except _HangError:
        return "hangs"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "used"


@contextlib.contextmanager
def _watchdog() -> Iterator[None]:
    def bark(number: int, frame: FrameType | None) -> None:
        raise _HangError

    former = signal.signal(signal.SIGALRM, bark)
    signal.setitimer(signal.ITIMER_REAL, _WALL)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def _memory() -> float:
    """The most memory this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
