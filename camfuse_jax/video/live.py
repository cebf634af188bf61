"""Cameras and network streams, read in a thread of their own; newest frames kept, timed by this machine's clock.

And the window that shows the fused stream, through pygame-ce (SDL).
"""

import collections
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Self

import numpy as np
from jaxtyping import Num, UInt8

from camfuse_jax.errors import InputError, ResourceError, UsageError
from camfuse_jax.video.frames import Facts, Frame, load_av, samples_of

OPEN_SECONDS, SILENCE_SECONDS = 10.0, 10.0
_POLL_SECONDS = 0.05
_PATIENCE_SECONDS = 2.0  # a daemon thread that hangs in FFmpeg ends with the process


class LiveReader:
    """A live source behind the interface of `Reader`.

    Args:
        name: As the user named it.
        source: Gives samples as they come when it is iterated, in the reader's thread; its attribute `rate`, where it
            has one, is the nominal rate.
        clock: Seconds, never going back; one clock for all sources.

    Attributes:
        facts: Rate 0 until the first frame has come.
        kept: Most frames that wait; older ones are dropped where fusing is slower than the camera.
        dropped: Frames that came and were never taken.
        stop: Asked while waiting; true ends the frames.
    """

    def __init__(
        self, name: str, source: Iterable[Num[np.ndarray, "..."]], clock: Callable[[], float] = time.monotonic
    ):
        self.facts = Facts(name, 0.0, live=True)
        self.kept, self.dropped = 8, 0
        self.stop: Callable[[], bool] = lambda: False
        self._source, self._clock = source, clock
        self._frames: collections.deque[Frame] = collections.deque()
        self._news = threading.Condition()
        self._ended, self._closing = False, False
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to read; waits for nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, name=f"reader of {self.facts.name}", daemon=True)
            self._thread.start()

    def flush(self) -> None:
        """Forgets the frames that wait."""
        with self._news:
            self._frames.clear()

    def close(self) -> None:
        """Ends reading and waits a little for the thread."""
        self._closing = True
        if self._thread is not None:
            self._thread.join(timeout=_PATIENCE_SECONDS)

    def frames(self) -> Generator[Frame, None, None]:
        """Frames with the time they arrived, until the source ends, `stop` says so, or `close`.

        Raises:
            InputError: The source cannot be opened, or nothing comes for `SILENCE_SECONDS`.
        """
        self.start()
        while (frame := self._next()) is not None:
            yield frame

    def near(self, times: Sequence[float]) -> list[Frame]:
        """Nothing: a live source cannot be asked."""
        return []

    def times(self) -> list[float]:
        """Nothing."""
        return []

    def check(self) -> None:
        """Raises the error that ended the source, if one did."""
        if self._error is not None:
            raise self._error

    def _next(self) -> Frame | None:
        patience = time.monotonic() + SILENCE_SECONDS
        with self._news:
            while not self._frames:
                self.check()
                if self._ended or self._closing or self.stop():
                    return None
                if time.monotonic() > patience:
                    raise InputError(
                        f"{self.facts.name}: no frame for {SILENCE_SECONDS:g} s.",
                        "Check the camera and its connection.",
                    )
                self._news.wait(_POLL_SECONDS)
            return None if self.stop() else self._frames.popleft()

    def _read(self) -> None:
        try:
            for samples in self._source:
                if self._closing:
                    break
                self._take(Frame(self._clock(), samples))
        except Exception as error:  # raised again in the main thread, by _next
            self._error = error
        finally:
            with self._news:
                self._ended = True
                self._news.notify_all()

    def _take(self, frame: Frame) -> None:
        rate = float(getattr(self._source, "rate", 0) or 25)
        with self._news:
            if self.facts.size is None:
                self.facts = Facts(self.facts.name, rate, size=frame.samples.shape[:2], live=True)
            if frame.samples.shape[:2] != self.facts.size:
                raise InputError(f"{self.facts.name} changed its size.", "Start again.")
            self._frames.append(frame)
            if len(self._frames) > self.kept:
                self._frames.popleft()
                self.dropped += 1
            self._news.notify_all()


class StreamFrames:
    """Samples of a device or address through PyAV, opened when iterated.

    Args:
        url: What FFmpeg opens.
        kind: Input format of FFmpeg, such as `v4l2`; None lets it find out.
        options: Options of FFmpeg.
        paced: Wait for each frame's time, so that a file behaves like a camera.
        max_pixels: Largest width times height that is read.

    Attributes:
        rate: Nominal frames per second once opened.
    """

    def __init__(
        self,
        url: str,
        *,
        kind: str | None = None,
        options: dict[str, str] | None = None,
        paced: bool = False,
        max_pixels: int,
    ):
        self._url, self._kind, self._options, self._paced = url, kind, options or {}, paced
        self._max_pixels = max_pixels
        self._av = load_av()
        self.rate = 0.0

    def __iter__(self) -> Generator[Num[np.ndarray, "..."], None, None]:
        """Decoded samples; damaged frames, usual on networks, are left out.

        Raises:
            InputError: The source cannot be opened or fails.
        """
        try:
            with self._av.open(
                self._url,
                format=self._kind,
                options=self._options,
                metadata_errors="replace",
                timeout=(OPEN_SECONDS, SILENCE_SECONDS),
            ) as container:
                yield from self._decoded(container)
        except (self._av.FFmpegError, OSError) as error:
            why = getattr(error, "strerror", None) or error
            raise InputError(f"{self._url} cannot be read: {why}.", "Check the device or address.") from error

    def _decoded(self, container: Any) -> Generator[Num[np.ndarray, "..."], None, None]:
        if not container.streams.video:
            raise InputError(f"{self._url} holds no video.", "Check the device or address.")
        stream = container.streams.video[0]
        self.rate = float(stream.average_rate or stream.guessed_rate or 25)
        begun = time.monotonic()
        for frame in container.decode(stream):
            if frame.width * frame.height > self._max_pixels:
                raise InputError(
                    f"{self._url} has frames of {frame.width} x {frame.height}.", "Raise --max-megapixels."
                )
            if self._paced and frame.time is not None:
                time.sleep(max(0.0, begun + frame.time - time.monotonic()))
            if not frame.is_corrupt:
                yield samples_of(frame)


_SMOOTH = 0.9  # share of the past in the rate and delay that are shown
_ELSE = "Use -o, or camfuse serve."


def load_pygame() -> Any:
    """The module `pygame`.

    Raises:
        UsageError: It is not installed.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    os.environ.setdefault("SDL_NO_SIGNAL_HANDLERS", "1")  # Ctrl-C is ours
    try:
        import pygame
    except ImportError as error:
        raise UsageError(
            "--show needs pygame-ce, which is not installed.", "pip install 'camfuse-jax[live]'."
        ) from error
    return pygame


class Window:
    """Shows frames with their rate and delay; for the main thread, in a `with` block, which finds the display.

    Attributes:
        rate: Frames shown per second, smoothed.
        delay: Seconds from a frame's arrival to its being shown, smoothed; None for recorded videos.
    """

    def __init__(self) -> None:
        self._pygame = load_pygame()
        self._screen: Any = None
        self._last: float | None = None
        self.rate, self.delay = 0.0, None

    def __enter__(self) -> Self:
        pygame = self._pygame
        try:
            pygame.display.init()
            pygame.font.init()
            # SDL takes a driver that shows nothing where it finds no other.
            asked = os.environ.get("SDL_VIDEODRIVER") or os.environ.get("SDL_VIDEO_DRIVER")
            if not asked and pygame.display.get_driver() in ("dummy", "offscreen"):
                raise ResourceError("There is no display to open a window on.", _ELSE)
        except pygame.error as error:
            raise ResourceError(f"No window can be opened: {error}.", _ELSE) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._pygame.quit()

    def show(self, levels: UInt8[np.ndarray, "h w *c"], arrived: float | None) -> bool:
        """Shows a frame.

        Args:
            levels: Grayscale or RGB.
            arrived: Time of its arrival on this machine's steady clock; None for recorded videos.

        Returns:
            False once the user has closed the window, or pressed q or Escape.

        Raises:
            ResourceError: The window cannot be opened.
        """
        pygame = self._pygame
        rgb = np.repeat(levels[..., None], 3, axis=2) if levels.ndim == 2 else levels
        size = rgb.shape[1::-1]
        screen = self._open(size) if self._screen is None else self._screen
        image = pygame.image.frombuffer(np.ascontiguousarray(rgb).tobytes(), size, "RGB")
        if screen.get_size() != size:
            image = pygame.transform.scale(image, screen.get_size())
        screen.blit(image, (0, 0))
        screen.blit(self._font.render(self._text(arrived), True, (255, 255, 255), (0, 0, 0)), (6, 6))
        pygame.display.flip()
        ended = [pygame.K_q, pygame.K_ESCAPE]
        events = pygame.event.get()
        return not any(e.type == pygame.QUIT or (e.type == pygame.KEYDOWN and e.key in ended) for e in events)

    def _open(self, size: tuple[int, int]) -> Any:
        pygame = self._pygame
        try:
            self._screen = pygame.display.set_mode(size, pygame.RESIZABLE)
        except pygame.error as error:
            raise ResourceError(f"No window can be opened: {error}.", _ELSE) from error
        pygame.display.set_caption("camfuse")
        self._font = pygame.font.Font(None, 22)
        return self._screen

    def _text(self, arrived: float | None) -> str:
        now = time.monotonic()
        if self._last is not None:
            rate = 1 / max(now - self._last, 1e-6)
            self.rate = _SMOOTH * self.rate + (1 - _SMOOTH) * rate if self.rate else rate
        self._last = now
        if arrived is not None:
            delay = now - arrived
            self.delay = delay if self.delay is None else _SMOOTH * self.delay + (1 - _SMOOTH) * delay
        shown = f"{self.rate:.1f} frames/s"
        return shown if self.delay is None else f"{shown}, delay {1000 * self.delay:.0f} ms"
