"""The live view: frames of two sources fused and streamed, rate and delay, its end, and its page."""

import http.client
import io
import json
import time

import numpy as np
import pytest
from PIL import Image
from served import ask, served
from small_nets import small_params

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.images.bounds import Limits
from camfuse_jax.images.write import picture_bytes
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.serve import live
from camfuse_jax.serve.app import make_app
from camfuse_jax.serve.live import LiveView
from camfuse_jax.video.live import LiveReader

HEIGHT, WIDTH = 24, 32


class _Camera:
    """Frames of a level that rises, one every 20 ms; ends with an error, or when `until` says so."""

    rate = 50.0

    def __init__(self, count, color=False, error=None, kind=np.uint8, until=lambda: True):
        self._count, self._shape, self._error, self._kind = count, (HEIGHT, WIDTH) + (3,) * color, error, kind
        self._until = until

    def __iter__(self):
        noise = np.random.default_rng(0).integers(0, 60, self._shape).astype(np.uint8)
        for index in range(self._count):
            time.sleep(0.02)
            yield (noise + np.uint8(index % 100)).astype(self._kind)
        while not self._until():
            time.sleep(0.01)
        if self._error:
            raise self._error


@pytest.fixture
def view(monkeypatch):
    def make(count=10_000, error=None, kind=np.uint8, visible=10_000):
        readers = {"ir": LiveReader("ir", _Camera(count, error=error, kind=kind))}
        known = (lambda: readers["ir"]._error is not None) if error else (lambda: True)  # the other one ends after it
        readers["vis"] = LiveReader("vis", _Camera(visible, color=True, until=known))
        monkeypatch.setattr(live, "open_reader", lambda source, limits: readers[source])
        return LiveView(small_params(), "ir", "vis", FrameSettings(), Limits())

    return make


def facts(port):
    return json.loads(ask(port, path="/live/facts")[2])


def test_frames_are_streamed_with_their_rate_and_delay(view):
    with view() as running, served(make_app(small_params(), live=running)) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("GET", "/live/stream")
        reply = connection.getresponse()
        assert reply.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
        images = []
        while len(images) < 12:
            assert reply.readline() == b"--frame\r\n"
            assert reply.readline() == b"Content-Type: image/jpeg\r\n"
            length = int(reply.readline().split()[1])
            assert reply.readline() == b"\r\n"
            images.append(np.asarray(Image.open(io.BytesIO(reply.read(length)))))
            assert reply.readline() == b"\r\n"
        assert {image.shape for image in images} == {(HEIGHT, WIDTH, 3)}
        assert any((image != images[0]).any() for image in images)
        state = facts(port)
        assert 1 < state["rate"] < 60
        assert 0 < state["delay"] < 5
        assert state["size"] == [WIDTH, HEIGHT]
        assert state["ended"] == ""
        connection.close()
        for _ in range(100):
            if not running._viewers:
                break
            time.sleep(0.05)
        assert not running._viewers  # a viewer that left costs nothing


def test_nothing_is_fused_while_nobody_looks(view, monkeypatch):
    fused = []
    monkeypatch.setattr(live, "fuse_frame", lambda *_, **__: fused.append(1))
    with view(), served(make_app(small_params())):
        time.sleep(0.5)
    assert fused == []


@pytest.mark.parametrize("visible", [10_000, 2])
def test_the_page_and_the_stream_say_how_it_ended(view, visible):
    error = InputError("device:9 cannot be read: gone.", "Check the device or address.")
    with view(3, error, visible=visible) as running, served(make_app(small_params(), live=running)) as port:
        status, _, page = ask(port, path="/live")
        assert status == 200
        assert b'src = "/live/stream"' in page
        for _ in range(200):
            if facts(port)["ended"]:
                break
            time.sleep(0.05)
        assert facts(port)["ended"] == "device:9 cannot be read: gone. Check the device or address."
        assert ask(port, path="/live/stream")[2] == b"--frame\r\n"


def test_the_look_is_that_of_a_video_and_what_was_noticed_is_told(view, monkeypatch):
    looks = []
    monkeypatch.setattr(live, "with_usual_look", lambda params, colored: looks.append(colored) or params)
    with view(kind=np.uint16) as running, served(make_app(small_params(), live=running)) as port:
        for _ in range(200):
            if looks:
                break
            time.sleep(0.05)
        assert looks == [True]
        assert "Infrared: 8 bit in a 16-bit file." in facts(port)["notes"]
        running._vis.dropped += 10**6
        assert facts(port)["dropped"] >= 10**6


def test_viewers_are_limited(view, monkeypatch):
    monkeypatch.setattr(live, "_VIEWERS", 0)
    with view() as running, served(make_app(small_params(), live=running)) as port:
        assert ask(port, path="/live/stream")[0] == 503


def test_a_recorded_source_is_refused(tmp_path):
    (tmp_path / "1.png").write_bytes(picture_bytes(np.zeros((HEIGHT, WIDTH), np.uint8)))
    with pytest.raises(UsageError, match="live:"):
        LiveView(small_params(), str(tmp_path), str(tmp_path), FrameSettings(), Limits())
