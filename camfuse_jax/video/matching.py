"""Frames of two sources matched by time, two frames in memory."""

from collections.abc import Generator, Iterator
from typing import Any

from camfuse_jax.video.frame import Frame

_SLACK = 1.05  # timestamps are rounded, to milliseconds in some containers


class Matching:
    """For each visible frame the infrared one nearest in time, within half a frame of the slower source.

    The faster infrared source loses frames, the slower one has them used several times. Visible frames without a
    partner near enough are left out; the others keep their times.

    Args:
        ir_rate: Frames per second.
        vis_rate: Frames per second.
        offset: Seconds added to infrared times.
        frames: Largest distance in frames of the slower source; 1 suits live sources, whose frames arrive unevenly.

    Attributes:
        tolerance: Largest distance in seconds.
        alone: Visible frames so far that found no partner.
        ir_ended: Whether the infrared source ended before the visible one.
    """

    def __init__(self, ir_rate: float, vis_rate: float, *, offset: float = 0.0, frames: float = 0.5):
        self.tolerance = frames / max(min(ir_rate, vis_rate), 1e-3) * _SLACK
        self._offset = offset
        self.alone = 0
        self.ir_ended = False

    def pairs(self, ir: Iterator[Frame], vis: Iterator[Frame]) -> Generator[tuple[Frame, Frame], None, None]:
        """Infrared and visible frames that belong together; both iterators give frames in order of time."""
        before = after = next(ir, None)
        if after is None:
            self.ir_ended = True
            return
        for frame in vis:
            wanted = frame.time - self._offset
            while after is not None and after.time < wanted:
                before, after = after, next(ir, None)
            near = min((one for one in (before, after) if one), key=lambda one: abs(one.time - wanted))
            if abs(near.time - wanted) <= self.tolerance:
                yield near, frame
            elif after is None:
                self.ir_ended = True
                return
            else:
                self.alone += 1

    def count(self, ir: list[float], vis: list[float]) -> int:
        """How many pairs there would be, from times alone."""
        unread: Any = None  # the times are all that is looked at
        return sum(1 for _ in self.pairs((Frame(t, unread) for t in ir), (Frame(t, unread) for t in vis)))
