"""The exact path: float64 NumPy functions, one per metric, and the evaluation of several on one image."""

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from camfuse_jax.metrics.gray import UndefinedMetricError, as_triplet
from camfuse_jax.metrics.protocol import find_protocol
from camfuse_jax.metrics.registry import PAPER_METRICS, check_keys


@dataclass(frozen=True)
class ImageScores:
    """The metrics of one fused image.

    Attributes:
        values: Metric key to value; None where the metric is undefined for this image, never NaN.
        undefined: Metric key to the reason, for those that are None.
    """

    values: dict[str, float | None]
    undefined: dict[str, str]


def evaluate(
    ir: ArrayLike,
    vis: ArrayLike,
    fused: ArrayLike,
    *,
    metrics: Sequence[str] = PAPER_METRICS,
    protocol: str = "paper",
) -> ImageScores:
    """Score one fused image.

    Args:
        ir: Infrared source, gray (h, w) in [0, 255].
        vis: Visible source, same shape.
        fused: Fused image, same shape.
        metrics: Keys of the registry.
        protocol: Which definition stands behind each key: `"paper"`, `"cddfuse"` or `"tang"`.

    Returns:
        A value or a reason for every key.

    Raises:
        InputError: The images are not gray images of one size with finite levels in [0, 255].
        UsageError: An unknown key or protocol.
    """
    chosen = find_protocol(protocol)
    ir, vis, fused = as_triplet(ir, vis, fused)
    values: dict[str, float | None] = {}
    undefined: dict[str, str] = {}
    for key in check_keys(metrics):
        try:
            values[key] = chosen.metric(key).function(ir, vis, fused)
        except UndefinedMetricError as error:
            values[key], undefined[key] = None, error.what
    return ImageScores(values, undefined)
