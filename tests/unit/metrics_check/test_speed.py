"""The timing command; that its numbers are those of an idle machine nobody can test."""

import importlib.util
import itertools

import numpy as np
import pytest
from metrics_check import speed
from metrics_check.speed import main, measure, speed_markdown

from camfuse_jax.metrics.protocol import score_image


@pytest.fixture(scope="module")
def triplets():
    images = np.random.default_rng(3).integers(0, 256, (2, 3, 48, 52), dtype=np.uint8)
    return [(f"p{i}", *images[i]) for i in range(2)]


def test_contestants_of_a_task_are_timed_and_the_absent_are_named(triplets, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "piq" else found(name))
    ticks = itertools.count(0.0, 2.0)  # every run takes two seconds on this clock
    en, ssim = measure(triplets, tasks=("EN", "SSIM"), repeats=2, clock=lambda: next(ticks))
    assert en.seconds == {"exact": 2.0, "skimage": 2.0}
    assert ssim.seconds == {"exact": 2.0, "skimage": 2.0, "piq": None}
    lines = speed_markdown([en, ssim]).splitlines()
    assert lines[2] == "| EN | 2.00 | 2.00 (1.0x) |  |  |"
    assert lines[3] == "| SSIM | 2.00 | 2.00 (1.0x) | not installed |  |"
    assert {line.count("|") for line in lines} == {6}


def test_only_those_asked_for(triplets):
    (timing,) = measure(triplets, tasks=("EN",), repeats=1, contestants=("exact",))
    assert list(timing.seconds) == ["exact"]


def test_the_loops_compute_what_the_exact_path_computes(triplets):
    pytest.importorskip("skimage")
    _, *images = triplets[0]
    exact = score_image(*images, metrics=("EN",)).values
    assert speed._skimage_entropy(*images) == pytest.approx(exact["EN"], abs=1e-6)
    assert speed._skimage_ssim(*images) == pytest.approx(score_image(*images).values["SSIM"], abs=0.02)  # other borders


def test_the_usual_loop_computes_the_papers_five(triplets, monkeypatch):
    pytest.importorskip("skimage")
    monkeypatch.setattr(speed, "_piq_vif", lambda ir, vis, fused: 0.0)
    _, *images = triplets[0]
    exact = score_image(*images, metrics=("EN", "AG_MEAN", "SCD")).values
    assert speed._usual_five(*images)[:3] == pytest.approx(list(exact.values()))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (timing,) = measure(triplets, tasks=("the paper's five",), repeats=1, contestants=("usual",))
    assert timing.seconds["usual"] is None


def test_wrong_numbers_are_refused(capsys, tmp_path):
    assert main(["--repeats", "0", "--data", str(tmp_path)]) == 2
    assert main(["--data", str(tmp_path / "none")]) == 3
    assert "error: " in capsys.readouterr().err
