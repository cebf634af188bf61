"""Value noise that is a function of position, so that one texture holds at any image size."""

import numpy as np
from jaxtyping import Float
from scipy import ndimage

TABLE_SIZE = 256
"""Side of a noise table; positions wrap around at this distance."""


def noise_table(rng: np.random.Generator) -> Float[np.ndarray, "t t"]:
    """A table of independent values in [0, 1), the lattice of the value noise."""
    return rng.random((TABLE_SIZE, TABLE_SIZE), dtype=np.float32)


def value_noise(
    table: Float[np.ndarray, "t t"], row: Float[np.ndarray, "*s"], column: Float[np.ndarray, "*s"]
) -> Float[np.ndarray, "*s"]:
    """Bilinear value noise in [0, 1] at lattice positions, periodic with `TABLE_SIZE`.

    Args:
        table: Values at the whole-numbered positions.
        row: First coordinate; one lattice cell is 1.
        column: Second coordinate, of a shape that broadcasts with `row`.
    """
    positions = np.stack(np.broadcast_arrays(row, column)).astype(np.float32)
    return ndimage.map_coordinates(table, positions, order=1, mode="grid-wrap")


def fractal_noise(
    table: Float[np.ndarray, "t t"],
    row: Float[np.ndarray, "*s"],
    column: Float[np.ndarray, "*s"],
    *,
    octaves: int = 4,
    gain: float = 0.5,
) -> Float[np.ndarray, "*s"]:
    """Sum of octaves of `value_noise`, each of twice the frequency and `gain` times the height, scaled to [0, 1].

    Args:
        table: Values at the whole-numbered positions.
        row: First coordinate; one cell of the coarsest octave is 1.
        column: Second coordinate.
        octaves: Number of octaves.
        gain: Height of an octave relative to the one before.
    """
    heights = gain ** np.arange(octaves)
    total = 0.0
    for octave, height in enumerate(heights):
        # The shift keeps the octaves' lattice points apart, where bilinear noise has its visible creases.
        shift = 17.3 * octave
        total = total + height * value_noise(table, row * 2**octave + shift, column * 2**octave + shift)
    return total / heights.sum()
