"""Several processes that train as one: what they tell each other besides gradients.

The first of them, the leader, alone reads and writes checkpoints; what fails there ends all of them in the same words.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from camfuse_jax.errors import CamfuseError, ResourceError
from camfuse_jax.system.files import as_resource_error

_T = TypeVar("_T")
_MESSAGE_BYTES = 2048
# How the libraries that carry messages between processes begin or name their errors.
_LOST = ("Gloo ", "gloo", "NCCL", "coordination service", "Connection closed by peer", "Connection reset by peer")


def alone() -> bool:
    """Whether this process has no others beside it."""
    return jax.process_count() == 1


def leads() -> bool:
    """Whether this is the first process, or the only one."""
    return jax.process_index() == 0


def highest(number: int, *, after: Any = ()) -> int:
    """The largest of the numbers that the processes give; waits for all of them.

    Args:
        number: From 0 to 2^31 - 1.
        after: What programs in which processes talk are still computing: gloo takes the messages of two such programs
            for each other's where they run at once.
    """
    if alone():
        return number
    jax.block_until_ready(after)
    return int(np.max(multihost_utils.process_allgather(np.int32(number))))


def in_leader(action: Callable[[], _T]) -> _T | None:
    """Runs an action in the leader while the others wait.

    Returns:
        What the action returns; None in the others.

    Raises:
        CamfuseError: In every process, if the action raises one; with the same words and exit code.
    """
    if alone():
        return action()
    result, failed = None, None
    if leads():
        try:
            with as_resource_error():
                result = action()
        except CamfuseError as error:
            failed = error
    failure = _tell(failed)
    if failed is not None:
        failed.everywhere = True
        raise failed
    if failure:
        raise _repeated(**failure)
    return result


def spread(state: Any) -> Any:
    """Gives every process the leader's arrays, bit for bit.

    Args:
        state: Pytree of arrays, of the same structure, shapes and types in every process.
    """
    if alone():
        return state
    leaves, tree = jax.tree.flatten(jax.tree.map(np.asarray, state))
    # As bytes: they are sent as a sum with zeros, which would take -0.0 for 0.0.
    own = np.concatenate([np.frombuffer(leaf.tobytes(), np.uint8) for leaf in leaves])
    sent = np.asarray(multihost_utils.broadcast_one_to_all(own), np.uint8)
    ends = np.cumsum([leaf.nbytes for leaf in leaves])
    parts = zip(np.split(sent, ends[:-1]), leaves, strict=True)
    return jax.tree.unflatten(tree, [part.view(leaf.dtype).reshape(leaf.shape) for part, leaf in parts])


@contextlib.contextmanager
def losses_told() -> Iterator[None]:
    """Turns what the libraries say when another process is gone into one line.

    Raises:
        ResourceError: Instead of their errors.
    """
    try:
        yield
    except (ValueError, RuntimeError) as error:
        if isinstance(error, CamfuseError) or alone() or not any(word in str(error) for word in _LOST):
            raise
        raise ResourceError(
            f"Another process of the {jax.process_count()} is gone ({str(error).splitlines()[0][:200]}).",
            "Start all of them again; they go on from the last checkpoint.",
        ) from error


def _tell(error: CamfuseError | None) -> dict[str, Any]:
    """Sends the leader's error, or that there is none, and returns what was sent."""
    content = {} if error is None else {"code": error.exit_code, "what": error.what, "remedy": error.remedy}
    text = json.dumps(content).encode()
    if len(text) > _MESSAGE_BYTES:
        text = json.dumps({**content, "what": f"{error.what[:500]} ...", "remedy": ""}).encode()  # type: ignore[union-attr]
    message = np.frombuffer(text.ljust(_MESSAGE_BYTES), np.uint8)
    return json.loads(np.asarray(multihost_utils.broadcast_one_to_all(message), np.uint8).tobytes())


def _repeated(code: int, what: str, remedy: str) -> CamfuseError:
    error = CamfuseError(what, remedy)
    error.exit_code, error.everywhere = code, True
    return error
