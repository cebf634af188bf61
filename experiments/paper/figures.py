"""Stage `figures`: the figures of the paper for one test pair, the channel weights, the training curves."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import UInt8
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from camfuse_jax.config import Modality
from camfuse_jax.data.pairs import listing
from camfuse_jax.data.records import Workdir
from camfuse_jax.data.sources import PairSource
from camfuse_jax.data.splits import image_files
from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.fusion.fuse import fuse_arrays
from camfuse_jax.fusion.params import Params, load_params
from camfuse_jax.images.read import read_gray
from camfuse_jax.metrics.evaluate import choose_weights
from camfuse_jax.report.build import read_records
from camfuse_jax.system.files import as_resource_error
from paper.channel_maps import heatmap_figure, image_maps, last_maps
from paper.comparison import comparison_figure
from paper.curves import curves_figure, weights_figure
from paper.inputs import folders_or_peers
from paper.sheet import SheetRow, paginate, sheet_figure
from paper.style import STYLE
from paper.zoom import MAX_BOXES, check_box, find_boxes, parse_box

Image = UInt8[np.ndarray, "h w"]
_NUMBERS = {"tno": "fig4_", "roadscene": "fig5_"}
"""The paper compares methods on TNO in its Fig. 4 and on RoadScene in Fig. 5."""


def make_figures(
    workdir: Workdir,
    *,
    out: Path | None = None,
    weights: str | None = None,
    others: Sequence[str] = (),
    image: str | None = None,
    zooms: Sequence[str] = (),
    sheet: bool = False,
) -> None:
    """Writes every figure as PNG and PDF, and prints where.

    Args:
        workdir: Folders and data set.
        out: Where to write; `WORKDIR/figures-DATASET` by default.
        weights: As for `load_params`; by default the workdir's own, else the shipped ones.
        others: `NAME=DIR` of other methods' fused images; by default the methods under CAMFUSE_PEERS, if that is set.
        image: Name of the test pair to show; the first by default.
        zooms: Up to two boxes `X,Y,WIDTH,HEIGHT`; found in the sources by default.
        sheet: Whether to draw the contact sheet of all test pairs.

    Raises:
        UsageError: An unknown pair, or boxes that cannot be.
        InputError: A folder that lacks an image or has it in another size.
        ResourceError: If a file cannot be written.
    """
    boxes = [parse_box(text) for text in zooms]
    if len(boxes) > MAX_BOXES:
        raise UsageError(f"{len(boxes)} boxes are given with --zoom.", f"At most {MAX_BOXES} fit below an image.")
    folders = folders_or_peers(others, workdir.dataset)
    files = {name: image_files(folder) for name, folder in folders.items()}
    chosen = choose_weights(workdir, weights)
    params = load_params(chosen)
    pairs = workdir.pairs("test").cached()
    name, ir, vis = _find(pairs, image, workdir.label)
    for box in boxes:
        check_box(box, ir.shape)
    boxes = boxes or list(find_boxes(ir, vis))
    out = out or workdir.workdir / f"figures-{workdir.label}"
    print(f"{workdir.label}: pair {name}, weights {chosen}, zoom " + " ".join(",".join(map(str, box)) for box in boxes))
    _save(heatmaps(params, ir, vis), out / f"fig1_heatmaps-{name}")
    columns = _images_of(params, name, ir, vis, files)
    _save(comparison_figure(columns, boxes), out / f"{_NUMBERS.get(workdir.dataset, '')}comparison-{name}")
    _save(weights_figure(np.asarray(params.channel_weights)), out / "channel_weights")
    _curves(workdir, out)
    if sheet:
        _sheet(params, pairs, files, out)


def heatmaps(params: Params, ir: Image, vis: Image) -> Figure:
    """Fig. 1 of a pair."""
    last = last_maps(params, ir, vis)
    maps = {modality: image_maps(params, last, modality, ir.shape) for modality in Modality}
    return heatmap_figure({Modality.IR: ir, Modality.VIS: vis}, maps)


def _find(pairs: PairSource, wanted: str | None, label: str) -> tuple[str, Image, Image]:
    if wanted is not None and wanted not in pairs.names:
        raise UsageError(
            f"There is no test pair '{wanted}' in {label}.", f"Its test pairs are: {listing(pairs.names)}."
        )
    index = 0 if wanted is None else pairs.names.index(wanted)
    return pairs.names[index], np.asarray(pairs.ir[index]), np.asarray(pairs.vis[index])


def _images_of(
    params: Params, name: str, ir: Image, vis: Image, files: Mapping[str, Mapping[str, Path]]
) -> dict[str, Image]:
    """All images of a pair by caption: sources, other methods, ours."""
    theirs = {method: _read(method, name, ir.shape, found) for method, found in files.items()}
    return {"infrared": ir, "visible": vis, **theirs, "camfuse_jax": np.asarray(fuse_arrays(params, ir, vis))}


def _read(method: str, name: str, shape: tuple[int, ...], found: Mapping[str, Path]) -> Image:
    if name not in found:
        raise InputError(f"The folder of {method} has no image {name}.", "Give one image per test pair.")
    image = read_gray(found[name])
    if image.shape != shape:
        raise InputError(
            f"{found[name]} is {image.shape[0]} x {image.shape[1]}, its sources {shape[0]} x {shape[1]}.",
            "A fused image has the size of its sources.",
        )
    return image


def _curves(workdir: Workdir, out: Path) -> None:
    logs = {"auto-encoder": workdir.ae_folder, f"classifier, {workdir.label}": workdir.cls_folder}
    stages = {title: read_records(folder / "metrics.jsonl") for title, folder in logs.items()}
    stages = {title: reports for title, reports in stages.items() if reports}
    if not stages:
        print(f"no training curves: there is no metrics.jsonl under {workdir.workdir} (see --workdir)", file=sys.stderr)
        return
    _save(curves_figure(stages), out / "training_curves")


def _sheet(params: Params, pairs: PairSource, files: Mapping[str, Mapping[str, Path]], out: Path) -> None:
    rows: list[SheetRow] = []
    for name, ir, vis in pairs:
        columns = _images_of(params, name, np.asarray(ir), np.asarray(vis), files)
        rows.append((name, list(columns.values())))
    pages = [sheet_figure(list(columns), page) for page in paginate(rows, len(columns))]
    _save_pages(pages, out / "sheet")


def _save(figure: Figure, stem: Path) -> None:
    """Writes STEM.png and STEM.pdf without times, so that the same figure gives the same files."""
    _save_pages([figure], stem)


def _save_pages(pages: Sequence[Figure], stem: Path) -> None:
    pdf = stem.with_name(stem.name + ".pdf")
    with as_resource_error(), matplotlib.rc_context(STYLE):
        stem.parent.mkdir(parents=True, exist_ok=True)
        with PdfPages(pdf, metadata={"CreationDate": None}) as file:
            for page in pages:
                file.savefig(page)
        print(f"wrote {pdf}")
        for number, page in enumerate(pages, start=1):
            png = stem.with_name(stem.name + (f"-{number}" if len(pages) > 1 else "") + ".png")
            page.savefig(png, metadata={"Software": None})
            print(f"wrote {png}")
