"""Fig. 1: single channels and both classes' activation over the infrared and the visible image."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import UInt8
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from camfuse_jax.config import Modality
from camfuse_jax.report.channel_maps import ROLES, ImageMaps
from camfuse_jax.report.heatmaps import COLOURS, overlay
from camfuse_jax.report.style import PAGE, in_style, new_figure, place, write_at

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
    _colour_bar(figure, left=PAGE - _BAR + 0.08, top=_HEAD, height=2 * tall + _CAPTION)
    return figure


def _caption(channel: int, weight: float) -> str:
    told = f"{weight:+.3f}" if abs(weight) >= 5e-4 else f"{weight:+.0e}"
    return f"ch. {channel}, {told}".replace("-", "\N{MINUS SIGN}")


def _cam_captions(modality: Modality) -> list[str]:
    return ["own class" if other == modality else "other class" for other in Modality]


def _colour_bar(figure: Figure, *, left: float, top: float, height: float) -> None:
    axes = place(figure, left, top, 0.09, height)
    bar = figure.colorbar(ScalarMappable(cmap=COLOURS), cax=axes, ticks=[0, 1])
    bar.outline.set_linewidth(0.4)
    bar.ax.set_yticklabels(["min", "max"])
    bar.ax.tick_params(length=2, pad=2)
