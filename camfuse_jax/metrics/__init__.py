"""Fusion metrics: definitions, protocols, tables, baselines and comparison of methods."""

from camfuse_jax.metrics.baselines import BASELINES, average, contrast_preserving_sum, maximum
from camfuse_jax.metrics.compare import Significance, ranks, significance
from camfuse_jax.metrics.export import csv_text, json_object, markdown, write_tables
from camfuse_jax.metrics.gray import UndefinedMetricError
from camfuse_jax.metrics.protocol import PROTOCOLS, ImageScores, Protocol, score_image
from camfuse_jax.metrics.registry import (
    ALL_METRICS,
    BASIC_METRICS,
    METRICS,
    PAPER_METRICS,
    PICTURE_METRICS,
    Metric,
)
from camfuse_jax.metrics.table import ScoreTable, score, score_folders

__all__ = [
    "ALL_METRICS",
    "BASELINES",
    "BASIC_METRICS",
    "METRICS",
    "PAPER_METRICS",
    "PICTURE_METRICS",
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
    "json_object",
    "markdown",
    "maximum",
    "ranks",
    "score",
    "score_folders",
    "score_image",
    "significance",
    "write_tables",
]
