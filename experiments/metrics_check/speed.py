"""How long scoring a test list takes, ours and others': `cd experiments && python -m metrics_check.speed`.

The other implementations are not dependencies: those that are not installed are reported as such. Images are in memory
before the clock starts, and all contestants take turns, so that a busy moment of the machine hits each of them.
"""

import argparse
import importlib.util
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from camfuse_jax.data.splits import data_root, pairs_of_split
from camfuse_jax.errors import UsageError
from camfuse_jax.images.read import read_gray
from camfuse_jax.metrics.registry import ALL_METRICS, PAPER_METRICS
from camfuse_jax.metrics.table import average, score
from metrics_check.agreement import data_parser, exit_code

Image = UInt8[np.ndarray, "h w"]
Triplet = tuple[str, Image, Image, Image]
"""Name, infrared, visible, fused."""
Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}
CONTESTANTS = ("exact", "skimage", "piq", "usual")
TASKS: dict[str, tuple[str, ...]] = {
    "EN": ("EN",),
    "SSIM": ("SSIM",),
    "VIF": ("VIF",),
    "the paper's five": PAPER_METRICS,
    "all thirteen": ALL_METRICS,
}
_HEADS = {
    "exact": "exact path",
    "skimage": "scikit-image loop",
    "piq": "piq loop",
    "usual": "usual loop",
}


@dataclass(frozen=True)
class Timing:
    """Seconds for one task over a whole test list.

    Attributes:
        task: Key of `TASKS`.
        seconds: Contestant to the median over the repeats; None where its package is not installed. A contestant that
            does not offer the task, or was not asked for, is absent.
    """

    task: str
    seconds: Mapping[str, float | None]


def measure(
    triplets: Sequence[Triplet],
    *,
    tasks: Sequence[str],
    repeats: int = 3,
    contestants: Sequence[str] = CONTESTANTS,
    clock: Clock = time.perf_counter,
) -> list[Timing]:
    """Times every contestant on every task.

    Args:
        triplets: The images.
        tasks: Keys of `TASKS`.
        repeats: How often; each contestant once per round.
        contestants: Which; the exact path is always among them, because the others are compared with it.
        clock: `time.perf_counter`, or `time.process_time` for the work of all threads on a busy machine.

    Returns:
        One timing per task.
    """
    timings = []
    for task in tasks:
        runs = {name: run for name, run in _runs(triplets, task).items() if name in ("exact", *contestants)}
        timings.append(_measure_task(task, runs, repeats, clock))
    return timings


def speed_markdown(timings: Sequence[Timing]) -> str:
    """The timings as a Markdown table, in seconds; in brackets how many times slower than the exact path."""
    lines = [
        f"| task | {' | '.join(_HEADS[name] for name in CONTESTANTS)} |",
        "|---" * (1 + len(CONTESTANTS)) + "|",
    ]
    for timing in timings:
        own = timing.seconds["exact"]
        cells = [_cell(timing.seconds, name, own) for name in CONTESTANTS]
        lines.append(f"| {timing.task} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints one table per data set."""
    parser = data_parser("speed", __doc__)
    parser.add_argument("--datasets", nargs="+", default=["tno", "roadscene"], choices=["tno", "roadscene"])
    parser.add_argument("--images", type=int, default=0, help="only the first of each test list (default: all)")
    parser.add_argument("--repeats", type=int, default=3, help="rounds; the median is printed")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--contestants", nargs="+", default=list(CONTESTANTS), choices=list(CONTESTANTS))
    parser.add_argument("--clock", default="wall", choices=list(CLOCKS), help="cpu: work of all threads")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _print_all(options))


def _print_all(options: argparse.Namespace) -> int:
    if options.repeats < 1 or options.images < 0:
        raise UsageError("--repeats must be 1 or more and --images 0 or more.")
    root = data_root(options.data)
    for dataset in options.datasets:
        triplets = _test_triplets(root / dataset, options.images or None)
        pixels = sum(image.size for _, image, _, _ in triplets) / 1e6
        told = f"{dataset}: {len(triplets)} images, {pixels:.1f} megapixels"
        unit = f"{options.clock} seconds, median of {options.repeats}"
        sys.stdout.write(f"{told}, {unit}, {os.cpu_count()} processors\n\n")
        timings = measure(
            triplets,
            tasks=options.tasks,
            repeats=options.repeats,
            contestants=options.contestants,
            clock=CLOCKS[options.clock],
        )
        sys.stdout.write(speed_markdown(timings) + "\n\n")
        sys.stdout.flush()
    return 0


def _measure_task(task: str, runs: Mapping[str, Callable[[], object] | None], repeats: int, clock: Clock) -> Timing:
    ready = {name: run for name, run in runs.items() if run is not None}
    taken: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(repeats):
        for name, run in ready.items():
            taken[name].append(_seconds(run, clock))
    seconds = {name: statistics.median(taken[name]) if name in taken else None for name in runs}
    return Timing(task, seconds)


def _runs(triplets: Sequence[Triplet], task: str) -> dict[str, Callable[[], object] | None]:
    """What each contestant does for a task; None if its package is absent."""
    keys = TASKS[task]
    pairs = [(name, ir, vis) for name, ir, vis, _ in triplets]
    fused = {name: image for name, _, _, image in triplets}
    images = [triplet[1:] for triplet in triplets]
    runs: dict[str, Callable[[], object] | None] = {
        "exact": lambda: score(pairs, fused, metrics=keys),
    }
    for name, packages, offered in _LOOPS:
        if task in offered:
            installed = all(importlib.util.find_spec(package) is not None for package in packages)
            runs[name] = (lambda run=offered[task]: [run(*triplet) for triplet in images]) if installed else None
    return runs


def _seconds(run: Callable[[], object], clock: Clock) -> float:
    start = clock()
    run()
    return clock() - start


def _cell(seconds: Mapping[str, float | None], name: str, own: float | None) -> str:
    if name not in seconds:
        return ""
    value = seconds[name]
    if value is None:
        return "not installed"
    return f"{value:.2f}" if name == "exact" or not own else f"{value:.2f} ({value / own:.1f}x)"


def _test_triplets(folder: Path, count: int | None) -> list[Triplet]:
    """Test pairs of a data set with their average as the fused image; what it shows does not change the time."""
    triplets = []
    for pair in pairs_of_split(folder, "test")[:count]:
        ir, vis = read_gray(pair.ir), read_gray(pair.vis)
        triplets.append((pair.name, ir, vis, average(ir, vis)))
    return triplets


def _skimage_entropy(_ir: Image, _vis: Image, fused: Image) -> float:
    from skimage.measure import shannon_entropy

    return float(shannon_entropy(fused, base=2))


def _skimage_ssim(ir: Image, vis: Image, fused: Image) -> float:
    from skimage.metrics import structural_similarity

    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    return float(sum(structural_similarity(source, fused, **settings) for source in (ir, vis))) / 2


def _piq_ssim(ir: Image, vis: Image, fused: Image) -> float:
    import piq

    # downsample=False: piq otherwise shrinks large images first, which is another number.
    pair = [piq.ssim(_tensor(source), _tensor(fused), data_range=255.0, downsample=False) for source in (ir, vis)]
    return float(sum(pair)) / 2


def _piq_vif(ir: Image, vis: Image, fused: Image) -> float:
    import piq

    return float(sum(piq.vif_p(_tensor(fused), _tensor(source), data_range=255.0) for source in (ir, vis)))


def _usual_five(ir: Image, vis: Image, fused: Image) -> list[float]:
    """The paper's five as scripts have them: libraries where there are some, NumPy for AG and SCD."""
    a, b, f = (image.astype(np.float64) for image in (ir, vis, fused))
    gy, gx = np.gradient(f)
    scd = np.corrcoef((f - b).ravel(), a.ravel())[0, 1] + np.corrcoef((f - a).ravel(), b.ravel())[0, 1]
    entropy, structure = _skimage_entropy(ir, vis, fused), _skimage_ssim(ir, vis, fused)
    return [entropy, float(np.sqrt((gx**2 + gy**2) / 2).mean()), float(scd), structure, _piq_vif(ir, vis, fused)]


def _tensor(image: Image) -> object:
    import torch

    return torch.from_numpy(image.astype(np.float32))[None, None]  # float32, as piq is used


_LOOPS: tuple[tuple[str, tuple[str, ...], dict[str, Callable[[Image, Image, Image], object]]], ...] = (
    ("skimage", ("skimage",), {"EN": _skimage_entropy, "SSIM": _skimage_ssim}),
    ("piq", ("piq",), {"SSIM": _piq_ssim, "VIF": _piq_vif}),
    ("usual", ("skimage", "piq"), {"the paper's five": _usual_five}),
)
"""Contestant, the packages it needs, and what it does for a task."""


if __name__ == "__main__":
    raise SystemExit(main())
