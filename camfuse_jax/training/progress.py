"""Progress of training: a bar on a terminal, a line now and then elsewhere, `metrics.jsonl` always."""

import json
import math
import pathlib
import sys
import time
from collections.abc import Mapping
from typing import TextIO

from tqdm import tqdm

from camfuse_jax.errors import ResourceError
from camfuse_jax.system.files import write_atomically

_SECONDS_BETWEEN_LINES = 30.0


class Progress:
    """Reports a stage's progress.

    Args:
        title: Name of the stage.
        total_steps: Steps of the whole stage.
        first_step: Step at which this run goes on.
        batch_size: Images per step.
        metrics_file: JSON lines, one object per report; lines of steps not reached any more are dropped. None for
            processes that follow another one: then nothing is reported.
        stream: Where to draw; standard error by default.
    """

    def __init__(
        self,
        title: str,
        *,
        total_steps: int,
        first_step: int,
        batch_size: int,
        metrics_file: pathlib.Path | None,
        stream: TextIO | None = None,
    ):
        self._title, self._total, self._batch_size = title, total_steps, batch_size
        self._stream = stream or sys.stderr
        self._file = metrics_file
        self._bar = None
        if metrics_file is None:
            return
        try:
            keep_until(metrics_file, first_step)
        except OSError as error:
            raise _unusable(metrics_file, error) from error
        if self._stream.isatty():
            self._bar = tqdm(total=total_steps, initial=first_step, desc=title, unit="step", file=self._stream)
        self._started = self._last_line = self._last_report = time.monotonic()
        self._first = self._last_step = first_step

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        """Reports metrics after `step` steps."""
        if self._file is None:
            return
        now = time.monotonic()
        speed = (step - self._last_step) * self._batch_size / max(now - self._last_report, 1e-9)
        entry = {"step": step, **{k: float(v) for k, v in metrics.items()}, "images_per_second": round(speed, 2)}
        try:
            with self._file.open("a") as file:
                file.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise _unusable(self._file, error) from error
        if self._bar is not None:
            self._bar.update(step - self._last_step)
            self._bar.set_postfix({k: f"{v:.4g}" for k, v in metrics.items()} | {"images/s": f"{speed:.0f}"})
        elif now - self._last_line >= _SECONDS_BETWEEN_LINES or step == self._total:
            self._last_line = now
            left = (now - self._started) / max(step - self._first, 1) * (self._total - step)
            values = ", ".join(f"{k} {v:.4g}" for k, v in metrics.items())
            line = f"{self._title}: step {step}/{self._total}, {values}, {speed:.0f} images/s, {_clock(left)} left"
            print(line, file=self._stream, flush=True)
        self._last_report, self._last_step = now, step

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()


def keep_until(metrics_file: pathlib.Path, step: int) -> None:
    """Drops the lines after `step`, which a resumed run writes again, and those that are cut short or damaged."""
    if not metrics_file.exists():
        return
    text = metrics_file.read_text(encoding="utf-8", errors="replace")
    kept = "".join(line + "\n" for line in text.split("\n") if _step_of(line) <= step)
    if kept != text:
        write_atomically(metrics_file, kept)


def _step_of(line: str) -> float:
    """The step a line reports, infinite for what is no report."""
    try:
        step = json.loads(line)["step"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return math.inf
    return step if isinstance(step, int) else math.inf


def _unusable(path: pathlib.Path, error: OSError) -> ResourceError:
    return ResourceError(f"{path} cannot be written: {error.strerror}.", "Check the folder's rights and free space.")


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
