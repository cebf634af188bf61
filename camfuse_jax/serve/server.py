"""A port to serve at, taken before anything slow is loaded, so that one hears at once if it cannot be had."""

import errno
import ipaddress
import socket
import threading
from collections.abc import Callable

import uvicorn

from camfuse_jax.errors import ResourceError, UsageError
from camfuse_jax.fusion.params import Params
from camfuse_jax.serve.app import Bounds, make_app

CONNECTIONS = 32
"""At a time; a browser opens up to six."""


def listening(host: str, port: int, *, remote: bool) -> socket.socket:
    """A socket that listens.

    Args:
        host: Name or address to listen at.
        port: Port; 0 takes a free one.
        remote: Admit a host that other computers can reach.

    Raises:
        UsageError: Host or port cannot be, or the host is not this computer's own and `remote` is not given.
        ResourceError: The port is taken.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port} cannot be.", "Give a number up to 65535, or 0 for any free port.")
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"--host {host} is not known: {error}.", "Give 127.0.0.1, or an address of this computer."
        ) from error
    if not is_loopback(place[0]) and not remote:
        raise UsageError(
            f"--host {host} can be reached from other computers, and there is no password.",
            "Add --remote if that is meant, or use an SSH tunnel: ssh -L 8350:localhost:8350 THIS-COMPUTER.",
        )
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(CONNECTIONS)
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


# The page on a port, until a signal comes.


def serve(
    listener: socket.socket,
    params: Params,
    *,
    host: str,
    weights: str,
    bounds: Bounds,
    ready: Callable[[str, bool], None],
) -> None:
    """Serves the page until a signal comes; to be called inside `signals.handled`. Returns only by an exception.

    Args:
        listener: From `listening`.
        params: Weights from `load_params`.
        host: Name by which the page may be called, besides localhost.
        weights: Name of the weights, for the page.
        bounds: What one who asks may use.
        ready: Called once the page can be opened, with its address and whether other computers may reach it.

    Raises:
        ResourceError: The server ended by itself.
        Stop: SIGINT or SIGTERM; requests in work were given two seconds.
    """
    bound = listener.getsockname()
    exposed = not is_loopback(bound[0])
    app = make_app(params, weights=weights, bounds=bounds, names=(host,), remote=exposed)
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    # In a thread of its own, where it leaves signals alone: they end this one in order (`safety.signals`).
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
