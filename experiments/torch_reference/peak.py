"""What this machine can do at most, measured: a float32 matrix product and a copy, best of what is installed."""

import importlib.util
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np

from torch_reference.bench_worker import limit_threads

_SIDE, _VALUES, _REPEATS = 2048, 2**26, 7


class Peak(NamedTuple):
    """Measured limits.

    Attributes:
        flops: Floating-point operations a second, float32.
        moved: Bytes a second, read and written together.
        device: Where.
    """

    flops: float
    moved: float
    device: str


def measure(pipe: Connection, threads: int) -> None:
    """Sends a `Peak`; runs in a process of its own, like the programs that are held against it."""
    limit_threads(threads)
    sides = [_numpy(), _jax(), *([_torch(threads)] if importlib.util.find_spec("torch") else [])]
    device = sides[1][2]
    products = [2 * _SIDE**3 / _best(product) for product, _, where in sides if where == device]
    copies = [2 * 4 * _VALUES / _best(copy) for _, copy, where in sides if where == device]
    pipe.send(Peak(max(products), max(copies), device))


Side = tuple[Callable[[], Any], Callable[[], Any], str]


def _numpy() -> Side:
    a, x = np.ones((_SIDE, _SIDE), np.float32), np.ones(_VALUES, np.float32)
    y = np.empty_like(x)
    return (lambda: a @ a), (lambda: np.copyto(y, x)), "cpu"


def _jax() -> Side:
    import jax
    import jax.numpy as jnp

    a, x = jnp.ones((_SIDE, _SIDE)), jnp.ones(_VALUES)
    product, copy = jax.jit(jnp.matmul), jax.jit(lambda x: x + 1)
    device = jax.devices()[0]
    name = "cpu" if device.platform == "cpu" else device.device_kind
    return (lambda: product(a, a).block_until_ready()), (lambda: copy(x).block_until_ready()), name


def _torch(threads: int) -> Side:
    import torch

    if threads:
        torch.set_num_threads(threads)
    cuda = torch.cuda.is_available()
    where = "cuda" if cuda else "cpu"
    a, x = torch.ones((_SIDE, _SIDE), device=where), torch.ones(_VALUES, device=where)
    y = torch.empty_like(x)

    def waited(work: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            work()
            if cuda:
                torch.cuda.synchronize()

        return run

    return waited(lambda: a @ a), waited(lambda: y.copy_(x)), torch.cuda.get_device_name() if cuda else "cpu"


def _best(call: Callable[[], Any]) -> float:
    call()
    seconds = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
