"""A port to serve at, and connections that cannot shut others out."""

import asyncio
import errno
import ipaddress
import socket
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from camfuse_jax.errors import ResourceError, UsageError
from camfuse_jax.fusion.params import Params
from camfuse_jax.serve.app import make_app
from camfuse_jax.serve.live import LiveView
from camfuse_jax.serve.request import Bounds

_BACKLOG = 256


def listening(host: str, port: int, *, remote: bool) -> socket.socket:
    """A socket that listens; taken before anything slow is loaded, so that one hears at once if it cannot be had.

    Raises:
        UsageError: There is no such host or port, or other computers can reach it and `remote` is not given.
        ResourceError: The port is taken.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"--port must be from 0 to 65535, got {port}.", "0 takes any free port.")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"--host {host} is not known: {error}.", "Give 127.0.0.1, or an address of this computer."
        ) from error
    if not is_loopback(str(address[0])) and not remote:
        raise UsageError(
            f"--host {host} can be reached from other computers, and there is no password.",
            "Add --remote if that is meant, or use an SSH tunnel: ssh -L 8350:localhost:8350 THIS-COMPUTER.",
        )
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        remedy = "Give another --port, or 0 for any free one." if error.errno == errno.EADDRINUSE else "Check --host."
        raise ResourceError(f"Cannot listen at {page_address(host, port)}: {error.strerror}.", remedy) from error
    return listener


def is_loopback(address: str) -> bool:
    """Whether only this computer can reach an address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def page_address(host: str, port: int) -> str:
    """What to type into a browser."""
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


class Connection(H11Protocol):
    """A connection that ends when it keeps the server waiting, or when it waits itself and others need its place.

    Attributes:
        most: Connections at a time, of all clients.
        most_per_client: Of one address; a browser opens up to six.
        header_seconds: Time in which a request's header must come, and a further one after each reply.
        write_seconds: Time in which a client must begin to take what is sent.
        slowest: Bytes a second of a reply from then on.
        tick_seconds: How often all this is looked at.
    """

    most, most_per_client = 128, 32
    header_seconds, write_seconds, tick_seconds = 10.0, 20.0, 0.5
    slowest = 64_000

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes a place; where there is none, that of one that sends nothing or little."""
        super().connection_made(transport)
        self._since, self._received = self.loop.time(), 0
        self._unsent, self._send_until = 0, 0.0
        self._timer = self.loop.call_later(self.tick_seconds, self._tick)
        connections: list[Any] = list(self.connections)
        hosts = Counter(one.host for one in connections)
        crowded = hosts[self.host] > self.most_per_client
        if crowded or len(connections) > self.most:
            host = self.host if crowded else hosts.most_common(1)[0][0]
            waiting = [one for one in connections if one.host == host and one.is_waiting] or [self]
            min(waiting, key=lambda one: one.patience).transport.abort()

    @property
    def host(self) -> str:
        """Address of the client, without its port."""
        return self.client[0] if self.client else ""

    @property
    def is_waiting(self) -> bool:
        """Whether the server waits for the client, not the client for a reply."""
        return self._is_idle() or self.cycle.more_body

    @property
    def patience(self) -> tuple[bool, float]:
        """The least goes first: long idle ones, then slow ones, then of the new ones the oldest."""
        waited = self.loop.time() - self._since
        idle_or_new = self._is_idle() or waited < 1
        return waited < 1, -waited if idle_or_new else self._received / waited

    def data_received(self, data: bytes) -> None:
        """Counts what comes since the request began."""
        before = self.cycle
        self._received += len(data)
        super().data_received(data)
        if self.cycle is not before:
            self._since, self._received = self.loop.time(), len(data)

    def on_response_complete(self) -> None:
        """Waits for the next header."""
        self._since, self._received = self.loop.time(), 0
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the ticks."""
        self._timer.cancel()
        super().connection_lost(exc)

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _tick(self) -> None:
        now, unsent = self.loop.time(), self.transport.get_write_buffer_size()
        if not self._unsent or (unsent != self._unsent and not self._is_idle()):  # a stream goes on while it moves
            self._send_until = now + self.write_seconds + unsent / self.slowest
        self._unsent = unsent
        if unsent and self._is_idle():
            self._since = now  # the reply is still on its way
        if (unsent and now > self._send_until) or (self._is_idle() and now > self._since + self.header_seconds):
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(self.tick_seconds, self._tick)


def server_config(app: ASGIApp, connection: type[Connection] = Connection) -> uvicorn.Config:
    """How an application is served."""
    return uvicorn.Config(
        app,
        loop="asyncio",
        http=connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )


def serve(
    listener: socket.socket,
    params: Params,
    *,
    host: str,
    weights: str,
    bounds: Bounds,
    live: LiveView | None,
    ready: Callable[[str, bool], None],
) -> None:
    """Serves the page until a signal comes; to be called inside `program.handled`. Returns only by an exception.

    Args:
        listener: From `listening`.
        params: As the others but the last, for `make_app`.
        host: Name by which the page may be called, besides localhost.
        weights: Their name.
        bounds: What a client may use.
        live: Shown at `/live`.
        ready: Called once the page can be opened, with its address and whether other computers may reach it.

    Raises:
        ResourceError: The server ended by itself.
        Stop: SIGINT or SIGTERM; requests at work were given two seconds.
    """
    bound = listener.getsockname()
    exposed = not is_loopback(bound[0])
    app = make_app(params, weights=weights, bounds=bounds, names=(host,), remote=exposed, live=live)
    server = uvicorn.Server(server_config(app))
    # In a thread of its own, where it leaves signals alone: they end this one in order (`system.signals`).
    ended = threading.Event()  # not `join`, which takes a thread for ended once a signal interrupted it
    threading.Thread(target=_run, args=(server, listener, ended), name="server", daemon=True).start()
    try:
        ready(page_address(*bound[:2]), exposed)
        ended.wait()
    finally:
        server.should_exit = True
        ended.wait()
    raise ResourceError("The server ended by itself.", "The lines above say why.")


def _run(server: uvicorn.Server, listener: socket.socket, ended: threading.Event) -> None:
    try:
        server.run(sockets=[listener])
    finally:
        ended.set()
