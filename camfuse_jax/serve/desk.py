"""Who is served when: pairs in memory by token, one computation at a time, and no work for a client that left."""

import asyncio
import contextlib
import functools
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from camfuse_jax.errors import CamfuseError, InputError, ResourceError, UsageError
from camfuse_jax.fusion.params import Params
from camfuse_jax.serve.request import (
    Bounds,
    BusyError,
    FusionRequest,
    TooLargeError,
    TooSlowError,
    read_balance,
    read_request,
)
from camfuse_jax.serve.response import KeptPair, page_words
from camfuse_jax.system.files import as_resource_error

_CLIENT_LEFT = 499  # as other servers write it down; nobody receives it
_GONE = 410
_DECODERS = 2  # files read at a time, besides the one computation: a hostile one holds up one of them
_SILENT_SECONDS = 1.0
_STATUS = (
    (BusyError, 503),
    (TooLargeError, 413),
    (TooSlowError, 408),
    (InputError, 422),
    (UsageError, 400),
    (ResourceError, 507),
)


class ClientLeft(Exception):
    """Nobody waits for the result any more."""


def refused(error: CamfuseError) -> JSONResponse:
    """An error as the page shows it."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 400)
    headers = {"retry-after": "2"} if status == 503 else None
    return JSONResponse({"error": page_words(error)}, status_code=status, headers=headers)


class Desk:
    """Reads pairs and computes what is asked of them."""

    def __init__(self, params: Params, bounds: Bounds):
        self._params, self._bounds = params, bounds
        self._decoding, self._fusing = anyio.CapacityLimiter(_DECODERS), anyio.CapacityLimiter(1)
        self._waiting: Counter[str] = Counter()
        self._uploads, self._pairs = _Uploads(bounds), _KeptPairs(bounds)

    async def take(self, request: Request) -> Response:
        """POST /pairs: reads two images; gives a token by which results are asked for."""
        try:
            with self._uploads.opened() as upload:
                with upload.scope:
                    asked = await read_request(request, self._bounds, upload.arrived)
                if upload.scope.cancelled_caught:
                    raise TooSlowError("The images stopped coming while others waited.", "Try again.")
                upload.whole = True
                return await self._served(request, self._decoding, functools.partial(self._read, asked), self._keep)
        except CamfuseError as error:
            return refused(error)

    async def give(self, request: Request) -> Response:
        """GET /pairs/TOKEN/KIND: the result or the maps of a pair at a balance."""
        makers = {"preview": KeptPair.preview, "result": KeptPair.png, "maps": KeptPair.maps}
        make = makers.get(request.path_params["kind"])
        pair = self._pairs.get(request.path_params["token"])
        if make is None:
            return JSONResponse({"error": "There is nothing here."}, status_code=404)
        if pair is None:
            return JSONResponse({"error": "This pair is no longer in memory."}, status_code=_GONE)
        try:
            balance = read_balance(dict(request.query_params))
            return await self._served(
                request,
                self._fusing,
                lambda go_on: make(pair, self._params, balance, go_on),
                lambda made: Response(made[0], media_type=made[1]),
            )
        except CamfuseError as error:
            return refused(error)

    def _read(self, asked: FusionRequest, go_on: Callable[[], None]) -> tuple[KeptPair, dict[str, Any]]:
        pair = KeptPair(asked, self._bounds.limits, go_on)
        go_on()
        return pair, pair.described()

    def _keep(self, read: tuple[KeptPair, dict[str, Any]]) -> Response:
        pair, described = read
        return JSONResponse({"token": self._pairs.add(pair), **described})

    async def _served(
        self,
        request: Request,
        limiter: anyio.CapacityLimiter,
        work: Callable[[Callable[[], None]], Any],
        reply: Callable[[Any], Response],
    ) -> Response:
        """Waits for its turn and works in a thread; ends early, in the queue or between two steps, for one who left.

        Raises:
            CamfuseError: As `work` does.
            BusyError: Too many wait.
        """
        client = request.client.host if request.client else ""
        queue = self._bounds.queue
        if self._waiting.total() >= queue or self._waiting[client] >= max(1, queue // 2):
            raise BusyError("Other images are being fused.", "Try again in a moment.")
        left, made = threading.Event(), []

        def go_on() -> None:
            if left.is_set():
                raise ClientLeft

        def worked() -> Any:
            try:
                with as_resource_error():
                    go_on()
                    return work(go_on)
            except (CamfuseError, ClientLeft) as error:  # as a value: a task group would wrap it
                return error

        async def watch() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            left.set()
            group.cancel_scope.cancel()  # ends the wait for a turn; a thread at work is waited for

        self._waiting[client] += 1
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(watch)
                async with limiter:
                    made.append(await anyio.to_thread.run_sync(worked))
                group.cancel_scope.cancel()
        finally:
            self._waiting[client] -= 1
            self._waiting += Counter()  # forgets clients that have none
        if not made or isinstance(made[0], ClientLeft):
            return Response(status_code=_CLIENT_LEFT)
        if isinstance(made[0], CamfuseError):
            raise made[0]
        return reply(made[0])


class _Upload:
    """One request on its way; `scope` ends it, and after `whole` it is not ended any more."""

    def __init__(self, grown: Callable[[], None]):
        self.scope, self.whole = anyio.CancelScope(), False
        self.received, self.last = 0, time.monotonic()
        self._grown = grown

    def arrived(self, count: int) -> None:
        self.received, self.last = self.received + count, time.monotonic()
        self._grown()


class _Uploads:
    """Bytes of all requests on their way are bounded; where they do not fit, the one that is silent longest ends."""

    def __init__(self, bounds: Bounds):
        self._most = bounds.queue * bounds.max_bytes
        self._open: set[_Upload] = set()

    @contextlib.contextmanager
    def opened(self) -> Iterator[_Upload]:
        upload = _Upload(self._make_room)
        self._open.add(upload)
        try:
            yield upload
        finally:
            self._open.discard(upload)

    def _make_room(self) -> None:
        while sum(upload.received for upload in self._open) > self._most:
            silent = min((one for one in self._open if not one.whole), key=lambda one: one.last)
            if time.monotonic() - silent.last < _SILENT_SECONDS:
                raise BusyError("Other images are being received.", "Try again in a moment.")
            self._open.discard(silent)
            silent.scope.cancel()


class _KeptPairs:
    """Pairs by token: the newest, and as many of the others as fit, for a time."""

    def __init__(self, bounds: Bounds):
        self._bounds = bounds
        self._pairs: dict[str, tuple[KeptPair, asyncio.TimerHandle]] = {}

    def add(self, pair: KeptPair) -> str:
        token = secrets.token_urlsafe(24)
        self._put(token, pair)
        while len(self._pairs) > 1 and sum(pair.nbytes for pair, _ in self._pairs.values()) > self._bounds.kept_bytes:
            self._drop(next(iter(self._pairs)))
        return token

    def get(self, token: str) -> KeptPair | None:
        if token not in self._pairs:
            return None
        pair = self._drop(token)
        self._put(token, pair)  # the last one again
        return pair

    def _put(self, token: str, pair: KeptPair) -> None:
        timer = asyncio.get_running_loop().call_later(self._bounds.kept_seconds, self._drop, token)
        self._pairs[token] = pair, timer

    def _drop(self, token: str) -> KeptPair:
        pair, timer = self._pairs.pop(token)
        timer.cancel()
        return pair
