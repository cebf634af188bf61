"""What `camfuse doctor` looks at: this machine, the shipped weights, and a user's pairs."""

import dataclasses
import platform
import time
from importlib import metadata
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from camfuse_jax.data.pairs import Pair, Pairing
from camfuse_jax.errors import CamfuseError
from camfuse_jax.fusion.fuse import fuse_arrays
from camfuse_jax.fusion.params import SHIPPED, load_params
from camfuse_jax.images.read import picture_size, read_picture
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.pair.prepare import guess_polarity, prepare_pair
from camfuse_jax.pair.swapped import Swap, certain_swap, swap_evidence, swap_verdict
from camfuse_jax.system.runtime import package_version

_PACKAGES = ("jax", "jaxlib", "flax", "numpy", "pillow", "tifffile")
_FRAME = (480, 640)


def examine_machine(weights: str) -> dict[str, Any]:
    """Versions, devices, state of the shipped weights, and the time of one frame.

    Args:
        weights: With which to time the frame.
    """
    problems, states = [], {}
    for name in dict.fromkeys((*SHIPPED, weights)):
        try:
            load_params(name)
            states[name] = "sha256 as recorded" if name in SHIPPED else "readable"
        except CamfuseError as error:
            states[name] = str(error)
            problems.append(str(error))
    first, best = (None, None) if problems else _time_frame(weights)
    versions = {"camfuse_jax": package_version(), "python": platform.python_version()}
    versions |= {name: metadata.version(name) for name in _PACKAGES}
    return {
        "versions": versions,
        "devices": [f"{device.platform} {device.device_kind}" for device in jax.devices()],
        "weights": states,
        "first_call_s": first,
        "frame_ms": best,
        "problems": problems,
    }


def examine_pairs(pairing: Pairing, *, limit: int) -> dict[str, Any]:
    """What is wrong with some pairs: the header of every file, the content of at most `limit` pairs.

    Args:
        pairing: What pairs with what.
        limit: Most pairs to decode, evenly spread; 0 means all.
    """
    report = _Report([f"not paired: {problem}" for problem in pairing.problems])
    if not pairing.pairs:
        report.problems.append(f"no infrared file has a visible partner: {pairing.why_nothing}")
    whole = [pair for pair in pairing.pairs if _headers_fit(pair, report.problems)]
    count = len(whole) if limit <= 0 else min(limit, len(whole))
    chosen = [whole[i] for i in np.linspace(0, len(whole) - 1, count).astype(int)] if count else []
    for pair in tqdm(chosen, desc="examine", unit="pair", disable=None):
        try:
            _look_at(pair, report)
        except (CamfuseError, MemoryError, OSError) as error:
            report.problems.append(f"{pair.name}: {error or 'memory does not suffice'}")
    unsure: list[str] = []
    verdict, count = swap_verdict(report.swaps), sum((swap.certain or swap.log_odds) > 0 for swap in report.swaps)
    if verdict == "swapped":
        report.problems.append(f"infrared and visible look swapped: {count} of {len(report.swaps)} pairs")
    elif verdict == "unsure":
        unsure = [f"infrared and visible may be swapped: {count} of {len(report.swaps)} pairs look so"]
    return {
        "pairs": len(pairing.pairs),
        "examined": len(chosen),
        "problems": report.problems + report.lines(report.wrong, len(chosen)),
        "notes": [*pairing.notes, *unsure, *report.lines(report.notes, len(chosen))],
    }


@dataclasses.dataclass
class _Report:
    """What is known of a folder so far: whole sentences, and names of pairs by what is said of them."""

    problems: list[str]
    wrong: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    notes: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    swaps: list[Swap] = dataclasses.field(default_factory=list)

    @staticmethod
    def lines(about: dict[str, list[str]], total: int) -> list[str]:
        return [f"{what}: {_names(names, total)}" for what, names in about.items()]


def _headers_fit(pair: Pair, problems: list[str]) -> bool:
    try:
        sizes = [picture_size(path) for path in (pair.ir, pair.vis)]
    except CamfuseError as error:
        problems.append(f"{pair.name}: {error}")
        return False
    if sizes[0] != sizes[1]:
        ir, vis = (f"{width} x {height}" for height, width in sizes)
        problems.append(f"{pair.name}: sizes differ, ir {ir}, vis {vis} (see --fit)")
    return True


def _look_at(pair: Pair, report: _Report) -> None:
    ir, vis = read_picture(pair.ir), read_picture(pair.vis)
    ready = prepare_pair(ir, vis, FrameSettings(fit="vis"))
    for note in ready.notes:
        wrong = "misregistered" in note or "may be out of order" in note
        (report.wrong if wrong else report.notes).setdefault(note, []).append(pair.name)
    if guess_polarity(ready.ir_unit, ready.luma).strong:
        report.wrong.setdefault("infrared looks black-hot (--ir-polarity black)", []).append(pair.name)
    report.swaps.append(swap_evidence(certain_swap(ir, vis), ready))


def _names(names: list[str], total: int) -> str:
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{len(names)} of {total} {'pair' if total == 1 else 'pairs'} ({shown})"


def _time_frame(weights: str) -> tuple[float, float]:
    """Seconds of the first call and milliseconds of the fastest of three more, on noise."""
    params = load_params(weights)
    ir, vis = np.random.default_rng(0).random((2, *_FRAME), np.float32)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        jax.block_until_ready(fuse_arrays(params, ir, vis))
        times.append(time.perf_counter() - start)
    return round(times[0], 2), round(1000 * min(times[1:]), 1)
