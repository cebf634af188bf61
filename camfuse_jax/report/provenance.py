"""What came from where: the share of infrared and of visible in a fused image, measured from the images alone.

Nothing is asked of the method that fused, so that the maps of any two methods can be compared. The gradient of the
fusion with respect to its sources would need the method itself, and says what a change would do, not what is there.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike
from scipy import ndimage

from camfuse_jax.errors import InputError

SIGMA = 3.0
"""Standard deviation of the Gaussian window, pixels: details of the size of a person's head in these pictures."""

_FADES_BELOW = 4.0  # levels; two sources that are nearer to each other than this leave the share to rounding


class Provenance(NamedTuple):
    """Where each place of a fused image comes from. All maps have the image's size.

    Attributes:
        share: s, the part of infrared in the local mix: 1 is all infrared, 0 all visible, 0.5 both alike.
        detail_share: Part of infrared in the local contrast: s times the infrared image's local standard deviation,
            over that and (1 - s) times the visible one's. 0.5 where neither has any.
        certainty: In [0, 1). Near 0 where the sources are alike, so that the share has no meaning.
        residual: Root mean square, in levels, of what no mix of the two explains.
    """

    share: Float64[np.ndarray, "h w"]
    detail_share: Float64[np.ndarray, "h w"]
    certainty: Float64[np.ndarray, "h w"]
    residual: Float64[np.ndarray, "h w"]


def provenance(ir: ArrayLike, vis: ArrayLike, fused: ArrayLike, *, sigma: float = SIGMA) -> Provenance:
    """Measures the share of both sources in a fused image.

    In a Gaussian window w around each pixel, s is the least-squares solution of fused = s ir + (1 - s) vis:
    s = sum w (fused - vis)(ir - vis) / sum w (ir - vis)^2, cut to [0, 1]. Levels and details count alike. So a copy of
    infrared gives 1, a copy of visible 0 and the average 0.5, exactly and wherever the sources differ at all; where
    they do not, s is 0.5 and its certainty 0. Certainty is D / (D + 16) with D the window's mean squared difference
    of the sources in levels.

    Images are gray (h, w), levels 0 to 255, mirrored at the border; InputError if they differ in shape.
    """
    ir, vis, fused = (np.asarray(image, np.float64) for image in (ir, vis, fused))
    if not ir.shape == vis.shape == fused.shape or ir.ndim != 2 or ir.size == 0:
        raise InputError(
            f"ir is {ir.shape}, vis is {vis.shape}, fused is {fused.shape}.", "Give three gray images of one size."
        )

    def local(values: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(values, sigma, mode="mirror")

    difference = ir - vis
    squared = local(difference**2)
    raw = local((fused - vis) * difference)
    differ = squared > 1e-9
    share = np.clip(np.where(differ, raw / np.where(differ, squared, 1.0), 0.5), 0.0, 1.0)
    from_ir, from_vis = share * _contrast(ir, local), (1 - share) * _contrast(vis, local)
    both = from_ir + from_vis
    detail = np.where(both > 1e-6, from_ir / np.where(both > 1e-6, both, 1.0), 0.5)
    unexplained = local((fused - share * ir - (1 - share) * vis) ** 2)
    certainty = squared / (squared + _FADES_BELOW**2)
    return Provenance(share, detail, certainty, np.sqrt(np.maximum(unexplained, 0.0)))


def _contrast(image: np.ndarray, local) -> np.ndarray:
    """Local standard deviation, about the window's own mean."""
    variance = local(image**2) - local(image) ** 2
    return np.sqrt(np.where(variance > 1e-6, variance, 0.0))  # below: rounding of the difference of two large numbers
