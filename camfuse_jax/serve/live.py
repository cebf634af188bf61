"""Two live sources fused on a page: the newest pair is shown, what comes too fast is left out, nothing queues."""

import asyncio
import contextlib
import io
import threading
import time
from collections import deque
from collections.abc import AsyncIterator

import numpy as np
from PIL import Image
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from camfuse_jax.errors import CamfuseError, InputError, UsageError
from camfuse_jax.fusion.dispatch import Exact
from camfuse_jax.fusion.params import Params
from camfuse_jax.images.bounds import Limits
from camfuse_jax.pair.fuse import fuse_frame, to_levels, with_usual_look
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.serve.response import page_words
from camfuse_jax.system.files import as_resource_error
from camfuse_jax.video.calibration import FlickerControl, VideoCalibration, calibrate_video, steady_params
from camfuse_jax.video.frames import Frame, Matching
from camfuse_jax.video.live import LiveReader
from camfuse_jax.video.reader import open_reader

_VIEWERS = 8
_JPEG_QUALITY = 85
_RATED_FRAMES, _GAP_SECONDS = 30, 2.0


class LiveView:
    """Reads and fuses in threads of its own while somebody looks; without a viewer frames are read and left out.

    Args:
        params: Weights from `load_params`.
        ir: Infrared source, see `open_reader`.
        vis: Visible source.
        settings: How each pair of frames is treated.
        limits: What is read at most.

    Attributes:
        names: Both sources as the user named them.

    Raises:
        UsageError: A source is not live, or a library is missing.
    """

    def __init__(self, params: Params, ir: str, vis: str, settings: FrameSettings, limits: Limits):
        self.names = ir, vis
        self._params, self._settings = params, settings
        self._ir, self._vis = (self._opened(source, limits) for source in self.names)
        self._vis.kept = 1  # the newest; the infrared reader keeps more, to find their partners in
        self._viewers: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._jpeg, self._shown = b"", deque[tuple[float, float]](maxlen=_RATED_FRAMES)
        self._size: tuple[int, int] | None = None
        self._ended, self._notes = "", ()
        self._closing = self._compiling = False
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)

    def __enter__(self) -> "LiveView":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        for reader in (self._ir, self._vis):
            reader.close()

    async def stream(self, request: Request) -> Response:
        """GET /live/stream: JPEG frames one after the other, each in the place of the one before."""
        if len(self._viewers) >= _VIEWERS:
            return JSONResponse({"error": f"{_VIEWERS} viewers are looking already."}, status_code=503)
        return StreamingResponse(self._parts(), media_type="multipart/x-mixed-replace; boundary=frame")

    async def facts(self, request: Request) -> Response:
        """GET /live/facts: rate, delay and state."""
        shown = list(self._shown)
        spent = shown[-1][0] - shown[0][0] if len(shown) > 1 else 0.0
        fresh = bool(shown) and time.monotonic() - shown[-1][0] < _GAP_SECONDS
        state = {
            "rate": (len(shown) - 1) / spent if fresh and spent > 0 else None,
            "delay": float(np.median([delay for _, delay in shown])) if fresh else None,
            "dropped": self._vis.dropped,
            "size": self._size,
            "notes": self._notes,
            "compiling": self._compiling and not shown,
            "ended": self._ended,
        }
        return JSONResponse(state)

    @staticmethod
    def _opened(source: str, limits: Limits) -> LiveReader:
        reader = open_reader(source, limits=limits)
        if not isinstance(reader, LiveReader):
            raise UsageError(
                f"{source} is not a live source.", "Give a camera or an address, or live:FILE to play one."
            )
        return reader

    async def _parts(self) -> AsyncIterator[bytes]:
        news = asyncio.Event()
        self._viewers[news] = asyncio.get_running_loop()
        try:
            yield b"--frame\r\n"
            while not self._ended:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), 1.0)
                if news.is_set():
                    news.clear()
                    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(self._jpeg)}\r\n\r\n"
                    yield head.encode() + self._jpeg + b"\r\n--frame\r\n"
        finally:
            del self._viewers[news]

    def _run(self) -> None:
        try:
            with as_resource_error():
                self._show()
            self._ended = "The sources have ended."
        except CamfuseError as error:
            self._ended = page_words(error)

    def _show(self) -> None:
        for reader in (self._ir, self._vis):
            reader.stop = lambda: self._closing
            reader.start()
        with contextlib.closing(self._ir.frames()) as irs, contextlib.closing(self._vis.frames()) as visibles:
            ir, vis = next(irs, None), next(visibles, None)
            if ir is None or vis is None:
                raise InputError("A live source ended before its first frame.", "Check the sources.")
            self._compiling = True
            calibration = calibrate_video([(ir, vis)], self._settings)
            self._notes = tuple(page_words(note) for note in calibration.notes)
            rates = self._ir.facts.rate, self._vis.facts.rate
            self._params = with_usual_look(steady_params(self._params), colored=calibration.colored)
            programs = Exact()  # all frames have one size
            flicker = FlickerControl(self._params, rates[1], programs)
            for ir, vis in Matching(*rates, frames=1.0).pairs(irs, visibles):
                if self._viewers:
                    self._publish(calibration, flicker, ir, vis, programs)
            if not self._closing:
                self._ir.check()  # the visible source may have ended before its error was met

    def _publish(
        self, calibration: VideoCalibration, flicker: FlickerControl, ir: Frame, vis: Frame, programs: Exact
    ) -> None:
        ready = calibration.prepare(ir, vis)
        options = {"buckets": programs, "context": flicker(ready), **ready.masks}
        levels = to_levels(fuse_frame(self._params, ready.ir_unit, ready.vis_unit, **options), 8)
        buffer = io.BytesIO()
        Image.fromarray(levels).save(buffer, "jpeg", quality=_JPEG_QUALITY)
        self._jpeg, self._size = buffer.getvalue(), (levels.shape[1], levels.shape[0])
        now = time.monotonic()
        if self._shown and now - self._shown[-1][0] > _GAP_SECONDS:  # nobody looked, or nothing came
            self._shown.clear()
        self._shown.append((now, now - vis.time))
        for news, loop in list(self._viewers.items()):
            with contextlib.suppress(RuntimeError):  # its loop has ended
                loop.call_soon_threadsafe(news.set)
