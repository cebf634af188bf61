"""The visible file's sound, copied packet by packet without decoding it."""

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from jaxtyping import UInt, UInt8

from camfuse_jax.errors import InputError, ResourceError, UsageError
from camfuse_jax.images.write import write_picture
from camfuse_jax.video.frame import load_av

UNKNOWN = "unknown"
"""Name of a codec that FFmpeg does not know: its packets cannot be copied."""
_FITS_MP4 = frozenset({"aac", "mp3", "mp3float", "ac3", "eac3", "opus", "libopus", "alac", "flac"})


def fits(codec: str, out: Path) -> bool:
    """Whether a container can hold a sound codec; Matroska holds all that are known."""
    return codec in _FITS_MP4 or (out.suffix.lower() == ".mkv" and codec != UNKNOWN)


class AudioCopy:
    """Copies the first sound stream of a file into the container that a video is being written to.

    Args:
        path: The file.
        origin: Time of its first video frame on its own clock.
    """

    def __init__(self, path: Path, *, origin: float):
        self._path, self._origin = path, origin
        self._source: Any = None
        self._waiting: Any = None
        self._packets: Iterator[Any] = iter(())

    def attach(self, container: Any, *, begin: float) -> None:
        """Adds the stream to an output container.

        Args:
            container: PyAV's, before anything is written to it.
            begin: Time of the first fused frame, in seconds from the file's first video frame.
        """
        av = load_av()
        self._source = av.open(str(self._path), metadata_errors="replace")
        stream = self._source.streams.audio[0]
        self._container = container
        self._stream = container.add_stream_from_template(stream)
        self._begin = begin + self._origin
        self._shift = round(self._begin / stream.time_base)
        self._packets = (packet for packet in self._source.demux(stream) if packet.dts is not None)
        self._errors = av.FFmpegError

    def copy_until(self, end: float) -> None:
        """Copies what sounds before a time, so that sound and frames alternate in the file and memory stays flat.

        Args:
            end: Seconds from the file's first video frame.

        Raises:
            InputError: The sound is damaged.
        """
        end += self._origin
        while True:
            packet, self._waiting = self._waiting or self._next(), None
            if packet is None:
                return
            begins = float(packet.pts * packet.time_base)
            if begins >= end:
                self._waiting = packet
                return
            if begins + float((packet.duration or 0) * packet.time_base) <= self._begin and self._shift:
                continue
            packet.pts -= self._shift
            packet.dts -= self._shift
            packet.stream = self._stream
            self._container.mux(packet)

    def close(self) -> None:
        """Closes the source."""
        if self._source is not None:
            with contextlib.suppress(self._errors):
                self._source.close()

    def _next(self) -> Any:
        try:
            return next(self._packets, None)
        except self._errors as error:
            raise InputError(f"{self._path}: its sound is damaged.", "Use --no-audio.") from error


# Results as a video file or a folder of PNG frames: whole under their name, or not there at all.


VIDEO_SUFFIXES = (".mp4", ".mkv")
_CLOCK = 90_000  # ticks per second, as in MPEG; every usual frame rate is a whole number of them
_QUALITY = {"crf": "18", "preset": "medium"}
_BT601, _LIMITED = 6, 1


class Writer(Protocol):
    """Takes frames in order of time. Leaving the `with` block finishes; by an error, removes what was begun."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None: ...

    def write(self, levels: UInt[np.ndarray, "h w *c"], time: float) -> None:
        """Appends a frame; the first one's time is the beginning."""


def open_writer(out: Path, *, rate: float, force: bool, audio: AudioCopy | None = None) -> Writer:
    """A writer for `out`: a video file by its ending, else a folder of PNG frames. Nothing is written yet.

    Raises:
        UsageError: It exists and `force` is not given, or PyAV is not installed.
    """
    video = out.suffix.lower() in VIDEO_SUFFIXES
    if out.exists() and (out.is_dir() == video):
        raise UsageError(f"{out} exists and is {'a folder' if video else 'no folder'}.", "Choose another name.")
    if out.exists() and (video or any(out.iterdir())) and not force:
        raise UsageError(f"{out} exists.", "Use --force to replace it, or another name.")
    if not video and out.exists() and not _holds_frames_only(out):
        raise UsageError(f"{out} holds files other than frame_NNNNNN.png.", "Choose another folder.")
    return VideoWriter(out, rate=rate, audio=audio) if video else FrameWriter(out)


class _Whole:
    """Writes beside the final place and renames at the end."""

    def __init__(self, out: Path):
        self.out = out
        # The ending stays: FFmpeg chooses the container by it.
        self.partial = out.parent / f".{uuid.uuid4().hex}.part{out.suffix}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        try:
            self._close(finish=kind is None)
            if kind is None and self.partial.exists():
                self._put_in_place()
        except OSError as refused:
            raise ResourceError(f"Cannot write {self.out}: {refused.strerror}.", "Check rights and space.") from refused
        finally:
            if self.partial.is_dir():
                shutil.rmtree(self.partial, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):  # the folder may be what is wrong; that error is the one to tell
                    self.partial.unlink(missing_ok=True)

    def _put_in_place(self) -> None:
        self.partial.replace(self.out)

    def _close(self, *, finish: bool) -> None:
        """Ends the file."""


class VideoWriter(_Whole):
    """H.264 (libx264, CRF 18, 4:2:0; MPEG-4 part 2 where FFmpeg was built without) with each frame's own time.

    Args:
        out: The file.
        rate: Nominal frames per second.
        audio: Sound to copy beside it.
    """

    def __init__(self, out: Path, *, rate: float, audio: AudioCopy | None = None):
        super().__init__(out)
        self._av, self._rate, self._audio = load_av(), rate, audio
        self._container: Any = None
        self._begin, self._end, self._last = 0.0, 0.0, -1

    def write(self, levels: UInt8[np.ndarray, "h w *c"], time: float) -> None:
        """See `Writer`. An odd side gets one more row or column, a copy of the last: 4:2:0 needs even ones.

        Raises:
            ResourceError: The file cannot be written.
        """
        try:
            rgb = np.repeat(levels[..., None], 3, axis=2) if levels.ndim == 2 else levels
            rgb = np.pad(rgb, [(0, side % 2) for side in rgb.shape[:2]] + [(0, 0)], mode="edge")
            if self._container is None:
                self._open(*rgb.shape[:2], time)
            frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="itu601", dst_color_range="MPEG")
            frame.pts = max(round((time - self._begin) * _CLOCK), self._last + 1)
            frame.time_base = Fraction(1, _CLOCK)
            frame.duration = round(_CLOCK / self._rate)
            self._last, self._end = frame.pts, time + 1 / self._rate
            self._container.mux(self._stream.encode(frame))
            if self._audio is not None:
                self._audio.copy_until(self._end)
        except (self._av.FFmpegError, OSError) as error:
            raise self._refused(error) from error

    def _open(self, height: int, width: int, time: float) -> None:
        self.out.parent.mkdir(parents=True, exist_ok=True)
        container = self._container = self._av.open(str(self.partial), "w")
        self._begin = time
        h264 = "libx264" in self._av.codecs_available
        rate = Fraction(self._rate).limit_denominator(1001)
        self._stream = container.add_stream(
            "libx264" if h264 else "mpeg4", rate=rate, options=_QUALITY if h264 else {"q": "3"}
        )
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.time_base = self._stream.codec_context.time_base = Fraction(1, _CLOCK if h264 else 60_000)
        self._stream.codec_context.framerate = rate
        self._stream.codec_context.colorspace, self._stream.codec_context.color_range = _BT601, _LIMITED
        if self._audio is not None:
            self._audio.attach(container, begin=time)

    def _close(self, *, finish: bool) -> None:
        if self._container is None:
            return
        try:
            if finish:
                self._container.mux(self._stream.encode(None))
            self._container.close()
        except (self._av.FFmpegError, OSError) as error:
            if finish:
                raise self._refused(error) from error
        finally:
            if self._audio is not None:
                self._audio.close()

    def _refused(self, error: Exception) -> ResourceError:
        why = getattr(error, "strerror", None) or error
        return ResourceError(f"Cannot write {self.out}: {why}.", "Check the folder's rights and free space.")


class FrameWriter(_Whole):
    """A folder of frame_000001.png, frame_000002.png, ... of 8 or 16 bits.

    Args:
        out: The folder.
    """

    def __init__(self, out: Path):
        super().__init__(out)
        self._count = 0

    def write(self, levels: UInt[np.ndarray, "h w *c"], time: float) -> None:
        """See `Writer`; times are not kept."""
        self._count += 1
        write_picture(self.partial / f"frame_{self._count:06}.png", levels)

    def _put_in_place(self) -> None:
        if self.out.exists():
            shutil.rmtree(self.out)
        self.partial.replace(self.out)


def _holds_frames_only(folder: Path) -> bool:
    return all(path.name.startswith("frame_") and path.suffix == ".png" for path in folder.iterdir())
