"""Files written whole or not at all, errors of the system in our words, checksums, and locks of folders."""

import contextlib
import errno
import functools
import hashlib
import os
import pathlib
import re
import shutil
import socket
import stat
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import portalocker

from camfuse_jax.errors import OutOfMemoryError, ResourceError

_PARTIAL = re.compile(r"\.([0-9a-f]{8})-([0-9a-f]{8})-[0-9a-f]{16}\.part")
_OLD_SECONDS = 24 * 3600.0
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EMLINK, errno.EXDEV}


def write_atomically(path: pathlib.Path, content: bytes | str, *, exclusive: bool = False) -> None:
    """Writes a file beside its place, flushes it to the disk and renames it.

    The temporary name has a fixed short length, so that a name of 255 bytes can be written too. What processes that
    were killed left in the folder is removed on the way.

    Args:
        path: Where the file goes; its folder exists.
        content: Bytes, or text that is written as UTF-8.
        exclusive: Never replace a file, not even one that appears at this moment.

    Raises:
        OSError: As the system says; a former file of that name is as it was, and nothing is left beside it.
            FileExistsError: `exclusive`, and the file is there.
    """
    data = content.encode() if isinstance(content, str) else content
    _clean_once(os.path.abspath(path.parent))
    partial = partial_name(path.parent)
    try:
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        publish(partial, path, exclusive=exclusive)
    finally:
        # The folder may be the very thing that is gone; the first error is the one to report.
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def replace_file(path: pathlib.Path, content: bytes | str, *, exclusive: bool = False) -> None:
    """The same, with its folder made first and the system's refusals named.

    Raises:
        ResourceError: The folder or file cannot be written.
        FileExistsError: `exclusive`, and the file is there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content, exclusive=exclusive)
    except OSError as error:
        if exclusive and isinstance(error, FileExistsError) and path.parent.is_dir():
            raise
        raise ResourceError(
            f"Cannot write {path}: {error.strerror or error}.", "Check the folder's rights and free space."
        ) from error


def partial_name(folder: pathlib.Path) -> pathlib.Path:
    """A new name for a file in the making, which says whose it is."""
    return folder / f".{_machine()}-{os.getpid():08x}-{uuid.uuid4().hex[:16]}.part"


def remove_partial_files(folder: pathlib.Path) -> None:
    """Removes files in the making whose process has ended; of another machine, those a day old."""
    with contextlib.suppress(OSError):
        for path in folder.glob(".*.part"):
            match = _PARTIAL.fullmatch(path.name)
            if match and _is_dead(path, match[1], int(match[2], 16)):
                with contextlib.suppress(OSError):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


_clean_once = functools.cache(lambda folder: remove_partial_files(pathlib.Path(folder)))


def _is_dead(path: pathlib.Path, machine: str, process: int) -> bool:
    if machine == _machine() and os.name == "posix":  # elsewhere os.kill would end the process
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False
    return time.time() - path.stat().st_mtime > _OLD_SECONDS


@functools.cache
def _machine() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def publish(partial: pathlib.Path, path: pathlib.Path, *, exclusive: bool) -> None:
    """Gives a finished file its name at one moment; `exclusive` raises FileExistsError where the name is taken."""
    if not exclusive:
        partial.replace(path)
        return
    try:
        os.link(partial, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        path.open("xb").close()  # a file system without links: the name is taken first, and then filled
        partial.replace(path)


def reserve(folder: pathlib.Path, size: int) -> None:
    """Makes sure that a number of bytes can be written in a folder, by claiming them and giving them back.

    For a library that writes with many threads: what one of them meets on a full disk, it reports badly or late.

    Args:
        folder: An existing folder.
        size: Bytes, at least 1.

    Raises:
        OSError: If they cannot be written: full disk, quota, largest size of a file, rights.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    claimed = partial_name(folder)
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
    """Makes renames inside a folder survive a power cut; Windows does so by itself and opens no folders."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Not ENOENT: files that users name are looked for before they are opened, so a missing one here is our mistake.
_CODES = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE, errno.ENOMEM),
    *(errno.ELOOP, errno.ESTALE),
}


@contextlib.contextmanager
def as_resource_error() -> Iterator[None]:
    """Turns what the system refuses at a program's edge into one kind: disk, rights, names, memory.

    Raises:
        ResourceError: For the codes above, for Python's `MemoryError`, and for XLA's lack of memory.
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
        # Libraries in C++ report the system's refusals as text: array_record of the disk, XLA of the memory.
        for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            if os.strerror(code) in str(error):
                raise ResourceError(f"{os.strerror(code)}: {str(error).splitlines()[0]}", "Free some space.") from error
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise _no_memory() from error


def _no_memory() -> OutOfMemoryError:
    return OutOfMemoryError(
        "Memory does not suffice.", "Use smaller images, a lower --max-memory, or a smaller --ae.batch-size or crop."
    )


def is_file(path: pathlib.Path) -> bool:
    """Whether a file is there; False for names that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # such as a name longer than names can be
        return False


def array_digest(arrays: Mapping[str, np.ndarray], text: str) -> str:
    """Sha256 over arrays and a text; names, types and shapes count, the order does not.

    Args:
        arrays: By name.
        text: What belongs to them, such as their network's shape.
    """
    sha256 = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        sha256.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        sha256.update(array.data)
    return sha256.hexdigest()


def mismatch(wanted: Mapping[str, Any], present: Mapping[str, Any]) -> str:
    """Compares arrays by name, shape and type.

    Args:
        wanted: What is expected: anything with `shape` and `dtype`, by name.
        present: What is there, likewise.

    Returns:
        `missing: ...; unexpected: ...; shape: ...; type: ...`, or an empty text where all fit.
    """
    both = sorted(wanted.keys() & present.keys())
    lists = {
        "missing": sorted(wanted.keys() - present.keys()),
        "unexpected": sorted(present.keys() - wanted.keys()),
        "shape": [name for name in both if wanted[name].shape != present[name].shape],
        "type": [name for name in both if wanted[name].dtype != present[name].dtype],
    }
    if not any(lists.values()):
        return ""
    return "; ".join(f"{kind}: {', '.join(names) or 'none'}" for kind, names in lists.items())


NAME = ".lock"
# Some network file systems know no locks; there the user has to take care.
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}
_FLAGS = (
    os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
)


@contextlib.contextmanager
def locked(folder: pathlib.Path, *, shared: bool = False) -> Iterator[None]:
    """Holds a folder's lock inside the block; never waits for it.

    Args:
        folder: An existing folder; the lock is the file `.lock` in it and stays there.
        shared: Admit other shared holders, for reading; then a folder that cannot be written is not locked at all.

    Raises:
        ResourceError: Another process holds the lock, which it names, or the lock is no file of its own.
        OSError: If the lock file cannot be made.
    """
    path = folder / NAME
    try:
        descriptor = os.open(path, _FLAGS, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _no_plain_file(path) from error
        if shared and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            yield  # nobody can write there, so nobody needs to be kept out
            return
        raise
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:  # writing into it would change another file
            raise _no_plain_file(path)
        _lock(file, folder, portalocker.LOCK_SH if shared else portalocker.LOCK_EX)
        if not shared:
            # Only reported to a second process; on a full disk the lock is held all the same.
            with contextlib.suppress(OSError):
                file.truncate(0)
                file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield


def _lock(file, folder: pathlib.Path, kind: portalocker.LockFlags) -> None:
    try:
        portalocker.lock(file, kind | portalocker.LOCK_NB)
    except portalocker.LockException as error:
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error.__context__
        if isinstance(cause, OSError) and cause.errno in _NO_LOCKS:
            return
        holder = ""
        with contextlib.suppress(OSError):  # Windows lets nobody read what is locked
            holder = file.read(200).decode(errors="replace").strip()
        raise ResourceError(
            f"{folder} is in use by {holder or 'another process'}.", "Wait until it ends, or give another --workdir."
        ) from error


def _no_plain_file(path: pathlib.Path) -> ResourceError:
    return ResourceError(f"{path} is a link or no plain file, so it cannot be a lock.", "Remove it.")
