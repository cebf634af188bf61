"""The drawing board of the drawn scene: one geometry, painted in two bands at once, with noise as texture.

Noise is a function of position, so that one texture holds at any image size.
"""

import dataclasses

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


SKY_DEPTH = 1e6


def smoothstep(low: float, high: float, value: Float[np.ndarray, "*s"]) -> Float[np.ndarray, "*s"]:
    """0 below `low`, 1 above `high`, smooth between; `low > high` turns it round."""
    unit = np.clip((value - low) / (high - low), 0.0, 1.0)
    return unit * unit * (3.0 - 2.0 * unit)


@dataclasses.dataclass
class Canvas:
    """A pinhole camera above a flat ground, and what each pixel shows.

    Meters: X to the right, Y up from the camera, Z forward. A pixel at (row, column) sees
    `X = (column - center) Z / focal`, `Y = (horizon - row) Z / focal`; the ground is at `Y = -camera_height`.

    Attributes:
        rows: Row coordinates, shape (h, 1), in units of the image height.
        columns: Column coordinates, shape (1, w), same unit, 0 in the middle of the image.
        horizon: Row of the horizon.
        center: Column of the vanishing point.
        focal: Focal length, same unit.
        camera_height: Meters above ground.
        heat: Infrared radiance, about [0, 1].
        albedo: Visible reflectance, about [0, 1].
        emission: Visible light given off by the thing itself.
        depth: Z of what is seen, meters; `SKY_DEPTH` for the sky.
    """

    rows: Float[np.ndarray, "h 1"]
    columns: Float[np.ndarray, "1 w"]
    horizon: float
    center: float
    focal: float
    camera_height: float
    heat: Float[np.ndarray, "h w"]
    albedo: Float[np.ndarray, "h w"]
    emission: Float[np.ndarray, "h w"]
    depth: Float[np.ndarray, "h w"]

    @classmethod
    def blank(cls, height: int, width: int, *, horizon: float, center: float, focal: float, camera_height: float):
        """An empty board of the given size in pixels."""
        rows = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None]
        columns = ((np.arange(width, dtype=np.float32) + 0.5 - width / 2) / height)[None, :]
        layers = [np.zeros((height, width), np.float32) for _ in range(3)]
        depth = np.full((height, width), SKY_DEPTH, np.float32)
        return cls(rows, columns, horizon, center, focal, camera_height, *layers, depth)

    @property
    def pixel(self) -> float:
        """Side of one pixel in units of the image height."""
        return 1.0 / self.heat.shape[0]

    def side(self) -> Float[np.ndarray, "h w"]:
        """X of what each pixel shows, meters."""
        return (self.columns - self.center) * self.depth / self.focal

    def up(self) -> Float[np.ndarray, "h w"]:
        """Y of what each pixel shows, meters."""
        return (self.horizon - self.rows) * self.depth / self.focal

    def paint(
        self,
        mask: Float[np.ndarray, "h w"],
        *,
        heat: Float[np.ndarray, "*s"] | float,
        albedo: Float[np.ndarray, "*s"] | float,
        emission: Float[np.ndarray, "*s"] | float = 0.0,
        depth: Float[np.ndarray, "*s"] | float | None = None,
    ) -> None:
        """Cover `mask` (0 to 1) in both bands; `depth=None` leaves the depth (paint on a surface)."""
        self.heat += mask * (heat - self.heat)
        self.albedo += mask * (albedo - self.albedo)
        self.emission += mask * (emission - self.emission)
        if depth is not None:
            np.copyto(self.depth, np.broadcast_to(np.float32(depth), self.depth.shape), where=mask > 0.5)

    def board(self, side: float, depth: float, *, reach: float, top: float) -> "Board | None":
        """A window on the board for one upright flat thing that stands on the ground at (side, depth).

        Args:
            side: X of its middle, meters.
            depth: Z, meters.
            reach: Half of its width, meters.
            top: Its height, meters.

        Returns:
            The window, or None if nothing of it is in the picture.
        """
        scale = self.focal / depth
        column, row = self.center + side * scale, self.horizon + self.camera_height * scale
        height, width = self.heat.shape
        first = max(0, int((row - top * scale) * height) - 1)
        last = min(height, int(np.ceil((row + 0.05 * scale) * height)) + 1)
        left = max(0, int((column - reach * scale) * height + width / 2) - 1)
        right = min(width, int(np.ceil((column + reach * scale) * height + width / 2)) + 1)
        if first >= last or left >= right:
            return None
        window = np.s_[first:last, left:right]
        across = (self.columns[:, left:right] - column) / scale
        above = (row - self.rows[first:last]) / scale
        return Board(self, window, across, above, depth, self.pixel / scale)


@dataclasses.dataclass
class Board:
    """A window of the canvas in the coordinates of one thing: meters across from its middle and above its foot."""

    canvas: Canvas
    window: tuple[slice, slice]
    across: Float[np.ndarray, "1 w"]
    above: Float[np.ndarray, "h 1"]
    depth: float
    pixel: float

    def paint(self, mask, *, heat, albedo, emission=0.0) -> None:
        """As `Canvas.paint`, in the window, at the thing's depth."""
        for layer, value in ((self.canvas.heat, heat), (self.canvas.albedo, albedo), (self.canvas.emission, emission)):
            part = layer[self.window]
            part += mask * (value - part)
        self.canvas.depth[self.window][mask > 0.5] = self.depth

    def inside(self, distance: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
        """Mask of a signed distance in meters (negative inside), one pixel soft."""
        return np.clip(0.5 - distance / self.pixel, 0.0, 1.0)

    def box(self, across: float, above: float, half_width: float, half_height: float, *, round_by: float = 0.0):
        """Mask of an upright box about (across, above) with rounded corners."""
        dx = np.abs(self.across - across) - (half_width - round_by)
        dy = np.abs(self.above - above) - (half_height - round_by)
        outside = np.hypot(np.maximum(dx, 0.0), np.maximum(dy, 0.0))
        return self.inside(outside + np.minimum(np.maximum(dx, dy), 0.0) - round_by)

    def disc(self, across: float, above: float, radius_across: float, radius_above: float | None = None):
        """Mask of an ellipse."""
        radius_above = radius_across if radius_above is None else radius_above
        unit = np.hypot((self.across - across) / radius_across, (self.above - above) / radius_above)
        return self.inside((unit - 1.0) * min(radius_across, radius_above))

    def limb(self, start: tuple[float, float], end: tuple[float, float], thick: float, thin: float):
        """Mask of a round-ended limb from `start` (radius `thick`) to `end` (radius `thin`)."""
        (x0, y0), (x1, y1) = start, end
        length = (x1 - x0) ** 2 + (y1 - y0) ** 2
        along = ((self.across - x0) * (x1 - x0) + (self.above - y0) * (y1 - y0)) / length
        along = np.clip(along, 0.0, 1.0)
        gap = np.hypot(self.across - x0 - along * (x1 - x0), self.above - y0 - along * (y1 - y0))
        return self.inside(gap - thick - along * (thin - thick))
