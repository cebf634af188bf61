"""The visible file's sound, copied packet by packet without decoding it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from camfuse_jax.errors import InputError
from camfuse_jax.video.library import load_av

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
