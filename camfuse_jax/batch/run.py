"""Reading, computing and writing at the same time: threads read ahead and write behind, the caller computes."""

import contextlib
import dataclasses
import functools
import pathlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import resources
from typing import Any, NamedTuple, TypeVar

import numpy as np
from tqdm import tqdm

from camfuse_jax.batch.plan import FuseJob, Result, plan
from camfuse_jax.data.pairs import Pair
from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.export.runtimes import network
from camfuse_jax.fusion.dispatch import MOST, Buckets, plan_programs
from camfuse_jax.fusion.fuse import explain
from camfuse_jax.fusion.params import Params, balanced
from camfuse_jax.fusion.tiling import DEFAULT_MEMORY, memory_needed
from camfuse_jax.images.picture import picture_size, read_picture
from camfuse_jax.images.write import file_format, replace_file, to_depth, write_picture
from camfuse_jax.pair.fuse import fuse_frame, to_levels
from camfuse_jax.pair.prepare import PreparedPair, prepare_pair
from camfuse_jax.report.pictures import balance_grid, overlay

_Item = TypeVar("_Item")


def overlapped(
    items: Iterable[_Item],
    *,
    load: Callable[[_Item], Any],
    compute: Callable[[_Item, Any], Any],
    save: Callable[[_Item, Any], None],
    expected: tuple[type[Exception], ...] = (),
    ahead: int = 2,
) -> Iterator[tuple[_Item, Exception | None]]:
    """Loads, computes and saves each item, in order.

    No more than `ahead` loaded items and `ahead` results wait, so that memory does not grow with the number of items.
    If something raises that is not expected, or the caller is interrupted, nothing more is begun, what was computed is
    saved, and it is raised.

    Args:
        items: What to work on.
        load: Called in a thread.
        compute: Called by the caller with an item and what was loaded.
        save: Called in another thread with an item and what was computed.
        expected: Errors that belong to one item; the others are gone on with.
        ahead: Items that are loaded before they are needed, and results that wait to be saved; 0 for one after the
            other.

    Yields:
        Each item with its error, or None, once it is saved.
    """
    waiting = iter(items)
    loading: deque[tuple[_Item, Future]] = deque()
    saving: deque[tuple[_Item, Future]] = deque()
    with _thread(cancel=False) as writer, _thread(cancel=True) as reader:

        def load_more() -> None:
            while len(loading) <= ahead:
                item = next(waiting, _NOTHING)
                if item is _NOTHING:
                    return
                loading.append((item, reader.submit(load, item)))

        load_more()
        while loading:
            item, loaded = loading.popleft()
            saving.append((item, _computed(item, loaded, compute, save, writer, expected)))
            del loaded  # what was loaded is large
            while len(saving) > ahead:
                yield _outcome(*saving.popleft(), expected)
            load_more()
        while saving:
            yield _outcome(*saving.popleft(), expected)


_NOTHING: Any = object()


def _computed(item, loaded: Future, compute, save, writer: ThreadPoolExecutor, expected) -> Future:
    try:
        return writer.submit(save, item, compute(item, loaded.result()))
    except expected as error:
        failed: Future = Future()
        failed.set_exception(error)
        return failed


def _outcome(item: _Item, saved: Future, expected: tuple[type[Exception], ...]) -> tuple[_Item, Exception | None]:
    try:
        saved.result()
    except expected as error:
        return item, error
    return item, None


@contextlib.contextmanager
def _thread(*, cancel: bool) -> Iterator[ThreadPoolExecutor]:
    """A thread that at the end finishes what it has begun, and does or leaves out (`cancel`) the rest."""
    pool = ThreadPoolExecutor(1)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=cancel)


# Stage `fuse`: image files in, fused images, heat maps and masks out.


DEMO = "demo"
_LARGE = 8_000_000  # pixels from which on one pair at a time is in memory
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
    sizes = _sizes(job, results) if len(results) > 1 else []
    buckets = _plan(job, params, sizes) if sizes else None
    done = overlapped(
        todo,
        load=lambda result: _load(job, result),
        compute=lambda result, ready: _compute(job, params, result, ready, buckets),
        save=lambda result, computed: _save(result, computed),
        expected=(InputError, UsageError),
        ahead=2 if max((rows * cols for rows, cols in sizes), default=0) <= _LARGE else 0,
    )
    with contextlib.closing(done):
        for result, error in tqdm(done, desc="fuse", total=len(todo), unit="pair", disable=_quiet(todo)):
            result.status, result.error = ("failed", error) if error else ("fused", None)
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


def _quiet(todo: list[Result]) -> bool | None:
    return None if len(todo) > 1 else True


def _plan(job: FuseJob, params: Params, sizes: list[tuple[int, int]]) -> Buckets:
    """Programs for the pairs that are fused whole; those for tiles count too."""
    memory = DEFAULT_MEMORY if job.max_memory is None else job.max_memory
    whole = [size for size in sizes if memory_needed(params.net, size[0] * size[1]) <= memory]
    return plan_programs(whole, most=MOST if len(whole) == len(sizes) else MOST // 2)


def _sizes(job: FuseJob, results: list[Result]) -> list[tuple[int, int]]:
    """Sizes of all pairs of the job, done ones too: then what is missing needs no programs that the whole did not."""
    sizes = []
    for result in results:
        with contextlib.suppress(InputError):  # told when the pair is read
            sizes.append(picture_size(result.pair.ir if job.frame.fit == "ir" else result.pair.vis, job.limits))
    return sizes


class _Computed(NamedTuple):
    """What is left to do for a pair once it is computed: pictures by kind, the fused one last."""

    fused: np.ndarray
    ready: PreparedPair
    bits: int
    drawings: dict[str, Callable[[], np.ndarray]]


def _load(job: FuseJob, result: Result) -> PreparedPair:
    pair = result.pair
    ready = prepare_pair(read_picture(pair.ir, job.limits), read_picture(pair.vis, job.limits), job.frame)
    result.notes, result.details = ready.notes, ready.details
    return ready


def _compute(job: FuseJob, params: Params, result: Result, ready: PreparedPair, buckets: Buckets | None) -> _Computed:
    settings = {
        "gray": job.frame.gray,
        **ready.masks,
        "buckets": buckets,
        "max_memory": job.max_memory,
        "backend": job.backend,
    }
    with ThreadPoolExecutor(1) as beside:  # the two programs compile at the same time
        heat = None
        if "ir heat map" in result.outputs:
            heat = beside.submit(_heat_maps, params, ready, buckets)
        fused = fuse_frame(params, ready.ir_unit, ready.vis_unit, **settings)
    bits = ready.bits
    if file_format(result.outputs["fused"]) == "JPEG" and (bits == 16 or ready.alpha is not None):
        result.notes += ("result: JPEG holds 8 bits and no alpha; the rest is left out",)
        bits, ready = 8, dataclasses.replace(ready, alpha=None)
    drawings: dict[str, Callable[[], np.ndarray]] = {} if heat is None else heat.result()
    if "valid area" in result.outputs:
        valid = np.ones(fused.shape[:2], bool) if ready.valid is None else ready.valid
        drawings["valid area"] = lambda: np.where(valid, 255, 0).astype(np.uint8)
    if "preview" in result.outputs:
        drawings["preview"] = _preview(params, ready, settings)
    return _Computed(fused, ready, bits, drawings)


def _save(result: Result, computed: _Computed) -> None:
    """Writes the files of a pair, the fused image last: where it is, all are."""
    for kind, draw in computed.drawings.items():
        write_picture(result.outputs[kind], draw(), stamp=result.stamp)
    ready, levels = computed.ready, to_levels(computed.fused, computed.bits)
    alpha = None if ready.alpha is None else to_depth(ready.alpha, levels.dtype)
    write_picture(result.outputs["fused"], levels, alpha=alpha, icc=ready.icc, stamp=result.stamp)


def _heat_maps(params: Params, ready: PreparedPair, buckets: Buckets | None) -> dict[str, Callable[[], np.ndarray]]:
    seen = explain(params, ready.ir_unit, ready.luma, buckets=buckets)
    return {
        f"{kind} heat map": functools.partial(_overlaid, image, np.asarray(maps)[0])
        for kind, image, maps in (("ir", ready.ir_unit, seen.ir_cam), ("vis", ready.luma, seen.vis_cam))
    }


def _overlaid(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    return overlay(to_levels(image, 8), heat)


def _preview(params: Params, ready: PreparedPair, settings: dict[str, Any]) -> Callable[[], np.ndarray]:
    tiles = [("ir", ready.ir_unit), ("vis", ready.vis_unit)]
    for ir_gain, vis_gain in BALANCES:
        leaning = balanced(params, ir_gain=ir_gain, vis_gain=vis_gain)
        fused = fuse_frame(leaning, ready.ir_unit, ready.vis_unit, **settings)
        tiles.append((f"--ir-gain {ir_gain:g} --vis-gain {vis_gain:g}", fused))
    return lambda: balance_grid([(label, to_levels(tile, 8)) for label, tile in tiles])
