"""Clients that are silent, slow, gone or many: the others are served, and nothing of theirs stays behind."""

import contextlib
import json
import socket
import threading
import time

import numpy as np
import pytest
from served import ask, form, fuse, get, send, served
from small_nets import small_params

from camfuse_jax.data.synthetic import synthetic_pair
from camfuse_jax.images.read import Limits
from camfuse_jax.images.write import picture_bytes
from camfuse_jax.serve import desk
from camfuse_jax.serve.app import make_app
from camfuse_jax.serve.request import Bounds
from camfuse_jax.serve.server import Connection

HEIGHT, WIDTH = 41, 53
HEAD = b"POST /pairs HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"


class Hurried(Connection):
    header_seconds, write_seconds, tick_seconds = 0.5, 0.5, 0.1


@pytest.fixture(scope="module")
def pair():
    return tuple(picture_bytes(image) for image in synthetic_pair(3, HEIGHT, WIDTH))


@pytest.fixture(scope="module")
def app():
    bounds = Bounds(Limits(10_000, 100_000), 100_000, queue=2, seconds=2.0, stall_seconds=1.0)
    return make_app(small_params(), bounds=bounds)


@contextlib.contextmanager
def connections(port, count, sent=b"", source="127.0.0.1"):
    """Open connections that have sent something; closed at the end."""
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(count):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port), 30, source_address=(source, 0)))
            opened.append(one)
            with contextlib.suppress(OSError):
                one.sendall(sent)
        yield opened


def closed(connection, within):
    """Whether the server ends a connection in time."""
    connection.settimeout(within)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HTTP/1.1\r\nHost: loc", HEAD + b"Content-Length: 90000\r\n\r\n--x\r\n",
     HEAD + b"Transfer-Encoding: chunked\r\n\r\n"],
)  # fmt: skip
@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.2"])
def test_two_hundred_waiting_connections_shut_nobody_out(app, pair, sent, source):
    with served(app) as port, connections(port, 200, sent, source):
        begun = time.monotonic()
        assert ask(port)[0] == 200
        assert send(port, *pair)[0] == 200
        assert time.monotonic() - begun < 5


def test_one_client_takes_no_more_than_its_share_of_places(app):
    """Long before all places are taken: its own connections make room for its new ones."""
    with (
        served(app) as port,
        connections(port, 1, source="127.0.0.3") as (other,),
        connections(port, 40, source="127.0.0.2") as many,
    ):
        for _ in range(20):  # a busy machine takes its time to accept them
            time.sleep(0.5)
            if ended := sum(closed(one, 0.02) for one in many):
                break
        assert 1 <= ended <= 8
        assert not closed(other, 0.02)


def test_all_clients_together_shut_nobody_out(app, pair):
    with served(app) as port, contextlib.ExitStack() as stack:
        for last in range(2, 10):
            stack.enter_context(connections(port, 30, b"", f"127.0.0.{last}"))
        assert send(port, *pair)[0] == 200


def test_connections_that_are_replied_to_keep_their_place(app, pair, monkeypatch):
    real = desk.KeptPair
    monkeypatch.setattr(desk, "KeptPair", lambda *given: (time.sleep(1.0), real(*given))[1])
    replies = []
    with served(app) as port:
        thread = threading.Thread(target=lambda: replies.append(send(port, *pair)[0]))
        thread.start()
        time.sleep(0.4)
        with connections(port, 200):
            thread.join()
    assert replies == [200]


def test_a_header_must_come_in_time(app):
    with served(app, Hurried) as port:
        with connections(port, 1) as (silent,), connections(port, 1, b"GET / HTTP/1.1\r\n") as (begun,):
            assert closed(silent, 2)
            assert closed(begun, 2)
        with connections(port, 1) as (dripping,):
            begun = time.monotonic()
            with contextlib.suppress(OSError):
                for byte in b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20:
                    dripping.sendall(bytes([byte]))
                    time.sleep(0.05)
            assert time.monotonic() - begun < 3
        with connections(port, 1, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") as (kept,):
            assert kept.recv(15) == b"HTTP/1.1 200 OK"
            assert closed(kept, 3)  # no further request comes


def test_a_body_must_come_in_time(app, pair):
    body, headers = form([("ir", "a.png", pair[0]), ("vis", "b.png", pair[1])])
    head = "".join(f"{name}: {value}\r\n" for name, value in (("Host", "localhost"), *headers))
    start = f"POST /pairs HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:100]
    with served(app) as port:
        with connections(port, 1, start) as (silent,):
            assert silent.recv(1000).startswith(b"HTTP/1.1 408")
        with connections(port, 1, start) as (dripping,):
            begun = time.monotonic()
            with contextlib.suppress(OSError):
                for byte in body[100:]:
                    dripping.sendall(bytes([byte]))
                    time.sleep(0.05)
                    if time.monotonic() > begun + 4:
                        break
            assert dripping.recv(1000).startswith(b"HTTP/1.1 408")
        assert send(port, *pair)[0] == 200


def test_uploads_that_stop_make_room_for_one_that_goes_on(pair):
    bounds = Bounds(Limits(10_000, 100_000), 100_000, queue=2, stall_seconds=30)
    part = b'--x\r\nContent-Disposition: form-data; name="ir"; filename="a"\r\n\r\n' + bytes(90_000)
    with served(make_app(small_params(), bounds=bounds)) as port:
        sent = HEAD + b"Content-Length: 99000\r\n\r\n" + part
        with connections(port, 2, sent) as stopped:
            time.sleep(1.3)
            assert send(port, pair[0] + bytes(60_000), pair[1])[0] == 200
            assert any(one.recv(1000).startswith(b"HTTP/1.1 408") for one in stopped)


def test_a_client_that_takes_no_reply_is_left(pair):
    large = picture_bytes(np.random.default_rng(0).integers(0, 255, (1500, 1500), np.uint8))
    limits = Limits(10_000_000, 50_000_000)
    with served(make_app(small_params(), bounds=Bounds(limits)), Hurried) as port:
        token = send(port, large, large)[1]["token"]
        request = f"GET /pairs/{token}/result HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.connect(("127.0.0.1", port))
            raw.sendall(request)
            raw.settimeout(60)
            assert raw.recv(100)
            Hurried.slowest, before = 10_000_000, Hurried.slowest
            try:
                time.sleep(3)
                assert closed(raw, 20)
            finally:
                Hurried.slowest = before


def test_work_of_a_client_that_left_is_dropped(app, pair, monkeypatch):
    """The one at work stops between two steps; the one that waits never begins; their places are free."""
    begun, finished, release = [], [], threading.Event()
    real = desk.KeptPair

    def slow(asked, limits, go_on):
        begun.append(1)
        release.wait(10)
        go_on()
        finished.append(1)
        return real(asked, limits, go_on)

    monkeypatch.setattr(desk, "KeptPair", slow)
    monkeypatch.setattr(desk, "_DECODERS", 1)
    bounds = Bounds(Limits(10_000, 100_000), 100_000, queue=8)
    body, headers = form([("ir", "a.png", pair[0]), ("vis", "b.png", pair[1])])
    head = "".join(f"{name}: {value}\r\n" for name, value in (("Host", "localhost"), *headers))
    request = f"POST /pairs HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    with served(make_app(small_params(), bounds=bounds)) as port:
        with connections(port, 4, request):
            time.sleep(0.5)
        time.sleep(0.5)
        assert len(begun) == 1
        release.set()
        monkeypatch.setattr(desk, "KeptPair", real)
        assert send(port, *pair)[0] == 200
        assert (len(begun), len(finished)) == (1, 0)


def test_one_client_fills_half_of_the_queue_and_one_is_fused_at_a_time(pair, monkeypatch):
    inside, most, lock = [0], [0], threading.Lock()
    real = desk.KeptPair.fused

    def slow(self, *given):
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        time.sleep(0.4)
        with lock:
            inside[0] -= 1
        return real(self, *given)

    monkeypatch.setattr(desk.KeptPair, "fused", slow)
    bounds = Bounds(Limits(10_000, 100_000), 100_000, queue=4)
    found, other = [], []
    with served(make_app(small_params(), bounds=bounds)) as port:
        token = send(port, *pair)[1]["token"]
        path = f"/pairs/{token}/preview"
        threads = [threading.Thread(target=lambda: found.append(ask(port, path=path)[:2])) for _ in range(8)]
        threads.append(threading.Thread(target=lambda: other.append(ask(port, path=path, source="127.0.0.7")[0])))
        for thread in threads:
            thread.start()
            time.sleep(0.01)
        for thread in threads:
            thread.join()
        assert most == [1]
        told = [(status, headers["retry-after"]) for status, headers in found]
        assert told.count((200, None)) == 2
        assert set(told) == {(200, None), (503, "2")}
        assert other == [200]
        assert get(port, token, "preview")[0] == 200


def test_the_page_is_there_while_files_are_read_and_fused(app, pair, monkeypatch):
    real = desk.KeptPair
    monkeypatch.setattr(desk, "KeptPair", lambda *given: (time.sleep(1.5), real(*given))[1])
    with served(app) as port:
        thread = threading.Thread(target=send, args=(port, *pair))
        thread.start()
        time.sleep(0.3)
        begun = time.monotonic()
        assert ask(port)[0] == 200
        assert time.monotonic() - begun < 0.5
        thread.join()


def test_a_failure_of_ours_is_no_secret_and_the_next_one_is_served(app, pair, monkeypatch):
    with served(app) as port:

        def broken(*_):
            raise MemoryError

        monkeypatch.setattr(desk, "KeptPair", broken)
        status, reply = send(port, *pair)
        assert status == 507
        assert "Memory does not suffice" in reply["error"]
        monkeypatch.undo()
        assert fuse(port, *pair)[0]["size"] == [WIDTH, HEIGHT]
        assert json.loads(ask(port, path="/demo/none")[2])["error"]
