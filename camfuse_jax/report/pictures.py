"""Pictures of results: heat maps over images, labelled grids, and layers for the pages as `data:` URIs."""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import matplotlib.colors
import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

COLORS = "inferno"  # perceptually even, and readable without telling red from green


def overlay(
    image: UInt8[np.ndarray, "h w"], heat: Float[np.ndarray, "h w"], *, strength: float = 0.6
) -> UInt8[np.ndarray, "h w 3"]:
    """Lays a heat map in [0, 1] over a gray image: the hotter, the more of the color, at most a share of `strength`."""
    gray = np.repeat(np.asarray(image, np.float64)[..., None], 3, axis=2)
    heat = np.clip(np.asarray(heat, np.float64), 0, 1)
    color = matplotlib.colormaps[COLORS](heat)[..., :3] * 255
    share = strength * (0.25 + 0.75 * heat[..., None])
    return np.rint((1 - share) * gray + share * color).astype(np.uint8)


_LABEL, _GAP = 22, 6
_WIDEST = 640


def balance_grid(tiles: Sequence[tuple[str, UInt8[np.ndarray, "h w *c"]]]) -> UInt8[np.ndarray, "a b 3"]:
    """Labels and pictures (gray or RGB) of one size in rows of three; shrunk where they are wider than 640 pixels."""
    pictures = [Image.fromarray(np.ascontiguousarray(tile)).convert("RGB") for _, tile in tiles]
    for picture in pictures:
        picture.thumbnail((_WIDEST, _WIDEST))
    width, height = max(p.width for p in pictures) + _GAP, max(p.height for p in pictures) + _LABEL + _GAP
    columns = min(3, len(tiles))
    sheet = Image.new("RGB", (columns * width + _GAP, math.ceil(len(tiles) / columns) * height + _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for number, ((label, _), picture) in enumerate(zip(tiles, pictures, strict=True)):
        left, top = _GAP + number % columns * width, _GAP + number // columns * height
        draw.text((left, top), label, fill="black", font=font)
        sheet.paste(picture, (left, top + _LABEL))
    return np.asarray(sheet)


SHARES = "PuOr_r"
"""Purple is visible, orange infrared: distinct with every common color vision."""

FATE_COLORS = {"kept": "#4be08a", "weak": "#ffd23f", "inverted": "#ff4d6d"}
"""Outlines of warm targets by what became of them."""

_SMOOTH_SIDE = 320  # pixels; class activation maps have cells of 32 or more
_SHARE_SIDE = 512
_BASE_SIDE, _BASE_QUALITY = 512, 75
_END = 0.12  # place of both colors in the map: its very ends are nearly black


def png_uri(image: UInt8[np.ndarray, "h w"]) -> str:
    """A gray image, lossless: what a reader saves from the page is what was computed."""
    return _uri(Image.fromarray(image), "png", format="PNG", optimize=True)


def webp_uri(image: UInt8[np.ndarray, "h w"], *, quality: int) -> str:
    """A gray image with losses, for looking only."""
    return _uri(Image.fromarray(image).convert("RGB"), "webp", format="WEBP", quality=quality, method=4)


def small_uri(image: UInt8[np.ndarray, "h w"], *, side: int = _BASE_SIDE) -> str:
    """A gray image of at most so many pixels, to lie below a colored layer or to stand in a list."""
    small = Image.fromarray(image)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return webp_uri(np.asarray(small), quality=_BASE_QUALITY)


def heat_uri(heat: Float[np.ndarray, "h w"]) -> str:
    """A map in [0, 1] as a layer: the hotter, the more opaque; at most 320 pixels wide, since such maps are smooth."""
    heat = np.clip(np.asarray(heat, np.float64), 0, 1)
    return _layer_uri(matplotlib.colormaps[COLORS](heat)[..., :3], 0.25 + 0.75 * heat, side=_SMOOTH_SIDE)


def share_uri(share: Float[np.ndarray, "h w"], certainty: Float[np.ndarray, "h w"]) -> str:
    """A share in [0, 1] as a layer: purple the more visible there is, orange the more infrared.

    Clear where both count alike (0.5) and where the share is not certain.
    """
    share = np.asarray(share, np.float64)
    ends = matplotlib.colormaps[SHARES]([_END, 1 - _END])[:, :3]
    rgb = ends[(share > 0.5).astype(int)]
    return _layer_uri(rgb, np.abs(2 * share - 1) * certainty, side=_SHARE_SIDE)


def outline_uri(
    areas: Sequence[tuple[tuple[slice, slice], Bool[np.ndarray, "a b"], str]], shape: tuple[int, int]
) -> str:
    """Areas of an image as a layer of outlines: window, pixels within it, and a key of `FATE_COLORS`."""
    layer = np.zeros((*shape, 4), np.uint8)
    for window, area, fate in areas:
        near, far = (ndimage.binary_dilation(area, iterations=steps) for steps in (2, 4))
        layer[window][far & np.logical_not(near)] = (*(int(FATE_COLORS[fate][i : i + 2], 16) for i in (1, 3, 5)), 255)
    return _layer_of(Image.fromarray(layer), _SHARE_SIDE)


def share_gradient() -> str:
    """The colors of `share_uri` as the color list of a CSS gradient, for a legend."""
    visible, infrared = (matplotlib.colors.to_hex(matplotlib.colormaps[SHARES](end)) for end in (_END, 1 - _END))
    return f"{visible}, {visible}00, {infrared}00, {infrared}"


def heat_gradient(*, steps: int = 9) -> str:
    """The colors of `heat_uri` as the color list of a CSS gradient, for a legend."""
    colors = (matplotlib.colors.to_hex(matplotlib.colormaps[COLORS](i / (steps - 1))) for i in range(steps))
    return ", ".join(colors)


def data_uri(content: bytes, kind: str) -> str:
    """A whole image file as a `data:` URI; `kind` is png, webp, ..."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _layer_uri(rgb: np.ndarray, alpha: np.ndarray, *, side: int) -> str:
    rgba = np.rint(np.concatenate([rgb, np.asarray(alpha)[..., None]], axis=-1) * 255).astype(np.uint8)
    return _layer_of(Image.fromarray(rgba), side)


def _layer_of(image: Image.Image, side: int) -> str:
    image.thumbnail((side, side), Image.Resampling.BOX)
    return _uri(image, "webp", format="WEBP", quality=75, alpha_quality=70, method=4)


def _uri(image: Image.Image, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return data_uri(buffer.getvalue(), kind)
