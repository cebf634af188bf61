"""What a user can choose about moving pictures, beside what is chosen about every pair."""

import dataclasses
from pathlib import Path

from camfuse_jax.errors import UsageError

VIDEO_FILES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".wmv", ".flv", ".mjpeg"}
)
"""Endings of names that are taken for videos without --video."""
DEVICE, PACED = "device:", "live:"
_ADDRESSES = ("rtsp://", "rtsps://", "rtmp://", "http://", "https://", "udp://", "srt://")


@dataclasses.dataclass(frozen=True)
class VideoOptions:
    """Options of `camfuse fuse` for videos, folders of frames and live sources.

    Attributes:
        video: Take two folders for the frames of two videos; implied by a video file or an .mp4 result.
        offset: Videos: seconds added to infrared times.
        fps: Videos: frames per second of folders of frames.
        ir_fps: Videos: the same for the infrared folder alone.
        seconds: Videos: length after which to end; live sources end at Ctrl-C too.
        audio: Videos: keep the visible file's sound.
        show: Videos: show the fused stream in a window, with its rate and delay (needs the extra live).

    Raises:
        UsageError: A number is out of its range.
    """

    video: bool = False
    offset: float = 0.0
    fps: float = 25.0
    ir_fps: float | None = None
    seconds: float | None = None
    audio: bool = True
    show: bool = False

    def __post_init__(self) -> None:
        for name, value in (("--fps", self.fps), ("--ir-fps", self.ir_fps), ("--seconds", self.seconds)):
            if value is not None and not 0 < value < 1e6:
                raise UsageError(f"{name} must be positive and below 1e6, got {value:g}.")
        if not abs(self.offset) < 1e6:
            raise UsageError(f"--offset must be a number of seconds below 1e6, got {self.offset:g}.")


def is_stream(source: str) -> bool:
    """Whether a source is a camera or a network address (or a file played as one, `live:FILE`)."""
    return source.startswith((DEVICE, PACED, *_ADDRESSES))


def is_moving(source: str) -> bool:
    """Whether a source is a stream or, by its ending, a video file."""
    return is_stream(source) or Path(source).suffix.lower() in VIDEO_FILES
