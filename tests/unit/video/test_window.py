"""The window, drawn by SDL without a display."""

import re
import sys
import time

import numpy as np
import pytest

from camfuse_jax.errors import ResourceError, UsageError
from camfuse_jax.video.live import Window


@pytest.fixture
def pygame(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setenv("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    return pytest.importorskip("pygame")


def test_frames_are_shown_with_rate_and_delay(pygame):
    frame = np.zeros((60, 200, 3), np.uint8)
    frame[30:] = (10, 120, 200)
    with Window() as window:
        for _ in range(4):
            assert window.show(frame, time.monotonic() - 0.25)
            time.sleep(0.02)
        shown = np.swapaxes(pygame.surfarray.array3d(pygame.display.get_surface()), 0, 1)
        np.testing.assert_array_equal(shown[40:], frame[40:])
        assert (shown[:25] > 200).any()  # the text
        assert window.delay == pytest.approx(0.25, abs=0.1)
        assert 5 < window.rate < 60
        assert re.fullmatch(r"\d+\.\d frames/s, delay 2\d\d ms", window._text(time.monotonic() - 0.25))
        assert window.show(np.full((60, 200), 90, np.uint8), None)  # gray
        assert pygame.display.get_surface().get_at((150, 50))[:3] == (90, 90, 90)


@pytest.mark.parametrize("how", ["q", "escape", "close"])
def test_the_user_ends_it(pygame, how):
    with Window() as window:
        assert window.show(np.zeros((40, 60), np.uint8), None)
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_a))
        assert window.show(np.zeros((40, 60), np.uint8), None)
        key = {"q": pygame.K_q, "escape": pygame.K_ESCAPE}.get(how)
        event = pygame.event.Event(pygame.KEYDOWN, key=key) if key else pygame.event.Event(pygame.QUIT)
        pygame.event.post(event)
        assert not window.show(np.zeros((40, 60), np.uint8), None)


def test_without_a_display_or_the_library_it_is_told(pygame, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "no-such-driver")
    with pytest.raises(ResourceError, match="No window"), Window() as window:
        window.show(np.zeros((40, 60), np.uint8), None)
    monkeypatch.delenv("SDL_VIDEODRIVER")
    monkeypatch.setattr(pygame.display, "get_driver", lambda: "offscreen")
    monkeypatch.setattr(pygame.display, "init", lambda: None)
    with pytest.raises(ResourceError, match="no display to open a window on"), Window():
        pass
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(UsageError, match=r"camfuse-jax\[live\]"):
        Window()
