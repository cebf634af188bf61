"""A port to serve at, taken before anything slow is loaded, so that one hears at once if it cannot be had."""

import errno
import ipaddress
import socket

from camfuse_jax.errors import ResourceError, UsageError

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
