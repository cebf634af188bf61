"""Training curves of both stages."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from camfuse_jax.report.style import BLUE, PAGE, in_style, new_figure

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
