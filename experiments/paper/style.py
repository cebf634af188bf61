"""The look of all figures: column widths of a two-column paper, legible type, colors safe for the color-blind."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple, ParamSpec, TypeVar

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter, uniform_filter

from camfuse_jax.errors import UsageError

COLUMN, PAGE = 3.5, 7.16
"""Width of one column and of both, in inches (IEEE)."""

# Okabe and Ito's palette, told apart with every common kind of color blindness.
BLUE, VERMILLION, GREEN, SKY, PURPLE, GRAY = "#0072B2", "#D55E00", "#009E73", "#56B4E9", "#CC79A7", "#666666"

STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same figure on every machine
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,  # TrueType: text stays text, which journals ask for
}

_P = ParamSpec("_P")
_T = TypeVar("_T")


def in_style(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Runs a function with these settings and puts the caller's back."""

    @functools.wraps(function)
    def styled(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with matplotlib.rc_context(STYLE):
            return function(*args, **kwargs)

    return styled


def new_figure(width: float, height: float, **settings: object) -> Figure:
    """An empty figure that belongs to nobody's window system.

    Args:
        width: Inches.
        height: Inches.
        **settings: Further arguments of `matplotlib.figure.Figure`.
    """
    figure = Figure(figsize=(width, height), **settings)
    FigureCanvasAgg(figure)
    return figure


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes for a picture, placed in inches from the figure's upper left corner, without ticks."""
    total_width, total_height = figure.get_size_inches()
    bottom = total_height - top - height
    axes = figure.add_axes(
        (left / total_width, bottom / total_height, width / total_width, height / total_height), xticks=[], yticks=[]
    )
    for spine in axes.spines.values():
        spine.set(visible=True, linewidth=0.4, color=GRAY)
    return axes


def write_at(figure: Figure, text: str, left: float, top: float, **settings: object) -> None:
    """Writes text at a place given in inches from the figure's upper left corner."""
    total_width, total_height = figure.get_size_inches()
    figure.text(left / total_width, 1 - top / total_height, text, **settings)


# Details of an image that a comparison shows enlarged.


MAX_BOXES = 2
_SHARE = 0.24
"""Width of a box found by itself, as a share of the image's width."""


class Box(NamedTuple):
    """A rectangle in pixels: left column, top row, width, height."""

    x: int
    y: int
    width: int
    height: int

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The part of an image inside the box."""
        return image[self.y : self.y + self.height, self.x : self.x + self.width]


def parse_box(text: str) -> Box:
    """Reads `X,Y,WIDTH,HEIGHT`.

    Raises:
        UsageError: Not four whole numbers, or a box without extent.
    """
    parts = text.replace(" ", "").split(",")
    if len(parts) != 4 or not all(part.isdecimal() for part in parts) or min(map(int, parts[2:])) < 1:
        raise UsageError(f"--zoom {text} is not a box.", "Write --zoom X,Y,WIDTH,HEIGHT in whole pixels.")
    return Box(*map(int, parts))


def check_box(box: Box, shape: tuple[int, int]) -> None:
    """Raises UsageError if a box does not lie inside an image of this height and width."""
    height, width = shape
    if box.x + box.width > width or box.y + box.height > height:
        raise UsageError(
            f"The box {','.join(map(str, box))} leaves the image, which is {width} wide and {height} high.",
            "Give a box inside it.",
        )


def find_boxes(ir: UInt8[np.ndarray, "h w"], vis: UInt8[np.ndarray, "h w"]) -> tuple[Box, Box]:
    """Two boxes worth a look: bright things that only infrared sees, and fine detail that only the visible image has.

    The first is where bright spots up to half a box wide stand out most in `ir` over those in `vis`, the second where
    the texture of `vis` exceeds that of `ir`. The boxes have one size and overlap only in images too small for two.

    Args:
        ir: Infrared luminance.
        vis: Visible luminance, same size.
    """
    height, width = ir.shape
    box_width = min(width, max(8, round(_SHARE * width)))
    size = (min(height, max(6, round(0.75 * box_width))), box_width)
    scale = box_width / 4
    targets = _strength(_spots(ir, scale), size) - _strength(_spots(vis, scale), size)
    first = _best(targets, size)
    texture = _strength(_relief(vis, scale / 4), size) - _strength(_relief(ir, scale / 4), size)
    near = np.zeros(texture.shape, bool)
    rows = slice(max(0, first.y - size[0] + 1), first.y + size[0])
    near[rows, max(0, first.x - size[1] + 1) : first.x + size[1]] = True
    second = _best(texture if near.all() else np.where(near, -np.inf, texture), size)
    return first, second


def _relief(image: UInt8[np.ndarray, "h w"], scale: float) -> Float[np.ndarray, "h w"]:
    """The image less its Gaussian average: what is smaller than the scale."""
    levels = image.astype(np.float64)
    return levels - gaussian_filter(levels, scale)


def _spots(image: UInt8[np.ndarray, "h w"], scale: float) -> Float[np.ndarray, "h w"]:
    return np.maximum(_relief(image, scale), 0)


def _strength(values: Float[np.ndarray, "h w"], size: tuple[int, int]) -> Float[np.ndarray, "y x"]:
    """Root mean square inside the box (height, width) whose upper left corner is at each place where it fits."""
    mean = uniform_filter(values**2, size)
    # `uniform_filter` puts the value of a window at its center, index size // 2 of the window.
    top, left = size[0] // 2, size[1] // 2
    fits = mean[top : top + values.shape[0] - size[0] + 1, left : left + values.shape[1] - size[1] + 1]
    return np.sqrt(np.maximum(fits, 0))


def _best(score: Float[np.ndarray, "y x"], size: tuple[int, int]) -> Box:
    y, x = np.unravel_index(int(score.argmax()), score.shape)
    return Box(int(x), int(y), size[1], size[0])


# Contact sheet: every pair in a row of its own, every method in a column, on pages of a readable size.


PAGE_HEIGHT = 9.6
_EDGE, _GAP, _HEAD, _NAME = 0.02, 0.05, 0.22, 0.15

SheetRow = tuple[str, Sequence[UInt8[np.ndarray, "h w"]]]
"""Name of a pair and its images, one per column."""


def paginate(rows: Sequence[SheetRow], columns: int) -> list[list[SheetRow]]:
    """Cuts the rows into pages of about the same height, none higher than `PAGE_HEIGHT`."""
    heights = [_row_height(images[0], columns) for _, images in rows]
    room = PAGE_HEIGHT - _HEAD
    count = max(1, -int(-sum(heights) // room))
    while True:
        pages = _fill(rows, heights, sum(heights) / count, room)
        if len(pages) <= count or count >= len(rows):
            return pages
        count += 1


def page_height(rows: Sequence[SheetRow], columns: int) -> float:
    """Height of a page in inches."""
    return _HEAD + sum(_row_height(images[0], columns) for _, images in rows)


@in_style
def sheet_figure(heads: Sequence[str], rows: Sequence[SheetRow]) -> Figure:
    """Draws one page.

    Args:
        heads: Column heads.
        rows: Pairs of this page; the images of a row have one size.

    Returns:
        A figure of both columns' width, as high as its rows need.
    """
    columns = len(heads)
    panel = _panel(columns)
    figure = new_figure(PAGE, page_height(rows, columns))
    for column, head in enumerate(heads):
        middle = _EDGE + column * (panel + _GAP) + panel / 2
        write_at(figure, head, middle, 0.14, ha="center", va="baseline", fontweight="bold", fontsize=7)
    top = _HEAD
    for name, images in rows:
        write_at(figure, name, _EDGE, top + 0.1, ha="left", va="baseline", fontsize=7)
        tall = panel * images[0].shape[0] / images[0].shape[1]
        for column, image in enumerate(images):
            axes = place(figure, _EDGE + column * (panel + _GAP), top + _NAME, panel, tall)
            axes.imshow(image, cmap="gray", vmin=0, vmax=255, aspect="auto")
        top += _row_height(images[0], columns)
    return figure


def _panel(columns: int) -> float:
    return (PAGE - 2 * _EDGE - (columns - 1) * _GAP) / columns


def _row_height(image: UInt8[np.ndarray, "h w"], columns: int) -> float:
    return _NAME + _panel(columns) * image.shape[0] / image.shape[1] + _GAP


def _fill(rows: Sequence[SheetRow], heights: Sequence[float], wanted: float, room: float) -> list[list[SheetRow]]:
    """Puts rows on a page until it has the wanted height or no room is left."""
    pages: list[list[SheetRow]] = [[]]
    used = 0.0
    for row, height in zip(rows, heights, strict=True):
        if pages[-1] and (used + height > room or used + height / 2 > wanted):
            pages.append([])
            used = 0.0
        pages[-1].append(row)
        used += height
    return pages
