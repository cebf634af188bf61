"""A simple scene in two bands: registered infrared/visible pairs from a seed, for tests, demos and smoke runs.

Both images share one geometry and differ as the bands do: the visible one shows texture, markings and lit windows, the
infrared one a cold sky, an even ground and warm people and engines. Good for trying things out, not for judging them.
`experiments/demo_scene` draws the street of the demo pair.
"""

import json
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from scipy import ndimage

from camfuse_jax.errors import InputError, ResourceError
from camfuse_jax.images.write import write_picture
from camfuse_jax.system.files import write_atomically

MIN_SIDE = 16
_SUPERSAMPLING = 2
_HORIZON = 0.42  # of the image's height


def synthetic_pair(
    seed: int, height: int = 480, width: int = 640
) -> tuple[UInt8[np.ndarray, "h w"], UInt8[np.ndarray, "h w"]]:
    """Draws one registered pair.

    Args:
        seed: Chooses the scene. The same seed gives the same bytes on the same machine, and the same scene at another
            size.
        height: Rows, at least `MIN_SIDE`.
        width: Columns, at least `MIN_SIDE`.

    Returns:
        `(ir, vis)`, both (height, width) uint8.

    Raises:
        InputError: A side is smaller than `MIN_SIDE`.
    """
    if min(height, width) < MIN_SIDE:
        raise InputError(f"A synthetic pair of {height} x {width} is too small.", f"Use at least {MIN_SIDE} a side.")
    rng = np.random.default_rng([seed, 2025])
    rows, cols = height * _SUPERSAMPLING, width * _SUPERSAMPLING
    y, x = np.meshgrid((np.arange(rows) + 0.5) / rows, (np.arange(cols) + 0.5) / cols, indexing="ij")
    daylight = rng.uniform(0.25, 0.9)
    ground = y > _HORIZON
    depth = np.where(ground, 0.1 / np.maximum(y - _HORIZON, 0.02), 5.0)
    ir = np.where(ground, 0.36 - 0.01 * depth, 0.08 + 0.06 * y)
    vis = np.where(ground, 0.30 + 0.04 * depth, 0.75 - 0.4 * y) * daylight + 0.05
    vis += np.where(ground, 0.22, 0.04) * (_noise(rng, x / depth**0.5, y, 60) - 0.5) * (0.4 + daylight)
    vis = np.where(ground & (np.abs(x - 0.5) < 0.02 / depth) & (np.sin(40 / depth) > 0), 0.8, vis)  # road markings
    for _ in range(int(rng.integers(4, 7))):
        ir, vis = _house(rng, x, y, ir, vis, daylight)
    for _ in range(int(rng.integers(4, 7))):
        ir, vis = _person(rng, x, y, ir, vis)
    ir = ndimage.gaussian_filter(_shrink(ir), max(0.4, height / 500)) + rng.normal(0, 0.008, (height, width))
    vis = _shrink(vis) + rng.normal(0, 0.012, (height, width))
    return _to_u8(ir), _to_u8(vis)


def write_synthetic_dataset(
    root: Path, *, pairs: int, seed: int = 0, height: int = 240, width: int = 320, photos: int = 0
) -> None:
    """Writes pairs to `ir/` and `vis/`, `splits.json` with every fifth pair as test, and gray scenes to `photos/`.

    Args:
        root: Folder to fill; created if absent.
        pairs: Number of pairs, at least 2 so that neither split is empty.
        seed: First scene's seed; the photographs' seeds do not overlap the pairs'.
        height: Rows of every image.
        width: Columns of every image.
        photos: Number of extra gray scenes, the visible side of other seeds.

    Raises:
        InputError: Fewer than 2 pairs, or too small a size.
        ResourceError: The folder cannot be written.
    """
    if pairs < 2:
        raise InputError(f"{pairs} synthetic pairs cannot be split.", "Ask for at least 2, so that one is for testing.")
    root = Path(root)
    names = [f"scene_{number:04}" for number in range(pairs)]
    for number, name in enumerate(names):
        ir, vis = synthetic_pair(seed + number, height, width)
        write_picture(root / "ir" / f"{name}.png", ir)
        write_picture(root / "vis" / f"{name}.png", vis)
    for number in range(photos):
        write_picture(
            root / "photos" / f"photo_{number:04}.png", synthetic_pair(seed + 1_000_000 + number, height, width)[1]
        )
    test = names[4::5] or names[-1:]
    splits = {"all": names, "train": [name for name in names if name not in test], "test": test}
    try:
        write_atomically(root / "splits.json", json.dumps(splits, indent=1) + "\n")
    except OSError as error:
        raise ResourceError(f"Cannot write {root / 'splits.json'}: {error.strerror}.", "Check the folder.") from error


def _house(rng, x, y, ir, vis, daylight):
    """A wall that stands on the horizon, with a grid of windows: lit in the visible image, cooler in the infrared."""
    left, width, top = rng.uniform(-0.1, 0.9), rng.uniform(0.12, 0.25), rng.uniform(0.1, 0.3)
    wall = (x > left) & (x < left + width) & (y > top) & (y < _HORIZON + 0.04)
    columns, floors = rng.uniform(25, 45), rng.uniform(20, 35)
    window = wall & (np.sin(columns * np.pi * (x - left)) > 0.3) & (np.sin(floors * np.pi * (y - top)) > 0.2)
    tone, heat = rng.uniform(0.15, 0.7), rng.uniform(0.28, 0.42)
    brick = 0.12 * (_noise(rng, x, y, 90) - 0.5)
    vis = np.where(wall, tone * (0.15 + 0.85 * daylight) + brick, vis)
    vis = np.where(window, 0.85 - 0.5 * daylight, vis)
    return np.where(window, heat - 0.08, np.where(wall, heat, ir)), vis


def _person(rng, x, y, ir, vis):
    """Head and body on the ground: warm in the infrared image, dark clothes in the visible one."""
    foot = rng.uniform(0.6, 0.95)
    size = 0.75 * (foot - _HORIZON)
    at = rng.uniform(0.08, 0.92)
    body = ((x - at) / (0.16 * size)) ** 4 + ((y - (foot - 0.42 * size)) / (0.42 * size)) ** 4 < 1
    head = ((x - at) / (0.09 * size)) ** 2 + ((y - (foot - 0.95 * size)) / (0.12 * size)) ** 2 < 1
    ir = np.where(body, 0.78 + 0.1 * rng.random(), ir)
    return np.where(head, 0.95, ir), np.where(body | head, 0.08 + 0.1 * rng.random(), vis)


def _noise(rng, x: Float[np.ndarray, "h w"], y: Float[np.ndarray, "h w"], cells: int) -> Float[np.ndarray, "h w"]:
    """Smooth noise in [0, 1] that is a function of position, so that a texture is the same at every image size."""
    grid = rng.random((cells + 1, cells + 1))
    return ndimage.map_coordinates(grid, [(y % 1) * cells, (x % 1) * cells], order=1, mode="nearest")


def _shrink(layer: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "h w"]:
    height, width = (side // _SUPERSAMPLING for side in layer.shape)
    return layer.reshape(height, _SUPERSAMPLING, width, _SUPERSAMPLING).mean(axis=(1, 3))


def _to_u8(unit: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    return np.rint(255 * np.clip(unit, 0.0, 1.0)).astype(np.uint8)
