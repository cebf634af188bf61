"""Geometry of the page's charts, in the units of an SVG view box.

The template only draws it; labels are HTML text, which keeps its size on a telephone.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from camfuse_jax.config import Modality

WIDTH, HEIGHT = 640.0, 180.0
CURVE_NAMES = {"pixel": "pixel loss", "ssim": "SSIM", "cross_entropy": "cross entropy", "distance": "distance loss"}
"""Quantities of a `metrics.jsonl` as a reader knows them; others stand for themselves."""
_POINTS = 400  # of a curve; more cannot be seen at this width


@dataclasses.dataclass(frozen=True)
class Bar:
    """One channel: infrared upwards from the middle line, visible downwards.

    `x` is its left edge, `up` and `down` are the heights, `ir` and `vis` the values.
    """

    channel: int
    x: float
    width: float
    up: float
    down: float
    ir: float
    vis: float


@dataclasses.dataclass(frozen=True)
class Line:
    """A curve over the steps of a training.

    `points` is for `<polyline points>`, from `low` at the bottom of the chart to `high` at the top and from the first
    step at the left to the last at the right; `last` is the value at the end.
    """

    name: str
    points: str
    low: float
    high: float
    last: float
    first_step: int
    last_step: int


def mirrored_bars(
    values: Float[np.ndarray, "2 k"], order: Sequence[int] | np.ndarray, *, top: float | None = None
) -> list[Bar]:
    """Bars of both modalities, channel by channel.

    Args:
        values: Not negative, rows ordered as `Modality`.
        order: Channels from left to right.
        top: Value that fills its half of the chart; the largest by default.
    """
    top = top or float(values.max()) or 1.0
    step, half = WIDTH / len(order), HEIGHT / 2

    def bar(place: int, channel: int) -> Bar:
        ir, vis = float(values[Modality.IR, channel]), float(values[Modality.VIS, channel])
        lengths = [round(min(value / top, 1.0) * half, 2) for value in (ir, vis)]
        return Bar(int(channel), round(place * step, 2), round(step * 0.8, 2), *lengths, ir=ir, vis=vis)

    return [bar(place, channel) for place, channel in enumerate(order)]


def lines(records: Sequence[Mapping[str, float]]) -> list[Line]:
    """The curves of a `metrics.jsonl`: one per value that is there at two steps or more, the speed left out."""
    names = dict.fromkeys(name for record in records for name in record if name not in ("step", "images_per_second"))
    found = []
    for name in names:
        points = [(int(r["step"]), float(r[name])) for r in records if name in r and math.isfinite(r[name])]
        if len(points) > 1 and points[-1][0] > points[0][0]:
            found.append(_line(name, points))
    return found


def _line(name: str, points: Sequence[tuple[int, float]]) -> Line:
    values = [value for _, value in points]
    low, high = min(values), max(values)
    first, last = points[0][0], points[-1][0]
    shown = _thinned(points)
    drawn = " ".join(
        f"{(step - first) / (last - first) * WIDTH:.1f},{HEIGHT - _part(value, low, high) * HEIGHT:.1f}"
        for step, value in shown
    )
    return Line(CURVE_NAMES.get(name, name.replace("_", " ")), drawn, low, high, values[-1], first, last)


def _part(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most `_POINTS` points: of each stretch its lowest and highest, so that no peak is lost."""
    if len(points) <= _POINTS:
        return list(points)
    kept = {0, len(points) - 1}
    for part in np.array_split(np.arange(len(points)), _POINTS // 2):
        values = [points[i][1] for i in part]
        kept |= {int(part[np.argmin(values)]), int(part[np.argmax(values)])}
    return [points[i] for i in sorted(kept)]
