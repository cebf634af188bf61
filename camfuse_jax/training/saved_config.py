"""The config a stage's folder was made with: written before its first checkpoint, compared ever after."""

import json
import pathlib
from typing import Any

from camfuse_jax.errors import CheckpointError
from camfuse_jax.safety.files import write_atomically

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
