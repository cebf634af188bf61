"""Heat maps over images."""

import pathlib

import numpy as np
from jaxtyping import Float, UInt8

from camfuse_jax.images import write_rgb

COLOURS = "inferno"  # perceptually even, and readable without telling red from green


def overlay(
    image: UInt8[np.ndarray, "h w"], heat: Float[np.ndarray, "h w"], *, strength: float = 0.6
) -> UInt8[np.ndarray, "h w 3"]:
    """Lays a heat map in [0, 1] over a gray image: the hotter, the more of the colour.

    Args:
        image: Gray levels.
        heat: Map of the same size.
        strength: Share of the colour where the map is 1.
    """
    import matplotlib  # here: `camfuse fuse` of a pair needs no heat map, and starts sooner

    gray = np.repeat(np.asarray(image, np.float64)[..., None], 3, axis=2)
    heat = np.clip(np.asarray(heat, np.float64), 0, 1)
    colour = matplotlib.colormaps[COLOURS](heat)[..., :3] * 255
    share = strength * (0.25 + 0.75 * heat[..., None])
    return np.rint((1 - share) * gray + share * colour).astype(np.uint8)


def write_overlay(path: pathlib.Path, image: UInt8[np.ndarray, "h w"], heat: Float[np.ndarray, "h w"]) -> None:
    """Writes `overlay` as a PNG.

    Raises:
        ResourceError: If the file cannot be written.
    """
    write_rgb(path, overlay(image, heat))
