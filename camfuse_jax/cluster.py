"""Processes that work as one, on one machine or several (`jax.distributed`): joining, leaving, and what they exchange.

In training the first of them, the leader, alone reads and writes checkpoints; what fails there ends all of them in the
same words. JAX is imported inside the functions: the options are read before it is configured.
"""

import contextlib
import dataclasses
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn, TypeVar

import numpy as np

from camfuse_jax.errors import CamfuseError, ResourceError, UsageError
from camfuse_jax.system.files import as_resource_error

_T = TypeVar("_T")
_MESSAGE_BYTES = 2048
# How the libraries that carry messages between processes begin or name their errors.
_LOST = ("Gloo ", "gloo", "NCCL", "coordination service", "Connection closed by peer", "Connection reset by peer")


@dataclasses.dataclass(frozen=True)
class ClusterOptions:
    """How this process finds the others it works with.

    Attributes:
        distributed: Read the coordinator and this process's number from what started it: SLURM, Kubernetes, Open MPI or
            a Cloud TPU.
        coordinator: Without such a system: HOST:PORT at which process 0 listens, without any protection: for networks
            you trust. At a loopback address nobody outside this machine can come.
        processes: With --coordinator: number of processes.
        process: With --coordinator: number of this process, from 0.
    """

    distributed: bool = False
    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None


class Cluster(NamedTuple):
    """This process, counted from 0, among those that work together."""

    process: int
    processes: int


def join_cluster(options: ClusterOptions, *, patience_seconds: int = 300, lost_after_seconds: int = 60) -> Cluster:
    """Connects with the other processes (`jax.distributed.initialize`); call it before JAX makes its first array.

    What the options leave open JAX finds itself: from SLURM's, Open MPI's, Kubernetes' and Cloud TPU's variables, and
    the address from `JAX_COORDINATOR_ADDRESS`. From then on processes share their fate: where one dies, JAX ends the
    others. Work that needs no other process calls `leave_cluster` at once.

    Args:
        options: Where the others are.
        patience_seconds: Wait for the others; then the program ends with exit code 5, as JAX would end it with a crash.
        lost_after_seconds: How long a process may be silent until it is taken for dead.

    Raises:
        UsageError: Something is neither set nor found.
        ResourceError: Nobody listens at the address.
    """
    import jax

    _check_cluster(options)
    where = options.coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    begun = time.monotonic()
    if where and options.process:
        _await_listener(where, patience_seconds)
    host = where.rpartition(":")[0] if where else ""
    loopback = host.strip("[]") in ("localhost", "127.0.0.1", "::1")
    left = max(1.0, patience_seconds - (time.monotonic() - begun))
    timer = threading.Timer(left, _give_up, args=(where or "the coordinator", patience_seconds))
    timer.daemon = True
    timer.start()
    # JAX's own handler of SIGTERM would take the place of ours (`system.signals`).
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            options.coordinator,
            options.processes,
            options.process,
            initialization_timeout=int(left) + 60,  # longer than our own, which says what is wrong
            heartbeat_timeout_seconds=lost_after_seconds,
            coordinator_bind_address=where if loopback else None,  # else: every address of this machine
        )
    except ValueError as error:
        raise UsageError(
            f"This process does not know its place among others: {error}",
            "Give --coordinator HOST:PORT, --processes and --process, or start it under SLURM, Open MPI or Kubernetes.",
        ) from error
    finally:
        timer.cancel()
    # Not jax.process_index(), which would start the backend and with it wait for all the others' backends.
    from jax._src.distributed import global_state

    return Cluster(global_state.process_id, global_state.num_processes)


def leave_cluster() -> None:
    """Parts from the other processes; this one then neither waits for them nor ends with them."""
    import jax

    jax.distributed.shutdown()


def abandon_cluster(code: int, cluster: Cluster) -> NoReturn:
    """Ends this process with a code, without waiting for the others, who then lose it and end as well."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if cluster.process == 0:
        time.sleep(2)  # the others may be telling the same, and without process 0 JAX ends them before they have
    os._exit(code)


def _check_cluster(options: ClusterOptions) -> None:
    if options.coordinator is not None and not options.coordinator.rpartition(":")[2].isdecimal():
        raise UsageError(
            f"--coordinator {options.coordinator} names no port.", "Give HOST:PORT, such as 10.0.0.1:1234."
        )
    if options.processes is not None and options.processes < 1:
        raise UsageError(f"--processes must be 1 or more, got {options.processes}.")
    if options.process is not None and not 0 <= options.process < (options.processes or options.process + 1):
        raise UsageError(f"--process {options.process} of {options.processes} is out of range: processes count from 0.")


def _await_listener(where: str, patience_seconds: float) -> None:
    """Waits until somebody listens at an address, for where nobody does JAX ends the program with a crash."""
    host, _, port = where.rpartition(":")
    end = time.monotonic() + patience_seconds
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > end:
                raise ResourceError(
                    f"Nobody listens at {where}: {error}.", "Start process 0 there, and check the network."
                ) from error
            time.sleep(0.2)


def _give_up(where: str, seconds: float) -> None:
    line = f"error: Not all processes came to {where} within {seconds:g} s. Start all of them, each with its number.\n"
    print(line, end="", file=sys.stderr, flush=True)
    os._exit(ResourceError.exit_code)


def alone() -> bool:
    """Whether this process has no others beside it."""
    import jax

    return jax.process_count() == 1


def leads() -> bool:
    """Whether this is the first process, or the only one."""
    import jax

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
    import jax
    from jax.experimental import multihost_utils

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
    import jax
    from jax.experimental import multihost_utils

    leaves, tree = jax.tree.flatten(jax.tree.map(np.asarray, state))
    # As bytes: they are sent as a sum with zeros, which would take -0.0 for 0.0.
    own = np.concatenate([np.frombuffer(leaf.tobytes(), np.uint8) for leaf in leaves])
    sent = np.asarray(multihost_utils.broadcast_one_to_all(own), np.uint8)
    ends = np.cumsum([leaf.nbytes for leaf in leaves])
    parts = zip(np.split(sent, ends[:-1]), leaves, strict=True)
    return jax.tree.unflatten(tree, [part.view(leaf.dtype).reshape(leaf.shape) for part, leaf in parts])


@contextlib.contextmanager
def named_losses() -> Iterator[None]:
    """Turns what the libraries say when another process is gone into one line.

    Raises:
        ResourceError: Instead of their errors.
    """
    try:
        yield
    except (ValueError, RuntimeError) as error:
        if isinstance(error, CamfuseError) or alone() or not any(word in str(error) for word in _LOST):
            raise
        import jax

        raise ResourceError(
            f"Another process of the {jax.process_count()} is gone ({str(error).splitlines()[0][:200]}).",
            "Start all of them again; they go on from the last checkpoint.",
        ) from error


def _tell(error: CamfuseError | None) -> dict[str, Any]:
    """Sends the leader's error, or that there is none, and returns what was sent."""
    from jax.experimental import multihost_utils

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
