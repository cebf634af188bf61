"""Fusion metrics: definitions, protocols, tables, baselines and comparison of methods."""

from camfuse_jax.metrics.compare import Significance, csv_text, json_object, markdown, ranks, significance, write_tables
from camfuse_jax.metrics.gray import UndefinedMetricError
from camfuse_jax.metrics.protocol import PROTOCOLS, ImageScores, score_image
from camfuse_jax.metrics.registry import ALL_METRICS, BASIC_METRICS, METRICS, PAPER_METRICS, PICTURE_METRICS, Metric
from camfuse_jax.metrics.table import BASELINES, ScoreTable, score, score_folders

__all__ = [
    "ALL_METRICS", "BASELINES", "BASIC_METRICS", "METRICS", "PAPER_METRICS", "PICTURE_METRICS", "PROTOCOLS",
    "ImageScores", "Metric", "ScoreTable", "Significance", "UndefinedMetricError", "csv_text", "json_object",
    "markdown", "ranks", "score", "score_folders", "score_image", "significance", "write_tables",
]  # fmt: skip
