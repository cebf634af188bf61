"""The list of a checkpoint's files with their sizes and sha256: written last, compared before anything is loaded.

Orbax takes a flipped bit in an array's file for data. Our networks are a few megabytes, so hashing them costs
milliseconds, and every damage is found.
"""

import hashlib
import json
import os
import pathlib
import stat
from typing import Any, NamedTuple

from camfuse_jax.system.files import write_atomically

NAME = "manifest.json"
_FORMAT = 1
_LARGEST = 1 << 20


class Manifest(NamedTuple):
    """What a step's folder says of itself.

    Attributes:
        step: Number of the step.
        last: Whether it is the stage's last step.
        config: Digest of the config it was trained with.
        files: Size in bytes and sha256 by path, `/` between folders.
    """

    step: int
    last: bool
    config: str
    files: dict[str, tuple[int, str]]


def digest(config: Any) -> str:
    """Sha256 of a JSON value that does not depend on the order of its names."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def write_manifest(folder: pathlib.Path, *, step: int, last: bool, config: str) -> None:
    """Hashes the files of a step and writes the manifest, whole or not at all.

    Args:
        folder: The step's folder, complete but for the manifest.
        step: Number of the step.
        last: Whether it is the stage's last.
        config: `digest` of the config.

    Raises:
        OSError: If a file cannot be read or written.
    """
    files = {name: _measure(path) for name, path in _files(folder).items() if name != NAME}
    write_atomically(folder / NAME, _text(Manifest(step, last, config, files)))


def read_manifest(folder: pathlib.Path) -> Manifest:
    """Reads a manifest and checks it against itself, not against the files.

    Raises:
        ValueError: If it is absent, cannot be read, or is not letter for letter what `write_manifest` writes.
    """
    path = folder / NAME
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST).decode()
        content = json.loads(text)["manifest"]
        files = {name: (int(size), str(sha256)) for name, (size, sha256) in content["files"].items()}
        manifest = Manifest(content["step"], content["last"], content["config"], files)
        same = _text(manifest) == text
    except FileNotFoundError as error:
        raise ValueError(f"{NAME} is missing") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{NAME} cannot be read") from error
    if not same:
        raise ValueError(f"{NAME} is damaged")
    return manifest


def problem(folder: pathlib.Path, *, step: int, config: str) -> str:
    """Compares a step's folder with its manifest.

    Args:
        folder: The step's folder.
        step: Number the step should have.
        config: `digest` of the config it should have been trained with.

    Returns:
        What is wrong, or an empty text.
    """
    try:
        manifest = read_manifest(folder)
        if manifest.step != step:
            return f"{NAME} is that of step {manifest.step}"
        if manifest.config != config:
            return "it was trained with another config"
        there = _files(folder)
        there.pop(NAME)
        if there.keys() != manifest.files.keys():
            odd = sorted(there.keys() ^ manifest.files.keys())[0]
            return f"{odd} is {'missing' if odd in manifest.files else 'not part of it'}"
        # Sizes first: a file that has grown without end is never read.
        for name, path in there.items():
            if path.stat().st_size != manifest.files[name][0]:
                return f"{name} has {path.stat().st_size} bytes instead of {manifest.files[name][0]}"
        for name, path in there.items():
            if _measure(path) != manifest.files[name]:
                return f"the sha256 of {name} differs"
    except ValueError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename} cannot be read: {error.strerror}"
    return ""


def _files(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Every file under a folder by its path; anything else than files and folders is refused."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        name = path.relative_to(folder).as_posix()
        if stat.S_ISREG(mode):
            found[name] = path
        elif not stat.S_ISDIR(mode):
            raise ValueError(f"{name} is neither a file nor a folder")
    return found


def _measure(path: pathlib.Path) -> tuple[int, str]:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return os.fstat(file.fileno()).st_size, sha256


def _text(manifest: Manifest) -> str:
    """The file's content: the manifest and, because a flipped bit may hit it too, the digest of itself."""
    content = {"format": _FORMAT, **manifest._asdict()}
    return json.dumps({"manifest": content, "sha256": digest(content)}, indent=1, sort_keys=True) + "\n"
