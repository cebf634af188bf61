"""Bringing one image into another's frame: resizing, and homographies with a mask of what is known."""

import json
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image
from scipy import ndimage

from camfuse_jax.errors import InputError

_LARGEST = 1 << 16  # bytes of a calibration file

Homography = Float[np.ndarray, "3 3"]


def resize(image: Float[np.ndarray, "h w *c"], height: int, width: int) -> Float[np.ndarray, "a b *c"]:
    """Bicubic resampling, averaging where it shrinks, cut off to [0, 1]."""
    if image.shape[:2] == (height, width):
        return image
    planes = [_plane(p).resize((width, height), Image.Resampling.BICUBIC) for p in _planes(image)]
    return np.clip(_joined(planes, image.ndim), 0, 1)


def warp(
    image: Float[np.ndarray, "h w *c"], homography: Homography, height: int, width: int
) -> tuple[Float[np.ndarray, "a b *c"], Bool[np.ndarray, "a b"]]:
    """Moves an image by a homography, with cubic splines.

    Args:
        image: Values in [0, 1].
        homography: Maps a pixel (x, y, 1) of the image to a pixel of the result; pixel centres are whole numbers, as
            in OpenCV.
        height: Of the result.
        width: Of the result.

    Returns:
        The moved image, 0 where it shows nothing, and where it shows something.
    """
    inverse = np.linalg.inv(homography)
    xs, ys = np.meshgrid(np.arange(width), np.arange(height))
    x, y, z = np.tensordot(inverse, np.stack([xs, ys, np.ones_like(xs)]), axes=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = x / z, y / z
    slack = 1e-6
    inside = (z > 0) & (x >= -slack) & (y >= -slack)
    inside &= (x <= image.shape[1] - 1 + slack) & (y <= image.shape[0] - 1 + slack)
    # Outside, and at infinity, the nearest pixel is read; the mask takes it away.
    places = np.stack([np.where(inside, y, 0), np.where(inside, x, 0)])
    # Splines, not Pillow's bicubic transform: that one bends straight ramps by a tenth of a pixel.
    planes = [
        ndimage.map_coordinates(p, places, order=3, mode="nearest") for p in _planes(np.asarray(image, np.float32))
    ]
    moved = np.clip(_joined(planes, image.ndim), 0, 1)
    return np.where(inside.reshape(inside.shape + (1,) * (image.ndim - 2)), moved, 0), inside


def read_homography(path: Path) -> Homography:
    """Reads a 3 x 3 matrix that maps infrared pixels to visible ones.

    Args:
        path: `.json` (three rows of three numbers, or an object that holds them as `homography`) or text of nine
            numbers apart by blanks, commas or line ends.

    Raises:
        InputError: The file is absent or holds no invertible 3 x 3 matrix.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ValueError("it is too large")
        text = content.decode()
        if path.suffix.lower() == ".json":
            value = json.loads(text)
            value = value.get("homography") if isinstance(value, dict) else value
            matrix = np.array(value, np.float64)
        else:
            matrix = np.array([float(word) for word in text.replace(",", " ").split()]).reshape(3, 3)
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        why = str(error).splitlines()[0]
        raise InputError(f"{path} holds no 3 x 3 homography: {why}.", "Write nine numbers, row by row.") from error
    # Pixels are some thousands; beyond this range products of such numbers are no numbers any more.
    usual = np.isfinite(matrix).all() and np.abs(matrix).max(initial=0) < 1e12
    if matrix.shape != (3, 3) or not usual or abs(np.linalg.det(matrix)) < 1e-12:
        raise InputError(f"{path} holds no invertible 3 x 3 homography.", "Write nine numbers, row by row.")
    return matrix / matrix[2, 2] if matrix[2, 2] else matrix


def _planes(image: np.ndarray) -> list[np.ndarray]:
    return [image] if image.ndim == 2 else list(np.moveaxis(image, -1, 0))


def _plane(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(values, np.float32))


def _joined(planes: list, ndim: int) -> np.ndarray:
    arrays = [np.asarray(plane) for plane in planes]
    return arrays[0] if ndim == 2 else np.stack(arrays, axis=-1)
