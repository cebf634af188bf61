"""A stage's checkpoints for several processes: the leader keeps them, the others are told; no shared disk is needed."""

import pathlib
from typing import Any

from camfuse_jax.training import cluster
from camfuse_jax.training.checkpoint import StageCheckpoints


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
        self._own = cluster.in_leader(lambda: StageCheckpoints(folder, config, writable=writable))
        latest = self._own.latest if self._own else None
        told = cluster.highest(0 if latest is None else latest + 1)
        self._latest = told - 1 if told else None
        self._finished = bool(cluster.highest(int(bool(self._own and self._own.finished))))

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
        cluster.in_leader(lambda: self._leader().save(step, state, last=last))
        self._latest, self._finished = step, last

    def restore(self, like: Any) -> Any:
        """The newest good step, read by the leader and sent to the others."""
        found = cluster.in_leader(lambda: self._leader().restore(like))
        return cluster.spread(like if found is None else found)

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
    kind = StageCheckpoints if cluster.alone() else SharedCheckpoints
    return kind(folder, config, writable=writable)
