"""Which requests are let in, and what every reply says to the browser: an ASGI application around another."""

import dataclasses
import functools
import ipaddress
import json
from collections.abc import Iterable
from importlib import resources
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import markupsafe
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from camfuse_jax.errors import CamfuseError, InputError, ResourceError, UsageError
from camfuse_jax.fusion.params import Params
from camfuse_jax.images.read import Limits
from camfuse_jax.report import pictures
from camfuse_jax.report.page import csp_hash, environment
from camfuse_jax.serve.request import TooLargeError, TooSlowError, Wish, read_wish
from camfuse_jax.serve.response import answer
from camfuse_jax.system.files import as_resource_error

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


# The page's web application: one page, one demo pair, one thing to ask for.


_STATUS = ((TooLargeError, 413), (TooSlowError, 408), (InputError, 422), (UsageError, 400), (ResourceError, 507))
_DEMO = resources.files("camfuse_jax") / "demo"


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What one who asks may use.

    Attributes:
        limits: Of each image.
        max_bytes: Of a request, both images together; they are held in memory.
        queue: Requests at a time; one is worked on and the others wait. More are told to come again.
        seconds: In which a request must have arrived.
    """

    limits: Limits = dataclasses.field(default_factory=lambda: Limits(25_000_000, 100_000_000))
    max_bytes: int = 100_000_000
    queue: int = 4
    seconds: float = 120.0


def make_app(
    params: Params,
    *,
    weights: str = "tno",
    bounds: Bounds | None = None,
    names: tuple[str, ...] = (),
    remote: bool = False,
) -> ASGIApp:
    """The application, to be run by any ASGI server in one process.

    Nothing of a request is kept once it is answered, and nothing is written to the disk.

    Args:
        params: Weights from `load_params`.
        weights: Their name, for the page's command line.
        bounds: What one who asks may use.
        names: Host names by which it may be called, besides localhost.
        remote: It may be called by any address.
    """
    bounds = bounds or Bounds()
    style, script, page = _page(weights, bounds, remote)
    desk = _Desk(params, bounds)
    routes = [
        Route("/", lambda _: HTMLResponse(page), methods=["GET"]),
        Route("/demo/{kind:str}", _demo, methods=["GET"]),
        Route("/fuse", desk.fuse, methods=["POST"]),
    ]
    policy = (
        f"default-src 'none'; img-src data: blob:; connect-src 'self'; style-src {csp_hash(style)}; "
        f"script-src {csp_hash(script)}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Guard(Starlette(routes=routes), names=names, policy=policy, remote=remote)


class _Desk:
    """Takes requests, works on one at a time, and sends away those for whom there is no place."""

    def __init__(self, params: Params, bounds: Bounds):
        self._params, self._bounds = params, bounds
        self._inside = 0
        self._one = anyio.CapacityLimiter(1)

    async def fuse(self, request: Request) -> Response:
        """POST /fuse."""
        if self._inside >= self._bounds.queue:  # before anything is read: what waits is held in memory
            told = "Other images are being fused. Try again in a moment."
            return JSONResponse({"error": told}, status_code=503, headers={"retry-after": "2"})
        self._inside += 1
        try:
            wish = await read_wish(request, max_bytes=self._bounds.max_bytes, seconds=self._bounds.seconds)
            work = functools.partial(_work, self._params, wish, self._bounds.limits)
            return Response(await anyio.to_thread.run_sync(work, limiter=self._one), media_type="application/json")
        except CamfuseError as error:
            status = next((status for kind, status in _STATUS if isinstance(error, kind)), 400)
            return JSONResponse({"error": str(error)}, status_code=status)
        finally:
            self._inside -= 1


def _work(params: Params, wish: Wish, limits: Limits) -> bytes:
    with as_resource_error():
        return json.dumps(answer(params, wish, limits)).encode()  # here, where nobody else waits for it


def _demo(request: Request) -> Response:
    kind = request.path_params["kind"]
    if kind not in ("ir", "vis"):
        return JSONResponse({"error": "There is no such image."}, status_code=404)
    return Response((_DEMO / f"{kind}.png").read_bytes(), media_type="image/png")


def _page(weights: str, bounds: Bounds, remote: bool) -> tuple[str, str, str]:
    """Style, script, and the page that holds both."""
    templates = environment("serve")
    colors = {"heat_colors": pictures.heat_gradient(), "share_colors": pictures.share_gradient()}
    style, script = (templates.get_template(name).render(colors) for name in ("serve.css.j2", "serve.js.j2"))
    page = templates.get_template("serve.html.j2").render(
        style=markupsafe.Markup(style),
        script=markupsafe.Markup(script),
        weights=weights,
        remote=remote,
        max_bytes=bounds.max_bytes,
        max_megapixels=bounds.limits.max_pixels / 1e6,
    )
    return style, script, page
