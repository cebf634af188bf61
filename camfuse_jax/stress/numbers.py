"""Odd numbers in, defined numbers out; and the same numbers whichever way they are computed."""

import jax
import numpy as np

from camfuse_jax.fusion import explain, fuse, load_params, with_rule
from camfuse_jax.fusion.params import Params
from camfuse_jax.fusion.program import fuse_unit
from camfuse_jax.stress.outcome import Outcome

TOLERANCE = 1e-6
"""Between a batch and its images one by one in float32, for values in [0, 1]."""
COMPILED = 5e-6
"""Between compiled and not compiled: XLA joins operations, and each saves a rounding. White noise through 128 channels
is the worst case; a level of 8 bits is 800 times as much."""
REACH = 40
"""Pixels beyond which one pixel of a source has no influence on the result: 3x3 kernels at full, half and quarter
size, with their kernels' halves added up, give 38."""


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
            maps = np.stack([np.asarray(m) for m in explain(params, *pair)[:4]])
            good = np.isfinite(np.asarray(fuse(params, *pair))).all()
            defined.check(bool(good and maps.min() >= 0 and maps.max() <= 1), name)  # NaN compares as false
    same = Outcome("same result: run twice, batch, no jit")
    whole = np.asarray(fuse(params, noise, other))
    same.check(np.array_equal(whole, np.asarray(fuse(params, noise, other))), "a second run differs")
    single = np.concatenate([np.asarray(fuse(params, a[None], b[None])) for a, b in zip(noise, other, strict=True)])
    _near(same, "batch of 3 = 3 of one", whole, single, TOLERANCE)
    with jax.disable_jit():
        _near(same, "jit = no jit", whole, np.asarray(fuse_unit(params, noise, other)), COMPILED)
    return [defined, same, *_not_finite(params, seed)]


def _not_finite(params: Params, seed: int) -> list[Outcome]:
    """A pixel that is no number is never hidden.

    Rule `place` looks at the whole image (its mean, its sameness), so that the whole result is no number; a rule
    without such a look spoils the pixel's surroundings and nothing else.
    """
    rng = np.random.default_rng(seed)
    ir, vis = (rng.uniform(size=(24, 160)).astype(np.float32) for _ in range(2))
    outcome = Outcome("NaN and infinity are never hidden")
    local = with_rule(params, "eq5")
    clean = np.asarray(fuse(local, ir, vis))
    for value in (np.nan, np.inf, -np.inf):
        spoilt = ir.copy()
        spoilt[12, 8] = value
        outcome.check(
            not np.isfinite(np.asarray(fuse(params, spoilt, vis))).any(), f"{value} gave a result with numbers"
        )
        fused = np.asarray(fuse(local, spoilt, vis))
        outcome.check(not np.isfinite(fused[12, 8]), f"rule eq5: {value} became a number")
        beyond = slice(8 + REACH, None)
        outcome.check(
            np.array_equal(fused[:, beyond], clean[:, beyond]), f"rule eq5: {value} reaches beyond {REACH} pixels"
        )
    return [outcome]


def _near(outcome: Outcome, name: str, a: np.ndarray, b: np.ndarray, tolerance: float) -> None:
    apart = float(np.max(np.abs(a - b)))
    outcome.notes[name] = f"{apart:.1e}"
    outcome.check(apart <= tolerance, f"{name}: {apart:.1e} apart")
