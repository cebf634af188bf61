"""Small files that are either the old ones or the new ones, whatever happens while they are written."""

import contextlib
import errno
import os
import pathlib
import uuid


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
