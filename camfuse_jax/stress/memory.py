"""What a process holds, and how often JAX compiled in it."""

import contextlib
import pathlib
import resource
from collections.abc import Iterator

import jax

_COMPILED = "/jax/core/compile/backend_compile_duration"


def resident_mebibytes() -> float:
    """Memory that is resident now, in MiB (Linux)."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


@contextlib.contextmanager
def compilations() -> Iterator[list[str]]:
    """Gives a list that grows by one entry with every program that is compiled inside the block."""
    seen: list[str] = []
    inside = [True]

    def listen(name: str, seconds: float, **_: object) -> None:
        if inside[0] and name == _COMPILED:
            seen.append(f"{seconds:.2f} s")

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield seen
    finally:
        inside[0] = False
