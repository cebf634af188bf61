"""What this package asks of XLA, and where compiled programs are kept. Nothing here changes a result."""

import functools
import glob
import hashlib
import os
import re
import shutil
import sys
import warnings
from importlib import metadata
from pathlib import Path

CACHE_VARIABLE = "CAMFUSE_CACHE"
"""Environment: folder in which compiled programs are kept, or `off`."""
_CACHE_WARNING = re.compile("Error (reading|writing) persistent compilation cache(?: entry for '([^']*)')?")
_YNN = "xla_cpu_experimental_ynn_fusion_type"
_OFF = ("off", "0", "no", "false", "")
_MOST_BYTES = 512 * 2**20  # kept at most; the oldest go first
_SPARE_BYTES = 256 * 2**20  # free space below which nothing is kept


@functools.cache
def _has_slow_convolution() -> bool:
    """True for jaxlib 0.10, whose CPU compiler takes three times as long for convolutions without padding."""
    return metadata.version("jaxlib").startswith("0.10.")


def package_version() -> str:
    """Version of the installed package, `source` where a source tree runs that is not installed."""
    try:
        return metadata.version("camfuse-jax")
    except metadata.PackageNotFoundError:
        return "source"


def compiler_options() -> dict[str, str] | None:
    """Options for `jax.jit(..., compiler_options=...)` of a top-level function."""
    return {_YNN: ""} if _has_slow_convolution() else None


def configure() -> None:
    """Settings of a whole process: call it at a program's start, before JAX is imported.

    Gives JAX the same options, and a folder in which it keeps compiled programs, so that a second run compiles
    nothing: `camfuse_jax` in the user's cache folder, or what the environment's CAMFUSE_CACHE says. A folder that JAX's
    own JAX_COMPILATION_CACHE_DIR names is left to the user.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if _has_slow_convolution() and _YNN not in flags:
        os.environ["XLA_FLAGS"] = f"--{_YNN}= {flags}".strip()
    if "JAX_COMPILATION_CACHE_DIR" in os.environ or "jax" in sys.modules:
        return
    folder = cache_folder()
    if folder is not None:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
        # Small programs too: there are dozens, and each costs as long to compile as to draw a small image.
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
        _mend(folder)


def _mend(folder: Path) -> None:
    """An entry that cannot be read is removed and compiled again: JAX itself would keep it for good.

    Nothing is said of it, for there is nothing a user could do.
    """
    usual = warnings.showwarning

    def show(message, category, filename, lineno, file=None, line=None):
        match = _CACHE_WARNING.match(str(message))
        if match is None:
            return usual(message, category, filename, lineno, file, line)
        if match[1] == "reading" and match[2]:
            for path in folder.glob(f"{glob.escape(match[2])}-*-cache"):
                path.unlink(missing_ok=True)
        return None

    warnings.filterwarnings("always", _CACHE_WARNING.pattern, UserWarning)
    warnings.showwarning = show


def cache_folder() -> Path | None:
    """Where compiled programs are kept; None where that is switched off or not safely possible.

    Each version of jaxlib and each kind of processor gets its own folder: a program for one processor may stop
    another. JAX runs what it finds there, so the folder has to be the user's own.
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named is not None and named.lower() in _OFF:
        return None
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "camfuse_jax"
        folder = (Path(named).expanduser() if named else base) / f"jaxlib-{metadata.version('jaxlib')}-{_processor()}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mine = not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
        others = folder.stat().st_mode & 0o022 if os.name == "posix" else 0
        if not mine or others or not os.access(folder, os.W_OK | os.X_OK):
            return None
        if shutil.disk_usage(folder).free < _SPARE_BYTES:
            return None
        prune(folder)
    except (OSError, RuntimeError):  # RuntimeError: no home folder
        return None
    return folder


def prune(folder: Path, most: int = _MOST_BYTES) -> None:
    """Removes the oldest files of a folder until it holds at most `most` bytes, and those a killed run left empty."""
    files = []
    for path in folder.iterdir():
        if not path.is_file():
            continue
        facts = path.stat()
        if facts.st_size == 0:
            path.unlink(missing_ok=True)
        else:
            files.append((facts.st_mtime, facts.st_size, path))
    held = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if held <= most:
            break
        path.unlink(missing_ok=True)
        held -= size


def _processor() -> str:
    """Short name for what this machine's processor can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        description = "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    except OSError:
        import platform

        description = f"{platform.machine()} {platform.processor()}"
    return hashlib.sha256(description.encode()).hexdigest()[:12]
