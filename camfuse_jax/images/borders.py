"""Borders of one constant value around a picture: frames, bars, and the corners that a warp leaves empty."""

import numpy as np
from jaxtyping import Bool, Int, Num

_SPECK = 16  # pixels
_FRAME_SHARE, _SCENE_SHARE, _BENT_SHARE, _EXACT_SHARE = 0.02, 0.25, 0.03, 0.85
_THIN_SHARE = 0.7  # as `_EXACT_SHARE`, where no block is border alone
_JPEG_LEVELS = (8, 16, 32, 48)  # by which JPEG changes a flat area in the block that holds an edge
_LINE_SHARE = 0.995  # of a line of a frame
_TOUCHED = 0.3  # of a frame's inner edge; an object before a white backdrop touches less of its outline
_BLOCKS = (8, 16)  # of JPEG; where it stores color at half size, an edge is felt in 16 x 16 pixels
_CORNERS = ((0, 0), (0, -1), (-1, 0), (-1, -1))


def find_border(flat: Num[np.ndarray, "h w c"]) -> Bool[np.ndarray, "h w"] | None:
    """Where a border of one constant value lies around a convex scene, or None.

    A saturated sky is constant to the edge too, but what is left below it is not convex, unless a frame of the same
    value is around both. Beside an edge, JPEG moves the pixels of a border: the amount is allowed that leaves the
    straightest edge, if the blocks that hold nothing but border are constant.
    """
    if min(flat.shape[:2]) < 16:
        return None
    seen = list[np.ndarray]()
    for row, col in _CORNERS:
        down, right = (slice(8) if at == 0 else slice(-8, None) for at in (row, col))
        edges = np.concatenate([flat[row, right], flat[down, col]]).astype(np.float64)
        value = np.median(edges, axis=0)
        known = any(np.array_equal(value, other) for other in seen)
        if known or np.mean(_near(edges, value, _JPEG_LEVELS[0])) < _EXACT_SHARE:
            continue
        seen.append(value)
        exact = _near(flat, value, 1)
        if exact.mean() < _FRAME_SHARE / 4:
            continue
        slacks = _JPEG_LEVELS if flat.dtype == np.uint8 else (0,)
        found = [_rectangle(_near(flat, value, slacks[-1]))]
        found.append(_around_convex(_near(flat, value, slacks[0]), slacks[0]))
        if slacks[0] and _is_constant(found[-1][1], exact):  # else it is with no other slack
            found += [_around_convex(_near(flat, value, slack), slack) for slack in slacks[1:]]
        kept = [pair for pair in found if pair[0] < np.inf and (not slacks[0] or _is_constant(pair[1], exact))]
        if kept:
            return min(kept, key=lambda pair: pair[0])[1]
    return None


def _near(values: Num[np.ndarray, "*n c"], value: np.ndarray, slack: int) -> Bool[np.ndarray, "*n"]:
    near = np.ones(values.shape[:-1], bool)
    for channel, middle in enumerate(value):
        near &= (values[..., channel] >= middle - slack) & (values[..., channel] <= middle + slack)
    return near


def _is_constant(outside: Bool[np.ndarray, "h w"], exact: Bool[np.ndarray, "h w"]) -> bool:
    """Whether the blocks inside a border are constant; a smooth sky or a backdrop is not."""
    for side in _BLOCKS:
        rows, cols = (np.arange(0, length, side) for length in outside.shape)
        cells = [np.add.reduceat(np.add.reduceat(mask, rows, 0, int), cols, 1) for mask in (outside, exact)]
        sizes = np.outer(np.diff(rows, append=outside.shape[0]), np.diff(cols, append=outside.shape[1]))
        whole = cells[0] == sizes
        if not whole.any():  # so thin that each block holds an edge
            return bool(outside.any() and exact[outside].mean() >= _THIN_SHARE)
        if cells[1][whole].sum() >= _EXACT_SHARE * sizes[whole].sum():
            return True
    return False


def _around_convex(same: Bool[np.ndarray, "h w"], slack: int) -> tuple[float, Bool[np.ndarray, "h w"]]:
    """How many pixels the rest lacks to be convex, infinite for too many, and what of `same` hangs with the corners."""
    from scipy import ndimage

    labels = np.empty(same.shape, np.int32)
    ndimage.label(same, output=labels)
    outside = np.isin(labels, list({int(labels[at]) for at in _CORNERS} - {0}))
    if slack:  # single pixels that JPEG moved farther than that
        ndimage.label(~outside, output=labels)
        outside |= np.bincount(labels.ravel())[labels] < _SPECK
    scene = ~outside
    count = int(scene.sum())
    if outside.mean() < _FRAME_SHARE or count < _SCENE_SHARE * scene.size:
        return np.inf, outside
    rows = np.flatnonzero(scene.any(1))
    first, last = scene[rows].argmax(1), same.shape[1] - 1 - scene[rows, ::-1].argmax(1)
    holes = int(np.sum(last - first + 1)) - count
    bent = holes + _dents(rows, first) + _dents(rows, -last)
    return (bent if bent <= _BENT_SHARE * outside.sum() else np.inf), outside


def _rectangle(same: Bool[np.ndarray, "h w"]) -> tuple[float, Bool[np.ndarray, "h w"]]:
    """As `_around_convex` for a frame with four straight sides, whatever touches these from inside."""
    rows, cols = (np.flatnonzero(same.mean(axis) < _LINE_SHARE) for axis in (1, 0))
    outside = np.ones(same.shape, bool)
    if not rows.size or not cols.size:
        return np.inf, outside
    inner = slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)
    outside[inner] = False
    ends = rows[0], same.shape[0] - 1 - rows[-1], cols[0], same.shape[1] - 1 - cols[-1]
    within = same[inner]
    touched = 1 - np.concatenate([within[0], within[-1], within[:, 0], within[:, -1]]).mean()
    fits = min(ends) > 0 and touched >= _TOUCHED and _FRAME_SHARE <= outside.mean() <= 1 - _SCENE_SHARE
    return (_BENT_SHARE * outside.sum() if fits else np.inf), outside  # rather a convex scene where there is one


def _dents(rows: Int[np.ndarray, " n"], edge: Int[np.ndarray, " n"]) -> float:
    """Pixels that a left edge lacks to be convex; the steps of a slanted line are no dents."""
    from scipy.spatial import ConvexHull

    if len(rows) < 3:
        return 0.0
    far = 2 * (abs(edge).max() + 1)
    points = np.stack([np.append(rows, rows[[0, -1]]), np.append(edge, [far, far])], 1)
    corners = np.sort(ConvexHull(points).vertices)
    corners = corners[corners < len(rows)]
    return float(np.floor(edge - np.interp(rows, rows[corners], edge[corners]) + 1e-6).sum())
