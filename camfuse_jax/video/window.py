"""The fused stream in a window, through pygame-ce (SDL)."""

import os
import time
from typing import Any, Self

import numpy as np
from jaxtyping import UInt8

from camfuse_jax.errors import ResourceError, UsageError

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
