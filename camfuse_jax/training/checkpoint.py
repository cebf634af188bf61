"""Checkpoints of one stage: orbax steps in a folder of their own, beside the config they were made with."""

import json
import pathlib
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from camfuse_jax.errors import CheckpointError, ResourceError

_CONFIG = "config.json"
_KEEP = 2


class StageCheckpoints:
    """Reads and writes a stage's training state.

    Args:
        folder: The stage's folder inside the workdir, such as `runs/x/ae`.
        config: What the weights depend on, as a JSON object; a folder made with another one is refused.

    Raises:
        CheckpointError: If the folder holds another config's checkpoints.
        ResourceError: If the folder cannot be written.
    """

    def __init__(self, folder: pathlib.Path, config: dict[str, Any]):
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._checkpointer = ocp.training.Checkpointer(
                folder.resolve(),
                preservation_policy=ocp.training.preservation_policies.LatestN(_KEEP),
                cleanup_tmp_directories=True,
            )
            # Before anything is saved a first attempt's settings bind nobody.
            if self.latest is None:
                _write(folder / _CONFIG, config)
            else:
                _agree(folder / _CONFIG, config)
        except OSError as error:
            raise ResourceError(f"The checkpoint folder {folder} cannot be used: {error}.") from error

    @property
    def latest(self) -> int | None:
        """Number of the newest complete step, or None."""
        newest = self._checkpointer.latest
        return None if newest is None else int(newest.step)

    def save(self, step: int, state: Any) -> None:
        """Writes a state and returns when it is on disk; a step that is already there is left as it is."""
        if self.latest == step:
            return
        try:
            self._checkpointer.save(step, _by_name(state), force=True)
        except OSError as error:
            raise ResourceError(f"Step {step} could not be saved in {self.folder}: {error}.") from error

    def restore(self, like: Any) -> Any:
        """Reads the newest step.

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
            found = {name: np.asarray(array) for name, array in self._checkpointer.load(self.latest).items()}
        except (ValueError, KeyError, OSError) as error:
            raise CheckpointError(f"{where} cannot be read: {error}", "Use another --workdir.") from error
        wanted = _by_name(like)
        both = sorted(wanted.keys() & found.keys())
        lists = {
            "missing": sorted(wanted.keys() - found.keys()),
            "unexpected": sorted(found.keys() - wanted.keys()),
            "shape": [name for name in both if wanted[name].shape != found[name].shape],
            "type": [name for name in both if wanted[name].dtype != found[name].dtype],
        }
        if any(lists.values()):
            told = "; ".join(f"{kind}: {', '.join(names) or 'none'}" for kind, names in lists.items())
            raise CheckpointError(
                f"{where} does not fit this network ({told}).",
                "Use the config it was trained with, or another workdir.",
            )
        return jax.tree.unflatten(jax.tree.structure(like), [found[name] for name in wanted])

    def close(self) -> None:
        """Waits for writes and frees the files."""
        self._checkpointer.close()


def saved_config(folder: pathlib.Path) -> dict[str, Any]:
    """Reads the config a stage's folder was made with.

    Raises:
        CheckpointError: If there is none.
    """
    path = folder / _CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no trained stage ({_CONFIG} is missing).", "Train it first.")
    return _read(path)


def _read(path: pathlib.Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (ValueError, FileNotFoundError) as error:
        raise CheckpointError(f"{path} is damaged: {error}.", "Use another --workdir.") from error


def _by_name(state: Any) -> dict[str, np.ndarray]:
    """Leaves by their path: what is saved, so that a step can be compared name by name before it is used."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in leaves}


def _write(path: pathlib.Path, config: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(config, indent=2))
    temporary.replace(path)


def _agree(path: pathlib.Path, config: dict[str, Any]) -> None:
    """Compares a config with the one the folder's checkpoints were made with."""
    config, saved = json.loads(json.dumps(config)), _read(path)
    if saved != config:
        ours, theirs = _flat(config), _flat(saved)
        names = sorted(n for n in ours.keys() | theirs.keys() if ours.get(n) != theirs.get(n))
        listed = "; ".join(f"{name}: saved {theirs.get(name)}, now {ours.get(name)}" for name in names)
        raise CheckpointError(
            f"{path.parent} was trained with another config ({listed}).",
            "Use another --workdir, or the saved settings.",
        )


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}.{name}" if prefix else name)
    return flat
