"""Bringing one image into another's frame: resizing, and homographies with a mask of what is known."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image
from scipy import fft, ndimage

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.pair.options import AlignMethod

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
        homography: Maps a pixel (x, y, 1) of the image to a pixel of the result; pixel centers are whole numbers, as
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


# Do the two images show the same pixels? Cross-correlation of edge strength, and the shift at its peak.


_LONG_SIDE = 512


class Shift(NamedTuple):
    """Where the infrared edges lie, seen from the visible ones.

    Attributes:
        rows: Pixels downwards.
        cols: Pixels to the right.
        score: Height of the peak in standard deviations of the correlation over all shifts looked at.
        gain: Correlation at the peak minus correlation without a shift.
    """

    rows: float
    cols: float
    score: float
    gain: float

    @property
    def length(self) -> float:
        """Pixels."""
        return float(np.hypot(self.rows, self.cols))


def shrink(image: Float[np.ndarray, "h w"], long_side: int) -> Float[np.ndarray, "a b"]:
    """The image at no more than `long_side` pixels, averaged, not sampled."""
    longest = max(image.shape)
    if longest <= long_side:
        return np.asarray(image, np.float32)
    size = [max(1, round(length * long_side / longest)) for length in image.shape[::-1]]
    return np.asarray(Image.fromarray(np.asarray(image, np.float32)).resize(size, Image.Resampling.BOX))


def edge_strength(image: Float[np.ndarray, "h w"], *, sigma: float = 1.5) -> Float[np.ndarray, "h w"]:
    """Gradient magnitude, which both cameras share even where one is bright and the other dark.

    Compressed by a square root so that a few strong edges do not decide alone, and free of its local mean.
    """
    strength = np.sqrt(ndimage.gaussian_gradient_magnitude(np.asarray(image, np.float64), sigma))
    return strength - ndimage.gaussian_filter(strength, 8 * sigma)


def find_shift(ir_unit: Float[np.ndarray, "h w"], vis_luma: Float[np.ndarray, "h w"], *, reach: float = 0.15) -> Shift:
    """The shift at which the edges of both images agree best.

    Args:
        ir_unit: Infrared.
        vis_luma: Visible luma of the same size.
        reach: Largest shift, as a share of each side.
    """
    height = ir_unit.shape[0]
    ir, vis = (edge_strength(shrink(image, _LONG_SIDE)) for image in (ir_unit, vis_luma))
    scale = height / ir.shape[0]
    norm = np.sqrt(np.sum(ir**2) * np.sum(vis**2))
    if norm < 1e-9 or min(ir.shape) < 16:
        return Shift(0.0, 0.0, 0.0, 0.0)
    shape = [fft.next_fast_len(2 * length) for length in ir.shape]
    spectrum = fft.rfft2(ir, shape) * np.conj(fft.rfft2(vis, shape))
    surface = fft.fftshift(fft.irfft2(spectrum, shape)) / norm
    center = [length // 2 for length in shape]
    half = [max(2, int(reach * length)) for length in ir.shape]
    window = surface[center[0] - half[0] : center[0] + half[0] + 1, center[1] - half[1] : center[1] + half[1] + 1]
    row, col = np.unravel_index(int(window.argmax()), window.shape)
    score = (window[row, col] - window.mean()) / (window.std() + 1e-12)
    gain = window[row, col] - window[half[0], half[1]]
    return Shift((row - half[0]) * scale, (col - half[1]) * scale, float(score), float(gain))


# Alignment of an infrared image to a visible one, refused where it cannot be trusted.


MIN_CONFIDENCE = 5.0
_LONG_SIDE_align = 640
_STEPS, _EPSILON = 60, 1e-5
_FARTHEST = 0.25  # of the diagonal, by which a corner may move
_LEFT_OVER = 0.01  # of the diagonal, shift that may remain


class Alignment(NamedTuple):
    """How to move the infrared image.

    Attributes:
        homography: Maps infrared pixels to visible ones.
        confidence: Peak of the edge correlation after moving, in standard deviations (`registration.Shift.score`).
        moved: Largest movement of a corner in pixels.
    """

    homography: Homography
    confidence: float
    moved: float


def align(ir_unit: Float[np.ndarray, "h w"], vis_luma: Float[np.ndarray, "h w"], method: AlignMethod) -> Alignment:
    """Finds the movement that brings infrared edges onto visible ones.

    A shift found by correlation, refined by OpenCV's ECC (Evangelidis and Psarakis, 2008) on edge strength:
    `translation` has 2 freedoms, `ecc` is affine with 6, `homography` has 8. One plane is aligned; what lies at
    another distance keeps its parallax.

    Args:
        ir_unit: Infrared.
        vis_luma: Visible luma of the same size.
        method: Kind of movement.

    Raises:
        UsageError: OpenCV is not installed.
        InputError: The result cannot be trusted: the edges do not agree afterwards, or the movement is implausible.
    """
    cv2 = _opencv()
    start = np.eye(3)
    shift = find_shift(ir_unit, vis_luma)
    start[:2, 2] = -shift.cols, -shift.rows
    scale = min(1.0, _LONG_SIDE_align / max(ir_unit.shape))
    edges = [edge_strength(shrink(image, _LONG_SIDE_align)).astype(np.float32) for image in (ir_unit, vis_luma)]
    candidates = [np.eye(3), start]
    candidates += [found for first in (start, np.eye(3)) for found in _refined(cv2, *edges, first, scale, method)]
    best = max(candidates, key=lambda h: _agreement(ir_unit, vis_luma, h))
    moved, _ = warp(ir_unit, best, *vis_luma.shape)
    left, farthest = find_shift(moved, vis_luma), _corner_movement(best, *vis_luma.shape)
    diagonal = float(np.hypot(*vis_luma.shape))
    trusted = left.score >= MIN_CONFIDENCE and left.length <= max(2.0, _LEFT_OVER * diagonal)
    if not trusted or farthest > _FARTHEST * diagonal:
        raise InputError(
            f"alignment ({method}) is not trusted: confidence {left.score:.1f} of {MIN_CONFIDENCE:g} needed, "
            f"{left.length:.0f} px left over, corners moved {farthest:.0f} px.",
            "Use --calibration with a measured homography, or --align none.",
        )
    return Alignment(best, left.score, farthest)


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise UsageError("--align needs OpenCV, which is not installed.", "pip install 'camfuse-jax[align]'") from error
    return cv2


def _refined(cv2: Any, ir: np.ndarray, vis: np.ndarray, start: Homography, scale: float, method: AlignMethod):
    """Homographies from one start, first the shift alone, then the asked-for freedom; none where ECC diverges."""
    grow = np.diag([1 / scale, 1 / scale, 1.0])
    current = np.linalg.inv(np.linalg.inv(grow) @ start @ grow)  # ECC maps visible pixels to infrared ones
    kinds = [cv2.MOTION_TRANSLATION]
    kinds += {"translation": [], "ecc": [cv2.MOTION_AFFINE]}.get(method, [cv2.MOTION_AFFINE, cv2.MOTION_HOMOGRAPHY])
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _STEPS, _EPSILON)
    for kind in kinds:
        given = current if kind == cv2.MOTION_HOMOGRAPHY else current[:2]
        try:
            _, found = cv2.findTransformECC(vis, ir, given.astype(np.float32), kind, criteria, None, 5)
        except cv2.error:  # did not converge: not an error of ours, there is just no candidate
            return
        current = np.vstack([found, [0, 0, 1]]) if len(found) == 2 else found
        current = current.astype(np.float64) / current[2, 2]
        if abs(np.linalg.det(current)) < 0.1:
            return
        yield grow @ np.linalg.inv(current) @ np.linalg.inv(grow)


def _agreement(ir: np.ndarray, vis: np.ndarray, homography: Homography) -> float:
    """Correlation of both images' edge strength where both show something."""
    moved, valid = warp(ir, homography, *vis.shape)
    if valid.mean() < 0.3:
        return -1.0
    a, b = edge_strength(np.where(valid, moved, moved[valid].mean()))[valid], edge_strength(vis)[valid]
    spread = a.std() * b.std()
    return float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread > 1e-12 else -1.0


def _corner_movement(homography: Homography, height: int, width: int) -> float:
    corners = np.array([[0, 0, 1], [width - 1, 0, 1], [0, height - 1, 1], [width - 1, height - 1, 1]], np.float64).T
    x, y, z = homography @ corners
    if np.any(z <= 0):
        return float("inf")
    return float(np.hypot(x / z - corners[0], y / z - corners[1]).max())
