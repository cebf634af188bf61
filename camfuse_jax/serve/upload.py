"""From a request to a wish: read within limits, in memory only."""

from collections.abc import AsyncGenerator

import anyio
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.serve.wish import FIELDS, Upload, Wish, make_wish, shown_name

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
