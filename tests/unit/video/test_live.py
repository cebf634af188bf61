"""Live sources behind the reader interface, with sources made up here."""

import itertools
import threading
import time

import numpy as np
import pytest

from camfuse_jax.errors import InputError
from camfuse_jax.video import live
from camfuse_jax.video.live import LiveReader
from camfuse_jax.video.reader import open_reader


class _Camera:
    rate = 50.0

    def __init__(self, count=None, error=None):
        self.count, self.error, self.given = count, error, 0

    def __iter__(self):
        for index in itertools.count() if self.count is None else range(self.count):
            yield np.full((4, 6), index % 256, np.uint8)
            self.given += 1
            time.sleep(0.002)
        if self.error:
            raise self.error


def test_frames_come_in_order_with_rising_times():
    reader = LiveReader("camera", _Camera(6))
    frames = list(reader.frames())
    assert [int(frame.samples[0, 0]) for frame in frames] == list(range(6))
    assert all(a.time < b.time for a, b in itertools.pairwise(frames))
    assert (reader.facts.rate, reader.facts.size, reader.facts.live) == (50.0, (4, 6), True)
    reader.close()


def test_a_slow_taker_gets_the_newest_and_memory_stays_flat():
    reader = LiveReader("camera", _Camera(60))
    reader.kept = 2
    reader.start()
    while reader._thread.is_alive():
        time.sleep(0.01)
    assert [int(frame.samples[0, 0]) for frame in reader.frames()] == [58, 59]
    assert reader.dropped == 58


def test_frames_that_waited_can_be_forgotten():
    reader = LiveReader("camera", _Camera(6))
    reader.start()
    reader._thread.join()
    reader.flush()
    assert list(reader.frames()) == []


def test_a_camera_that_changes_its_size_is_refused():
    reader = LiveReader("camera", [np.zeros((4, 6), np.uint8), np.zeros((6, 4), np.uint8)])
    with pytest.raises(InputError, match="camera changed its size"):
        list(reader.frames())


def test_stop_ends_the_frames_and_close_ends_the_thread():
    camera = _Camera()
    reader = LiveReader("camera", camera)
    frames = reader.frames()
    next(frames)
    reader.stop = lambda: True
    assert next(frames, None) is None
    reader.close()
    assert not reader._thread.is_alive()
    assert reader._thread not in threading.enumerate()


def test_stop_ends_the_wait_for_a_source_that_gives_nothing():
    hung = threading.Event()
    reader = LiveReader("camera", (hung.wait(5) for _ in range(1)))
    reader.stop = lambda: True
    assert next(reader.frames(), None) is None
    hung.set()


def test_an_error_in_the_thread_is_told_to_the_taker():
    reader = LiveReader("camera", _Camera(1, InputError("The plug is out.")))
    with pytest.raises(InputError, match="plug"):
        list(reader.frames())


def test_silence_is_an_error(monkeypatch):
    monkeypatch.setattr(live, "SILENCE_SECONDS", 0.1)
    hung = threading.Event()

    def silent():
        hung.wait(5)
        yield np.zeros((4, 6), np.uint8)

    with pytest.raises(InputError, match="no frame for"):
        next(LiveReader("camera", silent()).frames())
    hung.set()


def test_network_cameras_are_asked_over_tcp():
    """Over UDP lost packets are lost without a word."""
    pytest.importorskip("av")
    sources = ("rtsp://127.0.0.1/a", "rtsps://127.0.0.1/a", "http://127.0.0.1/a")
    found = [open_reader(source)._source._options for source in sources]
    assert found == [{"rtsp_transport": "tcp"}, {"rtsp_transport": "tcp"}, {}]


@pytest.mark.parametrize("source", ["device:/dev/no-such-camera", "rtsp://127.0.0.1:9/none"])
def test_devices_and_addresses_are_live_and_named_when_they_fail(source):
    pytest.importorskip("av")
    reader = open_reader(source)
    assert reader.facts.live
    with pytest.raises(InputError, match="cannot be read"):
        next(reader.frames())
