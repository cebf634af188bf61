"""Geometry of bars and curves."""

import numpy as np

from camfuse_jax.report.pictures import HEIGHT, WIDTH, lines, mirrored_bars


def _points(line):
    return np.array([[float(value) for value in point.split(",")] for point in line.points.split()])


def test_bars_stand_in_the_given_order_and_scale():
    bars = mirrored_bars(np.array([[0.2, 1.0, 0.0], [0.5, 0.1, 0.0]]), [1, 0, 2])
    assert [bar.channel for bar in bars] == [1, 0, 2]
    assert [bar.up for bar in bars] == [HEIGHT / 2, 0.2 * HEIGHT / 2, 0]
    assert [bar.down for bar in bars] == [0.1 * HEIGHT / 2, 0.5 * HEIGHT / 2, 0]
    assert bars[-1].x + bars[-1].width <= WIDTH
    assert (bars[1].ir, bars[1].vis) == (0.2, 0.5)


def test_bars_stay_in_the_chart():
    bars = mirrored_bars(np.array([[3.0], [0.5]]), [0], top=1.0)
    assert (bars[0].up, bars[0].down) == (HEIGHT / 2, HEIGHT / 4)
    assert mirrored_bars(np.zeros((2, 1)), [0])[0].up == 0


def test_a_curve_fills_the_chart():
    (line,) = lines(
        [{"step": 10, "loss": 4.0, "images_per_second": 9.0}, {"step": 20, "loss": 2.0, "images_per_second": 8.0}]
    )
    assert (line.name, line.low, line.high, line.last) == ("loss", 2.0, 4.0, 2.0)
    np.testing.assert_array_equal(_points(line), [[0, 0], [WIDTH, HEIGHT]])


def test_values_that_are_no_numbers_and_single_points_are_left_out():
    assert lines([{"step": 1, "loss": float("nan")}, {"step": 2, "loss": 1.0}]) == []
    assert lines([]) == []


def test_a_constant_lies_in_the_middle():
    (line,) = lines([{"step": step, "loss": 3.0} for step in (1, 2, 3)])
    np.testing.assert_array_equal(_points(line)[:, 1], HEIGHT / 2)


def test_thinning_keeps_every_peak():
    values = np.zeros(5000)
    values[1234], values[4321] = 7, -3
    (line,) = lines([{"step": i, "loss": value} for i, value in enumerate(values)])
    drawn = _points(line)
    assert len(drawn) <= 410
    assert {0.0, HEIGHT} <= set(drawn[:, 1])
    assert np.all(np.diff(drawn[:, 0]) >= 0)
