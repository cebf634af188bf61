"""SIGKILL at random moments of both training stages, and around every file operation of a save."""

import dataclasses
import os
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time
from typing import Any

from camfuse_jax.training import checkpoint, manifest
from camfuse_jax.training import step as parallel
from camfuse_jax.training.checkpoint import StageCheckpoints
from stress import fixtures
from stress.outcome import Outcome

_OPERATIONS = 60
_LONGEST_DELAY = 0.03  # seconds; a save of these networks takes about twice that


@dataclasses.dataclass(frozen=True)
class KillAtStep:
    """Kills its own process some time after a training step has begun.

    Attributes:
        step: Which step of the process, from 0, whatever the stage.
        delay: Seconds after its begin.
    """

    step: int
    delay: float

    def __call__(self) -> None:
        """Prepares the kill."""
        original, steps = parallel.make_step, [0]

        def make_step(*arguments: Any, **options: Any) -> Any:
            run = original(*arguments, **options)

            def counted(*arguments: Any) -> Any:
                if steps[0] == self.step:
                    threading.Thread(target=_kill, args=(self.delay,)).start()
                steps[0] += 1
                return run(*arguments)

            return counted

        parallel.make_step = make_step


@dataclasses.dataclass(frozen=True)
class KillInSave:
    """Kills its own process at a moment of a save.

    Attributes:
        save: Which save of the process, from 0.
        event: Which file operation of that save, from 0 (Python's own; the arrays are written by threads of C++).
        delay: Seconds to wait after it.
    """

    save: int
    event: int
    delay: float

    def __call__(self) -> None:
        """Prepares the kill."""
        original, saves, events = StageCheckpoints.save, [0], [-1]

        def save(*arguments: Any, **options: Any) -> None:
            events[0] = 0 if saves[0] == self.save else -1
            saves[0] += 1
            original(*arguments, **options)
            if events[0] >= 0:
                _kill(0)  # the save had fewer operations: right after it

        def hook(name: str, arguments: tuple[object, ...]) -> None:
            del arguments
            if events[0] < 0 or not (name == "open" or name.startswith(("os.", "shutil."))):
                return
            events[0] += 1
            if events[0] == self.event + 1:
                events[0] = -1
                if self.delay:
                    threading.Thread(target=_kill, args=(self.delay,)).start()
                else:
                    _kill(0)

        StageCheckpoints.save = save  # type: ignore[method-assign]
        sys.addaudithook(hook)


def _kill(delay: float) -> None:
    time.sleep(delay)
    os.kill(os.getpid(), signal.SIGKILL)


def kills(*, count: int, inside: int, seed: int) -> list[Outcome]:
    """Kills trainings again and again; each is started again until it is done, and must end as if nothing had been.

    Args:
        count: Kills at random moments.
        inside: Kills inside a save.
        seed: Seed of the moments.

    Returns:
        Two rows; a failure is a run that does not go on, loses a step it had, shows a damaged step, or ends with
        other weights than the uninterrupted one.
    """
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        data = fixtures.make_data(folder)
        fixtures.timed(fixtures.start(folder / "first", data))  # compiles
        seconds = fixtures.timed(fixtures.start(folder / "whole", data))
        same = fixtures.weights(folder / "first") == fixtures.weights(folder / "whole")
        anywhere = Outcome("kills at random moments", notes={"one run takes s": round(seconds, 1)})
        within = Outcome("kills inside a save")
        for outcome in (anywhere, within):
            if not same:
                outcome.failures.append("two uninterrupted runs differ")
        life = 0
        while anywhere.tried < count or within.tried < inside:
            outcome = anywhere if anywhere.tried < count else within
            wanted = count if outcome is anywhere else inside
            _live(folder / f"life{life}", folder / "whole", data, outcome, wanted=wanted, seconds=seconds, rng=rng)
            life += 1
    return [outcome for outcome, asked in ((anywhere, count), (within, inside)) if asked]


def _live(
    workdir: pathlib.Path,
    whole: pathlib.Path,
    data: pathlib.Path,
    outcome: Outcome,
    *,
    wanted: int,
    seconds: float,
    rng: random.Random,
) -> None:
    """One workdir from its start to its end."""
    had = [0, 0]
    while True:
        enough = outcome.tried >= wanted
        if enough:
            code = fixtures.finish(fixtures.start(workdir, data))
        elif outcome.name.endswith("save"):
            delay = rng.choice((0.0, 0.0, rng.uniform(0, _LONGEST_DELAY)))
            when: Any = KillInSave(rng.randrange(3), rng.randrange(_OPERATIONS), delay)
            code = fixtures.finish(fixtures.start(workdir, data, before=when))
        elif rng.random() < 0.2:
            code = fixtures.kill_after(fixtures.start(workdir, data), rng.uniform(0, seconds))
        else:
            when = KillAtStep(rng.randrange(16), rng.uniform(0, 0.2))
            code = fixtures.finish(fixtures.start(workdir, data, before=when))
        if code == -signal.SIGKILL:
            had = _look(workdir, outcome, had)
            continue
        outcome.count("runs finished")
        if code:
            told = pathlib.Path(f"{workdir}.log").read_text().splitlines()[-1:]
            outcome.failures.append(f"exit code {code} after kills: {told}")
        elif fixtures.weights(workdir) != fixtures.weights(whole):
            outcome.failures.append(f"{workdir.name} ended with other weights")
        return


def _look(workdir: pathlib.Path, outcome: Outcome, had: list[int]) -> list[int]:
    """Checks what a kill left: only whole steps under a number, and none of those that were there lost."""
    newest, problems, half = [], [], False
    for folder in fixtures.stage_folders(workdir):
        there = list(folder.iterdir()) if folder.is_dir() else []
        half = half or any(path.name.startswith((".saving", ".removing")) for path in there)
        steps = sorted(int(path.name) for path in there if path.name.isdigit())
        config = manifest.digest(checkpoint.read_stage_config(folder)) if steps else ""
        told = [manifest.problem(folder / str(step), step=step, config=config) for step in steps]
        problems += [f"{folder.name}/{step}: {text}" for step, text in zip(steps, told, strict=True) if text]
        newest.append(max(steps, default=0))
    lost = [f"had step {a}, has {b}" for a, b in zip(had, newest, strict=True) if b < a]
    outcome.check(not problems and not lost, "; ".join(problems + lost))
    outcome.count("left a half-written step", int(half))
    outcome.count("in the classifier", int(newest[1] > 0))
    return newest
