"""Pictures of results: heat maps, grids, layers as `data:` URIs; charts; and which source each pixel came from.

The shares of infrared and visible are measured from the images alone: nothing is asked of the method that fused, so
that the maps of any two methods can be compared. The gradient of the fusion with respect to its sources would need the
method itself, and says what a change would do, not what is there.

Charts are geometry in the units of an SVG view box. The template only draws it; labels are HTML text, which keeps its
size on a telephone.
"""

import base64
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import matplotlib.colors
import numpy as np
from jaxtyping import Bool, Float, Float64, UInt8
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from camfuse_jax.config import Modality
from camfuse_jax.errors import InputError

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


SIGMA = 3.0
"""Standard deviation of the Gaussian window, pixels: details of the size of a person's head in these pictures."""

_FADES_BELOW = 4.0  # levels; two sources that are nearer to each other than this leave the share to rounding


class Provenance(NamedTuple):
    """Where each place of a fused image comes from. All maps have the image's size.

    Attributes:
        share: s, the part of infrared in the local mix: 1 is all infrared, 0 all visible, 0.5 both alike.
        detail_share: Part of infrared in the local contrast: s times the infrared image's local standard deviation,
            over that and (1 - s) times the visible one's. 0.5 where neither has any.
        certainty: In [0, 1). Near 0 where the sources are alike, so that the share has no meaning.
        residual: Root mean square, in levels, of what no mix of the two explains.
    """

    share: Float64[np.ndarray, "h w"]
    detail_share: Float64[np.ndarray, "h w"]
    certainty: Float64[np.ndarray, "h w"]
    residual: Float64[np.ndarray, "h w"]


def provenance(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike, *, sigma: float = SIGMA) -> Provenance:
    """Measures the share of both sources in a fused image.

    In a Gaussian window w around each pixel, s is the least-squares solution of fused = s ir + (1 - s) vis:
    s = sum w (fused - vis)(ir - vis) / sum w (ir - vis)^2, cut to [0, 1]. Levels and details count alike. So a copy of
    infrared gives 1, a copy of visible 0 and the average 0.5, exactly and wherever the sources differ at all; where
    they do not, s is 0.5 and its certainty 0. Certainty is D / (D + 16) with D the window's mean squared difference
    of the sources in levels.

    Images are gray (h, w), levels 0 to 255, mirrored at the border; InputError if they differ in shape.
    """
    ir, vis, fused = (np.asarray(image, np.float64) for image in (ir, vis, fused))
    if not ir.shape == vis.shape == fused.shape or ir.ndim != 2 or ir.size == 0:
        raise InputError(
            f"ir is {ir.shape}, vis is {vis.shape}, fused is {fused.shape}.", "Give three gray images of one size."
        )

    def local(values: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(values, sigma, mode="mirror")

    difference = ir - vis
    squared = local(difference**2)
    raw = local((fused - vis) * difference)
    differ = squared > 1e-9
    share = np.clip(np.where(differ, raw / np.where(differ, squared, 1.0), 0.5), 0.0, 1.0)
    from_ir, from_vis = share * _contrast(ir, local), (1 - share) * _contrast(vis, local)
    both = from_ir + from_vis
    detail = np.where(both > 1e-6, from_ir / np.where(both > 1e-6, both, 1.0), 0.5)
    unexplained = local((fused - share * ir - (1 - share) * vis) ** 2)
    certainty = squared / (squared + _FADES_BELOW**2)
    return Provenance(share, detail, certainty, np.sqrt(np.maximum(unexplained, 0.0)))


def _contrast(image: np.ndarray, local) -> np.ndarray:
    """Local standard deviation, about the window's own mean."""
    variance = local(image**2) - local(image) ** 2
    return np.sqrt(np.where(variance > 1e-6, variance, 0.0))  # below: rounding of the difference of two large numbers


WIDTH, HEIGHT = 640.0, 180.0
CURVE_NAMES = {"pixel": "pixel loss", "ssim": "SSIM", "cross_entropy": "cross entropy", "distance": "distance loss"}
"""Quantities of a `metrics.jsonl` as a reader knows them; others stand for themselves."""
_POINTS = 400  # of a curve; more cannot be seen at this width


@dataclasses.dataclass(frozen=True)
class Bar:
    """One channel: infrared upwards from the middle line, visible downwards.

    `x` is its left edge, `up` and `down` are the heights, `ir` and `vis` the values.
    """

    channel: int
    x: float
    width: float
    up: float
    down: float
    ir: float
    vis: float


@dataclasses.dataclass(frozen=True)
class Line:
    """A curve over the steps of a training.

    `points` is for `<polyline points>`, from `low` at the bottom of the chart to `high` at the top and from the first
    step at the left to the last at the right; `last` is the value at the end.
    """

    name: str
    points: str
    low: float
    high: float
    last: float
    first_step: int
    last_step: int


def mirrored_bars(
    values: Float[np.ndarray, "2 k"], order: Sequence[int] | np.ndarray, *, top: float | None = None
) -> list[Bar]:
    """Bars of both modalities, channel by channel.

    Args:
        values: Not negative, rows ordered as `Modality`.
        order: Channels from left to right.
        top: Value that fills its half of the chart; the largest by default.
    """
    top = top or float(values.max()) or 1.0
    step, half = WIDTH / len(order), HEIGHT / 2

    def bar(place: int, channel: int) -> Bar:
        ir, vis = float(values[Modality.IR, channel]), float(values[Modality.VIS, channel])
        lengths = [round(min(value / top, 1.0) * half, 2) for value in (ir, vis)]
        return Bar(int(channel), round(place * step, 2), round(step * 0.8, 2), *lengths, ir=ir, vis=vis)

    return [bar(place, channel) for place, channel in enumerate(order)]


def lines(records: Sequence[Mapping[str, float]]) -> list[Line]:
    """The curves of a `metrics.jsonl`: one per value that is there at two steps or more, the speed left out."""
    names = dict.fromkeys(name for record in records for name in record if name not in ("step", "images_per_second"))
    found = []
    for name in names:
        points = [(int(r["step"]), float(r[name])) for r in records if name in r and math.isfinite(r[name])]
        if len(points) > 1 and points[-1][0] > points[0][0]:
            found.append(_line(name, points))
    return found


def _line(name: str, points: Sequence[tuple[int, float]]) -> Line:
    values = [value for _, value in points]
    low, high = min(values), max(values)
    first, last = points[0][0], points[-1][0]
    shown = _thinned(points)
    drawn = " ".join(
        f"{(step - first) / (last - first) * WIDTH:.1f},{HEIGHT - _part(value, low, high) * HEIGHT:.1f}"
        for step, value in shown
    )
    return Line(CURVE_NAMES.get(name, name.replace("_", " ")), drawn, low, high, values[-1], first, last)


def _part(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most `_POINTS` points: of each stretch its lowest and highest, so that no peak is lost."""
    if len(points) <= _POINTS:
        return list(points)
    kept = {0, len(points) - 1}
    for part in np.array_split(np.arange(len(points)), _POINTS // 2):
        values = [points[i][1] for i in part]
        kept |= {int(part[np.argmin(values)]), int(part[np.argmax(values)])}
    return [points[i] for i in sorted(kept)]
