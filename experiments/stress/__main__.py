"""Trials of the program: `cd experiments && python -m stress --what kills --count 200 --seed 0`; 1 on any failure."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence

from stress.outcome import Outcome, table


def _kills(count: int, seed: int) -> list[Outcome]:
    from stress.kills import kills

    return kills(count=count - count // 4, inside=count // 4, seed=seed)


def _corruption(count: int, seed: int) -> list[Outcome]:
    from stress.corruption import corruption

    return corruption(flips=count, seed=seed)


def _fuzz(count: int, seed: int) -> list[Outcome]:
    from stress.fuzz import fuzz

    return fuzz(count=count, seed=seed)


def _sizes(count: int, seed: int) -> list[Outcome]:
    from stress.soak import sizes

    return sizes(largest=count, seed=seed)


def _soak(count: int, seed: int) -> list[Outcome]:
    from stress.soak import soak

    return soak(count=count, seed=seed)


def _numbers(count: int, seed: int) -> list[Outcome]:
    from stress.soak import numbers

    return numbers(side=count, seed=seed)


# Each with what --count means and what it is where not given.
TRIALS: dict[str, tuple[Callable[[int, int], list[Outcome]], int, str]] = {
    "kills": (_kills, 200, "kills, a quarter of them inside a save"),
    "corruption": (_corruption, 12, "bit flips per file"),
    "fuzz": (_fuzz, 2000, "mutated images; a quarter of that of each other kind of file"),
    "sizes": (_sizes, 40, "largest height and width"),
    "soak": (_soak, 10000, "fuses; a tenth of that as frames of a video"),
    "numbers": (_numbers, 32, "side of the images in pixels"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs trials, prints their table, and says what failed."""
    meaning = "; ".join(f"{name}: {told} ({default})" for name, (_, default, told) in TRIALS.items())
    parser = argparse.ArgumentParser(prog="python -m stress", description=__doc__)
    parser.add_argument("--what", choices=[*TRIALS, "all"], default="all")
    parser.add_argument("--count", type=int, help=f"for one trial: {meaning}")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # before JAX is imported
    outcomes: list[Outcome] = []
    for name in TRIALS if options.what == "all" else (options.what,):
        trial, default, _ = TRIALS[name]
        started = time.monotonic()
        count = default if options.count is None or options.what == "all" else options.count
        outcomes += trial(count, options.seed)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    print(table(outcomes))
    for outcome in outcomes:
        for failure in outcome.failures:
            print(f"FAILED {outcome.name}: {failure}")
    return int(any(outcome.failures for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
