"""Signals in a process of its own: the first in order and in time, the second at once."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import camfuse_jax
from camfuse_jax.system import program
from camfuse_jax.system.program import run_program

PROGRAM = """
import sys, time
from camfuse_jax.system import program
try:
    with program.handled():
        if sys.argv[1] == "deferred":
            with program.deferred() as stopped:
                print("ready", flush=True)
                while not stopped():
                    time.sleep(0.01)
                print("noted", stopped(), flush=True)
                time.sleep(float(sys.argv[2]))
        else:
            print("ready", flush=True)
            time.sleep(60)
except program.Stop as stop:
    print("stopped", flush=True)
    sys.exit(stop.exit_code)
"""


def _start(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(Path(camfuse_jax.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_first_signal_stops_plain_work(number, code):
    process = _start("plain")
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (code, "stopped\n", "")


def test_a_first_signal_is_noted_where_work_looks_for_it_and_a_second_ends_at_once():
    process = _start("deferred", "30")
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == f"noted {signal.SIGTERM}\n"
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 130
    assert time.monotonic() - started < 1


def test_noted_work_that_ends_in_time_ends_in_order():
    process = _start("deferred", "0.1")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=10)
    assert process.returncode == 143
    assert out.splitlines()[-1] == "stopped"


def test_work_that_does_not_end_is_ended_within_five_seconds():
    process = _start("deferred", "30")
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 143
    assert program.PATIENCE_SECONDS - 0.5 < time.monotonic() - started < 5.5
    assert "goes on from the last checkpoint" in err


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in program.SIGNALS]
    with program.handled():
        assert [signal.getsignal(number) for number in program.SIGNALS] != before
    assert [signal.getsignal(number) for number in program.SIGNALS] == before


def test_without_a_program_around_it_training_sees_no_signal():
    with program.deferred() as stopped:
        assert stopped() is None


def test_a_signal_that_comes_in_a_callback_is_not_lost():
    class Callback:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)  # what it raises goes nowhere, as in a callback of the collector

    begun = time.monotonic()
    with pytest.raises(program.Stop), program.handled():
        Callback()
        time.sleep(20)
    assert time.monotonic() - begun < program.PATIENCE_SECONDS / 2


@pytest.mark.parametrize(
    ("stop", "code"),
    [(program.Stop(signal.SIGTERM), 143), (program.Stop(signal.SIGINT), 130), (KeyboardInterrupt(), 130)],
    ids=["SIGTERM", "SIGINT", "Ctrl-C"],
)
def test_an_interrupted_command_ends_as_shells_have_it_and_says_what_is_left(capsys, stop, code):
    def work():
        raise stop

    assert run_program(work, left="go on").code == code
    assert capsys.readouterr().err == "interrupted; go on\n"
