"""The look of all figures: column widths of a two-column paper, legible type, colors safe for the color-blind."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

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
