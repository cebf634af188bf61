"""Small files that are either the old ones or the new ones, whatever happens while they are written."""

import contextlib
import errno
import os
import pathlib
import uuid
from collections.abc import Iterator

from camfuse_jax.errors import ResourceError


def write_atomically(path: pathlib.Path, content: bytes | str) -> None:
    """Writes a file beside its place, flushes it to the disk and renames it.

    The temporary name has a fixed short length, so that a name of 255 bytes can be written too.

    Args:
        path: Where the file goes; its folder exists.
        content: Bytes, or text that is written as UTF-8.

    Raises:
        OSError: As the system says; a former file of that name is as it was, and nothing is left beside it.
    """
    data = content.encode() if isinstance(content, str) else content
    partial = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        # The folder may be the very thing that is gone; the first error is the one to tell.
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def reserve(folder: pathlib.Path, size: int) -> None:
    """Makes sure that a number of bytes can be written in a folder, by claiming them and giving them back.

    For a library that writes with many threads: what one of them meets on a full disk, it tells badly or late.

    Args:
        folder: An existing folder.
        size: Bytes, at least 1.

    Raises:
        OSError: If they cannot be written: full disk, quota, largest size of a file, rights.
    """
    claimed = folder / f".{uuid.uuid4().hex}.part"
    try:
        with claimed.open("xb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # a file system that cannot claim in advance
            raise
    finally:
        with contextlib.suppress(OSError):
            claimed.unlink(missing_ok=True)


def flush_folder(folder: pathlib.Path) -> None:
    """Makes renames inside a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# What the system refuses, told in one line: a full disk, a missing right, a name that is too long, no memory.


# Not ENOENT: files that users name are looked for before they are opened, so a missing one here is our mistake.
_CODES = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE, errno.ENOMEM),
}


@contextlib.contextmanager
def as_resource_error() -> Iterator[None]:
    """Turns what is left of such errors at a program's edge into one kind.

    Raises:
        ResourceError: For the system's refusals above, for Python's `MemoryError`, and for XLA's lack of memory.
    """
    try:
        yield
    except MemoryError as error:
        raise _no_memory() from error
    except OSError as error:
        if error.errno not in _CODES:
            raise
        where = f"{error.filename}: " if error.filename else ""
        raise ResourceError(f"{where}{error.strerror}.", "Check the path, its rights and the free space.") from error
    except RuntimeError as error:
        # Libraries in C++ tell the system's refusals as text: array_record of the disk, XLA of the memory.
        for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            if os.strerror(code) in str(error):
                raise ResourceError(f"{os.strerror(code)}: {str(error).splitlines()[0]}", "Free some space.") from error
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise _no_memory() from error


def _no_memory() -> ResourceError:
    return ResourceError("Memory does not suffice.", "Use smaller images, or a smaller --ae.batch-size or crop.")
