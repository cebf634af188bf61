"""Video files through PyAV, folders of numbered pictures, and which reader a source needs by how it is named."""

import contextlib
import dataclasses
import os
import re
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.images.bounds import Limits
from camfuse_jax.images.picture import Picture
from camfuse_jax.images.read import picture_size, pictures_in, read_picture, tiff_frames
from camfuse_jax.pair.options import DEVICE, PACED, is_stream
from camfuse_jax.video.frames import Facts, Frame, Reader, file_url, load_av, samples_of
from camfuse_jax.video.live import LiveReader, StreamFrames
from camfuse_jax.video.writer import UNKNOWN

_REPAIR = "Copy it again from where it was recorded, or cut it with --seconds before that point."
_SYSTEMS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}


class FileReader:
    """A video file. Times count from its first frame, wherever its own clock begins.

    Args:
        path: The file; FFmpeg finds its kind by content.
        max_pixels: Largest width times height that is read.

    Attributes:
        origin: Time of the first frame on the file's own clock, which its sound shares.

    Raises:
        InputError: The file is absent, not a video, too large, or without a frame that can be decoded.
        UsageError: PyAV is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], *, max_pixels: int):
        self._path, self._av = Path(path), load_av()
        self._last_duration = 0.0  # of the frame decoded last
        self.origin = 0.0
        if not self._path.is_file():
            raise InputError(f"{path} does not exist or is no file.", "Check the path.")
        with self._opened() as container:
            stream = self._stream(container)
            width, height = stream.codec_context.width, stream.codec_context.height
            if width * height > max_pixels or not width * height:
                raise InputError(f"{path} has frames of {width} x {height} pixels.", "Raise --max-megapixels.")
            self._coded_size = height, width
            self._knows_length, length = bool(stream.duration), self._length(container, stream)
            rate, audio = stream.average_rate or stream.guessed_rate or 25, container.streams.audio
            # Only a frame says which way up it is, and when the first one is shown.
            self.facts = Facts(str(path), float(rate))
            with contextlib.closing(self._decoded(0.0)) as frames:
                first = next(frames, None)
        if first is None:
            raise InputError(f"{path} holds no frame that can be decoded.", _REPAIR)
        self.origin = first.time
        codec = UNKNOWN if not audio or audio[0].codec_context is None else audio[0].codec_context.name
        self.facts = Facts(
            str(path), float(rate), duration=length, size=first.samples.shape[:2], audio=codec if audio else None
        )

    def frames(self) -> Generator[Frame, None, None]:
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
                packets = [packet for packet in container.demux(stream) if packet.size and not packet.is_discard]
            except self._av.FFmpegError as error:
                raise self._damaged("", error) from error
            stamps = [packet.pts for packet in packets if packet.pts is not None]
            if len(stamps) < len(packets):  # raw streams carry no times
                return [index / self.facts.rate for index in range(len(packets))]
            return sorted(float(stamp * stream.time_base) - self.origin for stamp in stamps)

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

    def _decoded(self, start: float) -> Generator[Frame, None, None]:
        last = None
        self._last_duration = 0.0
        with self._opened() as container:
            stream = self._stream(container)
            stream.thread_type = "AUTO"
            try:
                if start > 0:
                    container.seek(int((start + self.origin) / stream.time_base), stream=stream)
                for index, decoded in enumerate(container.decode(stream)):
                    own = index / self.facts.rate if decoded.pts is None else decoded.time - self.origin
                    if decoded.is_corrupt or (decoded.height, decoded.width) != self._coded_size:
                        what = "is damaged" if decoded.is_corrupt else "has another size than the first"
                        raise InputError(f"{self._path}: the frame at {own:.2f} s {what}.", _REPAIR)
                    last = Frame(own, samples_of(decoded))
                    self._last_duration = float((decoded.duration or 0) * (decoded.time_base or 0))
                    yield last
            except (self._av.FFmpegError, OverflowError) as error:  # a time beyond what a file can hold
                where = f" at {start:.2f} s" if last is None else f" after {last.time:.2f} s"
                raise self._damaged(where, error) from error

    def _length(self, container: Any, stream: Any) -> float | None:
        if stream.duration:
            return float(stream.duration * stream.time_base)
        if not container.duration:
            return None
        # Matroska's length counts from the clock's zero, not from the first frame.
        begin = max(0, container.start_time or 0) if "matroska" in container.format.name else 0
        return float((container.duration - begin) / self._av.time_base)

    def _opened(self) -> Any:
        try:
            container = self._av.open(file_url(self._path), metadata_errors="replace")  # titles need not be text
        except (self._av.FFmpegError, OSError) as error:
            why = getattr(error, "strerror", None) or error
            raise InputError(f"{self._path} is not a video that can be read: {why}.", "Check the file.") from error
        if container.format.name == "image2" or container.format.name.endswith("_pipe"):
            container.close()
            raise InputError(
                f"{self._path} is a still image, not a video.",
                "Give a video or a folder of frames, or two images and a result that is an image.",
            )
        return container

    def _stream(self, container: Any) -> Any:
        if not container.streams.video:
            raise InputError(f"{self._path} holds no video.", "Check the file.")
        stream = container.streams.video[0]
        if stream.codec_context is None or stream.time_base is None:
            raise InputError(f"{self._path} holds a video of an unknown kind.", "Check the file.")
        return stream

    def _damaged(self, where: str, error: Exception) -> InputError:
        return InputError(f"{self._path} is damaged{where}: {getattr(error, 'strerror', error)}.", _REPAIR)


_DIGITS = re.compile(r"(\d+)")


class SequenceReader:
    """The pictures of a folder in order of their names, numbers by value (frame_2 before frame_10); or pages of a TIFF.

    Args:
        source: Holds the pictures.
        rate: Frames per second.
        limits: What is read at most.
        pages: What gives each page of the source, where that is a file.

    Raises:
        InputError: The folder holds no pictures, or the first cannot be read.
    """

    def __init__(self, source: Path, *, rate: float, limits: Limits, pages: Sequence[Callable[[], bytes]] = ()):
        self._files = [] if pages else sorted(pictures_in(source, tables=False), key=_by_number)
        self._pages, self._count = pages, len(pages) or len(self._files)
        if not self._count:
            raise InputError(f"{source} holds no pictures.", "Give a folder of numbered frames, or a video file.")
        self._source, self._limits = source, limits
        self._times = [index / rate for index in range(self._count)]
        self.facts = Facts(str(source), rate, self._count / rate, self._picture(0)[1].size)

    def frames(self) -> Generator[Frame, None, None]:
        """See `Reader.frames`."""
        yield from map(self._frame, range(self._count))

    def near(self, times: Sequence[float]) -> list[Frame]:
        """See `Reader.near`."""
        return [self._frame(int(np.abs(np.subtract(self._times, time)).argmin())) for time in times]

    def times(self) -> list[float]:
        """See `Reader.times`."""
        return self._times

    @property
    def numbers(self) -> list[int]:
        """The last number in each file's name; nothing where they do not count the frames."""
        found = [re.findall(r"\d+", path.stem)[-1:] for path in self._files]
        numbers = [int(number) for (number,) in found] if all(found) else []
        return numbers if numbers == sorted(set(numbers)) else []

    def place(self, ranks: Sequence[int]) -> None:
        """Gives frame i the time of the frame number ranks[i], counted from 0: between them, frames are missing."""
        self._times = [rank / self.facts.rate for rank in ranks]
        self.facts = dataclasses.replace(self.facts, duration=(ranks[-1] + 1) / self.facts.rate)

    def named(self, number: int) -> Path:
        """The file with a number."""
        return self._files[self.numbers.index(number)]

    def check_sizes(self, until: float) -> None:
        """Looks at the headers of the frames before a time.

        Raises:
            InputError: One differs in size from the first, or cannot be read.
        """
        for index in (index for index, time in enumerate(self._times) if time < until):
            source: Any = self._pages[index]() if self._pages else self._files[index]
            self._check_size(self._name(index), picture_size(source, self._limits))

    def _check_size(self, name: object, size: tuple[int, int]) -> None:
        if self.facts.size is not None and size != self.facts.size:
            height, width = self.facts.size
            raise InputError(
                f"{name} has {size[1]} x {size[0]} pixels, the first {width} x {height}.",
                "Frames of a sequence must have one size.",
            )

    def _frame(self, index: int) -> Frame:
        name, picture = self._picture(index)
        self._check_size(name, picture.size)
        return Frame(self._times[index], picture.samples, picture.valid)

    def _name(self, index: int) -> object:
        return f"{self._source} page {index + 1}" if self._pages else self._files[index]

    def _picture(self, index: int) -> tuple[object, Picture]:
        """What to call it, and the picture."""
        name = self._name(index)
        return name, read_picture(self._pages[index]() if self._pages else self._files[index], self._limits, name=name)


def _by_number(path: Path) -> list[tuple[int, int, str]]:
    parts = _DIGITS.split(path.name)
    return [(int(part.isdecimal()), int(part) if part.isdecimal() else 0, part) for part in parts]


def pair_by_number(ir: Reader, vis: Reader) -> str:
    """Gives frames of two folders whose names hold one number one time, so that a lost frame does not shift the rest.

    Two complete folders of one length whose counters began at different numbers keep their order.

    Returns:
        A note where the numbers of the two differ.
    """
    if not isinstance(ir, SequenceReader) or not isinstance(vis, SequenceReader):
        return ""
    numbers = ir.numbers, vis.numbers
    differing = [pair for pair in zip(*numbers, strict=False) if pair[0] != pair[1]]
    if not differing:
        return ""
    common = set(numbers[0]) & set(numbers[1])
    alone = [[number for number in own if number not in common] for own in numbers]
    complete = all(one[-1] - one[0] == len(one) - 1 for one in numbers)
    if not common or (complete and len(numbers[0]) == len(numbers[1])):
        first = f"{ir.named(differing[0][0])} with {vis.named(differing[0][1])}"
        return f"frames are paired in the order of their names, but their numbers differ: {first}"
    ranks = {number: rank for rank, number in enumerate(sorted({*numbers[0], *numbers[1]}))}
    for reader, own in zip((ir, vis), numbers, strict=True):
        reader.place([ranks[number] for number in own])
    first = ir.named(alone[0][0]) if alone[0] else vis.named(alone[1][0])
    without = f"{len(alone[0])} infrared, {len(alone[1])} visible (such as {first})"
    return f"frames are paired by the numbers in their names; without a partner: {without}"


def open_reader(source: str, *, rate: float = 25.0, limits: Limits | None = None) -> Reader:
    """Opens a video file, a folder of frames, a TIFF of several pages, a camera, `rtsp://...` or another address.

    Args:
        source: As the user named it. Cameras are `live:0`, `live:1`, ... by number, or `device:NAME`: /dev/video0 on
            Linux, what FFmpeg's avfoundation and dshow call devices on macOS and Windows. `live:FILE` plays a file in
            its own time as if it were a camera.
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
    pages = tiff_frames(path, limits)
    if len(pages) > 1:
        return SequenceReader(path, rate=rate, limits=limits, pages=pages)
    return FileReader(path, max_pixels=limits.max_pixels)


def _stream_frames(source: str, limits: Limits) -> StreamFrames:
    most = limits.max_pixels
    prefix = next((prefix for prefix in (DEVICE, PACED) if source.startswith(prefix)), "")
    name = source.removeprefix(prefix)
    if prefix == PACED and (Path(name).exists() or not name.isdecimal()):
        return StreamFrames(file_url(name), paced=True, max_pixels=most)
    if prefix:
        return StreamFrames(_device(name), kind=_SYSTEMS[sys.platform], max_pixels=most)
    # Over UDP, RTSP loses packets without a word; TCP is what recorders use.
    options = {"rtsp_transport": "tcp"} if source.startswith("rtsp") else {}
    return StreamFrames(source, options=options, max_pixels=most)


def _device(name: str) -> str:
    """What FFmpeg calls a capture device."""
    if sys.platform not in _SYSTEMS:
        raise UsageError(f"Capture devices are not known on {sys.platform}.", "Use an address or a file.")
    if name.isdecimal() and sys.platform == "win32":
        raise UsageError(f"Windows has no camera number {name}.", "Write device:video=NAME, as FFmpeg lists it.")
    return f"/dev/video{name}" if name.isdecimal() and sys.platform == "linux" else name
