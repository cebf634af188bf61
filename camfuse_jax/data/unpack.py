"""Zip archives, unpacked without TensorFlow (which tensorflow-datasets 4.9.10 needs for that)."""

import shutil
import uuid
import zipfile
import zlib
from pathlib import Path

from camfuse_jax.errors import ResourceError


def unpack_zip(archive: Path, *, first: int | None = None) -> Path:
    """Unpack beside the archive, once: a later call returns the folder at once.

    Args:
        archive: A zip file. A damaged one is removed, since its download would otherwise be taken for done.
        first: Unpack only the first so many files by name.

    Returns:
        The folder, `ARCHIVE.unpacked`.

    Raises:
        ResourceError: The archive is damaged, or the folder cannot be written.
    """
    target = archive.with_name(f"{archive.name}.unpacked")
    if target.is_dir():
        return target
    partial = archive.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with zipfile.ZipFile(archive) as opened:
            members = sorted(name for name in opened.namelist() if not name.endswith("/"))
            opened.extractall(partial, members[:first])
        partial.rename(target)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        archive.unlink(missing_ok=True)
        raise ResourceError(f"{archive} was damaged and has been removed: {error}.", "Run again.") from error
    except OSError as error:
        raise ResourceError(f"{archive} cannot be unpacked: {error}.", "Check rights and free space.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target
