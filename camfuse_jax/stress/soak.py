"""Thousands of fuses, and a long video, in one process: memory stays, and nothing is compiled again."""

import pathlib
import random
import tempfile

import numpy as np

from camfuse_jax.fusion import fuse, save_params
from camfuse_jax.images import write_gray
from camfuse_jax.stages.fuse_video import VideoJob, fuse_video
from camfuse_jax.stress import small
from camfuse_jax.stress.memory import compilations, resident_mebibytes
from camfuse_jax.stress.outcome import Outcome

SHAPES = ((20, 24), (24, 20), (33, 17), (48, 64), (64, 48), (1, 40), (96, 96), (120, 160))
TYPES = (np.uint8, np.uint16, np.float32)
GROWTH_MEBIBYTES = 50
_SHORT, _PICTURES = 30, 10


def soak(*, count: int, seed: int) -> list[Outcome]:
    """Fuses pairs of mixed sizes and types.

    Args:
        count: Fuses after every size and type has been seen, and another tenth of that to warm up; frames of the
            video are a tenth as many.
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
    return [outcome, _video(max(count // 10, 2 * _SHORT), seed)]


def _video(count: int, seed: int) -> Outcome:
    """A sequence of frames becomes a video: the same pictures again and again, so that the disk is not what grows."""
    outcome = Outcome("frames of one video")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        save_params(folder / "small.safetensors", small.params())
        held = []
        for length in (_SHORT, count):  # the first warms up
            for kind, more in (("ir", 0), ("vis", 100)):
                _frames(folder / f"{kind}{length}", length, seed + more)
            ir, vis, out = folder / f"ir{length}", folder / f"vis{length}", folder / f"fused{length}.mp4"
            with compilations() as again:
                result = fuse_video(VideoJob(str(ir), str(vis), out, weights=str(folder / "small.safetensors")))
            held.append(resident_mebibytes())
            outcome.check(result.frames == length, f"{result.frames} frames of {length} were written")
    grown = held[1] - held[0]
    outcome.tried = count
    outcome.notes |= {"memory grew MiB": round(grown, 1), "compiled": len(again)}
    if grown > GROWTH_MEBIBYTES:
        outcome.failures.append(f"memory grew by {grown:.0f} MiB over {count} frames")
    if again:
        outcome.failures.append(f"{len(again)} programs were compiled again")
    return outcome


def _frames(folder: pathlib.Path, count: int, seed: int) -> None:
    folder.mkdir()
    for number in range(count):
        if number < _PICTURES:
            write_gray(folder / f"{number}.png", small.picture(seed + number, (96, 128)))
        else:
            (folder / f"{number}.png").hardlink_to(folder / f"{number % _PICTURES}.png")


def _typed(shape: tuple[int, int], kind: type, seed: int) -> np.ndarray:
    image = small.picture(seed, shape)
    if kind is np.float32:
        return (image / 255).astype(np.float32)
    return image.astype(kind) * (257 if kind is np.uint16 else 1)
