"""PyAV, which brings FFmpeg with it: loaded only when a video is read or written."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Num, UInt

from camfuse_jax.errors import UsageError


def load_av() -> Any:
    """The module `av`.

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


# What every source of moving pictures gives: frames with their times, and facts that are known before.


class Frame(NamedTuple):
    """One frame.

    Attributes:
        time: Seconds from the source's first frame; for live sources seconds of this machine's steady clock.
        samples: (h, w) or (h, w, 3), uint8 or uint16 (float for TIFF sequences), as stored.
    """

    time: float
    samples: Num[np.ndarray, "h w *c"]


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known before the first frame.

    Attributes:
        name: As the user named the source.
        rate: Frames per second; 0 where a live source does not say.
        duration: Seconds from the first frame's beginning to the last one's end; None where nobody says.
        size: Height and width in pixels, None before a live source is opened.
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
    """A source of moving pictures. Only one frame is held at a time."""

    facts: Facts

    def frames(self) -> Iterator[Frame]:
        """All frames in order of time; a generator, whose `close` releases the source.

        Raises:
            InputError: The source is damaged, or gives nothing for too long.
        """

    def near(self, times: Sequence[float]) -> list[Frame]:
        """For each time the first frame at or after it, or the last one; nothing for live sources."""

    def times(self) -> list[float]:
        """Times of all frames, without decoding them; nothing for live sources."""


# Decoded frames of FFmpeg as arrays, upright and at their own depth.


def samples_of(frame: Any) -> UInt[np.ndarray, "h w *c"]:
    """Samples of a PyAV frame: deep gray as uint16 over the whole range, everything else as 8-bit RGB.

    Gray of 8 bits becomes RGB of equal channels too: FFmpeg then applies the stream's range (16 to 235, or full).
    A recorder's rotation mark is applied in steps of 90 degrees.
    """
    deep = frame.format.is_luma if hasattr(frame.format, "is_luma") else frame.format.name.startswith("gray")
    deep = deep and frame.format.components[0].bits > 8
    samples = frame.to_ndarray(format="gray16le" if deep else "rgb24")
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(samples, turns)) if turns else samples
