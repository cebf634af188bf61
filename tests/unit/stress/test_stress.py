"""Short forms of the stress command; the long ones' figures are in docs/reliability.md."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from stress import __main__
from stress import fuzz as fuzz_module
from stress.corruption import corruption
from stress.fuzz import TARGETS, Target, fuzz
from stress.kills import kills
from stress.outcome import Outcome, mutate, table
from stress.soak import soak

import camfuse_jax
from camfuse_jax.errors import InputError


def _good(outcomes):
    assert all(outcome.tried for outcome in outcomes)
    assert [failure for outcome in outcomes for failure in outcome.failures] == []


def test_corruption():
    _good(corruption(flips=2, seed=1))


def test_fuzz():
    # Orbax leaves tasks behind when it meets a forged checkpoint, which pytest takes for an error, and what goes the
    # whole way of a fuse command takes long: see below.
    later = {"forged checkpoints", "videos", "frame sequences", "pairing tables", "calibrations"}
    _good(fuzz(count=200, seed=1, targets=tuple(name for name in TARGETS if name not in later)))


@pytest.mark.slow
def test_fuzz_as_a_command():
    command = [sys.executable, "-m", "stress", "--what", "fuzz", "--count", "200"]
    environment = {**os.environ, "PYTHONPATH": str(Path(camfuse_jax.__file__).parents[1])}
    folder = Path(__main__.__file__).parents[1]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    for name in TARGETS:
        assert f"| malformed {name} | {200 if name == 'images' else 50} | 0 |" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_soak():
    _good(soak(count=300, seed=1))


@pytest.mark.slow
@pytest.mark.parametrize("what", ["sizes --count 4", "numbers --count 32"])
def test_command(capsys, what):
    assert __main__.main(["--what", *what.split()]) == 0
    assert "| 0 |" in capsys.readouterr().out


@pytest.mark.slow
def test_kills():
    outcomes = kills(count=12, inside=8, seed=1)
    _good(outcomes)
    assert outcomes[1].notes["left a half-written step"] > 0


def test_mutations_depend_on_the_seed_alone():
    content, others = bytes(range(200)), [b"abc", b"0" * 50]
    first, again, other = ([mutate(content, others, random.Random(s + i)) for i in range(50)] for s in (0, 0, 99))
    assert first == again != other
    assert sum(m != content for m in first) > 40


def _trial(use, monkeypatch, **settings):
    for name, value in settings.items():
        monkeypatch.setattr(fuzz_module, name, value)
    monkeypatch.setitem(fuzz_module.TARGETS, "toy", lambda folder: Target([b"a seed"], use, "toy.bin"))
    return fuzz(count=8, seed=0, targets=("toy",))[0]


def test_a_fuzz_that_finds_something_says_so(monkeypatch):
    def crash(content):
        raise KeyError("shape")

    def nameless(content):
        raise InputError("Something is wrong.")

    def busy(content):
        while True:
            pass

    assert "KeyError" in _trial(crash, monkeypatch).failures[0]
    assert "without naming the file" in _trial(nameless, monkeypatch).failures[0]
    assert "hangs" in _trial(busy, monkeypatch, _WALL=0.05).failures[0]
    # What a process holds depends on what ran in it before: here it is told.
    levels = iter(range(0, 10_000, 30))
    monkeypatch.setattr(fuzz_module, "_memory", lambda: next(levels))
    grown = _trial(lambda content: None, monkeypatch, MEBIBYTES=20, _WALL=60)
    assert "memory grew" in grown.failures[-1]


def test_a_failure_is_printed_and_ends_the_command_with_one(capsys, monkeypatch):
    bad = Outcome("toy")
    bad.check(False, "broke")
    monkeypatch.setitem(__main__.TRIALS, "soak", (lambda count, seed: [bad], 1, ""))
    assert __main__.main(["--what", "soak"]) == 1
    assert "FAILED toy: broke" in capsys.readouterr().out
    assert "| toy | 1 | 1 |" in table([bad])
