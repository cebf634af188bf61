"""What every source of moving pictures gives: frames with their times (by PyAV), and how two are matched by time."""

import dataclasses
from collections.abc import Generator, Iterator, Sequence
from os import PathLike
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Bool, Num, UInt

from camfuse_jax.errors import UsageError


def load_av() -> Any:
    """The module `av`, which brings FFmpeg with it: loaded only when a video is read or written.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise UsageError(
            "Video files and streams need PyAV, which is not installed.", "pip install 'camfuse-jax[video]'."
        ) from error
    return av


def file_url(path: str | PathLike[str]) -> str:
    """A file's name as FFmpeg takes it: without the prefix `a:b.mp4` would be protocol `a`."""
    return f"file:{path}"


class Frame(NamedTuple):
    """One frame.

    Attributes:
        time: Seconds from the source's first frame; for live sources seconds of this machine's steady clock.
        samples: (h, w) or (h, w, 3), uint8 or uint16 (float for TIFF sequences), as stored.
        valid: Where it shows the scene; None for everywhere.
    """

    time: float
    samples: Num[np.ndarray, "h w *c"]
    valid: Bool[np.ndarray, "h w"] | None = None


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known before the first frame.

    Attributes:
        name: As the user named the source.
        rate: Frames per second; 0 where a live source does not say.
        duration: Seconds from the first frame's beginning to the last one's end; None where nobody says.
        size: Height and width of the upright frames in pixels, None before a live source is opened.
        live: Whether frames come in their own time and cannot be asked for again.
        audio: Codec of the sound, None without sound.
    """

    name: str
    rate: float
    duration: float | None = None
    size: tuple[int, int] | None = None
    live: bool = False
    audio: str | None = None


class Reader(Protocol):
    """A source of moving pictures."""

    facts: Facts

    def frames(self) -> Generator[Frame, None, None]:
        """All frames in order of time; closing the generator releases the source.

        Raises:
            InputError: The source is damaged, or gives nothing for too long.
        """
        ...

    def near(self, times: Sequence[float]) -> list[Frame]:
        """For each time the first frame at or after it, or the last one; nothing for live sources."""
        ...

    def times(self) -> list[float]:
        """Times of all frames, without decoding them; nothing for live sources."""
        ...


def samples_of(frame: Any) -> UInt[np.ndarray, "h w *c"]:
    """Upright samples of a PyAV frame: deep gray as uint16 over the whole range, everything else as 8-bit RGB.

    Gray of 8 bits becomes RGB of equal channels too: FFmpeg then applies the stream's range (16 to 235, or full).
    """
    deep = frame.format.is_luma if hasattr(frame.format, "is_luma") else frame.format.name.startswith("gray")
    deep = deep and frame.format.components[0].bits > 8
    samples = frame.to_ndarray(format="gray16le" if deep else "rgb24")
    matrix = next((side for side in frame.side_data if side.type.name == "DISPLAYMATRIX"), None)
    return samples if matrix is None else turn_upright(samples, np.frombuffer(matrix, np.int32))


def turn_upright(samples: UInt[np.ndarray, "h w *c"], matrix: Sequence[int] | np.ndarray) -> UInt[np.ndarray, "a b *c"]:
    """Applies a recorder's display matrix (a b u, c d v, x y w of ISO/IEC 14496-12), to the nearest 90 degrees.

    It puts what is stored at (x, y) at (a x + c y, b x + d y).
    """
    a, b, c, d = (int(matrix[index]) for index in (0, 1, 3, 4))
    if abs(b) + abs(c) > abs(a) + abs(d):
        samples, across, down = np.swapaxes(samples, 0, 1), c, b
    else:
        across, down = a, d
    return np.ascontiguousarray(samples[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])


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
