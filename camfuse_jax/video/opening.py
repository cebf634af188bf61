"""Which reader a source needs, by how it is named."""

import sys
from pathlib import Path

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.images import Limits
from camfuse_jax.video.files import FileReader
from camfuse_jax.video.frame import Reader
from camfuse_jax.video.live import LiveReader, StreamFrames
from camfuse_jax.video.sequence import SequenceReader

VIDEO_FILES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".wmv", ".flv", ".mjpeg"}
)
"""Endings of names that are taken for videos without --video."""

_ADDRESSES = ("rtsp://", "rtsps://", "rtmp://", "http://", "https://", "udp://", "srt://")
_DEVICE, _REHEARSAL = "device:", "live:"
_SYSTEMS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}


def is_stream(source: str) -> bool:
    """Whether a source is a camera or a network address (or a file played as one, `live:FILE`)."""
    return source.startswith((_DEVICE, _REHEARSAL, *_ADDRESSES))


def is_moving(source: str) -> bool:
    """Whether a source is a stream or, by its ending, a video file."""
    return is_stream(source) or Path(source).suffix.lower() in VIDEO_FILES


def open_reader(source: str, *, rate: float = 25.0, limits: Limits | None = None) -> Reader:
    """Opens a video file, a folder of frames, `device:NAME`, `rtsp://...` or another address.

    Args:
        source: As the user named it. `device:/dev/video0` on Linux; what FFmpeg's avfoundation and dshow call devices
            on macOS and Windows. `live:FILE` plays a file in its own time as if it were a camera.
        rate: Frames per second of a folder of frames.
        limits: What is read at most.

    Raises:
        InputError: The source cannot be opened.
        UsageError: PyAV is needed and not installed, or devices are not known on this system.
    """
    limits = limits or Limits()
    if is_stream(source):
        return LiveReader(source, _stream_frames(source, limits))
    path = Path(source)
    if path.is_dir():
        return SequenceReader(path, rate=rate, limits=limits)
    if not path.exists():
        raise InputError(f"{source} does not exist.", "Check the path.")
    return FileReader(path, max_pixels=limits.max_pixels)


def _stream_frames(source: str, limits: Limits) -> StreamFrames:
    most = limits.max_pixels
    if source.startswith(_DEVICE):
        if sys.platform not in _SYSTEMS:
            raise UsageError(f"Capture devices are not known on {sys.platform}.", "Use an address or a file.")
        return StreamFrames(source.removeprefix(_DEVICE), kind=_SYSTEMS[sys.platform], max_pixels=most)
    if source.startswith(_REHEARSAL):
        return StreamFrames(source.removeprefix(_REHEARSAL), paced=True, max_pixels=most)
    # Over UDP, RTSP loses packets without a word; TCP is what recorders use.
    options = {"rtsp_transport": "tcp"} if source.startswith("rtsp") else {}
    return StreamFrames(source, options=options, max_pixels=most)
