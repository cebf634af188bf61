"""Every file of a checkpoint and of weights, damaged in every simple way: none may be loaded as if nothing were."""

import contextlib
import io
import pathlib
import random
import tempfile
from collections.abc import Iterator

import jax
import numpy as np

from camfuse_jax.errors import CheckpointError
from camfuse_jax.fusion.params import load_params, save_params
from camfuse_jax.training.checkpoint import StageCheckpoints
from stress import fixtures
from stress.outcome import Outcome

_CONFIG = {"stage": "rehearsal"}
_STEPS = (4, 8)


def corruption(*, flips: int, seed: int) -> list[Outcome]:
    """Damages files one at a time.

    Args:
        flips: Single flipped bits per file, at random places.
        seed: Seed of the places.

    Returns:
        Three rows: a checkpoint's newest step, its only step, and a weights file. A failure is damage that was not
        named, or a state other than that of the good step before.
    """
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stderr(io.StringIO()):
        folder = pathlib.Path(name)
        return [
            _newest_step(folder / "two", rng, flips),
            _only_step(folder / "one", rng, flips),
            _weights(folder / "weights.safetensors", rng, flips),
        ]


def damages(content: bytes, other: bytes | None, rng: random.Random, flips: int) -> Iterator[tuple[str, bytes | None]]:
    """Ways to damage a file that change it: `(name, content)`, None for a deleted file.

    Args:
        content: The whole file.
        other: The same file of another step, to be swapped in.
        rng: Workdir of the flipped bits.
        flips: How many of them.
    """
    candidates: list[tuple[str, bytes | None]] = [
        ("emptied", b""),
        ("cut in half", content[: len(content) // 2]),
        ("one byte short", content[:-1]),
        ("deleted", None),
        ("swapped", content if other is None else other),
    ]
    for _ in range(flips if content else 0):
        bit = rng.randrange(8 * len(content))
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        candidates.append((f"bit {bit} flipped", bytes(flipped)))
    return ((name, damaged) for name, damaged in candidates if damaged != content)


@contextlib.contextmanager
def _damaged(path: pathlib.Path, content: bytes | None) -> Iterator[None]:
    whole = path.read_bytes()
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    yield
    path.write_bytes(whole)


def _save(folder: pathlib.Path, steps: tuple[int, ...]) -> None:
    with StageCheckpoints(folder, _CONFIG) as checkpoints:
        for step in steps:
            checkpoints.save(step, fixtures.state(step))


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _newest_step(folder: pathlib.Path, rng: random.Random, flips: int) -> Outcome:
    """The newest of two steps is damaged: the one before must be used."""
    older, newer = _STEPS
    _save(folder, _STEPS)
    files = _files(folder / str(newer))
    outcome = Outcome("corruption of the newest of two steps", notes={"files": len(files)})
    others = _files(folder / str(older))  # arrays' files have random names, and not always the same number
    for number, path in enumerate(files):
        twin = folder / str(older) / path.relative_to(folder / str(newer))
        other = twin if twin.is_file() else others[number % len(others)]
        for how, content in damages(path.read_bytes(), other.read_bytes(), rng, flips):
            with _damaged(path, content), StageCheckpoints(folder, _CONFIG, writable=False) as checkpoints:
                found = checkpoints.restore(fixtures.state(0))
            good = checkpoints.latest == older and _same(found, fixtures.state(older))
            outcome.check(good, f"{path.relative_to(folder)} {how}: step {checkpoints.latest} was loaded")
    return outcome


def _only_step(folder: pathlib.Path, rng: random.Random, flips: int) -> Outcome:
    """The only step is damaged: it must be refused and named."""
    (step,) = _STEPS[:1]
    _save(folder, (step,))
    outcome = Outcome("corruption of the only step")
    for path in _files(folder / str(step)):
        for how, content in damages(path.read_bytes(), None, rng, flips):
            with _damaged(path, content):
                try:
                    StageCheckpoints(folder, _CONFIG, writable=False).close()
                    told = "nothing"
                except CheckpointError as error:
                    told = str(error)
            outcome.check(f"step {step} is damaged" in told, f"{path.relative_to(folder)} {how}: {told} was told")
    return outcome


def _weights(path: pathlib.Path, rng: random.Random, flips: int) -> Outcome:
    """A weights file is damaged, its bits twenty times as often as those of a checkpoint's file."""
    save_params(path, fixtures.params())
    outcome = Outcome("corruption of weights")
    for how, content in damages(path.read_bytes(), None, rng, 20 * flips):
        with _damaged(path, content):
            try:
                load_params(path)
                told = "nothing"
            except CheckpointError as error:
                told = str(error)
        outcome.check(str(path) in told, f"{path.name} {how}: {told} was told")
    return outcome


def _same(a: object, b: object) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
