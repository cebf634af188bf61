"""What the system refuses, told in one line: a full disk, a missing right, a name that is too long, no memory."""

import contextlib
import errno
import os
from collections.abc import Iterator

from camfuse_jax.errors import ResourceError

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
