"""Results as a video file or a folder of PNG frames: whole under their name, or not there at all. Sound is copied."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from jaxtyping import UInt, UInt8

from camfuse_jax.errors import InputError, ResourceError, UsageError
from camfuse_jax.images.write import write_picture
from camfuse_jax.system.files import partial_name, publish, remove_partial_files
from camfuse_jax.video.frames import file_url, load_av

CONTAINERS = {".mp4": "mp4", ".mkv": "matroska"}
"""FFmpeg's name of the container by the ending of a result that is a video file."""
UNKNOWN = "unknown"
"""Name of a codec that FFmpeg does not know: its packets cannot be copied."""
_CLOCK = 90_000  # ticks per second, as in MPEG; every usual frame rate is a whole number of them
_QUALITY = {"crf": "18", "preset": "medium"}
_FASTER = {"crf": "18", "preset": "veryfast"}  # what a live stream can wait for
_BT601, _LIMITED = 6, 1
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
        self._source = av.open(file_url(self._path), metadata_errors="replace")
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


def open_writer(
    out: Path, *, rate: float, force: bool, audio: AudioCopy | None = None, live: bool = False
) -> "VideoWriter | FrameWriter":
    """A writer for `out`: a video file by its ending, else a folder of PNG frames. Nothing is written yet.

    Raises:
        UsageError: It exists and `force` is not given, or PyAV is not installed.
        ResourceError: Its folder cannot be one, or not be written to.
    """
    video = out.suffix.lower() in CONTAINERS
    if out.exists() and (out.is_dir() == video):
        raise UsageError(f"{out} exists and is {'a folder' if video else 'no folder'}.", "Choose another name.")
    if out.exists() and (video or any(out.iterdir())) and not force:
        raise UsageError(f"{out} exists.", "Use --force to replace it, or another name.")
    if not video and out.exists() and not _holds_frames_only(out):
        raise UsageError(f"{out} holds files other than frame_NNNNNN.png.", "Choose another folder.")
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        why = "is no folder" if not parent.is_dir() else "cannot be written to"
        raise ResourceError(f"Cannot write {out}: {parent} {why}.", "Check the path and its rights.")
    if video:
        return VideoWriter(out, rate=rate, force=force, audio=audio, live=live)
    return FrameWriter(out, force=force)


class _Whole:
    """Writes beside the final name and renames at the end; a context manager that removes what a failure left."""

    def __init__(self, out: Path, *, force: bool):
        self.out, self._force = out, force
        self.partial = partial_name(out.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        try:
            self._close(finish=kind is None)
            if kind is None and self.partial.exists():
                self._publish()
        except FileExistsError as refused:
            raise UsageError(f"{self.out} exists by now.", "Use --force to replace it, or another name.") from refused
        except OSError as refused:
            raise self._refused(refused) from refused
        finally:
            if self.partial.is_dir():
                shutil.rmtree(self.partial, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):  # the folder may be what is wrong: the first error counts
                    self.partial.unlink(missing_ok=True)

    def _publish(self) -> None:
        publish(self.partial, self.out, exclusive=not self._force)

    def _close(self, *, finish: bool) -> None:
        """Ends the file."""

    def _refused(self, error: Exception) -> ResourceError:
        why = getattr(error, "strerror", None) or error
        return ResourceError(f"Cannot write {self.out}: {why}.", "Check the folder's rights and free space.")


class VideoWriter(_Whole):
    """H.264 (libx264, CRF 18, 4:2:0; MPEG-4 part 2 where FFmpeg was built without) with each frame's own time.

    Args:
        out: The file.
        rate: Nominal frames per second.
        force: Replace a file of that name.
        audio: Sound to copy beside it.
        live: Encode quickly rather than small.
    """

    def __init__(self, out: Path, *, rate: float, force: bool, audio: AudioCopy | None = None, live: bool = False):
        super().__init__(out, force=force)
        self._av, self._rate, self._audio = load_av(), rate, audio
        self._quality = _FASTER if live else _QUALITY
        self._container: Any = None
        self._begin, self._end, self._last = 0.0, 0.0, -1

    def write(self, levels: UInt8[np.ndarray, "h w *c"], time: float) -> None:
        """Appends a frame; the first one's time is the beginning.

        An odd side gets one more row or column, a copy of the last: 4:2:0 needs even ones.

        Raises:
            ResourceError: The file cannot be written.
        """
        try:
            rgb = np.repeat(levels[..., None], 3, axis=2) if levels.ndim == 2 else levels
            rgb = np.pad(rgb, [(0, side % 2) for side in rgb.shape[:2]] + [(0, 0)], mode="edge")
            container = self._open(*rgb.shape[:2], time=time) if self._container is None else self._container
            frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="itu601", dst_color_range="MPEG")
            frame.pts = max(round((time - self._begin) * _CLOCK), self._last + 1)
            frame.time_base = Fraction(1, _CLOCK)
            frame.duration = round(_CLOCK / self._rate)
            self._last, self._end = frame.pts, time + 1 / self._rate
            container.mux(self._stream.encode(frame))
            if self._audio is not None:
                self._audio.copy_until(self._end)
        except (self._av.FFmpegError, OSError) as error:
            raise self._refused(error) from error

    def _open(self, height: int, width: int, time: float) -> Any:
        self.out.parent.mkdir(parents=True, exist_ok=True)
        remove_partial_files(self.out.parent)
        container = self._container = self._av.open(
            file_url(self.partial), "w", format=CONTAINERS[self.out.suffix.lower()]
        )
        self._begin = time
        h264 = "libx264" in self._av.codecs_available
        rate = Fraction(self._rate).limit_denominator(1001)
        self._stream = container.add_stream(
            "libx264" if h264 else "mpeg4", rate=rate, options=self._quality if h264 else {"q": "3"}
        )
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.time_base = self._stream.codec_context.time_base = Fraction(1, _CLOCK if h264 else 60_000)
        self._stream.codec_context.framerate = rate
        self._stream.codec_context.colorspace, self._stream.codec_context.color_range = _BT601, _LIMITED
        if self._audio is not None:
            self._audio.attach(container, begin=time)
        return container

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


class FrameWriter(_Whole):
    """A folder of frame_000001.png, frame_000002.png, ... of 8 or 16 bits; times are not kept."""

    def __init__(self, out: Path, *, force: bool):
        super().__init__(out, force=force)
        self._count = 0

    def write(self, levels: UInt[np.ndarray, "h w *c"], time: float) -> None:
        """Appends a frame."""
        del time
        self._count += 1
        write_picture(self.partial / f"frame_{self._count:06}.png", levels)

    def _publish(self) -> None:
        if self.out.exists() and self._force:
            shutil.rmtree(self.out)
        try:
            self.partial.replace(self.out)  # an empty folder is replaced, any other is not
        except OSError as error:
            if self.out.exists() and any(self.out.iterdir()):
                raise FileExistsError(self.out) from error
            raise


def _holds_frames_only(folder: Path) -> bool:
    return all(path.name.startswith("frame_") and path.suffix == ".png" for path in folder.iterdir())
