"""Progress: a bar on a terminal, lines elsewhere, metrics.jsonl always."""

import io
import json

import pytest

from camfuse_jax.training import progress as module
from camfuse_jax.training.progress import Progress, keep_until


class _Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock the test moves."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def _progress(tmp_path, stream, *, first_step=0, total=100):
    return Progress(
        "ae",
        total_steps=total,
        first_step=first_step,
        batch_size=4,
        metrics_file=tmp_path / "metrics.jsonl",
        stream=stream,
    )


def test_lines_come_now_and_then_and_at_the_end(tmp_path, clock):
    stream = io.StringIO()
    progress = _progress(tmp_path, stream)
    for step, seconds in ((10, 10), (20, 10), (30, 20), (40, 10), (100, 5)):
        clock.now += seconds
        progress.report(step, {"loss": 1.25, "ssim": 0.5})
    progress.close()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    # 30 steps in 40 s so far: 70 steps take 93 s; 10 steps of 4 images in the last 20 s are 2 images a second.
    assert lines[0] == "ae: step 30/100, loss 1.25, ssim 0.5, 2 images/s, 0:01:33 left"
    assert lines[1] == "ae: step 100/100, loss 1.25, ssim 0.5, 48 images/s, 0:00:00 left"


def test_a_terminal_gets_a_bar_with_loss_speed_and_time(tmp_path):
    stream = _Terminal()
    progress = _progress(tmp_path, stream, first_step=40)
    assert "40/100" in stream.getvalue()
    progress.report(70, {"loss": 0.125})
    progress.close()
    drawn = stream.getvalue()
    assert "70/100" in drawn
    assert "loss=0.125" in drawn
    assert "images/s=" in drawn
    assert "\r" in drawn
    assert "ae: step" not in drawn


@pytest.mark.parametrize("stream", [io.StringIO, _Terminal])
def test_metrics_are_written_always(tmp_path, clock, stream):
    progress = _progress(tmp_path, stream())
    for step in (5, 10):
        clock.now += 2
        progress.report(step, {"loss": 1 / step})
    progress.close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [{"step": s, "loss": 1 / s, "images_per_second": 10.0} for s in (5, 10)]


def test_a_resumed_run_measures_from_where_it_began(tmp_path, clock):
    stream = io.StringIO()
    progress = _progress(tmp_path, stream, first_step=50)
    clock.now += 40
    progress.report(60, {"loss": 1.0})
    assert stream.getvalue() == "ae: step 60/100, loss 1, 1 images/s, 0:02:40 left\n"


def test_later_lines_and_a_cut_off_one_are_dropped(tmp_path):
    file = tmp_path / "metrics.jsonl"
    whole = [json.dumps({"step": step, "loss": 0.5}) for step in (5, 10, 15, 20)]
    file.write_text("\n".join(whole) + '\n{"step": 25, "lo')
    keep_until(file, 10)
    assert file.read_text() == "\n".join(whole[:2]) + "\n"


def test_a_line_cut_off_early_is_dropped_though_its_step_is_wanted(tmp_path):
    file = tmp_path / "metrics.jsonl"
    for rest in ('{"step": 10, "loss": 0.2', '{"step": 1', "{"):
        file.write_text('{"step": 5}\n' + rest)
        keep_until(file, 100)
        assert file.read_text() == '{"step": 5}\n'


def test_nothing_to_drop(tmp_path):
    file = tmp_path / "metrics.jsonl"
    keep_until(file, 3)
    assert not file.exists()
    file.write_text('{"step": 3}\n')
    keep_until(file, 3)
    assert file.read_text() == '{"step": 3}\n'


def test_a_new_run_starts_its_metrics_anew(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 5}\n')
    _progress(tmp_path, io.StringIO()).close()
    assert (tmp_path / "metrics.jsonl").read_text() == ""
