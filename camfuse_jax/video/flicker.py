"""Brightness of a video that does not pump: what neither camera sees change, does not change."""

import math

import numpy as np
from jaxtyping import Float

_BLOCK = 16  # pixels; means over a block are almost free of noise
_UNCHANGED = 0.01  # of the scale, by which a block's mean may move in either source
_LEAST = 0.1  # share of blocks that have to be unchanged
_SECONDS = 5.0
_SURE = 3.0  # standard errors of a median beyond which it is a jump


class SteadyLight:
    """Takes out jumps of the fused brightness that are due to other parts of the picture.

    Rule `place` sets contrasts around the mean of each image, so something bright that enters shifts everything else.
    Between two frames the median shift over the blocks that both sources show unchanged is such a jump; it is taken
    away, and given back slowly (time constant 5 s), so that nothing adds up over a long video. It keeps one small
    picture of the last frame. Cuts and moving cameras leave no unchanged blocks, and nothing is corrected.

    Args:
        rate: Frames per second.
    """

    def __init__(self, rate: float):
        self._keep = math.exp(-1 / (max(rate, 1e-3) * _SECONDS))
        self._shift = 0.0
        self._last: list[np.ndarray] | None = None

    def __call__(
        self,
        ir_unit: Float[np.ndarray, "h w"],
        vis_luma: Float[np.ndarray, "h w"],
        fused: Float[np.ndarray, "h w"],
    ) -> Float[np.ndarray, "h w"]:
        """The fused luma of the next frame, in [0, 1].

        Args:
            ir_unit: Infrared that it was made of.
            vis_luma: Visible luma that it was made of.
            fused: Fused luma.
        """
        now = [_blocks(image) for image in (ir_unit, vis_luma, fused)]
        if self._last is not None:
            moves = [new - old for new, old in zip(now, self._last, strict=True)]
            same = (np.abs(moves[0]) < _UNCHANGED) & (np.abs(moves[1]) < _UNCHANGED)
            jump = _common(moves[2][same]) if same.mean() >= _LEAST else 0.0
            self._shift = self._keep * self._shift - jump
        self._last = now
        return np.clip(fused + np.float32(self._shift), 0, 1)


def _common(moves: Float[np.ndarray, " n"]) -> float:
    """The median of some moves, 0 where it is no more than their scatter lets expect: noise would add up otherwise."""
    middle = float(np.median(moves))
    scatter = 1.4826 * float(np.median(np.abs(moves - middle)))
    return middle if abs(middle) > _SURE * 1.2533 * scatter / math.sqrt(len(moves)) else 0.0


def _blocks(image: np.ndarray) -> np.ndarray:
    """Means over blocks; what is left over at the right and lower edge is not looked at, unless it is all."""
    size = min(_BLOCK, *image.shape)
    rows, cols = (side // size for side in image.shape)
    cut = image[: rows * size, : cols * size].reshape(rows, size, cols, size)
    return cut.mean(axis=(1, 3), dtype=np.float64)
