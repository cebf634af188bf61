"""Stage `fuse`: image files in, fused images, heat maps and masks out."""

import contextlib
import pathlib
from collections.abc import Iterable
from importlib import resources
from typing import Any

import numpy as np
from tqdm import tqdm

from camfuse_jax import fusion
from camfuse_jax.data.folders import Pair
from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.export import network
from camfuse_jax.frames import Prepared, fuse_frame, prepare, to_levels
from camfuse_jax.images import picture_size, read_picture, write_picture
from camfuse_jax.images.colour import luma_unit
from camfuse_jax.images.write import file_format, replace_file, to_depth
from camfuse_jax.report.heatmaps import overlay
from camfuse_jax.report.previews import balance_grid
from camfuse_jax.stages.fuse_plan import FuseJob, Result, plan

DEMO = "demo"
BALANCES = ((4.0, 1.0), (2.0, 1.0), (1.0, 1.0), (1.0, 2.0), (1.0, 4.0))
"""Infrared and visible gains of the preview grid."""
# `data.synthetic.synthetic_pair(6)`, kept as files because drawing it takes seconds.
_DEMO_FILES = resources.files("camfuse_jax") / "demo"


def fuse_pairs(job: FuseJob) -> list[Result]:
    """Carries out a fuse command; results that are there already are skipped, so the same command goes on.

    A pair that cannot be read or does not fit is marked as failed and the others are done. Files appear whole or not
    at all, the fused image last.

    Raises:
        UsageError: A result would replace a source; a gain is wrong.
        CheckpointError: The weights cannot be loaded.
        ResourceError: A result cannot be written.
    """
    params = job.params()
    results = plan(job)
    if job.dry_run:
        return results
    if job.backend != "jax":
        network(params, job.backend)  # what is missing is said once, before any pair is read
    todo = [result for result in results if result.status == "planned"]
    buckets = _buckets(job, results)
    for result in tqdm(todo, desc="fuse", unit="pair", disable=None if len(todo) > 1 else True):
        try:
            _fuse_one(job, params, result, buckets)
            result.status = "fused"
        except (InputError, UsageError) as error:
            result.status, result.error = "failed", error
    return results


def demo_pair(out: pathlib.Path) -> Pair:
    """Copies the package's demo pair into a folder, if it is not there, so that one sees what is fused."""
    paths = {kind: out / f"{DEMO}_{kind}.png" for kind in ("ir", "vis")}
    for kind, path in paths.items():
        content = (_DEMO_FILES / f"{kind}.png").read_bytes()
        if path.exists() and path.read_bytes() != content:
            raise UsageError(f"{path} exists and is not the demo pair.", "Choose another output folder.")
        if not path.exists():
            replace_file(path, content)
    return Pair(DEMO, paths["ir"], paths["vis"])


def grouped_notes(results: Iterable[Result]) -> list[str]:
    """Each note once, with the pairs it is about."""
    about: dict[str, list[str]] = {}
    for result in results:
        for note in result.notes:
            about.setdefault(note, []).append(result.pair.name)
    return [f"{note} ({_some(names)})" for note, names in about.items()]


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{len(names)} pairs: {shown}, ..."


def _buckets(job: FuseJob, results: list[Result]) -> fusion.Buckets | None:
    """Programs for all pairs of the job, done ones too: then what is missing needs no others than the whole did."""
    if len(results) == 1:
        return None
    sizes = []
    for result in results:
        with contextlib.suppress(InputError):  # told when the pair is read
            sizes.append(picture_size(result.pair.ir if job.frame.fit == "ir" else result.pair.vis, job.limits))
    return fusion.plan(sizes)


def _fuse_one(job: FuseJob, params: fusion.Params, result: Result, buckets: fusion.Buckets | None) -> None:
    pair, outputs = result.pair, result.outputs
    ready = prepare(read_picture(pair.ir, job.limits), read_picture(pair.vis, job.limits), job.frame)
    result.notes, result.details = ready.notes, ready.details
    target = outputs["fused"]
    settings = {"gray": job.frame.gray, "valid": ready.valid, "buckets": buckets, "backend": job.backend}
    fused = fuse_frame(params, ready.ir_unit, ready.vis_unit, **settings)
    bits, alpha = ready.bits, ready.alpha
    if file_format(target) == "JPEG" and (bits == 16 or alpha is not None):
        result.notes += ("result: JPEG holds 8 bits and no alpha; the rest is left out",)
        bits, alpha = 8, None
    if "valid area" in outputs:
        valid = np.ones(fused.shape[:2], bool) if ready.valid is None else ready.valid
        write_picture(outputs["valid area"], np.where(valid, 255, 0).astype(np.uint8), stamp=result.stamp)
    if "ir heat map" in outputs:
        _write_heat_maps(params, ready, result, buckets)
    if "preview" in outputs:
        write_picture(outputs["preview"], _preview(params, ready, settings), stamp=result.stamp)
    levels = to_levels(fused, bits)
    alpha = None if alpha is None else to_depth(alpha, levels.dtype)
    write_picture(target, levels, alpha=alpha, icc=ready.icc, stamp=result.stamp)


def _luma(ready: Prepared) -> np.ndarray:
    return luma_unit(ready.vis_unit).astype(np.float32) if ready.vis_unit.ndim == 3 else ready.vis_unit


def _write_heat_maps(params: fusion.Params, ready: Prepared, result: Result, buckets: fusion.Buckets | None) -> None:
    luma = _luma(ready)
    seen = fusion.explain(params, ready.ir_unit, luma, buckets=buckets)
    for kind, image, maps in (("ir", ready.ir_unit, seen.ir_cam), ("vis", luma, seen.vis_cam)):
        picture = overlay(to_levels(image, 8), np.asarray(maps)[0])
        write_picture(result.outputs[f"{kind} heat map"], picture, stamp=result.stamp)


def _preview(params: fusion.Params, ready: Prepared, settings: dict[str, Any]) -> np.ndarray:
    tiles = [("ir", ready.ir_unit), ("vis", ready.vis_unit)]
    for ir_gain, vis_gain in BALANCES:
        leaning = fusion.balanced(params, ir_gain=ir_gain, vis_gain=vis_gain)
        fused = fuse_frame(leaning, ready.ir_unit, ready.vis_unit, **settings)
        tiles.append((f"--ir-gain {ir_gain:g} --vis-gain {vis_gain:g}", fused))
    return balance_grid([(label, to_levels(tile, 8)) for label, tile in tiles])
