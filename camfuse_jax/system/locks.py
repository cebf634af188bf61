"""One writer at a time in a folder: advisory locks that the system drops when their process ends, however it ends."""

import contextlib
import errno
import os
import pathlib
import socket
import stat
from collections.abc import Iterator

import portalocker

from camfuse_jax.errors import ResourceError

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
