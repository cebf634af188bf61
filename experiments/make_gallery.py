"""Draws the pictures of README and docs/gallery.md anew: `python experiments/make_gallery.py`.

Only drawn scenes are shown: the demo pair, and streets from `demo_scene`. No photograph of a data set is copied.
"""

import argparse
import pathlib
from collections.abc import Sequence

import matplotlib
import numpy as np
from demo_scene.scene import draw_pair
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

import camfuse_jax
from camfuse_jax.fusion.params import Params, balanced, load_params, with_look, with_rule
from camfuse_jax.images.read import read_gray
from camfuse_jax.report.pictures import SHARES, provenance

DEMO = pathlib.Path(camfuse_jax.__file__).parent / "demo"
IMAGES = pathlib.Path(__file__).resolve().parents[1] / "docs" / "img"
SEEDS = (1, 3, 8)
GAINS = (0.25, 1.0, 4.0)
_DETAIL = 8.0  # pixels; what is coarser is brightness
_GAP, _LABEL = 8, 24
Tile = tuple[str, UInt8[np.ndarray, "h w *c"]]


def shares_over(
    ir: UInt8[np.ndarray, "h w"], vis: UInt8[np.ndarray, "h w"], fused: UInt8[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """The fused image, colored by where its detail came from: orange is infrared, purple is visible."""
    details = (image - ndimage.gaussian_filter(image.astype(np.float64), _DETAIL) for image in (ir, vis, fused))
    origin = provenance(*details)
    ends = matplotlib.colormaps[SHARES]([0.12, 0.88])[:, :3] * 255
    color = ends[(origin.share > 0.5).astype(int)]
    strength: Float[np.ndarray, "h w 1"] = (np.abs(2 * origin.share - 1) * origin.certainty)[..., None] * 0.7
    return np.rint((1 - strength) * fused[..., None] + strength * color).astype(np.uint8)


def explained_pair(params: Params, ir: UInt8[np.ndarray, "h w"], vis: UInt8[np.ndarray, "h w"]) -> list[Tile]:
    """Infrared, visible, fused, and why it looks as it does."""
    fused = np.asarray(camfuse_jax.fuse(params, ir, vis))
    why = "detail: orange infrared, purple visible"
    return [("infrared", ir), ("visible", vis), ("fused", fused), (why, shares_over(ir, vis, fused))]


def sheet(rows: Sequence[Sequence[Tile]], width: int) -> Image.Image:
    """Labelled pictures in rows, each scaled to a width in pixels."""
    pictures = [[_scaled(picture, width) for _, picture in row] for row in rows]
    height = max(picture.height for row in pictures for picture in row)
    columns = max(len(row) for row in rows)
    size = (columns * (width + _GAP) + _GAP, len(rows) * (height + _LABEL + _GAP) + _GAP)
    canvas = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(15)
    for y, row in enumerate(rows):
        for x, (label, _) in enumerate(row):
            left, top = _GAP + x * (width + _GAP), _GAP + y * (height + _LABEL + _GAP)
            draw.text((left, top), label, fill="black", font=font)
            canvas.paste(pictures[y][x], (left, top + _LABEL))
    return canvas


def _scaled(picture: np.ndarray, width: int) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(picture)).convert("RGB")
    return image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)


def main(argv: Sequence[str] | None = None) -> None:
    """Writes demo.png, scenes.png and choices.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=IMAGES, help="folder of the pictures")
    parser.add_argument("--weights", help="weights to draw with; the package's default where not given")
    parser.add_argument("--width", type=int, default=320, help="width of one picture in pixels")
    arguments = parser.parse_args(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    params = load_params(arguments.weights) if arguments.weights else load_params()
    ir, vis = (read_gray(DEMO / f"{kind}.png") for kind in ("ir", "vis"))

    def fused_with(other: Params) -> np.ndarray:
        return np.asarray(camfuse_jax.fuse(other, ir, vis))

    gains = [(f"--ir-gain {gain:g}", fused_with(balanced(params, ir_gain=gain))) for gain in GAINS]
    looks = [(f"--look {look:g}", fused_with(with_look(params, look))) for look in (0.0, 0.5, 1.0)]
    rules = [(f"--rule {rule}", fused_with(with_rule(params, rule))) for rule in ("eq5", "l1", "max")]
    sheets = {
        "demo": [explained_pair(params, ir, vis)],
        "scenes": [explained_pair(params, *draw_pair(seed)) for seed in SEEDS],
        "choices": [gains, looks, rules],
    }
    for name, rows in sheets.items():
        path = arguments.out / f"{name}.png"
        sheet(rows, arguments.width).quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
