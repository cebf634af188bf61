"""The channel weights of both modalities, sorted and against each other."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from camfuse_jax.config import Modality
from camfuse_jax.report.style import BLUE, GREY, PAGE, VERMILLION, in_style, new_figure

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
    axes.axhline(0.5, color=GREY, linewidth=0.6, zorder=0)
    for modality, (name, colour, dashes) in _LINES.items():
        axes.plot(order, np.sort(weights[modality])[::-1], dashes, color=colour, label=name)
    axes.set(xlabel="rank of the channel", ylabel="channel weight (Eq. 3)", xlim=(1, weights.shape[1]))
    axes.legend(loc="upper right")


def _scatter(axes: Axes, weights: Float[np.ndarray, "2 k"]) -> None:
    ir, vis = weights[Modality.IR], weights[Modality.VIS]
    low, high = float(weights.min()), float(weights.max())
    pad = 0.05 * (high - low) or 0.01
    limits = (low - pad, high + pad)
    axes.axline((0.5, 0.5), slope=1, color=GREY, linewidth=0.6, zorder=0, label="equal")
    axes.axline((0.5, 0.5), slope=-1, color=GREY, linewidth=0.6, linestyle=":", zorder=0, label="sum 1")
    axes.scatter(ir, vis, s=9, color=BLUE, alpha=0.7, linewidths=0)
    axes.set(xlabel="weight for infrared", ylabel="weight for visible", xlim=limits, ylim=limits, aspect="equal")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 0.0), handlelength=1.5)
    if np.ptp(ir) > 0 and np.ptp(vis) > 0:
        told = f"r = {np.corrcoef(ir, vis)[0, 1]:.2f}".replace("-", "\N{MINUS SIGN}")
        axes.set_title(f"{weights.shape[1]} channels, {told}")
