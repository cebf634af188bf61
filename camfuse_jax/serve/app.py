"""The page's web application: what is let in, what every reply says to the browser, and which path is what."""

import ipaddress
from collections.abc import Iterable
from importlib import resources
from urllib.parse import urlsplit

import markupsafe
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from camfuse_jax.fusion.params import Params
from camfuse_jax.images.read import READABLE_SUFFIXES, TABLE_SUFFIXES
from camfuse_jax.pair.options import FuseSettings
from camfuse_jax.report import pictures
from camfuse_jax.report.page import csp_hash, environment
from camfuse_jax.serve.desk import Desk
from camfuse_jax.serve.live import LiveView
from camfuse_jax.serve.request import Bounds

LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain"})
_DEMO = resources.files("camfuse_jax") / "demo"


class Guard:
    """Refuses requests that another page made a browser send, and sets the headers of all replies.

    A page elsewhere can point its own name at 127.0.0.1 (DNS rebinding) and would then count as this page's origin.
    It cannot choose what the browser writes into `Host`: that name. So a request is let in only if its `Host` is an
    address (with `remote` any, else a loopback one) or a name known here. The port is not compared: an SSH tunnel may
    have another. A page elsewhere can also send forms to this address, with its own `Origin`; those are refused too.
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

        refusal = self._refusal(Headers(scope=scope))
        app = self._app if refusal is None else JSONResponse({"error": refusal[1]}, status_code=refusal[0])
        await app(scope, receive, send_guarded)

    def _refusal(self, headers: Headers) -> tuple[int, str] | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_known(hosts[0]):
            return 421, "This address is not served here. Open the address that camfuse serve printed."
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{hosts[0]}":
            return 403, "Requests from other pages are refused."
        return None

    def _is_known(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return self._remote or address.is_loopback


def make_app(
    params: Params,
    *,
    weights: str = "fast",
    bounds: Bounds | None = None,
    names: tuple[str, ...] = (),
    remote: bool = False,
    live: LiveView | None = None,
) -> ASGIApp:
    """The application, to be run by any ASGI server in one process. Nothing is written to the disk.

    Args:
        params: Weights from `load_params`.
        weights: Their name, for the page's command line.
        bounds: What a client may use.
        names: Host names by which it may be called, besides localhost.
        remote: It may be called by any address.
        live: Shown at `/live`.
    """
    bounds = bounds or Bounds()
    desk = Desk(params, bounds)
    facts = {
        "weights": weights,
        "default_weights": FuseSettings.weights,
        "remote": remote,
        "bounds": bounds,
        "live": live and live.names,
        "suffixes": ",".join(sorted(READABLE_SUFFIXES | TABLE_SUFFIXES)),
        "look": params.current_look if params.fusion.rule == "spatial" else None,
        "heat_colors": pictures.heat_gradient(),
        "share_colors": pictures.share_gradient(),
    }
    hashes: dict[str, set[str]] = {"style": set(), "script": set()}
    routes = [
        Route("/", _page("serve", facts, hashes), methods=["GET"]),
        Route("/demo/{kind:str}", _demo, methods=["GET"]),
        Route("/pairs", desk.take, methods=["POST"]),
        Route("/pairs/{token:str}/{kind:str}", desk.give, methods=["GET"]),
    ]
    if live is not None:
        routes += [
            Route("/live", _page("live", facts, hashes), methods=["GET"]),
            Route("/live/stream", live.stream, methods=["GET"]),
            Route("/live/facts", live.facts, methods=["GET"]),
        ]
    policy = (
        f"default-src 'none'; img-src 'self' data: blob:; connect-src 'self'; "
        f"style-src {' '.join(sorted(hashes['style']))}; script-src {' '.join(sorted(hashes['script']))}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Guard(Starlette(routes=routes), names=names, policy=policy, remote=remote)


def _page(name: str, facts: dict[str, object], hashes: dict[str, set[str]]):
    """A handler that gives a page; the hashes of its style and script go into the policy."""
    templates = environment("serve")
    style, script = (templates.get_template(file).render(facts) for file in ("serve.css.j2", f"{name}.js.j2"))
    hashes["style"].add(csp_hash(style))
    hashes["script"].add(csp_hash(script))
    parts = {"style": markupsafe.Markup(style), "script": markupsafe.Markup(script)}
    page = templates.get_template(f"{name}.html.j2").render(**parts, **facts)
    return lambda _: HTMLResponse(page)


def _demo(request: Request) -> Response:
    kind = request.path_params["kind"]
    if kind not in ("ir", "vis"):
        return JSONResponse({"error": "There is no such image."}, status_code=404)
    return Response((_DEMO / f"{kind}.png").read_bytes(), media_type="image/png")
