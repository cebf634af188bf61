"""Images of every small size, long strips and large ones: the result is as large as the sources, and finite."""

import random
import time

import jax
import numpy as np

from camfuse_jax.fusion import fuse
from camfuse_jax.stress import small
from camfuse_jax.stress.memory import resident_mebibytes
from camfuse_jax.stress.outcome import Outcome

_LARGE = ((1, 8192), (8192, 1), (255, 257), (256, 256), (2048, 2048))
_FUSED = 60  # small sizes that are compiled and run; each takes a second


def sizes(*, largest: int, seed: int) -> list[Outcome]:
    """Traces every size from 1 x 1, and fuses a random part of them, all borders included, and the large ones.

    Args:
        largest: Largest height and width of the small sizes.
        seed: Seed of the choice and of the pixels.
    """
    every = [(height, width) for height in range(1, largest + 1) for width in range(1, largest + 1)]
    traced = Outcome(f"sizes 1 to {largest} traced")
    for shape in every:
        image = jax.ShapeDtypeStruct(shape, np.uint8)
        result = jax.eval_shape(fuse, small.params(), image, image)
        traced.check((result.shape, result.dtype) == (shape, np.uint8), f"{shape} becomes {result}")
    corners = [shape for shape in every if set(shape) <= {1, 2, largest}]
    chosen = corners + random.Random(seed).sample(every, min(_FUSED, len(every)) - len(corners))
    fused = Outcome(f"sizes 1 to {largest} fused")
    for shape in chosen:
        _fuse(shape, seed, fused)
    large = Outcome("large sizes fused")
    for shape in _LARGE if largest >= 40 else _LARGE[:2]:
        started = time.monotonic()
        _fuse(shape, seed, large)
        large.notes[f"{shape[0]}x{shape[1]} s"] = round(time.monotonic() - started, 1)
    large.notes["memory MiB"] = round(resident_mebibytes())
    return [traced, fused, large]


def _fuse(shape: tuple[int, int], seed: int, outcome: Outcome) -> None:
    ir, vis = small.picture(seed, shape), small.picture(seed + 1, shape)
    unit = np.asarray(fuse(small.params(), *((image / 255).astype(np.float32) for image in (ir, vis))))
    good = unit.shape == shape and bool(np.isfinite(unit).all())
    outcome.check(good, f"{shape}: {unit.dtype} {unit.shape}")
