"""Protocols: which definition stands behind a metric's key, the tag that says so, and the scores of one image."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata

from numpy.typing import ArrayLike

from camfuse_jax.errors import UsageError
from camfuse_jax.metrics.gray import UndefinedMetricError, as_triplet
from camfuse_jax.metrics.picture import PairFacts
from camfuse_jax.metrics.registry import PAPER_METRICS, Metric, check_keys, find_metric


@dataclass(frozen=True)
class Protocol:
    """A named set of definitions.

    Attributes:
        name: What `--protocol` takes.
        note: Whose tables it follows, and where it cannot.
        variants: Metric key to the key of the definition used instead; others stand for themselves.
    """

    name: str
    note: str
    variants: Mapping[str, str] = field(default_factory=dict)

    def metric(self, key: str) -> Metric:
        """The definition behind a key; raises UsageError for an unknown one."""
        return find_metric(self.variants.get(key, key))


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "paper",
            "Tang's MATLAB definitions on levels 0..255, mean SSIM, summed VIF: what fits the paper's Table 1 best.",
        ),
        Protocol(
            "cddfuse",
            "MMIF-CDDFuse utils/Evaluator.py with the scikit-image of its time. "
            "It has no MS-SSIM and no noise estimate: those are as in 'paper'.",
            {"AG": "AG_MEAN", "SSIM": "SSIM2", "MI": "MI_NATS", "PSNR": "PSNR_PEAK"},
        ),
        Protocol(
            "tang",
            "Linfeng-Tang/Image-Fusion, General Evaluation Metric, as its published results were computed. "
            "Its SSIM and MS-SSIM are the multi-exposure ones of Ma et al. 2015, not implemented: here as in 'paper'. "
            "Its published VIF and SD predate its present code and are not reproduced.",
            {"SF": "SF_UNIT", "MI": "MI_TANG", "PSNR": "PSNR_48"},
        ),
    )
}
"""All protocols by name."""

INPUT_RULE = "gray, 8 bit, levels 0..255; color reduced to BT.601 luma, rint(0.299 R + 0.587 G + 0.114 B)"
ROUNDING_RULE = "nothing is rounded before averaging; CSV and JSON hold every digit, Markdown is rounded for print"
AVERAGING_RULE = "arithmetic mean over images for which the metric is defined; sample standard deviation (n - 1)"


def find_protocol(name: str) -> Protocol:
    """The protocol of this name; UsageError that lists the known ones if there is none."""
    if name not in PROTOCOLS:
        raise UsageError(f"There is no protocol {name!r}.", f"Known: {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]


def provenance_tag(protocol: str, keys: Sequence[str], images: Sequence[str], sources_sha256: str) -> dict[str, object]:
    """What a reader must know to compute the same table: JSON-ready, the same for any order of the images.

    Definitions, input range, rounding, averaging, number and digest of the image list, digest of the sources' pixels,
    versions, and an id over all but the versions, by which two tables are known to be comparable.
    """
    chosen = find_protocol(protocol)
    definitions = {
        key: {"definition": m.key, "formula": m.formula, "range": m.value_range, "better": m.direction}
        for key, m in ((key, chosen.metric(key)) for key in keys)
    }
    facts: dict[str, object] = {
        "protocol": chosen.name,
        "note": chosen.note,
        "input": INPUT_RULE,
        "rounding": ROUNDING_RULE,
        "averaging": AVERAGING_RULE,
        "images": len(images),
        "image_list_sha256": _digest("\n".join(sorted(images))),
        "sources_sha256": sources_sha256,
        "definitions": definitions,
    }
    return {**facts, "id": _digest(json.dumps(facts, sort_keys=True))[:12], "versions": _versions()}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in ("camfuse-jax", "numpy", "scipy"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


@dataclass(frozen=True)
class ImageScores:
    """The metrics of one fused image: value, None where undefined (never NaN), and the reason for those that are None.

    `weights` says how much the image counts in a mean; 1 where there is none.
    """

    values: dict[str, float | None]
    undefined: dict[str, str]
    weights: dict[str, float] = field(default_factory=dict)


def score_image(
    ir: ArrayLike,
    vis: ArrayLike,
    fused: ArrayLike,
    *,
    metrics: Sequence[str] = PAPER_METRICS,
    protocol: str = "paper",
    facts: PairFacts | None = None,
) -> ImageScores:
    """Score one fused image.

    Args:
        ir: Infrared source, gray (h, w) in [0, 255].
        vis: Visible source, same shape.
        fused: Fused image, same shape.
        metrics: Keys of the registry.
        protocol: Which definition stands behind each key: `"paper"`, `"cddfuse"` or `"tang"`.
        facts: Of these sources, to be used again for other fused images.

    Raises:
        InputError: The images are not gray images of one size with finite levels in [0, 255].
        UsageError: An unknown key or protocol.
    """
    chosen = find_protocol(protocol)
    ir, vis, fused = as_triplet(ir, vis, fused)
    facts = PairFacts(ir, vis) if facts is None else facts
    scores = ImageScores({}, {})
    for key in check_keys(metrics):
        metric = chosen.metric(key)
        try:
            value = metric.function(ir, vis, fused) if metric.measure is None else metric.measure(facts, fused)
        except UndefinedMetricError as error:
            value, scores.undefined[key] = None, error.what
        scores.values[key] = value
        if metric.pooled:
            scores.weights[key] = len(facts.targets)
    return scores
