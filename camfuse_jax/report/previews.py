"""Grids of labelled pictures."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

_LABEL, _GAP = 22, 6
_WIDEST = 640


def balance_grid(tiles: Sequence[tuple[str, UInt8[np.ndarray, "h w *c"]]]) -> UInt8[np.ndarray, "a b 3"]:
    """Pictures of one size in rows of three, each under its label; shrunk where they are wider than 640 pixels.

    Args:
        tiles: Label and picture, gray or RGB.
    """
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
