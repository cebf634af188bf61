"""Stage `report`: one self-contained HTML page about pairs and how they were fused."""

import hashlib
import json
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from camfuse_jax.data.pairs import image_files, pair_paths
from camfuse_jax.data.workdir import Workdir
from camfuse_jax.errors import InputError, ResourceError, UsageError
from camfuse_jax.fusion.dispatch import plan_programs
from camfuse_jax.fusion.fuse import explain, fuse_arrays
from camfuse_jax.fusion.params import SHIPPED, Params, card, load_params
from camfuse_jax.images.picture import read_gray
from camfuse_jax.metrics.baselines import BASELINES
from camfuse_jax.metrics.evaluate import OURS, choose_weights, named_folders
from camfuse_jax.metrics.table import score_folders
from camfuse_jax.metrics.registry import ALL_METRICS, BASIC_METRICS, PAPER_METRICS
from camfuse_jax.report.channels import channel_sizes
from camfuse_jax.report.page import PairView, page_html
from camfuse_jax.system.files import write_atomically

GrayPair = tuple[str, UInt8[np.ndarray, "h w"], UInt8[np.ndarray, "h w"]]
_METRICS = {"paper": BASIC_METRICS, "all": ALL_METRICS}


def report_dataset(
    places: Workdir,
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
        places: Folders and data set.
        out: The page; `WORKDIR/report-DATASET.html` by default.
        weights: As for `load_params`; by default the workdir's own, else the shipped ones.
        fused: `NAME=DIR` of other methods' fused images.
        limit: Only the first pairs; 0 means all.
        metrics: `paper` for the paper's five and the noise estimate, `all` for all.
        protocol: Metric definitions.

    Raises:
        UsageError: If a name or number cannot be.
        InputError: If an image cannot be used, or a method's folder does not fit the pairs.
        ResourceError: If the page cannot be written.
    """
    chosen = choose_weights(places, weights)
    folders = named_folders(fused)
    pairs = places.pairs("test")
    shown = _first(pairs.names, limit)
    report_page(
        [pairs[i] for i in range(len(shown))],
        params=load_params(chosen),
        out=out or places.workdir / f"report-{places.label}.html",
        others={name: _of_these(image_files(folder), shown, pairs.names) for name, folder in folders.items()},
        metrics=_METRICS[metrics],
        protocol=protocol,
        title=f"Fusion report: {places.label}",
        facts={
            "Data set": f"{places.label}, test split" + (f", first {len(shown)} of {len(pairs)}" if limit else ""),
            "Weights": describe_weights(chosen),
        },
        training=training_records(places),
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
    """Writes the page about two files or two folders: all their pairs, no split. Arguments as `report_dataset`.

    Raises:
        UsageError: If only one of the two is given, or as `report_dataset`.
        InputError: As `report_dataset`.
        ResourceError: As `report_dataset`.
    """
    if ir is None or vis is None:
        raise UsageError("Only one of --ir and --vis is given.", "Give both.")
    folders, found = named_folders(fused), pair_paths(ir, vis)
    names = [pair.name for pair in found]
    shown = _first(names, limit)
    report_page(
        [(pair.name, read_gray(pair.ir), read_gray(pair.vis)) for pair in found[: len(shown)]],
        params=load_params(weights),
        out=out,
        others={name: _of_these(image_files(folder), shown, names) for name, folder in folders.items()},
        metrics=_METRICS[metrics],
        protocol=protocol,
        title=f"Fusion report: {vis.stem}",
        facts={"Weights": describe_weights(weights)},
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
        others: Other methods' fused images: method to pair name to file, exactly one per pair.
        metrics: Keys of the registry.
        protocol: Metric definitions.
        title: Heading of the page.
        facts: What else its reader should know, label to text.
        training: Title to the lines of a `metrics.jsonl`.

    Returns:
        `out`.

    Raises:
        UsageError: If `out` does not end in `.html`, or a method has a name that is taken.
        InputError: If there are no pairs, images do not fit, or a method lacks images or has others.
        ResourceError: If the page cannot be written.
    """
    pairs, others = list(pairs), dict(others or {})
    _check_place(out)
    taken = sorted(others.keys() & {OURS, *BASELINES})
    if taken:
        raise UsageError(f"--fused {', '.join(taken)}: that name is taken.", "Choose another name.")
    fused, buckets = {}, plan_programs(vis.shape for *_, vis in pairs)
    for name, ir, vis in tqdm(pairs, desc="fuse", unit="pair", disable=None):
        _same_size(name, ir, vis)
        fused[name] = np.asarray(fuse_arrays(params, ir, vis, buckets=buckets))
    tables = score_folders(pairs, {}, others={OURS: fused, **others}, metrics=metrics, protocol=protocol)
    html = page_html(
        tqdm(_views(params, pairs, fused, others), desc="draw", total=len(pairs), unit="pair", disable=None),
        tables,
        np.asarray(params.channel_weights),
        method=OURS,
        title=title,
        facts=facts,
        training=training,
    )
    size = _write(out, html)
    print(f"report: {out} ({len(pairs)} pairs, {size / 1e6:.1f} MB)")
    return out


def describe_weights(weights: str) -> str:
    """Name of the weights, and the start of their file's sha256, by which they can be told from others."""
    if weights in SHIPPED:
        return f"{weights}, shipped with the package (sha256 {card(weights)['sha256'][:16]})"
    path = pathlib.Path(weights)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else "unknown"
    return f"{path.name} (sha256 {digest})"


def training_records(places: Workdir) -> dict[str, list[dict[str, float]]]:
    """The lines of both stages' `metrics.jsonl`, where the workdir has them. A last line cut short is left out."""
    files = {
        f"Auto-encoder, {places.ae_folder.name}": places.ae_folder,
        f"Classifier, {places.cls_folder.name}": places.cls_folder,
    }
    found = {}
    for title, folder in files.items():
        path = folder / "metrics.jsonl"
        if path.is_file():
            found[title] = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    return {title: records for title, records in found.items() if records}


def _views(
    params: Params,
    pairs: Sequence[GrayPair],
    fused: Mapping[str, np.ndarray],
    others: Mapping[str, Mapping[str, pathlib.Path]],
) -> Iterator[PairView]:
    buckets = plan_programs(vis.shape for *_, vis in pairs)
    for name, ir, vis in pairs:
        seen = explain(params, ir, vis, buckets=buckets)
        yield PairView(
            name=name,
            ir=ir,
            vis=vis,
            fused=fused[name],
            ir_cam=np.asarray(seen.ir_cam)[0],
            vis_cam=np.asarray(seen.vis_cam)[0],
            channels=channel_sizes(params, ir, vis, buckets=buckets),
            others={method: read_gray(files[name]) for method, files in others.items()},
        )


def _first(names: Sequence[str], limit: int) -> list[str]:
    if limit < 0:
        raise UsageError(f"--limit is {limit}.", "It must be 0 for all pairs, or a number of pairs.")
    return list(names[:limit] if limit else names)


def _of_these(files: Mapping[str, pathlib.Path], shown: Sequence[str], names: Sequence[str]) -> dict[str, pathlib.Path]:
    """Leaves out the pairs that are not shown; files of no pair at all stay, and are refused later."""
    hidden = set(names) - set(shown)
    return {name: path for name, path in files.items() if name not in hidden}


def _same_size(name: str, ir: np.ndarray, vis: np.ndarray) -> None:
    if ir.shape != vis.shape:
        sizes = "ir is {} x {}, vis is {} x {}".format(*ir.shape, *vis.shape)
        raise InputError(f"Pair {name}: {sizes}.", "Register the pair to one size first.")


def _check_place(out: pathlib.Path) -> None:
    """Refuses a place that cannot be written before minutes are spent on what should go there."""
    if out.suffix.lower() not in (".html", ".htm") or out.is_dir():
        raise UsageError(f"--out {out} is not the name of a page.", "Give a file that ends in .html.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(out, error) from error


def _write(out: pathlib.Path, html: str) -> int:
    """Writes the page, whole or not at all; returns its bytes."""
    content = html.encode()
    try:
        write_atomically(out, content)
    except OSError as error:
        raise _unwritable(out, error) from error
    return len(content)


def _unwritable(out: pathlib.Path, error: OSError) -> ResourceError:
    return ResourceError(f"Cannot write {out}: {error.strerror or error}.", "Check the folder's rights and free space.")
