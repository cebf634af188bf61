"""What a browser asks for: two files and settings, as a form's fields, checked."""

import dataclasses
import unicodedata
from collections.abc import AsyncGenerator, Mapping

import anyio
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.fusion.params import MAX_GAIN
from camfuse_jax.images.ranges import parse_policy
from camfuse_jax.pair.options import FrameSettings

_NAME_LENGTH = 80
_CHOICES = {"ir_polarity": ("white", "black", "auto"), "fit": ("error", "ir", "vis"), "bits": ("auto", "8", "16")}
FIELDS = frozenset({"ir_gain", "vis_gain", "ir_range", "gray", "maps", *_CHOICES})
"""Names of the fields that are not files."""


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
class Wish:
    """One fusion.

    Attributes:
        ir: Infrared file.
        vis: Visible file.
        frame: How the pair is treated.
        ir_gain: Balance, see `fusion.balanced`.
        vis_gain: Balance.
        maps: Also send what does not depend on the balance: sources as they were read, and heat maps.
    """

    ir: Upload
    vis: Upload
    frame: FrameSettings
    ir_gain: float = 1.0
    vis_gain: float = 1.0
    maps: bool = True


def make_wish(ir: Upload, vis: Upload, fields: Mapping[str, str]) -> Wish:
    """Reads a form's fields; those that are absent have the values they have on the command line.

    Raises:
        UsageError: A field is unknown or its value cannot be.
    """
    unknown = sorted(fields.keys() - FIELDS)
    if unknown:
        raise UsageError(f"There is no setting {', '.join(map(_plain, unknown))}.")
    chosen = {name: _choice(fields, name, values) for name, values in _CHOICES.items()}
    frame = FrameSettings(
        ir_range=parse_policy(fields.get("ir_range", "auto"), option="ir_range"),
        gray=_switch(fields, "gray", "0"),
        **chosen,
    )
    gains = {name: _gain(fields, name) for name in ("ir_gain", "vis_gain")}
    return Wish(ir, vis, frame, maps=_switch(fields, "maps", "1"), **gains)


def shown_name(name: str | None) -> str:
    """A file's name as it is told to people: without folders and control characters, and not too long."""
    return _plain((name or "").replace("\\", "/").rpartition("/")[2]) or "image"


def _plain(text: str) -> str:
    kept = "".join(letter for letter in text if unicodedata.category(letter)[0] not in "CZ" or letter == " ")
    return kept if len(kept) <= _NAME_LENGTH else f"{kept[: _NAME_LENGTH - 1]}…"


def _choice(fields: Mapping[str, str], name: str, values: tuple[str, ...]) -> str:
    value = fields.get(name, values[0])
    if value not in values:
        raise UsageError(f"{name} is {_plain(value)!r}.", f"Give one of {', '.join(values)}.")
    return value


def _switch(fields: Mapping[str, str], name: str, default: str) -> bool:
    value = fields.get(name, default)
    if value not in ("0", "1"):
        raise UsageError(f"{name} is {_plain(value)!r}.", "Give 0 or 1.")
    return value == "1"


def _gain(fields: Mapping[str, str], name: str) -> float:
    try:
        return float(fields.get(name, "1"))  # `fusion.balanced` checks the number
    except ValueError as error:
        raise UsageError(f"{name} is {_plain(fields[name])!r}.", f"Give a number from 0 to {MAX_GAIN:g}.") from error


# From a request to a wish: read within limits, in memory only.


_ROLES = {"ir": "infrared", "vis": "visible"}
_FIELD_BYTES = 200


class TooLargeError(InputError):
    """More is sent than is taken."""


class TooSlowError(InputError):
    """The sender does not come to an end."""


class _InMemory(MultiPartParser):
    spool_max_size = 0  # never moved to a temporary file; the request's size is limited before

    def close(self) -> None:
        """Lets go of all parts, the one that was cut off too, which Starlette forgets."""
        for file in getattr(self, "_files_to_close_on_error", ()):
            file.close()


async def read_wish(request: Request, *, max_bytes: int, seconds: float) -> Wish:
    """Reads the form of a request.

    Raises:
        TooLargeError: Over `max_bytes`.
        TooSlowError: It takes longer than `seconds`.
        UsageError: It is no form of two files and known fields.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise UsageError(f"The request is {kind[:60] or 'of no type'}.", "Send multipart/form-data.")
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    parser = _InMemory(
        request.headers,
        _limited(request, max_bytes),
        max_files=len(_ROLES),
        max_fields=len(FIELDS),
        max_part_size=_FIELD_BYTES,
    )
    try:
        with anyio.fail_after(seconds):
            uploads, fields = await _parts(await parser.parse())
    except TimeoutError as error:
        raise TooSlowError(f"The images did not arrive within {seconds:g} s.", "Try again.") from error
    except (MultiPartException, ClientDisconnect) as error:
        raise UsageError(f"The request is not a whole form: {getattr(error, 'message', 'cut off')}.") from error
    finally:
        parser.close()
    absent = [role for name, role in _ROLES.items() if name not in uploads]
    if absent:
        raise UsageError(f"There is no {' and no '.join(absent)} image.", "Send ir and vis.")
    return make_wish(uploads["ir"], uploads["vis"], fields)


async def _parts(form: FormData) -> tuple[dict[str, Upload], dict[str, str]]:
    fields: dict[str, str] = {}
    uploads: dict[str, Upload] = {}
    for name, value in form.multi_items():
        if name in fields or name in uploads:
            raise UsageError(f"{name[:60]} is given twice.")
        if not isinstance(value, UploadFile):
            fields[name] = value
        elif name in _ROLES:
            uploads[name] = Upload(_ROLES[name], shown_name(value.filename), await value.read())
        else:
            raise UsageError(f"{name[:60]} is not a file that is asked for.", "Send ir and vis.")
    return uploads, fields


async def _limited(request: Request, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """The request's body; a sender may leave its length open, or lie."""
    seen = 0
    async for chunk in request.stream():
        seen += len(chunk)
        if seen > max_bytes:
            raise _too_large(max_bytes)
        yield chunk


def _too_large(max_bytes: int) -> TooLargeError:
    return TooLargeError(
        f"Both images together have more than {max_bytes / 1e6:g} MB.",
        "Use camfuse fuse, or start camfuse serve with a larger --max-megabytes.",
    )
