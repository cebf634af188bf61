"""Thousands of fuses in one process: memory stays, and nothing is compiled again."""

import random

import numpy as np

from camfuse_jax.fusion import fuse
from camfuse_jax.stress import small
from camfuse_jax.stress.memory import compilations, resident_mebibytes
from camfuse_jax.stress.outcome import Outcome

SHAPES = ((20, 24), (24, 20), (33, 17), (48, 64), (64, 48), (1, 40), (96, 96), (120, 160))
TYPES = (np.uint8, np.uint16, np.float32)
GROWTH_MEBIBYTES = 50


def soak(*, count: int, seed: int) -> list[Outcome]:
    """Fuses pairs of mixed sizes and types.

    Args:
        count: Fuses after every size and type has been seen, and another tenth of that to warm up.
        seed: Seed of the order.
    """
    rng = random.Random(seed)
    pairs = [(_typed(shape, kind, 0), _typed(shape, kind, 1)) for shape in SHAPES for kind in TYPES]
    first = [np.asarray(fuse(small.params(), *pair)) for pair in pairs]
    for _ in range(count // 10):
        np.asarray(fuse(small.params(), *rng.choice(pairs)))
    outcome = Outcome("fuses of mixed sizes", notes={"sizes and types": len(pairs)})
    before = resident_mebibytes()
    with compilations() as compiled:
        for number in range(count):
            index = rng.randrange(len(pairs))
            same = np.array_equal(np.asarray(fuse(small.params(), *pairs[index])), first[index])
            outcome.check(same, f"fuse {number} gave another image than the first of its size")
    grown = resident_mebibytes() - before
    outcome.notes |= {"memory grew MiB": round(grown, 1), "at the end MiB": round(before + grown)}
    outcome.notes["compiled"] = len(compiled)
    if grown > GROWTH_MEBIBYTES:
        outcome.failures.append(f"memory grew by {grown:.0f} MiB")
    if compiled:
        outcome.failures.append(f"{len(compiled)} programs were compiled again")
    return [outcome]


def _typed(shape: tuple[int, int], kind: type, seed: int) -> np.ndarray:
    image = small.picture(seed, shape)
    if kind is np.float32:
        return (image / 255).astype(np.float32)
    return image.astype(kind) * (257 if kind is np.uint16 else 1)
