"""What `camfuse doctor` looks at: this machine, the shipped weights, and a user's pairs."""

import platform
import time
from importlib import metadata
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from camfuse_jax.config import Modality
from camfuse_jax.data.pairs import Pair, Pairing
from camfuse_jax.errors import CamfuseError
from camfuse_jax.fusion.fuse import explain, fuse_arrays
from camfuse_jax.fusion.params import SHIPPED, Params, load_params
from camfuse_jax.images.color import luma_unit
from camfuse_jax.images.picture import Picture
from camfuse_jax.images.read import picture_size, read_picture
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.pair.polarity import guess_polarity
from camfuse_jax.pair.prepare import prepare_pair
from camfuse_jax.system.runtime import package_version

_PACKAGES = ("jax", "jaxlib", "flax", "numpy", "pillow", "tifffile")
_FRAME = (480, 640)
_CROP = 256
_SURE = 0.5  # of probability, by which the wrong class must lead


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
    params = load_params(weights)
    problems = [f"not paired: {problem}" for problem in pairing.problems]
    if not pairing.pairs:
        problems.append("no infrared file has a visible partner")
    whole = [pair for pair in pairing.pairs if _headers_fit(pair, problems)]
    count = len(whole) if limit <= 0 else min(limit, len(whole))
    chosen = [whole[i] for i in np.linspace(0, len(whole) - 1, count).astype(int)] if count else []
    notes: dict[str, list[str]] = {}
    found: dict[str, list[str]] = {}
    for pair in tqdm(chosen, desc="examine", unit="pair", disable=None):
        try:
            _look_at(pair, params, notes, found)
        except CamfuseError as error:
            problems.append(f"{pair.name}: {error}")
    problems += [f"{what}: {_names(names, len(chosen))}" for what, names in found.items()]
    return {
        "pairs": len(pairing.pairs),
        "examined": len(chosen),
        "problems": problems,
        "notes": [f"{what}: {_names(names, len(chosen))}" for what, names in notes.items()],
    }


def looks_swapped(params: Params, ir_unit: np.ndarray, vis_luma: np.ndarray) -> bool:
    """Whether the classifier takes the infrared image for visible and the visible one for infrared, both surely.

    Judged on a crop from the middle, so that images of all sizes are one program.
    """
    crops = [_middle(image) for image in (ir_unit, vis_luma)]
    if crops[0].shape != crops[1].shape:
        return False
    return surely_swapped(np.asarray(explain(params, *crops).probability[0]))


def surely_swapped(probability: Float[np.ndarray, "2 2"]) -> bool:
    """The same from P_c of both images (`fusion.Explanation`)."""
    leads = [probability[kind, 1 - kind] - probability[kind, kind] for kind in (Modality.IR, Modality.VIS)]
    return bool(min(leads) > _SURE)


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


def _look_at(pair: Pair, params: Params, notes: dict[str, list[str]], found: dict[str, list[str]]) -> None:
    ir, vis = read_picture(pair.ir), read_picture(pair.vis)
    ready = prepare_pair(ir, vis, FrameSettings(fit="vis"))
    for note in ready.notes:
        wrong = "misregistered" in note or "may be out of order" in note
        (found if wrong else notes).setdefault(note, []).append(pair.name)
    luma = luma_unit(ready.vis_unit).astype(np.float32) if ready.vis_unit.ndim == 3 else ready.vis_unit
    if guess_polarity(ready.ir_unit, luma).strong:
        found.setdefault("infrared looks black-hot (--ir-polarity black)", []).append(pair.name)
    if colors_swapped(ir, vis) or looks_swapped(params, ready.ir_unit, luma):
        found.setdefault("infrared and visible look swapped", []).append(pair.name)


def colors_swapped(ir: Picture, vis: Picture) -> bool:
    """A gray visible image beside a many-colored infrared one says the same as the classifier, more plainly."""
    if not ir.is_color or vis.is_color or ir.samples.dtype != np.uint8:
        return False
    spread = np.ptp(ir.samples.astype(np.int16), axis=-1)
    return False if spread.mean() < 8 else not _is_map(ir)


def _is_map(ir: Picture) -> bool:
    from camfuse_jax.images.color import scalar_from_rgb

    return scalar_from_rgb(ir.samples / 255.0).sure


def _middle(image: np.ndarray) -> np.ndarray:
    top, left = (max(0, (length - _CROP) // 2) for length in image.shape)
    return np.asarray(image[top : top + _CROP, left : left + _CROP], np.float32)


def _names(names: list[str], total: int) -> str:
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{len(names)} of {total} pairs ({shown})"


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
