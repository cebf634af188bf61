"""Images of every small size, long strips and large ones: the result is as large as the sources, and finite."""

import random
import time

import jax
import numpy as np

from camfuse_jax.fusion import fuse
from camfuse_jax.stress import small
from camfuse_jax.stress.memory import compilations, resident_mebibytes
from camfuse_jax.stress.outcome import Outcome

_LARGE = ((1, 8192), (8192, 1), (255, 257), (256, 256), (2048, 2048), (4096, 4096))
_KEPT = 200  # sizes after which compiled programs are dropped


def sizes(*, largest: int, seed: int) -> list[Outcome]:
    """Fuses every size from 1 x 1, and large ones; in random order, so that a part of a run is a fair sample.

    Args:
        largest: Largest height and width of the small sizes.
        seed: Seed of the order and of the pixels.
    """
    every = [(height, width) for height in range(1, largest + 1) for width in range(1, largest + 1)]
    random.Random(seed).shuffle(every)
    fused = Outcome(f"sizes 1 to {largest} fused")
    with compilations() as compiled:
        for number, shape in enumerate(every):
            _fuse(shape, seed, fused)
            if (number + 1) % _KEPT == 0:
                jax.clear_caches()  # a program for each size would fill the memory
    fused.notes["compiled"] = len(compiled)
    large = Outcome("large sizes fused")
    for shape in _LARGE if largest >= 40 else _LARGE[:2]:
        started = time.monotonic()
        _fuse(shape, seed, large)
        large.notes[f"{shape[0]}x{shape[1]} s"] = round(time.monotonic() - started, 1)
    large.notes["memory MiB"] = round(resident_mebibytes())
    return [fused, large]


def _fuse(shape: tuple[int, int], seed: int, outcome: Outcome) -> None:
    ir, vis = small.picture(seed, shape), small.picture(seed + 1, shape)
    unit = np.asarray(fuse(small.params(), *((image / 255).astype(np.float32) for image in (ir, vis))))
    good = unit.shape == shape and bool(np.isfinite(unit).all())
    outcome.check(good, f"{shape}: {unit.dtype} {unit.shape}")
