"""`camfuse serve`."""

import contextlib
import dataclasses
import importlib.util
import socket
import sys

from camfuse_jax.config import NamedRule
from camfuse_jax.errors import StoppedError, UsageError

_NEEDED = ("starlette", "uvicorn", "python_multipart")


@dataclasses.dataclass(frozen=True)
class Serve:
    """Opens a page for the browser: drop two images, see the fused one and why, change the balance, download.

    For this computer only, without --remote. Images stay in memory for a quarter of an hour; nothing is written
    to the disk and nothing is asked of the network. Ctrl-C ends it. Needs pip install 'camfuse-jax[serve]'.

    For instance: camfuse serve --weights roadscene --port 8350

    Attributes:
        port: Port of the page; 0 takes any free one.
        host: Name or address to listen at.
        remote: Admit a host that other computers can reach. There is no password: for networks you trust.
        live: Also show these two live sources, infrared and visible, fused at /live: device:NAME, an address, or
            live:FILE.
        weights: fast, tno, roadscene, paper-tno, paper-roadscene, or a .safetensors file.
        rule: Fusion rule instead of the one that the weights bring (docs/method.md).
        max_megapixels: Largest image that is read.
        max_megabytes: Most that is taken for both images together.
        queue: Requests that wait at a time, half of them one client's; others are asked to come again.
        open: Open the page in the browser.
    """

    port: int = 8350
    host: str = "127.0.0.1"
    remote: bool = False
    live: tuple[str, str] | None = None
    weights: str = "fast"
    rule: NamedRule | None = None
    max_megapixels: float = 25.0
    max_megabytes: float = 100.0
    queue: int = 4
    open: bool = False

    def run(self) -> None:
        """Serves until Ctrl-C or SIGTERM.

        Raises:
            CamfuseError: By kind.
            StoppedError: A signal came; exit code 130 or 143.
        """
        absent = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
        if absent:
            raise UsageError(
                f"The page needs {', '.join(absent)}, not installed here.", "pip install 'camfuse-jax[serve]'."
            )
        if not (self.max_megapixels > 0 and self.max_megabytes > 0 and self.queue > 0):
            raise UsageError("--max-megapixels, --max-megabytes and --queue must be above 0.")
        from camfuse_jax.serve.server import listening
        from camfuse_jax.system import program

        try:
            with (
                program.handled("nothing was written"),
                listening(self.host, self.port, remote=self.remote) as listener,
            ):
                self._serve(listener)
        except program.Stop as stop:
            raise StoppedError(stop.exit_code - 128, "stopped") from stop

    def _serve(self, listener: socket.socket) -> None:
        from camfuse_jax.fusion.params import load_params, with_rule
        from camfuse_jax.images.bounds import Limits
        from camfuse_jax.pair.options import FrameSettings
        from camfuse_jax.serve.live import LiveView
        from camfuse_jax.serve.request import Bounds
        from camfuse_jax.serve.server import serve

        most = int(self.max_megabytes * 1e6)
        params, limits = with_rule(load_params(self.weights), self.rule), Limits(int(self.max_megapixels * 1e6), most)
        with contextlib.ExitStack() as stack:
            view = None
            if self.live is not None:
                view = stack.enter_context(LiveView(params, *self.live, FrameSettings(fit="vis"), limits))
            serve(
                listener,
                params,
                host=self.host,
                weights=self.weights,
                bounds=Bounds(limits, most, self.queue),
                live=view,
                ready=self._announce,
            )

    def _announce(self, address: str, exposed: bool) -> None:
        print(f"serving: {address} (Ctrl-C ends it)", flush=True)
        if self.live is not None:
            print(f"live: {address}live", flush=True)
        if exposed:
            print("warning: other computers can reach this page, and there is no password", file=sys.stderr, flush=True)
        if self.open:
            import webbrowser

            webbrowser.open(address + ("live" if self.live is not None else ""))
