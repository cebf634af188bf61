"""What a browser sends: two files and settings as the fields of a form, read within limits and in memory only."""

import dataclasses
import time
import unicodedata
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import anyio
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from camfuse_jax.errors import InputError, ResourceError, UsageError
from camfuse_jax.fusion.params import MAX_GAIN
from camfuse_jax.images.bounds import Limits
from camfuse_jax.images.ranges import parse_policy
from camfuse_jax.pair.options import FrameSettings

_NAME_LENGTH, _FIELD_BYTES = 80, 200
_ROLES = {"ir": "infrared", "vis": "visible"}
_CHOICES = {"ir_polarity": ("white", "black", "auto"), "fit": ("error", "ir", "vis"), "bits": ("auto", "8", "16")}
FIELDS = frozenset({"ir_range", "gray", *_CHOICES})
"""Names of the fields of a pair that are not files."""
BALANCE_FIELDS = frozenset({"ir_gain", "vis_gain", "look"})
"""Names of the fields of a balance."""


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What a client may use.

    Attributes:
        limits: Of each image.
        max_bytes: Of a request, both images together; they are held in memory.
        queue: Requests that wait at a time, half of them one client's, and how many times `max_bytes` are held at most.
        seconds: Time in which a request must have arrived.
        stall_seconds: Longest silence within a request, and time from which on `slowest` counts.
        slowest: Bytes a second of a request on average.
        kept_bytes: Prepared pairs in memory, so that another balance is computed at once; the newest stays in any case.
        kept_seconds: Time after which a prepared pair that nobody asks for is forgotten.
    """

    limits: Limits = dataclasses.field(default_factory=lambda: Limits(25_000_000, 100_000_000))
    max_bytes: int = 100_000_000
    queue: int = 4
    seconds: float = 120.0
    stall_seconds: float = 8.0
    slowest: int = 8_000
    kept_bytes: int = 256_000_000
    kept_seconds: float = 900.0


@dataclasses.dataclass(frozen=True)
class Upload:
    """A file as a browser sends it.

    Attributes:
        role: infrared or visible.
        name: What to call it; shown to people only, never the name of a file here.
        content: Its bytes.
    """

    role: str
    name: str
    content: bytes

    def __str__(self) -> str:
        return f"{self.name} ({self.role})"


@dataclasses.dataclass(frozen=True)
class Balance:
    """What may change while a pair stays.

    Attributes:
        ir_gain: See `fusion.params.balanced`.
        vis_gain: The same.
        look: From natural (0) to contrast (1); None for what the weights bring.
    """

    ir_gain: float = 1.0
    vis_gain: float = 1.0
    look: float | None = None


@dataclasses.dataclass(frozen=True)
class FusionRequest:
    """Two images and how the pair is treated."""

    ir: Upload
    vis: Upload
    frame: FrameSettings


class TooLargeError(InputError):
    """More is sent than is taken."""


class TooSlowError(InputError):
    """The request does not arrive in time."""


class BusyError(ResourceError):
    """Others are served; the same request may be sent again soon."""


def read_balance(fields: Mapping[str, str]) -> Balance:
    """Reads the fields of a balance; those that are absent have the values they have on the command line.

    Raises:
        UsageError: A field is unknown or has no such value.
    """
    _check_names(fields, BALANCE_FIELDS)
    look = _number(fields, "look", 1.0) if "look" in fields else None
    # Their ranges are checked where they are used.
    return Balance(_number(fields, "ir_gain", MAX_GAIN), _number(fields, "vis_gain", MAX_GAIN), look)


def make_request(ir: Upload, vis: Upload, fields: Mapping[str, str]) -> FusionRequest:
    """Reads the settings of a pair; as `read_balance`."""
    _check_names(fields, FIELDS)
    chosen: dict[str, Any] = {name: _choice(fields, name, values) for name, values in _CHOICES.items()}
    gray = _choice(fields, "gray", ("0", "1")) == "1"
    ir_range = parse_policy(fields.get("ir_range", "auto"), option="ir_range")
    return FusionRequest(ir, vis, FrameSettings(ir_range=ir_range, gray=gray, **chosen))


def shown_name(name: str | None) -> str:
    """A file's name as people read it: without folders and control characters, and not too long."""
    return _printable((name or "").replace("\\", "/").rpartition("/")[2]) or "image"


def _printable(text: str) -> str:
    kept = "".join(letter for letter in text if unicodedata.category(letter)[0] not in "CZ" or letter == " ")
    return kept if len(kept) <= _NAME_LENGTH else f"{kept[: _NAME_LENGTH - 1]}…"


def _check_names(fields: Mapping[str, str], names: frozenset[str]) -> None:
    unknown = sorted(fields.keys() - names)
    if unknown:
        raise UsageError(f"There is no setting {', '.join(map(_printable, unknown))}.")


def _choice(fields: Mapping[str, str], name: str, values: tuple[str, ...]) -> str:
    value = fields.get(name, values[0])
    if value not in values:
        raise UsageError(f"{name} is {_printable(value)!r}.", f"Give one of {', '.join(values)}.")
    return value


def _number(fields: Mapping[str, str], name: str, most: float) -> float:
    try:
        return float(fields.get(name, "1"))
    except ValueError as error:
        raise UsageError(f"{name} is {_printable(fields[name])!r}.", f"Give a number from 0 to {most:g}.") from error


class _InMemory(MultiPartParser):
    spool_max_size = 0  # never moved to a temporary file; the request's size is limited before

    def close(self) -> None:
        """Frees all parts, also one that was cut off, which Starlette forgets."""
        for file in getattr(self, "_files_to_close_on_error", ()):
            file.close()


async def read_request(request: Request, bounds: Bounds, arrived: Callable[[int], None]) -> FusionRequest:
    """Reads a form of two files and known fields.

    Args:
        request: What is read.
        bounds: How much and how long.
        arrived: Called with the number of bytes of each piece; may raise.

    Raises:
        TooLargeError: Over `bounds.max_bytes`.
        TooSlowError: It takes too long.
        UsageError: It is another kind of request.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise UsageError(f"The request is {_printable(kind) or 'of no type'}.", "Send multipart/form-data.")
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > bounds.max_bytes:
        raise _too_large(bounds.max_bytes)
    body = _limited(request, bounds, arrived)
    parser = _InMemory(request.headers, body, max_files=len(_ROLES), max_fields=len(FIELDS), max_part_size=_FIELD_BYTES)
    try:
        with anyio.fail_after(bounds.seconds):
            uploads, fields = await _parts(await parser.parse())
    except TimeoutError as error:
        raise TooSlowError(f"The images did not arrive within {bounds.seconds:g} s.", "Try again.") from error
    except (MultiPartException, ClientDisconnect) as error:
        raise UsageError(f"The request is not a whole form: {getattr(error, 'message', 'cut off')}.") from error
    finally:
        parser.close()
    absent = [role for name, role in _ROLES.items() if name not in uploads]
    if absent:
        raise UsageError(f"There is no {' and no '.join(absent)} image.", "Send ir and vis.")
    return make_request(uploads["ir"], uploads["vis"], fields)


async def _parts(form: FormData) -> tuple[dict[str, Upload], dict[str, str]]:
    fields: dict[str, str] = {}
    uploads: dict[str, Upload] = {}
    for name, value in form.multi_items():
        if name in fields or name in uploads:
            raise UsageError(f"{_printable(name)} is given twice.")
        if not isinstance(value, UploadFile):
            fields[name] = value
        elif name in _ROLES:
            uploads[name] = Upload(_ROLES[name], shown_name(value.filename), await value.read())
        else:
            raise UsageError(f"{_printable(name)} is not a file that is asked for.", "Send ir and vis.")
    return uploads, fields


async def _limited(request: Request, bounds: Bounds, arrived: Callable[[int], None]) -> AsyncGenerator[bytes, None]:
    """The request's body; a client may leave its length open, or lie about it, or stop in the middle."""
    received, begun = 0, time.monotonic()
    stream = request.stream()
    while True:
        paid = begun + max(bounds.stall_seconds, received / bounds.slowest)
        with anyio.move_on_after(min(paid - time.monotonic(), bounds.stall_seconds)) as waiting:
            chunk = await anext(stream, None)
        if waiting.cancelled_caught:
            raise TooSlowError("The images stopped coming, or come too slowly.", "Try again.")
        if chunk is None:
            return
        received += len(chunk)
        if received > bounds.max_bytes:
            raise _too_large(bounds.max_bytes)
        arrived(len(chunk))
        yield chunk


def _too_large(max_bytes: int) -> TooLargeError:
    return TooLargeError(f"Both images together have more than {max_bytes / 1e6:g} MB.", "Use smaller files.")
