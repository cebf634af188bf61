"""Stage `report` and `camfuse report`: pairs fused, explained, scored, and written as one page."""

import hashlib
import json
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, UInt8
from tqdm import tqdm

from camfuse_jax.config import Modality
from camfuse_jax.data.pairs import VIS_WORDS, Pair
from camfuse_jax.data.records import Workdir
from camfuse_jax.data.sources import PairSource
from camfuse_jax.data.splits import image_files, pair_paths
from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.fusion.dispatch import Buckets, plan_programs, run_by_size
from camfuse_jax.fusion.forward import encode, to_unit
from camfuse_jax.fusion.fuse import explain, fuse_arrays
from camfuse_jax.fusion.params import SHIPPED, Params, card, load_params
from camfuse_jax.images.read import read_gray
from camfuse_jax.metrics.evaluate import (
    OURS,
    choose_weights,
    named_folders,
    results_of_pairs,
    scored_split,
    tell_left_out,
)
from camfuse_jax.metrics.registry import METRIC_SETS, PAPER_METRICS
from camfuse_jax.metrics.table import BASELINES, score_folders
from camfuse_jax.nets.layers import Size, features_size, inside
from camfuse_jax.report.page import PairView, page_html
from camfuse_jax.system.files import as_resource_error, write_atomically

GrayPair = tuple[str, UInt8[np.ndarray, "h w"], UInt8[np.ndarray, "h w"]]
_LABELS = {"tno": "TNO", "roadscene": "RoadScene", "synthetic": "synthetic scenes"}


def report_dataset(
    workdir: Workdir,
    *,
    out: pathlib.Path | None = None,
    weights: str | None = None,
    fused: Sequence[str] = (),
    limit: int = 0,
    metrics: str = "paper",
    protocol: str = "paper",
) -> None:
    """Writes the page about a data set's test split and prints where it is.

    Args:
        workdir: Folders and data set.
        out: The page; `WORKDIR/report-DATASET.html` by default.
        weights: As for `load_params`; by default the workdir's own, else the shipped ones.
        fused: `NAME=DIR` of other methods' fused images.
        limit: Only the first pairs; 0 means all.
        metrics: Key of `METRIC_SETS`.
        protocol: Metric definitions.

    Raises:
        CamfuseError: By kind, as `report_page`.
    """
    chosen = choose_weights(workdir, weights)
    folders, split = named_folders(fused), scored_split(workdir, chosen)
    pairs = workdir.pairs(split)
    count = _count(len(pairs), limit)
    others = {name: image_files(folder) for name, folder in folders.items()}
    for name, files in others.items():
        tell_left_out(name, files.keys() - set(pairs.names))
    label = _LABELS.get(workdir.label, workdir.label)
    report_page(
        [pairs[i] for i in range(count)],
        params=load_params(chosen),
        out=out or workdir.workdir / f"report-{workdir.label}.html",
        others=others,
        metrics=METRIC_SETS[metrics],
        protocol=protocol,
        title=f"Infrared and visible images, fused: {label}",
        facts={
            "Data set": f"{label}, split {split}" + (f", first {count} of {len(pairs)}" if limit else ""),
            "Weights": describe_weights(chosen),
        },
        training=training_records(workdir),
    )


def report_files(
    ir: pathlib.Path | None,
    vis: pathlib.Path | None,
    *,
    out: pathlib.Path,
    weights: str,
    fused: Sequence[str] = (),
    limit: int = 0,
    metrics: str = "paper",
    protocol: str = "paper",
) -> None:
    """Writes the page about two files or two folders: all their pairs, no split. Arguments and errors as above.

    Raises:
        UsageError: If only one of the two is given.
    """
    if ir is None or vis is None:
        raise UsageError("Only one of --ir and --vis is given.", "Give both.")
    folders, found = named_folders(fused), pair_paths(ir, vis)
    shown: list[Pair] = found[: _count(len(found), limit)]
    pairs = PairSource.from_files(shown)
    report_page(
        [pairs[i] for i in range(len(pairs))],
        params=load_params(weights),
        out=out,
        others=results_of_pairs(found, folders),
        metrics=METRIC_SETS[metrics],
        protocol=protocol,
        title=f"Infrared and visible images, fused: {_label(vis)}",
        facts={
            **({"Data set": f"the first {len(shown)} of {len(found)} pairs"} if limit else {}),
            "Weights": describe_weights(weights),
        },
    )


def report_page(
    pairs: Iterable[GrayPair],
    *,
    params: Params,
    out: pathlib.Path,
    others: Mapping[str, Mapping[str, pathlib.Path]] | None = None,
    metrics: Sequence[str] = PAPER_METRICS,
    protocol: str = "paper",
    title: str = "Fusion report",
    facts: Mapping[str, str] | None = None,
    training: Mapping[str, Sequence[Mapping[str, float]]] | None = None,
) -> pathlib.Path:
    """Fuses, explains and scores pairs, and writes one page about them. Prints where it is and how large.

    Args:
        pairs: `(name, ir, vis)`, gray levels.
        params: Weights from `load_params`.
        out: File to write, ending in `.html`; replaced if it is there.
        others: Other methods' fused images: method to pair name to file.
        metrics: Keys of the registry.
        protocol: Metric definitions.
        title: Heading of the page.
        facts: What else its reader should know, label to text.
        training: Title to the lines of a `metrics.jsonl`.

    Returns:
        `out`.

    Raises:
        UsageError: If `out` does not end in `.html`, or a method has a name that is taken.
        InputError: If there are no pairs, images do not fit, or a method lacks images.
        ResourceError: If the page cannot be written.
    """
    pairs, others = list(pairs), dict(others or {})
    if out.suffix.lower() not in (".html", ".htm") or out.is_dir():
        raise UsageError(f"--out {out} is not the name of a page.", "Give a file that ends in .html.")
    with as_resource_error():  # before minutes are spent on what should go there
        out.parent.mkdir(parents=True, exist_ok=True)
    taken = sorted(others.keys() & {OURS, *BASELINES})
    if taken:
        raise UsageError(f"--fused {', '.join(taken)}: that name is taken.", "Choose another name.")
    fused, buckets = {}, plan_programs(vis.shape for *_, vis in pairs)
    for name, ir, vis in tqdm(pairs, desc="fuse", unit="pair", disable=None):
        _check_size(name, ir, vis)
        fused[name] = np.asarray(fuse_arrays(params, ir, vis, buckets=buckets))
    tables = score_folders(pairs, {}, others={OURS: fused, **others}, metrics=metrics, protocol=protocol)
    content = page_html(
        tqdm(_views(params, pairs, fused, others), desc="draw", total=len(pairs), unit="pair", disable=None),
        tables,
        np.asarray(params.channel_weights),
        method=OURS,
        title=title,
        facts=facts,
        training=training,
    ).encode()
    with as_resource_error():
        write_atomically(out, content)
    print(f"report: {out} ({len(pairs)} pairs, {len(content) / 1e6:.1f} MB)")
    return out


def _label(vis: pathlib.Path) -> str:
    """What to call pairs: the file's name, or the folder's; where that says no more than `vis`, the one above it."""
    vis = vis.absolute()
    return vis.parent.name if vis.is_dir() and vis.name.lower() in VIS_WORDS and vis.parent.name else vis.stem


def describe_weights(weights: str) -> str:
    """Name of the weights, and the start of their file's sha256, by which they are known from others."""
    if weights in SHIPPED:
        return f"{weights}, shipped with the package (sha256 {card(weights)['sha256'][:16]})"
    path = pathlib.Path(weights)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else "unknown"
    return f"{path.name} (sha256 {digest})"


def training_records(workdir: Workdir) -> dict[str, list[dict[str, float]]]:
    """The lines of both stages' `metrics.jsonl`, where the workdir has them; by stage."""
    folders = {"Auto-encoder": workdir.ae_folder, f"Classifier, {workdir.label}": workdir.cls_folder}
    found = {title: read_records(folder / "metrics.jsonl") for title, folder in folders.items()}
    return {title: records for title, records in found.items() if records}


def read_records(path: pathlib.Path) -> list[dict[str, float]]:
    """The lines of a `metrics.jsonl`; none where there is no file. A last line cut short by a kill is left out."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def _views(
    params: Params,
    pairs: Sequence[GrayPair],
    fused: Mapping[str, np.ndarray],
    others: Mapping[str, Mapping[str, pathlib.Path]],
) -> Iterator[PairView]:
    buckets = plan_programs(vis.shape for *_, vis in pairs)
    for name, ir, vis in pairs:
        explanation = explain(params, ir, vis, buckets=buckets)
        yield PairView(
            name=name,
            ir=ir,
            vis=vis,
            fused=fused[name],
            ir_cam=np.asarray(explanation.ir_cam)[0],
            vis_cam=np.asarray(explanation.vis_cam)[0],
            channels=channel_sizes(params, ir, vis, buckets=buckets),
            others={method: read_gray(files[name]) for method, files in others.items()},
        )


def _count(pairs: int, limit: int) -> int:
    if limit < 0:
        raise UsageError(f"--limit must be 0 for all pairs, or a number of pairs, got {limit}.")
    return min(limit or pairs, pairs)


def _check_size(name: str, ir: np.ndarray, vis: np.ndarray) -> None:
    if ir.shape != vis.shape:
        sizes = "ir is {} x {}, vis is {} x {}".format(*ir.shape, *vis.shape)
        raise InputError(f"Pair {name}: {sizes}.", "Register the pair to one size first.")


def channel_sizes(
    params: Params, ir: UInt8[np.ndarray, "h w"], vis: UInt8[np.ndarray, "h w"], *, buckets: Buckets | None = None
) -> Float64[np.ndarray, "2 k"]:
    """Standard deviation of each feature channel over both images, times its channel weight.

    A channel that is the same all over an image says nothing about it, and has size 0 whatever its weight. Rows are
    ordered as `Modality`.
    """
    assert (Modality.IR, Modality.VIS) == (0, 1)  # the order in which the two images are encoded
    return np.asarray(run_by_size(_sizes, params, ir, vis, buckets=buckets), np.float64)


def _sizes(params: Params, ir: UInt8[Array, "h w"], vis: UInt8[Array, "h w"], size: Size | None) -> Float[Array, "2 k"]:
    features = encode(params, to_unit(ir[None, ..., None]), to_unit(vis[None, ..., None]), size)
    cells = features_size(params.net, size)
    mask = None if cells is None else inside(features, cells)
    return params.channel_weights * jnp.std(features, axis=(1, 2), where=mask)
