"""Alignment of an infrared image to a visible one, refused where it cannot be trusted."""

from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.frames.registration import edge_strength, find_shift, shrink
from camfuse_jax.frames.warp import Homography, warp

Method = Literal["none", "translation", "ecc", "homography"]
MIN_CONFIDENCE = 5.0
_LONG_SIDE = 640
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


def align(ir_unit: Float[np.ndarray, "h w"], vis_luma: Float[np.ndarray, "h w"], method: Method) -> Alignment:
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
    scale = min(1.0, _LONG_SIDE / max(ir_unit.shape))
    edges = [edge_strength(shrink(image, _LONG_SIDE)).astype(np.float32) for image in (ir_unit, vis_luma)]
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


def _refined(cv2: Any, ir: np.ndarray, vis: np.ndarray, start: Homography, scale: float, method: Method):
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
