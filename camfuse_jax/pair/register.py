"""Bringing the infrared image onto the visible one: resizing, warping, looking for a shift, alignment by edges.

Masks say which pixels show the scene; None means all. What a mask leaves out has no say in what is found.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image
from scipy import fft, ndimage

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.pair.options import AlignMethod

MIN_CONFIDENCE = 5.0
_LONG_SIDE, _ALIGN_SIDE = 512, 640  # pixels at which shifts and movements are looked for
_STEPS, _EPSILON = 60, 1e-5
_FARTHEST = 0.25  # of the diagonal, by which a corner may move
_LEFT_OVER = 0.01  # of the diagonal, shift that may remain
_BORDER = 4  # pixels beside what a mask leaves out whose edge strength is not trusted

Image2d = Float[np.ndarray, "h w"]
Mask = Bool[np.ndarray, "h w"] | None
Homography = Float[np.ndarray, "3 3"]


def resize(image: Float[np.ndarray, "h w *c"], height: int, width: int) -> Float[np.ndarray, "a b *c"]:
    """Bicubic resampling, averaging where it shrinks, cut off to [0, 1]."""
    if image.shape[:2] == (height, width):
        return image
    size = (width, height)
    return np.clip(_by_plane(image, lambda p: Image.fromarray(p).resize(size, Image.Resampling.BICUBIC)), 0, 1)


def warp(
    image: Float[np.ndarray, "h w *c"], homography: Homography, height: int, width: int, *, order: int = 3
) -> tuple[Float[np.ndarray, "a b *c"], Bool[np.ndarray, "a b"]]:
    """Moves an image by a homography, with splines.

    Args:
        image: Values in [0, 1].
        homography: Maps a pixel (x, y, 1) of the image to a pixel of the result; pixel centers are whole numbers, as
            in OpenCV.
        height: Of the result.
        width: Of the result.
        order: Of the splines.

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
    at = np.stack([np.where(inside, y, 0), np.where(inside, x, 0)])
    # Splines, not Pillow's bicubic transform: that one bends straight ramps by a tenth of a pixel.
    moved = _by_plane(image, lambda p: ndimage.map_coordinates(p, at, order=order, mode="nearest"))
    return np.where(inside.reshape(inside.shape + (1,) * (image.ndim - 2)), np.clip(moved, 0, 1), 0), inside


def resize_mask(mask: Mask, height: int, width: int) -> Mask:
    """A mask resized like its image; a pixel counts only where all that it is made of does."""
    return None if mask is None else resize(mask.astype(np.float32), height, width) > 0.999


def warp_mask(mask: Mask, homography: Homography, height: int, width: int) -> Mask:
    """A mask moved like its image; a pixel counts only where all that it is made of does."""
    return None if mask is None else warp(mask.astype(np.float32), homography, height, width, order=1)[0] > 0.999


def both(one: Mask, other: Mask) -> Mask:
    """Where both masks hold."""
    return other if one is None else one if other is None else one & other


def fill_nearest(image: Float[np.ndarray, "h w *c"], mask: Mask) -> Float[np.ndarray, "h w *c"]:
    """The image with the nearest pixel that counts in place of each that does not: no edge, and nothing to smear."""
    if mask is None or mask.all() or not mask.any():
        return image
    rows, cols = np.asarray(ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True))
    return image[rows, cols]


def _by_plane(image: np.ndarray, function: Any) -> np.ndarray:
    planes = [image] if image.ndim == 2 else np.moveaxis(image, -1, 0)
    arrays = [np.asarray(function(np.ascontiguousarray(plane, np.float32))) for plane in planes]
    return arrays[0] if image.ndim == 2 else np.stack(arrays, axis=-1)


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


def shrink(image: Image2d, long_side: int) -> Float[np.ndarray, "a b"]:
    """The image at no more than `long_side` pixels, averaged, not sampled."""
    longest = max(image.shape)
    if longest <= long_side:
        return np.asarray(image, np.float32)
    size = [max(1, round(length * long_side / longest)) for length in image.shape[::-1]]
    return np.asarray(Image.fromarray(np.asarray(image, np.float32)).resize(size, Image.Resampling.BOX))


def shrink_mask(mask: Mask, long_side: int) -> Mask:
    """A mask at the size of `shrink`; a pixel counts only where all that it is made of does."""
    return None if mask is None else shrink(mask, long_side) > 0.999


def edge_strength(image: Image2d, mask: Mask = None, *, sigma: float = 1.5) -> Image2d:
    """Gradient magnitude, which both cameras share even where one is bright and the other dark.

    Compressed by a square root so that a few strong edges do not decide alone, and free of its local mean. 0 beside
    and outside what the mask holds.
    """
    strength = np.sqrt(ndimage.gaussian_gradient_magnitude(fill_nearest(np.asarray(image, np.float64), mask), sigma))
    strength -= ndimage.gaussian_filter(strength, 8 * sigma)
    if mask is not None:
        strength[np.logical_not(ndimage.binary_erosion(mask, iterations=_BORDER, border_value=1))] = 0
    return strength


def _edges(image: Image2d, mask: Mask, long_side: int) -> Float[np.ndarray, "a b"]:
    return edge_strength(shrink(image, long_side), shrink_mask(mask, long_side))


def find_shift(
    ir_unit: Image2d, vis_luma: Image2d, *, ir_valid: Mask = None, vis_valid: Mask = None, reach: float = 0.15
) -> Shift:
    """The shift at which the edges of both images agree best.

    Args:
        ir_unit: Infrared.
        vis_luma: Visible luma of the same size.
        ir_valid: Where the infrared image shows the scene.
        vis_valid: Where the visible one does.
        reach: Largest shift, as a share of each side.
    """
    ir, vis = _edges(ir_unit, ir_valid, _LONG_SIDE), _edges(vis_luma, vis_valid, _LONG_SIDE)
    scale = ir_unit.shape[0] / ir.shape[0]
    norm = np.sqrt(np.sum(ir**2) * np.sum(vis**2))
    if norm < 1e-9 or min(ir.shape) < 16:
        return Shift(0.0, 0.0, 0.0, 0.0)
    shape = [fft.next_fast_len(2 * length) for length in ir.shape]
    spectrum = np.asarray(fft.rfft2(ir, shape)) * np.conj(np.asarray(fft.rfft2(vis, shape)))
    surface = np.asarray(fft.fftshift(np.asarray(fft.irfft2(spectrum, shape)))) / norm
    center = [length // 2 for length in surface.shape]
    half = [max(2, int(reach * length)) for length in ir.shape]
    window = surface[center[0] - half[0] : center[0] + half[0] + 1, center[1] - half[1] : center[1] + half[1] + 1]
    row, col = np.unravel_index(int(window.argmax()), window.shape)
    score = (window[row, col] - window.mean()) / (window.std() + 1e-12)
    gain = window[row, col] - window[half[0], half[1]]
    return Shift((row - half[0]) * scale, (col - half[1]) * scale, float(score), float(gain))


class Alignment(NamedTuple):
    """How to move the infrared image.

    Attributes:
        homography: Maps infrared pixels to visible ones.
        confidence: Peak of the edge correlation after moving, in standard deviations (`Shift.score`).
        moved: Largest movement of a corner in pixels.
    """

    homography: Homography
    confidence: float
    moved: float


def align(
    ir_unit: Image2d, vis_luma: Image2d, method: AlignMethod, *, ir_valid: Mask = None, vis_valid: Mask = None
) -> Alignment:
    """Finds the movement that brings infrared edges onto visible ones.

    A shift found by correlation, refined by OpenCV's ECC (Evangelidis and Psarakis, 2008) on edge strength:
    `translation` has 2 freedoms, `ecc` is affine with 6, `homography` has 8. One plane is aligned; what lies at
    another distance keeps its parallax.

    Raises:
        UsageError: OpenCV is not installed.
        InputError: The result cannot be trusted: the edges do not agree afterwards, or the movement is implausible.
    """
    cv2 = load_opencv("--align")
    begin = np.eye(3)
    shift = find_shift(ir_unit, vis_luma, ir_valid=ir_valid, vis_valid=vis_valid)
    begin[:2, 2] = -shift.cols, -shift.rows
    scale = min(1.0, _ALIGN_SIDE / max(ir_unit.shape))
    edges = [_edges(ir_unit, ir_valid, _ALIGN_SIDE), _edges(vis_luma, vis_valid, _ALIGN_SIDE)]
    ir, vis = (image.astype(np.float32) for image in edges)
    candidates = [np.eye(3), begin]
    candidates += [refined for first in (begin, np.eye(3)) for refined in _refined(cv2, ir, vis, first, scale, method)]

    def moved_by(homography: Homography) -> tuple[Image2d, Bool[np.ndarray, "h w"]]:
        image, inside = warp(ir_unit, homography, *vis_luma.shape)
        mask = warp_mask(ir_valid, homography, *vis_luma.shape)
        return image, inside if mask is None else inside & mask

    best = max(candidates, key=lambda homography: _agreement(*moved_by(homography), vis_luma, vis_valid))
    moved, valid = moved_by(best)
    left = find_shift(moved, vis_luma, ir_valid=valid, vis_valid=vis_valid)
    farthest, diagonal = _corner_movement(best, *vis_luma.shape), float(np.hypot(*vis_luma.shape))
    trusted = left.score >= MIN_CONFIDENCE and left.length <= max(2.0, _LEFT_OVER * diagonal)
    if not trusted or farthest > _FARTHEST * diagonal:
        raise InputError(
            f"alignment ({method}) is not trusted: confidence {left.score:.1f} of {MIN_CONFIDENCE:g} needed, "
            f"{left.length:.0f} px left over, corners moved {farthest:.0f} px.",
            "Use --calibration with a measured homography, or --align none.",
        )
    return Alignment(best, left.score, farthest)


def load_opencv(what: str) -> Any:
    """The module `cv2`.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise UsageError(f"{what} needs OpenCV, which is not installed.", "pip install 'camfuse-jax[align]'") from error
    return cv2


def _refined(cv2: Any, ir: np.ndarray, vis: np.ndarray, begin: Homography, scale: float, method: AlignMethod):
    """Homographies from one beginning, first the shift alone, then with the method's freedoms, until ECC diverges."""
    grow = np.diag([1 / scale, 1 / scale, 1.0])
    current = np.linalg.inv(np.linalg.inv(grow) @ begin @ grow)  # ECC maps visible pixels to infrared ones
    kinds = [cv2.MOTION_TRANSLATION]
    kinds += {"translation": [], "ecc": [cv2.MOTION_AFFINE]}.get(method, [cv2.MOTION_AFFINE, cv2.MOTION_HOMOGRAPHY])
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _STEPS, _EPSILON)
    for kind in kinds:
        first = current if kind == cv2.MOTION_HOMOGRAPHY else current[:2]
        try:
            _, matrix = cv2.findTransformECC(vis, ir, first.astype(np.float32), kind, criteria, None, 5)
        except cv2.error:  # did not converge: not an error of ours, there is just no candidate
            return
        current = np.vstack([matrix, [0, 0, 1]]) if len(matrix) == 2 else matrix
        current = current.astype(np.float64) / current[2, 2]
        if abs(np.linalg.det(current)) < 0.1:
            return
        yield grow @ np.linalg.inv(current) @ np.linalg.inv(grow)


def _agreement(moved: np.ndarray, valid: np.ndarray, vis: np.ndarray, vis_valid: Mask) -> float:
    """Correlation of both images' edge strength where both show something."""
    valid = valid if vis_valid is None else valid & vis_valid
    if valid.mean() < 0.3:
        return -1.0
    a, b = edge_strength(moved, valid)[valid], edge_strength(vis, valid)[valid]
    spread = a.std() * b.std()
    return float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread > 1e-12 else -1.0


def _corner_movement(homography: Homography, height: int, width: int) -> float:
    corners = np.array([[0, 0, 1], [width - 1, 0, 1], [0, height - 1, 1], [width - 1, height - 1, 1]], np.float64).T
    x, y, z = homography @ corners
    if np.any(z <= 0):
        return float("inf")
    return float(np.hypot(x / z - corners[0], y / z - corners[1]).max())
