"""Figs. 4-6: sources, other methods and ours side by side, with enlarged details."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from camfuse_jax.config import Modality
from camfuse_jax.data.pairs import listing
from camfuse_jax.data.sources import PairSource
from camfuse_jax.data.splits import image_files
from camfuse_jax.data.workdir import Workdir
from camfuse_jax.errors import InputError, ResourceError, UsageError
from camfuse_jax.fusion.fuse import fuse_arrays
from camfuse_jax.fusion.params import Params, load_params
from camfuse_jax.images.read import read_gray
from camfuse_jax.metrics.evaluate import choose_weights, folders_or_peers
from camfuse_jax.report.pictures import COLORS, overlay
from paper.channel_maps import ROLES, ImageMaps, image_maps, last_maps
from paper.style import (
    BLUE,
    GRAY,
    MAX_BOXES,
    PAGE,
    SKY,
    STYLE,
    VERMILLION,
    Box,
    SheetRow,
    check_box,
    find_boxes,
    in_style,
    new_figure,
    paginate,
    parse_box,
    place,
    sheet_figure,
    write_at,
)

BOX_COLORS = (VERMILLION, SKY)
_EDGE, _GAP, _INSET_GAP, _CAPTION, _ROW_GAP = 0.02, 0.08, 0.03, 0.2, 0.04


@in_style
def comparison_figure(images: Mapping[str, UInt8[np.ndarray, "h w"]], boxes: Sequence[Box]) -> Figure:
    """Draws all images in a grid, each with its boxes marked and shown enlarged right below it.

    The insets stand below the image and not on it, so that nothing of it is hidden.

    Args:
        images: Caption to image, all of one size; drawn in this order.
        boxes: Up to two boxes inside the images.

    Returns:
        A figure of both columns' width.
    """
    columns = _columns(len(images))
    height, width = next(iter(images.values())).shape
    panel = (PAGE - 2 * _EDGE - (columns - 1) * _GAP) / columns
    tall = panel * height / width
    inset_width = (panel - _INSET_GAP * (len(boxes) - 1)) / len(boxes) if boxes else 0.0
    inset_tall = max((inset_width * box.height / box.width for box in boxes), default=0.0)
    inset_tall = min(inset_tall, tall)  # a narrow, high box must not stretch the figure
    cell = tall + (inset_tall + _INSET_GAP if boxes else 0.0) + _CAPTION + _ROW_GAP
    rows = -(-len(images) // columns)
    figure = new_figure(PAGE, _EDGE + rows * cell - _ROW_GAP)
    for number, (caption, image) in enumerate(images.items()):
        row, column = divmod(number, columns)
        in_row = min(columns, len(images) - row * columns)
        indent = _EDGE + (columns - in_row) * (panel + _GAP) / 2
        left, top = indent + column * (panel + _GAP), _EDGE + row * cell
        axes = place(figure, left, top, panel, tall)
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, aspect="auto")
        for i, (box, color) in enumerate(zip(boxes, BOX_COLORS, strict=False)):
            _mark(axes, box, color)
            inset_left = left + i * (inset_width + _INSET_GAP)
            _inset(figure, box, image, color, (inset_left, top + tall + _INSET_GAP, inset_width, inset_tall))
        bottom = top + cell - _CAPTION - _ROW_GAP
        told = f"({chr(ord('a') + number % 26)}) {caption}"
        write_at(figure, told, left + panel / 2, bottom + 0.04, ha="center", va="top")
    return figure


def _columns(count: int) -> int:
    """Two to four columns: those that fill the last row best, the more the better."""
    if count <= 4:
        return count
    return max((4, 3), key=lambda columns: (count % columns == 0, columns))


def _mark(axes: Axes, box: Box, color: str) -> None:
    # Pixel (x, y) covers x - 0.5 to x + 0.5.
    corner = (box.x - 0.5, box.y - 0.5)
    axes.add_patch(Rectangle(corner, box.width, box.height, fill=False, edgecolor=color, linewidth=1.0))


def _inset(
    figure: Figure,
    box: Box,
    image: UInt8[np.ndarray, "h w"],
    color: str,
    frame: tuple[float, float, float, float],
) -> None:
    """Draws the inside of a box as large as fits into a frame (left, top, width, height in inches)."""
    left, top, width, height = frame
    scale = min(width / box.width, height / box.height)
    wide, tall = box.width * scale, box.height * scale
    axes = place(figure, left + (width - wide) / 2, top + (height - tall) / 2, wide, tall)
    axes.imshow(box.cut(image), cmap="gray", vmin=0, vmax=255, aspect="auto")
    for spine in axes.spines.values():
        spine.set(color=color, linewidth=1.2)


# Training curves of both stages.


_NOT_CURVES = ("step", "images_per_second")
_WORDS = {"pixel": "pixel loss", "ssim": "SSIM", "cross_entropy": "cross entropy", "distance": "distance loss"}
_LOGARITHMIC = ("loss", "pixel", "cross_entropy", "distance")


@in_style
def curves_figure(stages: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Draws one row per stage and one panel per quantity over the training steps.

    Losses are on a logarithmic axis if they are positive and span more than a factor of three.

    Args:
        stages: Title of a stage to its reports, the lines of `metrics.jsonl`.

    Returns:
        A figure of both columns' width.
    """
    figure = new_figure(PAGE, 1.75 * len(stages), layout="constrained")
    rows = figure.subfigures(len(stages), 1, squeeze=False)[:, 0]
    for row, (title, reports) in zip(rows, stages.items(), strict=True):
        keys = [key for key in reports[0] if key not in _NOT_CURVES]
        row.suptitle(title, fontsize=8, x=0.01, ha="left")
        for axes, key in zip(row.subplots(1, len(keys), squeeze=False)[0], keys, strict=True):
            steps = np.array([report["step"] for report in reports if key in report])
            values = np.array([report[key] for report in reports if key in report])
            axes.plot(steps, values, color=BLUE, marker="o" if len(steps) == 1 else "", markersize=3)
            axes.set(title=_WORDS.get(key, key), xlabel="step", xlim=(0, None))
            axes.xaxis.set_major_locator(MaxNLocator(4, steps=(1, 2, 5, 10), integer=True))
            if key in _LOGARITHMIC and values.min() > 0 and values.max() > 3 * values.min():
                _logarithmic(axes, decades=float(np.log10(values.max() / values.min())))
    return figure


def _logarithmic(axes: Axes, *, decades: float) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2 else (1,), numticks=6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


# Fig. 1: single channels and both classes' activation over the infrared and the visible image.


_LABEL, _GAP, _BAR, _HEAD, _CAPTION = 0.2, 0.06, 0.48, 0.2, 0.2
_NAMES = {Modality.IR: "infrared", Modality.VIS: "visible"}


@in_style
def heatmap_figure(images: Mapping[Modality, UInt8[np.ndarray, "h w"]], maps: Mapping[Modality, ImageMaps]) -> Figure:
    """Draws one row per image: the image, three of its channels, and the class activation maps of both classes.

    Args:
        images: Infrared and visible image, same size.
        maps: What `channels.image_maps` found in them.

    Returns:
        A figure of both columns' width.
    """
    count = 1 + len(ROLES) + len(Modality)
    height, width = images[Modality.IR].shape
    panel = (PAGE - _LABEL - _BAR - (count - 1) * _GAP) / count
    tall = panel * height / width
    figure = new_figure(PAGE, _HEAD + len(Modality) * (tall + _CAPTION))
    heads = ("source", *ROLES, *(f"CAM, class {_NAMES[m]}" for m in Modality))
    for column, head in enumerate(heads):
        left = _LABEL + column * (panel + _GAP)
        write_at(figure, head, left + panel / 2, _HEAD - 0.05, ha="center", va="bottom", fontsize=7)
    for row, modality in enumerate(Modality):
        top = _HEAD + row * (tall + _CAPTION)
        write_at(figure, _NAMES[modality], 0.02, top + tall / 2, rotation=90, ha="left", va="center")
        image, found = images[modality], maps[modality]
        heats = [None, *(channel.heat for channel in found.channels), *found.cams]
        captions = ["", *(_caption(c.channel, c.weight) for c in found.channels), *_cam_captions(modality)]
        for column, (heat, caption) in enumerate(zip(heats, captions, strict=True)):
            left = _LABEL + column * (panel + _GAP)
            picture = overlay(image, np.zeros(image.shape), strength=0) if heat is None else overlay(image, heat)
            place(figure, left, top, panel, tall).imshow(picture, aspect="auto")
            write_at(figure, caption, left + panel / 2, top + tall + 0.04, ha="center", va="top", fontsize=7)
    _color_bar(figure, left=PAGE - _BAR + 0.08, top=_HEAD, height=2 * tall + _CAPTION)
    return figure


def _caption(channel: int, weight: float) -> str:
    told = f"{weight:+.3f}" if abs(weight) >= 5e-4 else f"{weight:+.0e}"
    return f"ch. {channel}, {told}".replace("-", "\N{MINUS SIGN}")


def _cam_captions(modality: Modality) -> list[str]:
    return ["own class" if other == modality else "other class" for other in Modality]


def _color_bar(figure: Figure, *, left: float, top: float, height: float) -> None:
    axes = place(figure, left, top, 0.09, height)
    bar = figure.colorbar(ScalarMappable(cmap=COLORS), cax=axes, ticks=[0, 1])
    bar.outline.set_linewidth(0.4)
    bar.ax.set_yticklabels(["min", "max"])
    bar.ax.tick_params(length=2, pad=2)


# The channel weights of both modalities, sorted and against each other.


_LINES = {Modality.IR: ("infrared", VERMILLION, "-"), Modality.VIS: ("visible", BLUE, "--")}


@in_style
def weights_figure(channel_weights: Float[np.ndarray, "2 k"]) -> Figure:
    """Draws the weights of Eq. 3: on the left each modality's in falling order, on the right channel by channel.

    Args:
        channel_weights: In (0, 1), rows ordered as `Modality`.

    Returns:
        A figure of both columns' width.
    """
    figure = new_figure(PAGE, 2.6, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1))
    _sorted(left, channel_weights)
    _scatter(right, channel_weights)
    return figure


def _sorted(axes: Axes, weights: Float[np.ndarray, "2 k"]) -> None:
    order = np.arange(1, weights.shape[1] + 1)
    axes.axhline(0.5, color=GRAY, linewidth=0.6, zorder=0)
    for modality, (name, color, dashes) in _LINES.items():
        axes.plot(order, np.sort(weights[modality])[::-1], dashes, color=color, label=name)
    axes.set(xlabel="rank of the channel", ylabel="channel weight (Eq. 3)", xlim=(1, weights.shape[1]))
    axes.legend(loc="upper right")


def _scatter(axes: Axes, weights: Float[np.ndarray, "2 k"]) -> None:
    ir, vis = weights[Modality.IR], weights[Modality.VIS]
    low, high = float(weights.min()), float(weights.max())
    pad = 0.05 * (high - low) or 0.01
    limits = (low - pad, high + pad)
    axes.axline((0.5, 0.5), slope=1, color=GRAY, linewidth=0.6, zorder=0, label="equal")
    axes.axline((0.5, 0.5), slope=-1, color=GRAY, linewidth=0.6, linestyle=":", zorder=0, label="sum 1")
    axes.scatter(ir, vis, s=9, color=BLUE, alpha=0.7, linewidths=0)
    axes.set(xlabel="weight for infrared", ylabel="weight for visible", xlim=limits, ylim=limits, aspect="equal")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 0.0), handlelength=1.5)
    if np.ptp(ir) > 0 and np.ptp(vis) > 0:
        told = f"r = {np.corrcoef(ir, vis)[0, 1]:.2f}".replace("-", "\N{MINUS SIGN}")
        axes.set_title(f"{weights.shape[1]} channels, {told}")


# Stage `figures`: the figures of the paper for one test pair, the channel weights, the training curves.


Image = UInt8[np.ndarray, "h w"]
_NUMBERS = {"tno": "fig4_", "roadscene": "fig5_"}
"""The paper compares methods on TNO in its Fig. 4 and on RoadScene in Fig. 5."""


def make_figures(
    places: Workdir,
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
        places: Folders and data set.
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
    folders = folders_or_peers(others, places.dataset)
    files = {name: image_files(folder) for name, folder in folders.items()}
    chosen = choose_weights(places, weights)
    params = load_params(chosen)
    pairs = places.pairs("test").cached()
    name, ir, vis = _find(pairs, image, places.label)
    for box in boxes:
        check_box(box, ir.shape)
    boxes = boxes or list(find_boxes(ir, vis))
    out = out or places.workdir / f"figures-{places.label}"
    print(f"{places.label}: pair {name}, weights {chosen}, zoom " + " ".join(",".join(map(str, box)) for box in boxes))
    _save(heatmaps(params, ir, vis), out / f"fig1_heatmaps-{name}")
    columns = _columns_make_figures(params, name, ir, vis, files)
    _save(comparison_figure(columns, boxes), out / f"{_NUMBERS.get(places.dataset, '')}comparison-{name}")
    _save(weights_figure(np.asarray(params.channel_weights)), out / "channel_weights")
    _curves(places, out)
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


def _columns_make_figures(
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


def _curves(places: Workdir, out: Path) -> None:
    logs = {"auto-encoder": places.ae_folder, f"classifier, {places.label}": places.cls_folder}
    stages = {title: list(_reports(folder / "metrics.jsonl")) for title, folder in logs.items()}
    stages = {title: reports for title, reports in stages.items() if reports}
    if not stages:
        print(f"no training curves: there is no metrics.jsonl under {places.workdir} (see --workdir)", file=sys.stderr)
        return
    _save(curves_figure(stages), out / "training_curves")


def _reports(path: Path) -> Iterator[dict[str, float]]:
    if path.is_file():
        # A line cut short by a kill has no closing brace.
        yield from (json.loads(line) for line in path.read_text().splitlines() if line.endswith("}"))


def _sheet(params: Params, pairs: PairSource, files: Mapping[str, Mapping[str, Path]], out: Path) -> None:
    rows: list[SheetRow] = []
    for name, ir, vis in pairs:
        columns = _columns_make_figures(params, name, np.asarray(ir), np.asarray(vis), files)
        rows.append((name, list(columns.values())))
    pages = [sheet_figure(list(columns), page) for page in paginate(rows, len(columns))]
    _save_pages(pages, out / "sheet")


def _save(figure: Figure, stem: Path) -> None:
    """Writes STEM.png and STEM.pdf without times, so that the same figure gives the same files."""
    _save_pages([figure], stem)


def _save_pages(pages: Sequence[Figure], stem: Path) -> None:
    pdf = stem.with_name(stem.name + ".pdf")
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        with matplotlib.rc_context(STYLE):
            with PdfPages(pdf, metadata={"CreationDate": None}) as file:
                for page in pages:
                    file.savefig(page)
            print(f"wrote {pdf}")
            for number, page in enumerate(pages, start=1):
                png = stem.with_name(stem.name + (f"-{number}" if len(pages) > 1 else "") + ".png")
                page.savefig(png, metadata={"Software": None})
                print(f"wrote {png}")
    except OSError as error:
        raise ResourceError(f"Cannot write {stem}: {error.strerror}.", "Check rights and free space.") from error
