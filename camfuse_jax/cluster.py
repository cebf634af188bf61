"""Joining and leaving the processes that work together, on one machine or several (`jax.distributed`)."""

import dataclasses
import os
import socket
import sys
import threading
import time
from typing import NamedTuple, NoReturn

from camfuse_jax.errors import ResourceError, UsageError


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
