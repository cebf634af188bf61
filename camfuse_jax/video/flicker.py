"""Brightness of a video that does not pump: what a rule takes from whole images is averaged over time."""

import math

import jax
import numpy as np
from scipy import ndimage

from camfuse_jax.fusion.dispatch import Buckets
from camfuse_jax.fusion.forward import Context
from camfuse_jax.fusion.fuse import fusion_context
from camfuse_jax.fusion.params import Params, with_rule
from camfuse_jax.pair.prepare import PreparedPair

_SECONDS = 5.0
_BLOCK = 16  # pixels; means over a block are almost free of noise
_CUT = 0.06  # of the scale: in half of both images' blocks the mean moves by this only where a new shot begins


def steady_params(params: Params) -> Params:
    """The weights without the class-activation score in rule `spatial`, as videos are fused.

    Its small channels weigh noise anew in each frame: blocks of a static, noisy scene jumped by up to 45 gray levels
    with it, by 4 without.
    """
    return with_rule(params, None, {"spatial.class_score": 0.0})


class FlickerControl:
    """Keeps the context of a video's frames steady.

    A rule sets contrasts around the mean of each image, and chooses by the noise it finds, so something bright that
    enters would shift everything else. The context of earlier frames (time constant 5 s) takes the place of each
    frame's own; at a cut it begins anew.

    Args:
        params: Weights.
        rate: Frames per second.
        buckets: As for `fuse`.
    """

    def __init__(self, params: Params, rate: float, buckets: Buckets | None = None):
        self._params, self._buckets = params, buckets
        self._keep = math.exp(-1 / (max(rate, 1e-3) * _SECONDS))
        self._context: Context | None = None
        self._blocks: list[np.ndarray] = []

    def __call__(self, pair: PreparedPair) -> Context:
        """The context by which the next pair is to be fused."""
        ir, luma = _scene_of(pair)
        blocks = [_block_means(image) for image in (pair.ir_unit, pair.luma)]
        moved = [np.median(np.abs(new - old)) for new, old in zip(blocks, self._blocks, strict=False)]
        cut, self._blocks = not moved or min(moved) > _CUT, blocks
        now = jax.tree.map(np.asarray, fusion_context(self._params, ir, luma, buckets=self._buckets))
        if self._context is not None and not cut:
            keep = np.float32(self._keep)
            now = jax.tree.map(lambda old, new: keep * old + (1 - keep) * new, self._context, now)
        self._context = now
        return now


def _scene_of(pair: PreparedPair) -> tuple[np.ndarray, np.ndarray]:
    """Both images within the box that shows the scene; what is left out there has the mean of the rest."""
    if pair.valid is None or not pair.valid.any():
        return pair.ir_unit, pair.luma
    (box,) = ndimage.find_objects(pair.valid.astype(np.uint8))
    valid = pair.valid[box]
    ir, luma = (np.where(valid, image[box], image[box][valid].mean()) for image in (pair.ir_unit, pair.luma))
    return ir, luma


def _block_means(image: np.ndarray) -> np.ndarray:
    size = min(_BLOCK, *image.shape)
    rows, cols = (side // size for side in image.shape)
    bands = image[: rows * size].reshape(rows, size, -1).sum(axis=1, dtype=np.float64)  # rows first: whole vectors
    return bands[:, : cols * size].reshape(rows, cols, size).sum(axis=2) / size**2
