"""Which requests are let in, and what every reply says to the browser: an ASGI application around another."""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain"})


class Guard:
    """Refuses requests that another page made a browser send, and sets the headers of all replies.

    A page elsewhere can point its own name at 127.0.0.1 (DNS rebinding) and would then count as this page's origin.
    It cannot choose what the browser writes into `Host`: that name. So a request is let in only if its `Host` is an
    address or a name known here. The port is not compared: an SSH tunnel may have another. A page elsewhere can also
    send forms to this address, with its own `Origin`; those are refused too.

    Args:
        app: What is guarded.
        names: Host names that are let in, besides those of the loopback interface.
        policy: Content security policy.
        remote: Let in any address, not only loopback ones.
    """

    def __init__(self, app: ASGIApp, *, names: Iterable[str], policy: str, remote: bool):
        self._app, self._remote = app, remote
        self._names = LOOPBACK_NAMES | {name.lower() for name in names}
        self._headers = {
            "content-security-policy": policy,
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            "referrer-policy": "no-referrer",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "cache-control": "no-store",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        refused = self._refusal(Headers(scope=scope))
        app = self._app if refused is None else JSONResponse({"error": refused[1]}, status_code=refused[0])
        await app(scope, receive, send_guarded)

    def _refusal(self, headers: Headers) -> tuple[int, str] | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._known(hosts[0]):
            return 421, "This address is not served here. Open the address that camfuse serve printed."
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{hosts[0]}":
            return 403, "Requests from other pages are refused."
        return None

    def _known(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return self._remote or address.is_loopback
