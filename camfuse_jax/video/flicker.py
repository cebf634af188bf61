"""Brightness of a video that does not pump: what a rule takes from whole images is averaged over time."""

import math

import jax
import numpy as np
from scipy import ndimage

from camfuse_jax.fusion.dispatch import Buckets
from camfuse_jax.fusion.forward import Context
from camfuse_jax.fusion.fuse import fusion_context
from camfuse_jax.fusion.params import Params
from camfuse_jax.pair.prepare import PreparedPair

_SECONDS = 5.0
_CUT = 0.06  # of the scale: both images' means move by this from one frame to the next only where a new shot begins


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
        self._means: np.ndarray | None = None

    def __call__(self, pair: PreparedPair) -> Context:
        """The context by which the next pair is to be fused."""
        ir, luma = _scene_of(pair)
        means = np.array([ir.mean(dtype=np.float64), luma.mean(dtype=np.float64)])
        cut = self._means is None or bool(np.all(np.abs(means - self._means) > _CUT))
        self._means = means
        now = jax.tree.map(np.asarray, fusion_context(self._params, ir, luma, buckets=self._buckets))
        if self._context is None or cut:
            self._context = now
        else:
            keep = np.float32(self._keep)
            self._context = jax.tree.map(lambda old, new: keep * old + (1 - keep) * new, self._context, now)
        return self._context


def _scene_of(pair: PreparedPair) -> tuple[np.ndarray, np.ndarray]:
    """Both images within the box that shows the scene; what is left out there has the mean of the rest."""
    if pair.valid is None or not pair.valid.any():
        return pair.ir_unit, pair.luma
    (box,) = ndimage.find_objects(pair.valid.astype(np.uint8))
    valid = pair.valid[box]
    return tuple(np.where(valid, image[box], image[box][valid].mean()) for image in (pair.ir_unit, pair.luma))
