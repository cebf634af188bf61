"""Many fuses, all small sizes, and odd numbers, in one process.

Memory stays and nothing is compiled again; the result is as large as the sources, and finite; odd numbers in give
defined numbers out, and the same ones whichever way they are computed.
"""

import pathlib
import random
import tempfile
import time

import jax
import numpy as np

from camfuse_jax.errors import InputError
from camfuse_jax.fusion.forward import fuse_unit
from camfuse_jax.fusion.fuse import explain, fuse_arrays
from camfuse_jax.fusion.params import Params, load_params, save_params, with_rule
from camfuse_jax.images.write import write_picture
from camfuse_jax.pair.options import FuseSettings
from camfuse_jax.video.fuse import VideoJob, fuse_video
from stress import fixtures
from stress.outcome import Outcome, compilations, resident_mebibytes

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
    first = [np.asarray(fuse_arrays(fixtures.params(), *pair)) for pair in pairs]
    for _ in range(count // 10):
        np.asarray(fuse_arrays(fixtures.params(), *rng.choice(pairs)))
    outcome = Outcome("fuses of mixed sizes", notes={"sizes and types": len(pairs)})
    before = resident_mebibytes()
    with compilations() as compiled:
        for number in range(count):
            index = rng.randrange(len(pairs))
            same = np.array_equal(np.asarray(fuse_arrays(fixtures.params(), *pairs[index])), first[index])
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
        save_params(folder / "fixtures.safetensors", fixtures.params())
        held = []
        for length in (_SHORT, count):  # the first warms up
            for kind, more in (("ir", 0), ("vis", 100)):
                _frames(folder / f"{kind}{length}", length, seed + more)
            ir, vis, out = folder / f"ir{length}", folder / f"vis{length}", folder / f"fused{length}.mp4"
            with compilations() as again:
                result = fuse_video(
                    VideoJob(str(ir), str(vis), out, FuseSettings(weights=str(folder / "fixtures.safetensors")))
                )
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
            write_picture(folder / f"{number}.png", fixtures.picture(seed + number, (96, 128)))
        else:
            (folder / f"{number}.png").hardlink_to(folder / f"{number % _PICTURES}.png")


def _typed(shape: tuple[int, int], kind: type, seed: int) -> np.ndarray:
    image = fixtures.picture(seed, shape)
    if kind is np.float32:
        return (image / 255).astype(np.float32)
    return image.astype(kind) * (257 if kind is np.uint16 else 1)


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
    ir, vis = fixtures.picture(seed, shape), fixtures.picture(seed + 1, shape)
    unit = np.asarray(fuse_arrays(fixtures.params(), *((image / 255).astype(np.float32) for image in (ir, vis))))
    good = unit.shape == shape and bool(np.isfinite(unit).all())
    outcome.check(good, f"{shape}: {unit.dtype} {unit.shape}")


TOLERANCE = 1e-6
"""Between a batch and its images one by one in float32, for values in [0, 1]."""
COMPILED = 5e-6
"""Between compiled and not compiled: XLA joins operations, and each saves a rounding. White noise through 128 channels
is the worst case; a level of 8 bits is 800 times as much."""


def odd_images(side: int, seed: int) -> dict[str, np.ndarray]:
    """Finite images at the edges of what floats can be, (side, side) float32."""
    rng = np.random.default_rng(seed)
    shape = (side, side)
    tiny = np.float32(1e-42)  # denormal
    return {
        "all zero": np.zeros(shape, np.float32),
        "all one": np.ones(shape, np.float32),
        "all equal": np.full(shape, 0.3, np.float32),
        "denormal": np.full(shape, tiny) * rng.integers(0, 2, shape).astype(np.float32),
        "black and white": rng.integers(0, 2, shape).astype(np.float32),
        "one white pixel": np.eye(1, side * side, side, dtype=np.float32).reshape(shape),
        "negative zero": np.full(shape, -0.0, np.float32),
        "outside [0, 1]": rng.uniform(-10, 10, shape).astype(np.float32),
    }


def numbers(*, side: int, seed: int) -> list[Outcome]:
    """Tries odd images with the shipped weights, and each way to compute against another.

    Args:
        side: Height and width of the images.
        seed: Seed of their pixels.
    """
    params = load_params()
    rng = np.random.default_rng(seed)
    noise = rng.uniform(size=(3, side, side, 1)).astype(np.float32)
    other = rng.uniform(size=noise.shape).astype(np.float32)
    defined = Outcome("odd images: finite results, maps in [0, 1]")
    for name, image in odd_images(side, seed).items():
        for pair in ((image, noise[0, ..., 0]), (noise[0, ..., 0], image), (image, image)):
            if name == "outside [0, 1]":
                defined.check(_refused(params, *pair), f"{name} is not refused")
                continue
            maps = np.stack([np.asarray(m) for m in explain(params, *pair)[:4]])
            good = np.isfinite(np.asarray(fuse_arrays(params, *pair))).all()
            defined.check(bool(good and maps.min() >= 0 and maps.max() <= 1), name)  # NaN compares as false
    same = Outcome("same result: run twice, batch, no jit")
    whole = np.asarray(fuse_arrays(params, noise, other))
    same.check(np.array_equal(whole, np.asarray(fuse_arrays(params, noise, other))), "a second run differs")
    single = np.concatenate(
        [np.asarray(fuse_arrays(params, a[None], b[None])) for a, b in zip(noise, other, strict=True)]
    )
    _near(same, "batch of 3 = 3 of one", whole, single, TOLERANCE)
    with jax.disable_jit():
        _near(same, "jit = no jit", whole, np.asarray(fuse_unit(params, noise, other)), COMPILED)
    return [defined, same, *_not_finite(params, seed)]


def _not_finite(params: Params, seed: int) -> list[Outcome]:
    """A pixel that is no number is never hidden: the image is refused by name, under every rule."""
    rng = np.random.default_rng(seed)
    ir, vis = (rng.uniform(size=(24, 160)).astype(np.float32) for _ in range(2))
    outcome = Outcome("NaN and infinity are refused")
    for value in (np.nan, np.inf, -np.inf):
        spoilt = ir.copy()
        spoilt[12, 8] = value
        for rule in (params, with_rule(params, "eq5")):
            for pair in ((spoilt, vis), (vis, spoilt)):
                outcome.check(_refused(rule, *pair), f"rule {rule.fusion.rule}: {value} is not refused")
    return [outcome]


def _refused(params: Params, ir: np.ndarray, vis: np.ndarray) -> bool:
    try:
        fuse_arrays(params, ir, vis)
    except InputError:
        return True
    return False


def _near(outcome: Outcome, name: str, a: np.ndarray, b: np.ndarray, tolerance: float) -> None:
    apart = float(np.max(np.abs(a - b)))
    outcome.notes[name] = f"{apart:.1e}"
    outcome.check(apart <= tolerance, f"{name}: {apart:.1e} apart")
