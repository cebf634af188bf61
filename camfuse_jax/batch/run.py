"""Fuses a folder: threads read ahead and write behind while the caller computes."""

import contextlib
import dataclasses
import functools
import pathlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import resources
from typing import Any, NamedTuple, TypeVar

import numpy as np
from tqdm import tqdm

from camfuse_jax.batch.plan import FolderDepths, FuseJob, Result, check_replaceable, plan_pairs, signature, valid_map
from camfuse_jax.data.pairs import Pair
from camfuse_jax.errors import InputError, OutOfMemoryError, UsageError
from camfuse_jax.fusion.dispatch import DEFAULT_MEMORY, MOST, Buckets, memory_needed, plan_programs
from camfuse_jax.fusion.params import Params, balanced, check_balance
from camfuse_jax.images.picture import Picture
from camfuse_jax.images.read import picture_size, read_picture
from camfuse_jax.images.write import WRITABLE_SUFFIXES, file_format, picture_bytes, to_depth
from camfuse_jax.pair.fuse import fuse_frame, to_levels, with_usual_look
from camfuse_jax.pair.prepare import PreparedPair, prepare_pair
from camfuse_jax.pair.swapped import certainly_swapped
from camfuse_jax.system.files import replace_file

_Item = TypeVar("_Item")
_Failure = TypeVar("_Failure", bound=Exception)
DEMO = "demo"
BALANCES = ((4.0, 1.0), (2.0, 1.0), (1.0, 1.0), (1.0, 2.0), (1.0, 4.0))
"""Infrared and visible gains of the preview grid."""
_LARGE = 8_000_000  # pixels from which on one pair at a time is in memory
# `data.synthetic.synthetic_pair(6)`, kept as files because drawing it takes seconds.
_DEMO_FILES = resources.files("camfuse_jax") / "demo"
_OF_ONE_PAIR = (InputError, UsageError, OutOfMemoryError)


def fuse_files(job: FuseJob) -> list[Result]:
    """Carries out a fuse command; results that are there already are skipped, so the same command goes on.

    A pair that cannot be read, does not fit or finds its file taken is marked as failed and the others are done. Files
    appear whole or not at all, the fused image last.

    Raises:
        UsageError: A result would replace a source; a gain is wrong.
        CheckpointError: The weights cannot be loaded.
        ResourceError: A result cannot be written.
    """
    params = job.settings.params()
    if job.options.preview:
        check_balance(params, "--preview")
    depths = FolderDepths.of(job)
    results = plan_pairs(job, depths)
    if job.settings.dry_run:
        return results
    if job.options.backend != "jax":
        from camfuse_jax.export.runtimes import network

        network(params, job.options.backend)  # what is missing is said once, before any pair is read
    todo = [result for result in results if result.status == "planned"]
    sizes = _sizes(job, results) if len(results) > 1 else []
    buckets = _programs(job, params, sizes) if sizes else None
    done = overlapped(
        todo,
        load=lambda result: _load(job, depths, result),
        compute=lambda result, ready: _compute(job, params, result, ready, buckets),
        save=lambda result, computed: _save(job, result, computed),
        expected=_OF_ONE_PAIR,
        ahead=2 if max((rows * cols for rows, cols in sizes), default=0) <= _LARGE else 0,
    )
    quiet = None if len(todo) > 1 else True
    with contextlib.closing(done):
        for result, error in tqdm(done, desc="fuse", total=len(todo), unit="pair", disable=quiet):
            result.status, result.error = ("failed", error) if error else ("fused", None)
    return results


def demo_pair(out: pathlib.Path) -> Pair:
    """Copies the package's demo pair to where its result goes, if it is not there, so that one sees what is fused."""
    folder = out.parent if out.suffix.lower() in WRITABLE_SUFFIXES and not out.is_dir() else out
    paths = {kind: folder / f"{DEMO}_{kind}.png" for kind in ("ir", "vis")}
    for kind, path in paths.items():
        content = (_DEMO_FILES / f"{kind}.png").read_bytes()
        if path.exists() and path.read_bytes() != content:
            raise UsageError(f"{path} exists and is not the demo pair.", "Choose another output folder.")
        if not path.exists():
            replace_file(path, content)
    return Pair(DEMO, paths["ir"], paths["vis"])


def _programs(job: FuseJob, params: Params, sizes: list[tuple[int, int]]) -> Buckets:
    """Programs for the pairs that are fused whole; those for tiles count too."""
    memory = job.options.memory or DEFAULT_MEMORY
    whole = [size for size in sizes if memory_needed(params, size[0] * size[1]) <= memory]
    return plan_programs(whole, most=MOST if len(whole) == len(sizes) else MOST // 2)


def _sizes(job: FuseJob, results: list[Result]) -> list[tuple[int, int]]:
    """Sizes of all pairs of the job, done ones too: then what is missing needs no programs that the whole did not."""
    sizes = []
    for result in results:
        with contextlib.suppress(*_OF_ONE_PAIR, OSError, MemoryError):  # reported when the pair is read
            path = result.pair.ir if job.settings.frame.fit == "ir" else result.pair.vis
            sizes.append(picture_size(path, job.settings.limits))
    return sizes


class _Computed(NamedTuple):
    """What is left to do for a pair once it is computed: pictures by kind, the fused one last."""

    fused: np.ndarray
    ready: PreparedPair
    bits: int
    drawings: dict[str, Callable[[], np.ndarray]]


@contextlib.contextmanager
def _errors_of(pair: Pair) -> Iterator[None]:
    """What the system or a library refuses about one pair is an error of that pair."""
    try:
        yield
    except MemoryError as error:
        raise _too_large(pair) from error
    except OSError as error:
        what = error.strerror or error
        raise InputError(f"{error.filename or pair.name} cannot be read: {what}.", "Check the file.") from error
    except RuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise _too_large(pair) from error


def _too_large(pair: Pair) -> OutOfMemoryError:
    return OutOfMemoryError(
        f"Memory does not suffice for {pair.ir} and {pair.vis}.",
        "Use smaller images, or a lower --max-megapixels or --max-memory.",
    )


def _load(job: FuseJob, depths: FolderDepths, result: Result) -> PreparedPair:
    pair, pictures, digests = result.pair, {}, []
    with _errors_of(pair):
        for kind, path in (("ir", pair.ir), ("vis", pair.vis)):
            picture, digest = _read(path, job)
            pictures[kind] = depths.applied(kind, picture)
            digests.append(digest)
        ready = prepare_pair(pictures["ir"], pictures["vis"], job.settings.frame)
    result.tag = result.tag_of(digests)
    same = ("ir and vis hold the same bytes: one image, given twice?",) if digests[0] == digests[1] else ()
    swapped = certainly_swapped(pictures["ir"], pictures["vis"])
    result.notes = (*ready.notes, *same, *((swapped,) if swapped else ()))
    result.details = ready.details
    return ready


def _read(path: pathlib.Path, job: FuseJob) -> tuple[Picture, bytes]:
    """A picture, and the digest of the very bytes that it was decoded from."""
    picture = read_picture(path, job.settings.limits)
    return picture, bytes.fromhex(picture.sha256)


def _compute(job: FuseJob, params: Params, result: Result, ready: PreparedPair, buckets: Buckets | None) -> _Computed:
    if job.settings.look is None:
        params = with_usual_look(params, colored=ready.colored and not job.settings.frame.gray)
    fuse_ready = functools.partial(
        fuse_frame,
        ir_unit=ready.ir_unit,
        vis_unit=ready.vis_unit,
        **ready.masks,
        gray=job.settings.frame.gray,
        buckets=buckets,
        max_memory=job.options.memory,
        backend=job.options.backend,
    )
    with _errors_of(result.pair), ThreadPoolExecutor(1) as beside:  # the two programs compile at the same time
        heat = None
        if "ir heat map" in result.outputs:
            heat = beside.submit(_heat_maps, params, ready, buckets)
        fused = fuse_ready(params)
        drawings: dict[str, Callable[[], np.ndarray]] = {} if heat is None else heat.result()
        if "preview" in result.outputs:
            drawings["preview"] = _preview(params, ready, fuse_ready)
    bits = ready.bits
    if file_format(result.outputs["fused"]) == "JPEG" and (bits == 16 or ready.alpha is not None):
        result.notes += ("result: JPEG holds 8 bits and no alpha; the rest is left out",)
        bits, ready = 8, dataclasses.replace(ready, alpha=None)
    if ready.metadata and ready.metadata.geo and file_format(result.outputs["fused"]) != "TIFF":
        result.notes += ("result: only TIFF holds GeoTIFF tags; the rest of the metadata is kept",)
    if ready.valid is not None:  # also where a file says which of its pixels are no scene
        result.outputs.setdefault("valid area", valid_map(result.outputs["fused"]))
    if "valid area" in result.outputs:
        valid = np.ones(fused.shape[:2], bool) if ready.valid is None else ready.valid
        drawings["valid area"] = lambda: np.where(valid, 255, 0).astype(np.uint8)
    return _Computed(fused, ready, bits, drawings)


def _save(job: FuseJob, result: Result, computed: _Computed) -> None:
    """Writes the files of a pair, the fused image last: where it is, all are. Where one is refused, none is left."""
    assert result.tag is not None
    ready, levels = computed.ready, to_levels(computed.fused, computed.bits)
    written: list[pathlib.Path] = []
    try:
        for kind, draw in computed.drawings.items():
            _write(job, result, result.outputs[kind], draw(), written)
        alpha = None if ready.alpha is None else to_depth(ready.alpha, levels.dtype)
        _write(
            job, result, result.outputs["fused"], levels, written, alpha=alpha, icc=ready.icc, metadata=ready.metadata
        )
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def _write(job: FuseJob, result: Result, path: pathlib.Path, samples: np.ndarray, written: list, **extra: Any) -> None:
    """Writes one file; what is there is looked at now, for others may have written since the run began.

    Raises:
        UsageError: A file of that name has appeared, or was written anew, that was not made as this one is.
        ResourceError: It cannot be written.
    """
    content = picture_bytes(samples, kind=file_format(path), name=path, provenance=result.tag or "", **extra)
    if path in result.replaced:
        if path.exists() and signature(path) != result.replaced[path]:
            check_replaceable(path, result.tag)
        replace_file(path, content)
        return
    try:
        replace_file(path, content, exclusive=True)
    except FileExistsError:
        check_replaceable(path, result.tag)
    else:
        written.append(path)


def _heat_maps(params: Params, ready: PreparedPair, buckets: Buckets | None) -> dict[str, Callable[[], np.ndarray]]:
    from camfuse_jax.fusion.fuse import explain
    from camfuse_jax.report.pictures import overlay

    explanation = explain(params, ready.ir_unit, ready.luma, buckets=buckets)
    return {
        f"{kind} heat map": functools.partial(lambda image, heat: overlay(to_levels(image, 8), heat), image, maps[0])
        for kind, image, maps in (("ir", ready.ir_unit, explanation.ir_cam), ("vis", ready.luma, explanation.vis_cam))
    }


def _preview(
    params: Params, ready: PreparedPair, fuse_ready: Callable[[Params], np.ndarray]
) -> Callable[[], np.ndarray]:
    from camfuse_jax.report.pictures import balance_grid

    tiles = [("ir", ready.ir_unit), ("vis", ready.vis_unit)]
    for ir_gain, vis_gain in BALANCES:
        label = f"--ir-gain {ir_gain:g} --vis-gain {vis_gain:g}"
        tiles.append((label, fuse_ready(balanced(params, ir_gain=ir_gain, vis_gain=vis_gain))))
    return lambda: balance_grid([(label, to_levels(tile, 8)) for label, tile in tiles])


def overlapped(
    items: Iterable[_Item],
    *,
    load: Callable[[_Item], Any],
    compute: Callable[[_Item, Any], Any],
    save: Callable[[_Item, Any], None],
    expected: tuple[type[_Failure], ...] = (),
    ahead: int = 2,
) -> Generator[tuple[_Item, _Failure | None], None, None]:
    """Loads, computes and saves each item, in order.

    No more than `ahead` loaded items and `ahead` results wait, so that memory does not grow with the number of items.
    If something raises that is not expected, or the caller is interrupted, nothing more is begun, what was computed is
    saved, and it is raised.

    Args:
        items: What to work on.
        load: Called in a thread.
        compute: Called by the caller with an item and what was loaded.
        save: Called in another thread with an item and what was computed.
        expected: Errors of a single item: it fails, and the others are done.
        ahead: Items loaded before they are needed, and results that wait to be saved; 0 for one after the other.

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


def _outcome(item: _Item, saved: Future, expected: tuple[type[_Failure], ...]) -> tuple[_Item, _Failure | None]:
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
