"""Homographies from infrared to visible pixels: read from files, and measured on a board or on matched points."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

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
        else:
            grid = cv2.CALIB_CB_SYMMETRIC_GRID if board.kind == "circles" else cv2.CALIB_CB_ASYMMETRIC_GRID
            found, points = cv2.findCirclesGrid(levels, size, flags=grid | cv2.CALIB_CB_CLUSTERING)
        if found:
            return points.reshape(-1, 2).astype(np.float64)
    return None


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

    Commas, semicolons or tabs apart the columns; decimal commas only beside semicolons or tabs.

    Raises:
        InputError: The table cannot be read or a cell is no number.
    """
    lines = [line for line in _text(path).splitlines() if line.strip(" ,;\t")]
    apart = max(";\t,", key=lines[0].count) if lines else ","
    rows = [[cell.strip().strip('"') for cell in line.split(apart)] for line in lines]
    header = [name.lower().replace(" ", "_") for name in rows[0]] if rows else []
    absent = [name for name in POINT_COLUMNS if name not in header]
    if absent:
        shown = ", ".join(header[:8]) or "none"
        raise InputError(f"{path}: columns {', '.join(absent)} are missing; found {shown}.", "Name them in row 1.")
    at = [header.index(name) for name in POINT_COLUMNS]
    try:
        cells = [[row[index] if apart == "," else row[index].replace(",", ".") for index in at] for row in rows[1:]]
        values = np.array(cells, np.float64).reshape(-1, 4)
    except (ValueError, IndexError) as error:
        raise InputError(f"{path}: a row does not hold four numbers: {error}.", "Check the table.") from error
    if not np.isfinite(values).all() or np.abs(values).max(initial=0) > 1e6:
        raise InputError(f"{path}: a number is no position in an image.", "Give pixels from the upper left corner.")
    return values[:, :2], values[:, 2:]


def read_homography(path: Path) -> Homography:
    """Reads a 3 x 3 matrix that maps infrared pixels to visible ones.

    Args:
        path: `.json` (three rows of three numbers, or an object that holds them as `homography`) or text of nine
            numbers apart by blanks, commas or line ends.

    Raises:
        InputError: The file is absent or holds no invertible 3 x 3 matrix.
    """
    cure = "Write nine numbers, row by row, or measure them with camfuse calibrate."
    text = _text(path)
    try:
        if path.suffix.lower() == ".json":
            value = json.loads(text)
            value = value.get("homography") if isinstance(value, dict) else value
            matrix = np.array(value, np.float64)
        else:
            matrix = np.array([float(word) for word in text.replace(",", " ").split()]).reshape(3, 3)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(f"{path} holds no 3 x 3 homography: {str(error).splitlines()[0]}.", cure) from error
    # Pixels are some thousands; beyond this range products of such numbers are no numbers any more.
    usual = np.isfinite(matrix).all() and np.abs(matrix).max(initial=0) < 1e12
    if matrix.shape != (3, 3) or not usual or abs(np.linalg.det(matrix)) < 1e-12:
        raise InputError(f"{path} holds no invertible 3 x 3 homography.", cure)
    return matrix / matrix[2, 2] if matrix[2, 2] else matrix


def _text(path: Path) -> str:
    """A small text file; UTF-16 and a byte order mark, as Excel writes them, are understood."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST} bytes")
        return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}.", "Check the path and the file.") from error
