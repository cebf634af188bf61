"""An energy-based pointing game: how much of a map lies on the warm targets (Wang et al., Score-CAM, 2020).

The targets are those of the picture measures KEPT and INVERTED. A map that knows nothing of them has the share of the
area that they take; a map that points at them has more.
"""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from camfuse_jax import cam
from camfuse_jax.config import Modality
from camfuse_jax.fusion.dispatch import Buckets, run_by_size
from camfuse_jax.fusion.forward import encode, to_unit
from camfuse_jax.fusion.fuse import explain
from camfuse_jax.fusion.params import Params
from camfuse_jax.metrics.picture import find_targets
from camfuse_jax.nets.layers import SHRINK, Size

MAPS = ("CAM", "CAAM", "class score", "brightness")
"""Maps of the infrared image that are compared: Eq. 14, Eq. 13, class weights on the encoder, the image itself."""


def target_mask(ir: UInt8[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The pixels of the warm targets as `metrics.picture` finds them."""
    mask = np.zeros(ir.shape, bool)
    for target in find_targets(ir.astype(np.float64)):
        mask[target.window] |= target.body
    return mask


def energy_share(heat: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"]) -> float:
    """Share of a map's sum that lies in a mask; of a map that is zero everywhere, the mask's share of the area.

    Args:
        heat: Map that is not negative, such as one from `cam.min_max`.
        mask: Where the targets are.
    """
    total = float(heat.sum(dtype=np.float64))
    return float(heat[mask].sum(dtype=np.float64)) / total if total > 0 else float(mask.mean())


def infrared_maps(
    params: Params, ir: UInt8[np.ndarray, "h w"], vis: UInt8[np.ndarray, "h w"], *, buckets: Buckets | None = None
) -> dict[str, Float[np.ndarray, "h w"]]:
    """The maps of `MAPS` for the infrared image of a pair, each scaled to [0, 1] by its own extremes.

    Args:
        params: Weights; no map depends on their fusion rule.
        ir: Infrared image.
        vis: Visible image; no map depends on it.
        buckets: Programs for sizes that are known beforehand.
    """
    explained = explain(params, ir, vis, buckets=buckets)
    cells = np.asarray(run_by_size(_class_score, params, ir, buckets=buckets))
    margin, (rows, cols) = params.net.margin, ir.shape
    score = cells.repeat(SHRINK, axis=0).repeat(SHRINK, axis=1)[margin : margin + rows, margin : margin + cols]
    images = np.stack([score, ir.astype(np.float32)])
    score, brightness = np.asarray(cam.min_max(jnp.asarray(images)))
    maps = (np.asarray(explained.ir_cam[0]), np.asarray(explained.ir_caam[0]), score, brightness)
    return dict(zip(MAPS, maps, strict=True))


def pointing(
    params: Params, ir: UInt8[np.ndarray, "h w"], vis: UInt8[np.ndarray, "h w"], *, buckets: Buckets | None = None
) -> Mapping[str, float] | None:
    """Each map's share of energy on the warm targets, and as `area` their share of the image; None without targets."""
    mask = target_mask(ir)
    if not mask.any():
        return None
    shares = {name: energy_share(heat, mask) for name, heat in infrared_maps(params, ir, vis, buckets=buckets).items()}
    return {**shares, "area": float(mask.mean())}


def _class_score(params: Params, ir: Array, size: Size | None) -> Float[Array, "h4 w4"]:
    """The sum of Eq. 14 at the encoder's resolution, for the class infrared."""
    unit = to_unit(ir)[None, :, :, None]
    features = encode(params, unit, unit, size)[:1]
    return features[0] @ params.encoder_class_weights[Modality.IR]
