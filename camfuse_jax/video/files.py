"""Video files through PyAV, frame by frame."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from camfuse_jax.errors import InputError
from camfuse_jax.video.audio import UNKNOWN
from camfuse_jax.video.decoding import samples_of
from camfuse_jax.video.frame import Facts, Frame
from camfuse_jax.video.library import load_av

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
