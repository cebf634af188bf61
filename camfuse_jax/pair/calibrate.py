"""Homographies from infrared to visible pixels: read from files, and measured on a board or on matched points."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from camfuse_jax.data.tables import read_rows
from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.pair.register import Homography, load_opencv

POINT_COLUMNS = ("ir_x", "ir_y", "vis_x", "vis_y")
BOARDS = ("chess", "circles", "asymmetric")
_LARGEST = 1 << 16  # bytes of a calibration file
_OUTLIER = 3.0  # visible pixels beyond which a point does not take part in the fit

Points = Float[np.ndarray, "n 2"]


class Board(NamedTuple):
    """A calibration board.

    Attributes:
        kind: `chess`, `circles` or `asymmetric` (a grid of circles whose rows are shifted).
        cols: Inner corners, or circles, in a row.
        rows: The same in a column.
    """

    kind: str
    cols: int
    rows: int


class Measured(NamedTuple):
    """A homography and how well it fits.

    Attributes:
        homography: Maps infrared pixels to visible ones.
        errors: Distance of each point from where the homography puts it, in visible pixels.
        used: Which points the fit is made of; the others lie too far off.
        held_out: The root mean square error of each pair where the others alone were fitted; empty for one pair.
    """

    homography: Homography
    errors: Float[np.ndarray, " n"]
    used: Any
    held_out: tuple[float, ...]

    @property
    def rms(self) -> float:
        """Root mean square of the errors of the points in use."""
        return float(np.sqrt(np.mean(self.errors[self.used] ** 2)))

    def as_json(self) -> dict[str, Any]:
        """The content of a calibration file."""
        return {
            "homography": self.homography.tolist(),
            "points": len(self.errors),
            "points_used": int(self.used.sum()),
            "error_px": {
                "rms": round(self.rms, 3),
                "median": round(float(np.median(self.errors)), 3),
                "largest_used": round(float(self.errors[self.used].max()), 3),
                "held_out": [round(value, 3) for value in self.held_out],
            },
        }


def parse_board(text: str) -> Board:
    """Reads `9x6` (inner corners of a chessboard), `circles:7x5` or `asymmetric:4x11`.

    Raises:
        UsageError: It is none of these.
    """
    kind, _, size = text.rpartition(":")
    cols, _, rows = size.partition("x")
    board = Board(kind or "chess", int(cols) if cols.isdecimal() else 0, int(rows) if rows.isdecimal() else 0)
    if board.kind not in BOARDS or not (2 <= board.cols <= 100 and 2 <= board.rows <= 100):
        raise UsageError(f"--board {text} is no board.", "Write 9x6 (inner corners), circles:7x5 or asymmetric:4x11.")
    return board


def find_board(image: UInt8[np.ndarray, "h w"], board: Board) -> Points | None:
    """Corners or centers of a board in an image, row by row; None where it is not found.

    The image is tried as it is and inverted: a heated board is dark where a lit one is bright.
    """
    cv2 = load_opencv("camfuse calibrate")
    size = (board.cols, board.rows)
    for levels in (image, 255 - image):
        levels = np.ascontiguousarray(levels)
        if board.kind == "chess":
            flags = cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_EXHAUSTIVE | cv2.CALIB_CB_ACCURACY
            found, points = cv2.findChessboardCornersSB(levels, size, flags=flags)
            points = _refined_corners(cv2, levels, points, board) if found else points
        else:
            grid = cv2.CALIB_CB_SYMMETRIC_GRID if board.kind == "circles" else cv2.CALIB_CB_ASYMMETRIC_GRID
            found, points = cv2.findCirclesGrid(levels, size, flags=grid | cv2.CALIB_CB_CLUSTERING)
        if found:
            return points.reshape(-1, 2).astype(np.float64)
    return None


def _refined_corners(cv2: Any, levels: np.ndarray, corners: np.ndarray, board: Board) -> np.ndarray:
    """Corners at the saddle points nearby: 0.03 px off on drawn boards; OpenCV's detector alone is 0.15 to 0.4.

    Now and then the detector takes one corner for its neighbor; such a one is put where the others say.
    """
    flat = corners.reshape(-1, 2).astype(np.float32)
    cell = float(np.median(np.hypot(*np.diff(flat.reshape(board.rows, board.cols, 2), axis=1).reshape(-1, 2).T)))
    grid = np.stack(np.meshgrid(np.arange(board.cols), np.arange(board.rows)), -1).reshape(-1, 1, 2).astype(np.float32)
    plane, _ = cv2.findHomography(grid, flat, cv2.RANSAC, cell / 5)
    if plane is not None:
        expected = cv2.perspectiveTransform(grid, plane).reshape(-1, 2)
        wrong = np.hypot(*(flat - expected).T) > cell / 3
        flat = np.where(wrong[:, None], expected, flat).astype(np.float32)
    half = max(2, min(11, int(cell / 4)))  # of the window; another corner must not lie in it
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-3)
    return cv2.cornerSubPix(levels, flat.reshape(-1, 1, 2), (half, half), (-1, -1), criteria)


def same_order(ir: Points, vis: Points, board: Board) -> Points:
    """The infrared points in the order of the visible ones.

    A board is found from any of its ends. Both cameras look the same way up, so of the possible orders the one is
    right whose points lie most alike.
    """
    grid = ir.reshape(board.rows, board.cols, 2)
    turns = (0, 1, 2, 3) if board.cols == board.rows else (0, 2)
    orders = [np.rot90(grid, turn).reshape(-1, 2) for turn in turns]
    orders += [np.rot90(grid[:, ::-1], turn).reshape(-1, 2) for turn in turns]  # an image that is mirrored, too
    return min(orders, key=lambda order: float(np.sum((_normalized(order) - _normalized(vis)) ** 2)))


def measure_homography(pairs: Sequence[tuple[Points, Points]]) -> Measured:
    """The homography that maps infrared points to visible ones; points that lie far off are left out (RANSAC).

    Args:
        pairs: Infrared and visible points, one entry for each pair of images.

    Raises:
        UsageError: OpenCV is not installed.
        InputError: Fewer than four points, or they lie on one line.
    """
    ir, vis = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    homography, used = _fit(ir, vis)
    held_out = []
    for index in range(len(pairs) if len(pairs) > 1 else 0):
        others = [pair for number, pair in enumerate(pairs) if number != index]
        fit, _ = _fit(*(np.concatenate([pair[side] for pair in others]) for side in (0, 1)))
        held_out.append(float(np.sqrt(np.mean(_errors(fit, *pairs[index]) ** 2))))
    return Measured(homography, _errors(homography, ir, vis), used, tuple(held_out))


def _fit(ir: Points, vis: Points) -> tuple[Homography, np.ndarray]:
    cv2 = load_opencv("camfuse calibrate")
    needed = f"A homography needs four points, no three of them on one line; here are {len(ir)}."
    if len(ir) < 4:
        raise InputError(needed, "Give more points or pairs.")
    try:
        homography, used = cv2.findHomography(ir, vis, cv2.RANSAC, _OUTLIER, maxIters=5000, confidence=0.999)
    except cv2.error as error:
        raise InputError(needed, "Check the points.") from error
    if homography is None or used.sum() < 4 or abs(np.linalg.det(homography)) < 1e-9:
        raise InputError(needed, "Check the points: they do not follow one homography.")
    return homography, used.ravel().astype(bool)


def _errors(homography: Homography, ir: Points, vis: Points) -> Float[np.ndarray, " n"]:
    x, y, z = homography @ np.vstack([ir.T, np.ones(len(ir))])
    return np.hypot(x / z - vis[:, 0], y / z - vis[:, 1])


def _normalized(points: Points) -> Points:
    centered = points - points.mean(axis=0)
    return centered / max(float(np.sqrt(np.mean(centered**2))), 1e-9)


def read_points(path: Path) -> tuple[Points, Points]:
    """Reads matched points from a table with the columns ir_x, ir_y, vis_x and vis_y, in pixels from the upper left.

    Raises:
        InputError: The table cannot be read or a cell is no position.
    """
    wanted = f"Give the columns {', '.join(POINT_COLUMNS)}, in pixels from the upper left corner."
    rows = read_rows(path, wanted)
    header = [name.strip().lower().replace(" ", "_") for name in rows[0][1]] if rows else []
    absent = [name for name in POINT_COLUMNS if name not in header]
    if absent:
        shown = ", ".join(header[:8]) or "none"
        raise InputError(f"{path} lacks {', '.join(absent)}; its columns are {shown}.", wanted)
    values = []
    for number, row in rows[1:]:
        cells = [row[at].strip() if at < len(row) else "" for at in map(header.index, POINT_COLUMNS)]
        try:
            values.append([float(cell.replace(",", ".")) for cell in cells])  # a decimal comma, as Excel writes it
        except ValueError as error:
            raise InputError(f"{path} line {number}: {', '.join(cells)} are not four numbers.", wanted) from error
        if not all(abs(value) < 1e6 for value in values[-1]):
            raise InputError(f"{path} line {number} is no position in an image.", wanted)
    points = np.array(values, np.float64).reshape(-1, 4)
    return points[:, :2], points[:, 2:]


def read_homography(path: Path) -> Homography:
    """Reads a 3 x 3 matrix that maps infrared pixels to visible ones.

    Args:
        path: JSON (three rows of three numbers, or an object that holds them as `homography`) or text of nine
            numbers apart by blanks, commas or line ends, whatever the file is called.

    Raises:
        InputError: The file is absent or holds no invertible 3 x 3 matrix.
    """
    cure = "Write nine numbers, row by row, or measure them with camfuse calibrate."
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST} bytes")
        text = content.decode("utf-8-sig")
        if text.lstrip().startswith(("[", "{")):
            value = json.loads(text)
            value = value.get("homography") if isinstance(value, dict) else value
            matrix = np.array(value, np.float64)
        else:
            matrix = np.array([float(word) for word in text.replace(",", " ").split()])
        matrix = matrix.reshape(3, 3) if matrix.size == 9 and matrix.ndim == 1 else matrix
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(f"{path} holds no 3 x 3 homography: {str(error).splitlines()[0]}.", cure) from error
    # Pixels are some thousands; beyond this range products of such numbers are no numbers any more.
    usual = np.isfinite(matrix).all() and np.abs(matrix).max(initial=0) < 1e12
    if matrix.shape != (3, 3) or not usual or abs(np.linalg.det(matrix)) < 1e-12:
        raise InputError(f"{path} holds no invertible 3 x 3 homography.", cure)
    return matrix / matrix[2, 2] if matrix[2, 2] else matrix
