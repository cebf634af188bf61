"""What `camfuse doctor` looks at: this machine, the shipped weights, and a user's pairs."""

import dataclasses
import math
import platform
import time
from collections.abc import Iterable
from importlib import metadata
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from camfuse_jax.config import Modality
from camfuse_jax.data.pairs import Pair, Pairing
from camfuse_jax.errors import CamfuseError
from camfuse_jax.fusion.fuse import explain, fuse_arrays
from camfuse_jax.fusion.params import SHIPPED, Params, load_params
from camfuse_jax.images.color import luma_unit, scalar_from_rgb
from camfuse_jax.images.picture import Picture
from camfuse_jax.images.read import picture_size, read_picture
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.pair.prepare import PreparedPair, guess_polarity, prepare_pair
from camfuse_jax.system.runtime import package_version

_PACKAGES = ("jax", "jaxlib", "flax", "numpy", "pillow", "tifffile")
_JUDGES = ("tno", "roadscene")  # on test images their classifiers are right more often than that of `fast`
_FRAME = (480, 640)
_CROP = 256
# Pairs of one folder are alike, so each counts a quarter, and no more than eight count. Swapped folders are rare: the
# prior is 1 in 20. Measured on folders of eight pairs drawn from the lists (`experiments/swapped_folders.py`).
_WEIGHT, _MOST_PAIRS, _PRIOR = 0.25, 8, -3.0


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


def examine_pairs(pairing: Pairing, *, weights: str, limit: int) -> dict[str, Any]:
    """What is wrong with some pairs: the header of every file, the content of at most `limit` pairs.

    Args:
        pairing: What pairs with what.
        weights: Whose classifier tells infrared from visible.
        limit: Most pairs to decode, evenly spread; 0 means all.
    """
    judges = [load_params(name) for name in (*_JUDGES, *(() if weights in SHIPPED else (weights,)))]
    report = _Report([f"not paired: {problem}" for problem in pairing.problems])
    if not pairing.pairs:
        report.problems.append(f"no infrared file has a visible partner: {pairing.why_nothing}")
    whole = [pair for pair in pairing.pairs if _headers_fit(pair, report.problems)]
    count = len(whole) if limit <= 0 else min(limit, len(whole))
    chosen = [whole[i] for i in np.linspace(0, len(whole) - 1, count).astype(int)] if count else []
    for pair in tqdm(chosen, desc="examine", unit="pair", disable=None):
        try:
            _look_at(pair, judges, report)
        except (CamfuseError, MemoryError, OSError) as error:
            report.problems.append(f"{pair.name}: {error or 'memory does not suffice'}")
    unsure: list[str] = []
    verdict, count = swap_verdict(report.swaps), sum((swap.certain or swap.log_odds) > 0 for swap in report.swaps)
    if verdict == "swapped":
        report.problems.append(f"infrared and visible look swapped: {count} of {len(report.swaps)} pairs")
    elif verdict == "unsure":
        why = "neither side has colors or temperatures, and the classifiers know few cameras"
        doubted = f"{count} of {len(report.swaps)} pairs look so"
        unsure = [f"cannot tell whether infrared and visible are swapped: {why}; {doubted}"]
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
    swaps: "list[Swap]" = dataclasses.field(default_factory=list)

    @staticmethod
    def lines(about: dict[str, list[str]], total: int) -> list[str]:
        return [f"{what}: {_names(names, total)}" for what, names in about.items()]


class Swap(NamedTuple):
    """What one pair says about whether infrared and visible are swapped.

    Attributes:
        certain: 1: surely swapped, -1: surely not, by color or depth; 0: neither.
        log_odds: What the classifiers say; above 0: rather swapped.
    """

    certain: int
    log_odds: float


def swap_probability(swaps: Iterable[Swap]) -> float:
    """How likely a folder's two sides are swapped: by the majority of its certain pairs, else by all classifiers."""
    swaps = list(swaps)
    certain = [swap.certain for swap in swaps if swap.certain]
    if certain:
        return sum(value > 0 for value in certain) / len(certain)
    if not swaps:
        return 0.0
    pairs = min(len(swaps), _MOST_PAIRS)
    odds = _WEIGHT * pairs * float(np.mean([swap.log_odds for swap in swaps])) + _PRIOR
    return 1 / (1 + math.exp(-min(max(odds, -50.0), 50.0)))


def swap_verdict(swaps: Iterable[Swap]) -> Literal["swapped", "unsure", "as named"]:
    """Whether a folder's sides are swapped; on the classifiers' word alone never more than `unsure`.

    They know the cameras of TNO and RoadScene: 58 of 100 correct gray folders of other cameras looked swapped to them.
    """
    swaps = list(swaps)
    if swap_probability(swaps) <= 0.5:
        return "as named"
    return "swapped" if any(swap.certain for swap in swaps) else "unsure"


def surely_swapped(probability: Float[np.ndarray, "2 2"]) -> bool:
    """The same of one pair alone, from P_c of both images (`fusion.Explanation`)."""
    return swap_probability([Swap(0, _log_odds(probability))]) > 0.5


def _log_odds(probability: Float[np.ndarray, "2 2"]) -> float:
    """Of "swapped" against "as named", both images taken for independent."""
    sure = np.log(np.clip(np.asarray(probability, np.float64), 1e-6, 1))
    return float(sum(sure[kind, 1 - kind] - sure[kind, kind] for kind in (Modality.IR, Modality.VIS)))


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


def swap_evidence(ir: Picture, vis: Picture, ready: PreparedPair, judges: list[Params]) -> Swap:
    """What a pair says; on a crop from the middle, so that images of all sizes are one program."""
    crops = [_middle(image) for image in (ready.ir_unit, ready.luma)]
    log_odds = sum(_log_odds(np.asarray(explain(params, *crops).probability[0])) for params in judges)
    return Swap(_certain(ir, vis), log_odds)


def _look_at(pair: Pair, judges: list[Params], report: _Report) -> None:
    ir, vis = read_picture(pair.ir), read_picture(pair.vis)
    ready = prepare_pair(ir, vis, FrameSettings(fit="vis"))
    for note in ready.notes:
        wrong = "misregistered" in note or "may be out of order" in note
        (report.wrong if wrong else report.notes).setdefault(note, []).append(pair.name)
    if guess_polarity(ready.ir_unit, ready.luma).strong:
        report.wrong.setdefault("infrared looks black-hot (--ir-polarity black)", []).append(pair.name)
    report.swaps.append(swap_evidence(ir, vis, ready, judges))


def _certain(ir: Picture, vis: Picture) -> int:
    """Only a visible camera sees colors, and only an infrared one measures counts or degrees beside 8-bit color."""
    colors = _many_colors(ir) - _many_colors(vis)
    return colors or (vis.samples.dtype == np.float32) - (ir.samples.dtype == np.float32)


def certainly_swapped(ir: Picture, vis: Picture) -> str:
    """A note for a pair that by what it holds is surely swapped, else nothing; gray infrared costs no time."""
    if not (ir.is_color or vis.samples.dtype == np.float32) or _certain(ir, vis) <= 0:
        return ""
    colors = _many_colors(ir)
    what = "infrared is in color and visible is gray" if colors else "visible holds temperatures and infrared does not"
    return f"{what}: are they swapped?"


def _many_colors(picture: Picture) -> bool:
    """Whether an image has colors that no map from one value to a color can give."""
    if not picture.is_color:
        return False
    step = max(1, math.isqrt(picture.samples[..., 0].size // 50_000))
    rgb = picture.samples[::step, ::step, :3].astype(np.float64) / float(np.iinfo(picture.samples.dtype).max)
    if np.percentile(np.ptp(rgb, axis=-1), 95) < 0.024:  # equal channels, up to what JPEG does to them
        return False
    luma, tint = luma_unit(rgb).ravel(), (rgb[..., 0] - rgb[..., 2]).ravel()
    order = np.argsort(luma, kind="stable")
    within = np.mean([np.std(part) for part in np.array_split(tint[order], 64)])
    # Maps such as jet have two colors of one luma; the reader knows them.
    return bool(within > 0.3 * np.std(tint)) and not scalar_from_rgb(rgb).sure


def _middle(image: np.ndarray) -> np.ndarray:
    top, left = (max(0, (length - _CROP) // 2) for length in image.shape)
    return np.asarray(image[top : top + _CROP, left : left + _CROP], np.float32)


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
