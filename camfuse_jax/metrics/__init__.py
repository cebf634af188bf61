"""Fusion metrics: exact definitions, protocols, tables, baselines and comparison of methods."""

from camfuse_jax.metrics.baselines import BASELINES, average, contrast_preserving_sum, maximum
from camfuse_jax.metrics.compare import Significance, ranks, significance
from camfuse_jax.metrics.exact import ImageScores, evaluate
from camfuse_jax.metrics.export import csv_text, json_object, markdown, write_tables
from camfuse_jax.metrics.fidelity import vif
from camfuse_jax.metrics.folders import score_folders
from camfuse_jax.metrics.gray import UndefinedMetricError
from camfuse_jax.metrics.protocol import PROTOCOLS, Protocol
from camfuse_jax.metrics.registry import ALL_METRICS, BASIC_METRICS, METRICS, PAPER_METRICS, Metric
from camfuse_jax.metrics.structure import ms_ssim, ssim
from camfuse_jax.metrics.table import ScoreTable, score

__all__ = [
    "ALL_METRICS",
    "BASELINES",
    "BASIC_METRICS",
    "METRICS",
    "PAPER_METRICS",
    "PROTOCOLS",
    "ImageScores",
    "Metric",
    "Protocol",
    "ScoreTable",
    "Significance",
    "UndefinedMetricError",
    "average",
    "contrast_preserving_sum",
    "csv_text",
    "evaluate",
    "json_object",
    "markdown",
    "maximum",
    "ms_ssim",
    "ranks",
    "score",
    "score_folders",
    "significance",
    "ssim",
    "vif",
    "write_tables",
]
