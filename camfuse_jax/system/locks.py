"""One writer at a time in a folder: advisory locks that the system drops when their process ends, however it ends."""

import contextlib
import errno
import fcntl
import os
import pathlib
import socket
from collections.abc import Iterator

from camfuse_jax.errors import ResourceError

NAME = ".lock"
# Some network file systems know no locks; there the user has to take care.
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}


@contextlib.contextmanager
def locked(folder: pathlib.Path, *, shared: bool = False) -> Iterator[None]:
    """Holds a folder's lock inside the block; never waits for it.

    Args:
        folder: An existing folder; the lock is the file `.lock` in it and stays there.
        shared: Admit other shared holders, for reading; then a folder that cannot be written is not locked at all.

    Raises:
        ResourceError: If another process holds the lock, which it names.
        OSError: If the lock file cannot be made.
    """
    path = folder / NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if shared and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            yield  # nobody can write there, so nobody needs to be kept out
            return
        raise
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _in_use(folder, file.read(200).decode(errors="replace").strip()) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        if not shared:
            # Only told to a second process; on a full disk the lock is held all the same.
            with contextlib.suppress(OSError):
                file.truncate(0)
                file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield


def _in_use(folder: pathlib.Path, holder: str) -> ResourceError:
    return ResourceError(
        f"{folder} is in use by {holder or 'another process'}.", "Wait until it ends, or give another --workdir."
    )
