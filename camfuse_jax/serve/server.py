"""The page on a port, until a signal comes."""

import socket
import threading
from collections.abc import Callable

import uvicorn

from camfuse_jax.errors import ResourceError
from camfuse_jax.fusion import Params
from camfuse_jax.serve.app import Bounds, make_app
from camfuse_jax.serve.listening import CONNECTIONS, is_loopback, page_address


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
