"""Training curves of both stages, and the channel weights of both images."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from camfuse_jax.config import Modality
from camfuse_jax.report.pictures import CURVE_NAMES
from paper.style import BLUE, GRAY, PAGE, VERMILLION, in_style, new_figure

_NOT_CURVES = ("step", "images_per_second")
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
            axes.set(title=CURVE_NAMES.get(key, key), xlabel="step", xlim=(0, None))
            axes.xaxis.set_major_locator(MaxNLocator(4, steps=(1, 2, 5, 10), integer=True))
            if key in _LOGARITHMIC and values.min() > 0 and values.max() > 3 * values.min():
                _logarithmic(axes, decades=float(np.log10(values.max() / values.min())))
    return figure


def _logarithmic(axes: Axes, *, decades: float) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2 else (1,), numticks=6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


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
