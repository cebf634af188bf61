"""Figs. 4-6: sources, other methods and ours side by side, with enlarged details."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from paper.style import PAGE, SKY, VERMILLION, in_style, new_figure, place, write_at
from paper.zoom import Box

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
