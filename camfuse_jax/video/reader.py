"""Video files through PyAV, frame by frame."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.images.picture import picture_size, read_picture
from camfuse_jax.images.read import READABLE_SUFFIXES, Limits
from camfuse_jax.video.frame import Facts, Frame, Reader, load_av, samples_of
from camfuse_jax.video.live import LiveReader, StreamFrames
from camfuse_jax.video.writer import UNKNOWN

_REPAIR = "Copy it again from where it was recorded, or cut it with --seconds before that point."


def _codec(stream: Any) -> str:
    return UNKNOWN if stream.codec_context is None else stream.codec_context.name


class FileReader:
    """A video file. Times count from its first frame.

    Args:
        path: The file; FFmpeg tells its kind by content.
        max_pixels: Largest width times height that is read.

    Raises:
        InputError: The file is absent, not a video, or too large.
        UsageError: PyAV is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], *, max_pixels: int):
        self._path = Path(path)
        self._av = load_av()
        self._last_duration = 0.0  # of the frame decoded last
        if not self._path.is_file():
            raise InputError(f"{path} does not exist or is no file.", "Check the path.")
        with self._opened() as container:
            stream = self._stream(container)
            self._origin = float(stream.start_time * stream.time_base) if stream.start_time is not None else 0.0
            rate = stream.average_rate or stream.guessed_rate or 25
            audio = container.streams.audio
            width, height = stream.codec_context.width, stream.codec_context.height
            length = stream.duration * stream.time_base if stream.duration else None
            if length is None and container.duration:
                length = container.duration / self._av.time_base
            self.facts = Facts(
                name=str(path),
                rate=float(rate),
                duration=None if length is None else float(length),
                size=(height, width),
                audio=_codec(audio[0]) if audio else None,
            )
            self._knows_length = bool(stream.duration)
        if width * height > max_pixels or not width * height:
            raise InputError(f"{path} has frames of {width} x {height} pixels.", "Raise --max-megapixels.")

    @property
    def origin(self) -> float:
        """Time of the first frame on the file's own clock, which its sound shares."""
        return self._origin

    def frames(self) -> Iterator[Frame]:
        """See `Reader.frames`.

        Raises:
            InputError: A frame is damaged, changes size, or the file ends before its time.
        """
        frame = None
        for frame in self._decoded(0.0):
            yield frame
        if frame is None:
            raise InputError(f"{self._path} holds no frame that can be decoded.", _REPAIR)
        missing = (self.facts.duration or 0.0) - frame.time - self._last_duration
        if self._knows_length and missing > 2.5 / self.facts.rate:
            raise InputError(
                f"{self._path} is cut off: its last frame is at {frame.time:.2f} s, but it should last "
                f"{self.facts.duration:.2f} s.",
                _REPAIR,
            )

    def near(self, times: Sequence[float]) -> list[Frame]:
        """See `Reader.near`.

        Raises:
            InputError: The file is damaged there, or holds no frame.
        """
        return [self._near(time) for time in times]

    def times(self) -> list[float]:
        """See `Reader.times`."""
        with self._opened() as container:
            stream = self._stream(container)
            try:
                stamps = [packet.pts for packet in container.demux(stream) if packet.pts is not None and packet.size]
            except self._av.FFmpegError as error:
                raise self._damaged("", error) from error
            return sorted(float(stamp * stream.time_base) - self._origin for stamp in stamps)

    def _near(self, time: float) -> Frame:
        for start in dict.fromkeys((time, 0.0)):  # from 0 where a length that was promised is not there
            last = None
            with contextlib.closing(self._decoded(start)) as frames:
                for last in frames:
                    if last.time >= time - 1e-6:
                        break
            if last is not None:
                return last
        raise InputError(f"{self._path} holds no frame that can be decoded.", _REPAIR)

    def _decoded(self, start: float) -> Iterator[Frame]:
        last = None
        self._last_duration = 0.0
        with self._opened() as container:
            stream = self._stream(container)
            stream.thread_type = "AUTO"
            try:
                if start > 0:
                    container.seek(int((start + self._origin) / stream.time_base), stream=stream)
                for index, decoded in enumerate(container.decode(stream)):
                    # Raw streams carry no times.
                    own = index / self.facts.rate if decoded.pts is None else decoded.time - self._origin
                    if decoded.is_corrupt or (decoded.height, decoded.width) != self.facts.size:
                        what = "is damaged" if decoded.is_corrupt else "has another size than the first"
                        raise InputError(f"{self._path}: the frame at {own:.2f} s {what}.", _REPAIR)
                    last = Frame(own, samples_of(decoded))
                    self._last_duration = float((decoded.duration or 0) * (decoded.time_base or 0))
                    yield last
            except (self._av.FFmpegError, OverflowError) as error:  # a time beyond what a file can hold
                where = f" at {start:.2f} s" if last is None else f" after {last.time:.2f} s"
                raise self._damaged(where, error) from error

    def _opened(self) -> Any:
        try:
            return self._av.open(str(self._path), metadata_errors="replace")  # titles need not be text
        except (self._av.FFmpegError, OSError) as error:
            why = getattr(error, "strerror", None) or error
            raise InputError(f"{self._path} is not a video that can be read: {why}.", "Check the file.") from error

    def _stream(self, container: Any) -> Any:
        if not container.streams.video:
            raise InputError(f"{self._path} holds no video.", "Check the file.")
        stream = container.streams.video[0]
        if stream.codec_context is None or stream.time_base is None:
            raise InputError(f"{self._path} holds a video of an unknown kind.", "Check the file.")
        return stream

    def _damaged(self, where: str, error: Exception) -> InputError:
        return InputError(f"{self._path} is damaged{where}: {getattr(error, 'strerror', error)}.", _REPAIR)


# A folder of numbered pictures as a video of a given rate.


_DIGITS = re.compile(r"(\d+)")


class SequenceReader:
    """The pictures of a folder in order of their names, numbers by value: frame_2 before frame_10.

    Args:
        folder: Holds the pictures.
        rate: Frames per second.
        limits: What is read at most.

    Raises:
        InputError: The folder holds no pictures, or the first cannot be read.
    """

    def __init__(self, folder: Path, *, rate: float, limits: Limits):
        files = (path for path in folder.iterdir() if path.suffix.lower() in READABLE_SUFFIXES)
        self._files = sorted((path for path in files if not path.name.startswith(".")), key=_by_number)
        if not self._files:
            raise InputError(f"{folder} holds no pictures.", "Give a folder of numbered frames, or a video file.")
        self._limits = limits
        size = picture_size(self._files[0], limits)
        self.facts = Facts(str(folder), rate, len(self._files) / rate, size)

    def frames(self) -> Iterator[Frame]:
        """See `Reader.frames`.

        Raises:
            InputError: A picture cannot be read or has another size.
        """
        yield from map(self._frame, range(len(self._files)))

    def near(self, times: Sequence[float]) -> list[Frame]:
        """See `Reader.near`."""
        wanted = (min(max(round(time * self.facts.rate), 0), len(self._files) - 1) for time in times)
        return [self._frame(index) for index in wanted]

    def times(self) -> list[float]:
        """See `Reader.times`."""
        return [index / self.facts.rate for index in range(len(self._files))]

    def _frame(self, index: int) -> Frame:
        picture = read_picture(self._files[index], self._limits)
        if picture.size != self.facts.size:
            height, width = self.facts.size
            raise InputError(
                f"{self._files[index]} has {picture.size[1]} x {picture.size[0]} pixels, the first {width} x {height}.",
                "Frames of a sequence must have one size.",
            )
        return Frame(index / self.facts.rate, picture.samples)


def _by_number(path: Path) -> list[tuple[int, int, str]]:
    parts = _DIGITS.split(path.name)
    return [(int(part.isdecimal()), int(part) if part.isdecimal() else 0, part) for part in parts]


# Which reader a source needs, by how it is named.


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
