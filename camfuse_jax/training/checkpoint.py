"""The config a stage's folder was made with: written before its first checkpoint, compared ever after."""

import contextlib
import json
import logging
import os
import pathlib
import re
import shutil
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from camfuse_jax.errors import CheckpointError, ResourceError
from camfuse_jax.system.checksum import mismatch
from camfuse_jax.system.files import flush_folder, reserve, write_atomically
from camfuse_jax.system.locks import locked
from camfuse_jax.training import manifest, processes

NAME = "config.json"


def write(folder: pathlib.Path, config: dict[str, Any]) -> None:
    """Writes a config into a stage's folder, whole or not at all.

    Raises:
        OSError: As the system says.
    """
    write_atomically(folder / NAME, json.dumps(config, indent=2))


def read(folder: pathlib.Path) -> dict[str, Any]:
    """Reads the config a stage's folder was made with.

    Raises:
        CheckpointError: If there is none, or it is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no trained stage ({NAME} is missing).", "Train it first.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}.", "Use another --workdir.") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} is damaged: it is not a JSON object.", "Use another --workdir.")
    return config


def agree(folder: pathlib.Path, config: dict[str, Any]) -> None:
    """Compares a config with the one the folder's checkpoints were made with.

    Raises:
        CheckpointError: If they differ, with every name that does; or as `read` does.
    """
    config, saved = json.loads(json.dumps(config)), read(folder)
    if saved != config:
        ours, theirs = _flat(config), _flat(saved)
        names = sorted(n for n in ours.keys() | theirs.keys() if ours.get(n) != theirs.get(n))
        listed = "; ".join(f"{name}: saved {theirs.get(name)}, now {ours.get(name)}" for name in names)
        raise CheckpointError(
            f"{folder} was trained with another config ({listed}).",
            "Use another --workdir, or the saved settings.",
        )


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}.{name}" if prefix else name)
    return flat


# Checkpoints of one stage: orbax steps with a manifest each, beside the config they were made with.
#
# A step is written in `.saving-N`, gets its manifest there, and is renamed to `N`; an old step is renamed before its
# files go. So a folder named by a number is a whole step, unless something damaged it, and then its manifest tells.


_KEEP = 2
_SAVING, _REMOVING = ".saving-", ".removing-"
_ORBAX_ASKS = "orbax.checkpoint.experimental.v1._src.saving.execution._check_directory_consistency"


class StageCheckpoints:
    """Reads and writes a stage's training state; holds the folder's lock until it is closed.

    Args:
        folder: The stage's folder inside the workdir, such as `runs/x/ae`.
        config: What the weights depend on, as a JSON object; a folder made with another one is refused.
        writable: Whether steps will be saved. If not, nothing in the folder is changed, and others may read it too.

    Raises:
        CheckpointError: If the folder holds another config's checkpoints, or only damaged ones.
        ResourceError: If the folder cannot be used, or another process uses it.
    """

    def __init__(self, folder: pathlib.Path, config: dict[str, Any], *, writable: bool = True):
        self.folder = folder
        self._config = manifest.digest(json.loads(json.dumps(config)))
        self._lock = contextlib.ExitStack()
        try:
            if writable:
                folder.mkdir(parents=True, exist_ok=True)
            self._lock.enter_context(locked(folder, shared=not writable))
            if writable:
                _tidy(folder)
            # Before anything is saved a first attempt's settings bind nobody.
            if _steps(folder):
                agree(folder, config)
            elif writable:
                write(folder, config)
            self._latest = self._newest_good()
        except OSError as error:
            self.close()
            raise ResourceError(f"The checkpoint folder {folder} cannot be used: {_reason(error)}.") from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "StageCheckpoints":
        """Returns the checkpoints themselves."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Gives the folder back."""
        self.close()

    @property
    def latest(self) -> int | None:
        """Number of the newest step whose files are as they were written, or None."""
        return self._latest

    @property
    def finished(self) -> bool:
        """Whether the newest good step is the stage's last."""
        return self._latest is not None and manifest.read(self.folder / str(self._latest)).last

    def save(self, step: int, state: Any, *, last: bool = False) -> None:
        """Writes a state and returns when it is on disk; a good step that is already there is left as it is.

        Steps from this one on were found damaged, or training would have gone on from them: they are replaced.

        Args:
            step: Steps taken.
            state: Pytree of arrays.
            last: Whether the stage ends with this step.

        Raises:
            ResourceError: If it cannot be written; earlier steps are as they were.
        """
        if self._latest == step:
            return
        saving, arrays = self.folder / f"{_SAVING}{step}", _by_name(state)
        try:
            reserve(self.folder, _largest_size(arrays))
            with _quiet_orbax(), _one_process():
                ocp.save(saving.resolve(), arrays)
            manifest.write(saving, step=step, last=last, config=self._config)
            for damaged in [number for number in _steps(self.folder) if number >= step]:
                self._remove(damaged)
            saving.rename(self.folder / str(step))
            flush_folder(self.folder)
            self._latest = step
            for old in _steps(self.folder)[:-_KEEP]:
                self._remove(old)
        except (OSError, ValueError) as error:
            with contextlib.suppress(OSError):
                _tidy(self.folder)
            if isinstance(error, ValueError) and _os_error(error) is None:
                raise
            raise ResourceError(
                f"Step {step} could not be saved in {self.folder}: {_reason(error)}.",
                f"Earlier steps are whole: {self._latest}." if self._latest is not None else "",
            ) from error

    def restore(self, like: Any) -> Any:
        """Reads the newest good step.

        Args:
            like: A state of the expected structure, shapes and types.

        Raises:
            CheckpointError: If there is none, it cannot be read, or it does not fit; with what is missing,
                unexpected, of another shape or of another type.
        """
        if self._latest is None:
            raise CheckpointError(f"There is no checkpoint in {self.folder}.", "Run this stage first.")
        where = f"Step {self._latest} in {self.folder}"
        try:
            with _quiet_orbax(), _one_process():
                loaded = ocp.load((self.folder / str(self._latest)).resolve())
            found = {name: np.asarray(array) for name, array in loaded.items()}
        except Exception as error:  # its files are as they were written, so it was written by something else
            raise CheckpointError(f"{where} cannot be read: {_reason(error)}.", "Use another --workdir.") from error
        wanted = _by_name(like)
        told = mismatch(wanted, found)
        if told:
            raise CheckpointError(
                f"{where} does not fit this network ({told}).",
                "Use the config it was trained with, or another workdir.",
            )
        return jax.tree.unflatten(jax.tree.structure(like), [found[name] for name in wanted])

    def close(self) -> None:
        """Gives the folder back."""
        self._lock.close()

    def _newest_good(self) -> int | None:
        """Checks steps from the newest back; those that are damaged are named."""
        damaged = []
        for step in reversed(_steps(self.folder)):
            problem = manifest.problem(self.folder / str(step), step=step, config=self._config)
            if not problem:
                for told in damaged:
                    print(f"{self.folder}: {told}; going back to step {step}", file=sys.stderr)
                return step
            damaged.append(f"step {step} is damaged ({problem})")
        if damaged:
            raise CheckpointError(f"{self.folder} has no checkpoint left: {', '.join(damaged)}.", "Train it anew.")
        return None

    def _remove(self, step: int) -> None:
        gone = self.folder / f"{_REMOVING}{step}"
        _discard(gone)
        (self.folder / str(step)).rename(gone)
        _discard(gone)


def _steps(folder: pathlib.Path) -> list[int]:
    """Numbers of the steps in a folder, ascending, good or not."""
    # Exactly what `save` names them: 007 is not ours, nor are digits of other scripts.
    return sorted(int(p.name) for p in folder.iterdir() if re.fullmatch(r"0|[1-9][0-9]{0,17}", p.name))


def _tidy(folder: pathlib.Path) -> None:
    """Removes what a killed process left half written or half removed."""
    for path in folder.iterdir():
        if path.name.startswith((_SAVING, _REMOVING)):
            _discard(path)
        elif path.name.endswith(".part"):
            path.unlink()


def _discard(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _by_name(state: Any) -> dict[str, np.ndarray]:
    """Leaves by their path: what is saved, so that a step can be compared name by name before it is used."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in leaves}


def _largest_size(arrays: dict[str, np.ndarray]) -> int:
    """Bytes that a step needs at most on disk: small files, and each array, which may get blocks of its own."""
    return sum(array.nbytes + 8192 for array in arrays.values()) + (1 << 16)


def _is_news(record: logging.LogRecord) -> bool:
    """False for an array's error that orbax leaves in a task nobody asks, while it raises another array's."""
    return not (record.exc_info and "tensorstore_spec" in str(record.exc_info[1]))


@contextlib.contextmanager
def _quiet_orbax() -> Iterator[None]:
    """Keeps orbax from logging a page of tracebacks of an error that it raises as well."""
    logging.getLogger("asyncio").addFilter(_is_news)  # for good: those tasks are collected later; once is enough
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _one_process() -> Iterator[None]:
    """Lets orbax read and write in this process by itself, though it may have others beside it."""
    if jax.process_count() == 1:
        yield
        return
    own = jax.process_index()
    options = ocp.options.MultiprocessingOptions(
        primary_host=own, active_processes={own}, barrier_sync_key_prefix=f"process{own}"
    )
    # Orbax 0.12 asks all processes for their path, active or not; those that do not save would take its question for
    # a message of ours.
    with ocp.Context(multiprocessing_options=options), mock.patch(_ORBAX_ASKS, lambda path: None):
        yield


def _os_error(error: Exception) -> str | None:
    """What the system said, where orbax tells it as text only."""
    code = re.search(r"os_error_code='(\d+)'", str(error))
    return os.strerror(int(code[1])) if code else None


def _reason(error: Exception) -> str:
    told = getattr(error, "strerror", None) or _os_error(error)
    return told or (str(error).splitlines() or [type(error).__name__])[0]


# A stage's checkpoints for several processes: the leader keeps them, the others are told; no shared disk is needed.


class SharedCheckpoints:
    """What `StageCheckpoints` is to one process; every process calls the same methods in the same order.

    Args:
        folder: As there; only the leader's is used.
        config: As there.
        writable: As there.

    Raises:
        CamfuseError: As there, in every process.
    """

    def __init__(self, folder: pathlib.Path, config: dict[str, Any], *, writable: bool = True):
        self.folder = folder
        self._own = processes.in_leader(lambda: StageCheckpoints(folder, config, writable=writable))
        latest = self._own.latest if self._own else None
        told = processes.highest(0 if latest is None else latest + 1)
        self._latest = told - 1 if told else None
        self._finished = bool(processes.highest(int(bool(self._own and self._own.finished))))

    def __enter__(self) -> "SharedCheckpoints":
        """Returns the checkpoints themselves."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Gives the folder back."""
        self.close()

    @property
    def latest(self) -> int | None:
        """Number of the newest good step, or None."""
        return self._latest

    @property
    def finished(self) -> bool:
        """Whether the newest good step is the stage's last."""
        return self._finished

    def save(self, step: int, state: Any, *, last: bool = False) -> None:
        """Writes a state in the leader and returns, in every process, when it is on disk."""
        processes.in_leader(lambda: self._leader().save(step, state, last=last))
        self._latest, self._finished = step, last

    def restore(self, like: Any) -> Any:
        """The newest good step, read by the leader and sent to the others."""
        found = processes.in_leader(lambda: self._leader().restore(like))
        return processes.spread(like if found is None else found)

    def close(self) -> None:
        """Gives the folder back."""
        if self._own is not None:
            self._own.close()

    def _leader(self) -> StageCheckpoints:
        assert self._own is not None  # called in the leader only
        return self._own


Checkpoints = StageCheckpoints | SharedCheckpoints


def open_checkpoints(folder: pathlib.Path, config: dict[str, Any], *, writable: bool = True) -> Checkpoints:
    """Opens a stage's folder as this process can: by itself, or together with the others."""
    kind = StageCheckpoints if processes.alone() else SharedCheckpoints
    return kind(folder, config, writable=writable)
