"""Joining and leaving the processes that work together, on one machine or several (`jax.distributed`)."""

import os
import socket
import sys
import threading
import time
from typing import NamedTuple, NoReturn

from camfuse_jax.errors import ResourceError, UsageError


class Cluster(NamedTuple):
    """This process among those that work together.

    Attributes:
        process: Its number, from 0.
        processes: How many there are.
    """

    process: int
    processes: int


def join_cluster(
    *,
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    patience_seconds: int = 300,
    lost_after_seconds: int = 60,
) -> Cluster:
    """Connects with the other processes (`jax.distributed.initialize`); call it before JAX makes its first array.

    What is not given JAX finds itself: from SLURM's, Open MPI's, Kubernetes' and Cloud TPU's variables, and the
    address from `JAX_COORDINATOR_ADDRESS`. From then on processes share their fate: where one dies, JAX ends the
    others. Work that needs no other process calls `leave_cluster` at once.

    Args:
        coordinator: HOST:PORT at which process 0 listens, without any protection: for networks one trusts. At a
            loopback address nobody outside this machine can come.
        processes: How many there are.
        process: Number of this one, from 0.
        patience_seconds: How long to wait for the others. After that the program ends with exit code 5, because the
            library underneath would end it with a crash.
        lost_after_seconds: How long a process may be silent until it is taken for dead.

    Raises:
        UsageError: Something is neither given nor found, or cannot be.
        ResourceError: Nobody listens at the address.
    """
    import jax

    _check_cluster(coordinator, processes, process)
    where = coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    begun = time.monotonic()
    if where and process:
        _await_listener(where, patience_seconds)
    host = where.rpartition(":")[0] if where else ""
    loopback = host.strip("[]") in ("localhost", "127.0.0.1", "::1")
    left = max(1.0, patience_seconds - (time.monotonic() - begun))
    timer = threading.Timer(left, _give_up, args=(where or "the coordinator", patience_seconds))
    timer.daemon = True
    timer.start()
    # JAX's own handler of SIGTERM would take the place of ours (`safety.signals`).
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
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
    """Ends this process without waiting for the others, who then lose it and end as well.

    Args:
        code: Exit code.
        cluster: What `join_cluster` returned.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if cluster.process == 0:
        time.sleep(2)  # the others may be telling the same, and without process 0 JAX ends them before they have
    os._exit(code)


def _check_cluster(coordinator: str | None, processes: int | None, process: int | None) -> None:
    if coordinator is not None and not coordinator.rpartition(":")[2].isdecimal():
        raise UsageError(f"--coordinator {coordinator} names no port.", "Give HOST:PORT, such as 10.0.0.1:1234.")
    if processes is not None and processes < 1:
        raise UsageError(f"--processes is {processes}.", "Give 1 or more.")
    if process is not None and not 0 <= process < (processes or process + 1):
        raise UsageError(f"--process {process} of {processes} cannot be.", "Processes count from 0.")


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
    told = f"error: Not all processes came to {where} within {seconds:g} s. Start all of them, each with its number.\n"
    print(told, end="", file=sys.stderr, flush=True)
    os._exit(ResourceError.exit_code)
