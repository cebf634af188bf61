"""Fig. 1: which channels matter and where in an image they act, and both classes' activation maps."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from camfuse_jax import cam
from camfuse_jax.config import Modality, NetConfig
from camfuse_jax.fusion.params import Params
from camfuse_jax.nets.build import make_classifier, make_encoder
from camfuse_jax.report.pictures import COLORS, overlay
from camfuse_jax.system.runtime import compiler_options
from paper.style import PAGE, in_style, new_figure, place, write_at

_LABEL, _GAP, _BAR, _HEAD, _CAPTION = 0.2, 0.06, 0.48, 0.2, 0.2
_NAMES = {Modality.IR: "infrared", Modality.VIS: "visible"}
ROLES = ("highest weight", "smallest magnitude", "most negative")


class ChannelMap(NamedTuple):
    """One channel over one image.

    Attributes:
        channel: Its number.
        weight: Its class weight W_c for the image's own class (Eq. 1).
        heat: Where it acts, (h, w) in [0, 1] by its own extremes; zero everywhere if it is constant.
    """

    channel: int
    weight: float
    heat: Float[np.ndarray, "h w"]


class ImageMaps(NamedTuple):
    """What Fig. 1 shows of one image.

    Attributes:
        channels: One map per entry of `ROLES`.
        cams: Class activation maps of both classes (Eq. 14), (2, h, w) in [0, 1], ordered as `Modality`.
    """

    channels: tuple[ChannelMap, ...]
    cams: Float[np.ndarray, "2 h w"]


def choose_channels(weights: Float[np.ndarray, " k"], active: Bool[np.ndarray, " k"]) -> tuple[int, int, int]:
    """Channels with the highest class weight, the one nearest to zero, and the most negative one (`ROLES`).

    Args:
        weights: Class weights of the image's own class.
        active: Channels that are not constant over the image; the others have nothing to show and are passed over
            unless there are no others.
    """
    weights = np.asarray(weights, np.float64)
    passed_over = ~active if active.any() else np.zeros(active.shape, bool)
    high = np.where(passed_over, -np.inf, weights)
    low, small = np.where(passed_over, np.inf, weights), np.where(passed_over, np.inf, np.abs(weights))
    return int(high.argmax()), int(small.argmin()), int(low.argmin())


def last_maps(
    params: Params, ir: UInt8[np.ndarray, "h w"], vis: UInt8[np.ndarray, "h w"]
) -> Float[np.ndarray, "2 rows cols k"]:
    """The classifier's last feature maps (phi of Eqs. 12-14) of both images, ordered as `Modality`.

    Args:
        params: Weights.
        ir: Infrared luminance.
        vis: Visible luminance, same size.
    """
    images = jnp.stack([ir, vis]).astype(jnp.float32)[..., None] / 127.5 - 1
    return np.asarray(jax.jit(_last, compiler_options=compiler_options())(params, images))


def image_maps(
    params: Params, last: Float[np.ndarray, "2 rows cols k"], modality: Modality, shape: tuple[int, int]
) -> ImageMaps:
    """Maps of one of the two images at the image's own size.

    Args:
        params: Weights.
        last: From `last_maps`.
        modality: Which image; its class decides which channels are chosen.
        shape: Height and width of the image.
    """
    own = np.asarray(params.class_weights)[modality]
    maps = jnp.asarray(last[modality])
    every = cam.min_max(jnp.moveaxis(maps, -1, 0))
    chosen = choose_channels(own, np.asarray(every).any(axis=(1, 2)))
    single = every[np.array(chosen)]
    both = cam.cam(jnp.stack([maps, maps]), params.class_weights)
    large = np.asarray(_to_image(jnp.concatenate([single, both]), shape, params.net))
    channels = tuple(ChannelMap(channel, float(own[channel]), large[i]) for i, channel in enumerate(chosen))
    return ImageMaps(channels, large[len(chosen) :])


def _last(params: Params, images_sym: Array) -> Array:
    features, _ = make_encoder(params.net).apply({"params": params.encoder}, images_sym)
    _, named = make_classifier(params.net).apply({"params": params.classifier}, features)
    return named["last"]


def _to_image(maps: Float[Array, "n rows cols"], shape: tuple[int, int], net: NetConfig) -> Float[Array, "n h w"]:
    """Enlarges maps to the image; a map also covers the margin around it, which is cut off (as `fusion.explain`)."""
    cell = 4 * int(np.prod(net.strides))
    count, rows, cols = maps.shape
    large = jax.image.resize(maps, (count, rows * cell, cols * cell), "linear")
    return large[:, net.margin : net.margin + shape[0], net.margin : net.margin + shape[1]]


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
