"""Checkpoints of one stage: orbax steps with a manifest each, beside the config they were made with.

A step is written in `.saving-N`, gets its manifest there, and is renamed to `N`; an old step is renamed before its
files go. So a folder named by a number is a whole step, unless something damaged it, and then its manifest tells.
"""

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

import jax
import numpy as np
import orbax.checkpoint as ocp

from camfuse_jax import cluster
from camfuse_jax.errors import CheckpointError, ResourceError
from camfuse_jax.system.files import flush_folder, locked, mismatch, reserve, write_atomically
from camfuse_jax.training import manifest

CONFIG_FILE = "config.json"
_STATE = "state"
_KEEP = 2
_SAVING, _REMOVING = ".saving-", ".removing-"


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
        config = json.loads(json.dumps(config))
        self._config = manifest.digest(config)
        self._lock = contextlib.ExitStack()
        try:
            if writable:
                folder.mkdir(parents=True, exist_ok=True)
            self._lock.enter_context(locked(folder, shared=not writable))
            if writable:
                _tidy(folder)
            # Before anything is saved a first attempt's settings bind nobody.
            if _steps(folder):
                _check_config(folder, config)
            elif writable:
                write_atomically(folder / CONFIG_FILE, json.dumps(config, indent=2))
            self.latest = self._newest_good()
            """Number of the newest step whose files are as they were written, or None."""
        except OSError as error:
            self.close()
            raise ResourceError(f"The checkpoint folder {folder} cannot be used: {_reason(error)}.") from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "StageCheckpoints":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def finished(self) -> bool:
        """Whether the newest good step is the stage's last."""
        return self.latest is not None and manifest.read_manifest(self.folder / str(self.latest)).last

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
        if self.latest == step:
            return
        saving, arrays = self.folder / f"{_SAVING}{step}", _by_name(state)
        try:
            reserve(self.folder, _largest_size(arrays))
            saving.mkdir()
            with _orbax() as checkpointer:
                checkpointer.save((saving / _STATE).resolve(), args=ocp.args.PyTreeSave(arrays))
            manifest.write_manifest(saving, step=step, last=last, config=self._config)
            for damaged in [number for number in _steps(self.folder) if number >= step]:
                self._remove(damaged)
            saving.rename(self.folder / str(step))
            flush_folder(self.folder)
            self.latest = step
            for old in _steps(self.folder)[:-_KEEP]:
                self._remove(old)
        except (OSError, ValueError) as error:
            with contextlib.suppress(OSError):
                _tidy(self.folder)
            if isinstance(error, ValueError) and _os_error(error) is None:
                raise
            raise ResourceError(
                f"Step {step} could not be saved in {self.folder}: {_reason(error)}.",
                f"Earlier steps are whole: {self.latest}." if self.latest is not None else "",
            ) from error

    def restore(self, like: Any) -> Any:
        """Reads the newest good step.

        Args:
            like: A state of the expected structure, shapes and types.

        Raises:
            CheckpointError: If there is none, it cannot be read, or it does not fit; with what is missing,
                unexpected, of another shape or of another type.
        """
        if self.latest is None:
            raise CheckpointError(f"There is no checkpoint in {self.folder}.", "Run this stage first.")
        where = f"Step {self.latest} in {self.folder}"
        try:
            with _orbax() as checkpointer:
                loaded = checkpointer.restore((self.folder / str(self.latest) / _STATE).resolve())
            saved = {name: np.asarray(array) for name, array in loaded.items()}
        except Exception as error:  # its files are as they were written, so it was written by something else
            raise CheckpointError(f"{where} cannot be read: {_reason(error)}.", "Use another --workdir.") from error
        wanted = _by_name(like)
        differences = mismatch(wanted, saved)
        if differences:
            raise CheckpointError(
                f"{where} does not fit this network ({differences}).",
                "Use the config it was trained with, or another workdir.",
            )
        return jax.tree.unflatten(jax.tree.structure(like), [saved[name] for name in wanted])

    def close(self) -> None:
        """Gives the folder back."""
        self._lock.close()

    def _newest_good(self) -> int | None:
        """Checks steps from the newest back; those that are damaged are named."""
        damaged = []
        for step in reversed(_steps(self.folder)):
            problem = manifest.problem(self.folder / str(step), step=step, config=self._config)
            if not problem:
                for line in damaged:
                    print(f"{self.folder}: {line}; going back to step {step}", file=sys.stderr)
                return step
            damaged.append(f"step {step} is damaged ({problem})")
        if damaged:
            raise CheckpointError(f"{self.folder} has no checkpoint left: {', '.join(damaged)}.", "Train it anew.")
        return None

    def _remove(self, step: int) -> None:
        removing = self.folder / f"{_REMOVING}{step}"
        _discard(removing)
        (self.folder / str(step)).rename(removing)
        _discard(removing)


class Checkpoints:
    """`StageCheckpoints` for all processes that train together: the leader keeps them, no shared disk is needed.

    Every process calls the same methods in the same order, and gets the leader's errors.

    Args:
        folder: As there; only the leader's is used.
        config: As there.
        writable: As there.
    """

    def __init__(self, folder: pathlib.Path, config: dict[str, Any], *, writable: bool = True):
        self.folder = folder
        self._stage = cluster.in_leader(lambda: StageCheckpoints(folder, config, writable=writable))
        latest = self._stage.latest if self._stage else None
        self.latest = cluster.highest(0 if latest is None else latest + 1) - 1
        self.latest = None if self.latest < 0 else self.latest
        """Number of the newest good step, or None."""
        self.finished = bool(cluster.highest(int(self._stage is not None and self._stage.finished)))
        """Whether the newest good step is the stage's last."""

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._stage is not None:
            self._stage.close()

    def save(self, step: int, state: Any, *, last: bool = False) -> None:
        """Writes a state in the leader and returns, in every process, when it is on disk."""
        cluster.in_leader(lambda: self._stage and self._stage.save(step, state, last=last))
        self.latest, self.finished = step, last

    def restore(self, like: Any) -> Any:
        """The newest good step, read by the leader and sent to the others."""
        restored = cluster.in_leader(lambda: self._stage and self._stage.restore(like))
        return cluster.spread(like if restored is None else restored)


def read_stage_config(folder: pathlib.Path) -> dict[str, Any]:
    """Reads the config a stage's folder was made with.

    Raises:
        CheckpointError: If there is none, or it is damaged.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no trained stage ({CONFIG_FILE} is missing).", "Train it first.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}.", "Use another --workdir.") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} is damaged: it is not a JSON object.", "Use another --workdir.")
    return config


def _check_config(folder: pathlib.Path, config: dict[str, Any]) -> None:
    """Refuses a folder whose checkpoints were made with another config, with every name that differs."""
    saved = read_stage_config(folder)
    if saved != config:
        ours, theirs = _flat(config), _flat(saved)
        names = sorted(n for n in ours.keys() | theirs.keys() if ours.get(n) != theirs.get(n))
        changes, given = [], _ENCODER in names  # one of the two was trained on weights that were given
        for name in (name for name in names if not (given and name.startswith("ae."))):
            saved_as, now = ("not set" if value is None else value for value in (theirs.get(name), ours.get(name)))
            changes.append(f"{name}: saved {saved_as}, now {now}")
        changes += [f"trained on {_encoder(theirs)}, now {_encoder(ours)}"] if given else []
        listed = "; ".join(changes)
        raise CheckpointError(
            f"{folder} was trained with another config ({listed}).", "Use another --workdir, or the saved settings."
        )


_ENCODER = "ae.sha256"


def _encoder(config: dict[str, Any]) -> str:
    """What an auto-encoder is called in a message; 64 digits of a checksum say no more than 8."""
    return f"auto-encoder {config[_ENCODER][:8]}" if _ENCODER in config else "the workdir's own auto-encoder"


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}.{name}" if prefix else name)
    return flat


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


@contextlib.contextmanager
def _orbax() -> Iterator[ocp.Checkpointer]:
    """Orbax for this process by itself, though it may have others beside it.

    Not the v1 interface: its `save` asks all processes for their path, active or not, and those that do not save would
    take its question for a message of ours.
    """
    own = jax.process_index()
    options = ocp.options.MultiprocessingOptions(
        primary_host=own, active_processes={own}, barrier_sync_key_prefix=f"process{own}"
    )
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=options)
    with _quiet_orbax(), ocp.Checkpointer(handler, multiprocessing_options=options) as checkpointer:
        yield checkpointer


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


def _is_news(record: logging.LogRecord) -> bool:
    """False for an array's error that orbax leaves in a task nobody asks, while it raises another array's."""
    return not (record.exc_info and "tensorstore_spec" in str(record.exc_info[1]))


def _os_error(error: Exception) -> str | None:
    """What the system said, where orbax tells it as text only."""
    code = re.search(r"os_error_code='(\d+)'", str(error))
    return os.strerror(int(code[1])) if code else None


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or _os_error(error)
    return text or (str(error).splitlines() or [type(error).__name__])[0]
