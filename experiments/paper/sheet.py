"""Contact sheet: every pair in a row of its own, every method in a column, on pages of a readable size."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure

from paper.style import PAGE, in_style, new_figure, place, write_at

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
