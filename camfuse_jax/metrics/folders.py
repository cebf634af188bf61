"""Score anyone's fused images: folders of `NAME.*` against the same sources, with the baselines beside them."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from camfuse_jax.data.folders import image_files
from camfuse_jax.errors import UsageError
from camfuse_jax.metrics.baselines import BASELINES
from camfuse_jax.metrics.registry import PAPER_METRICS, check_keys
from camfuse_jax.metrics.table import FusedImages, ScoreTable, SourcePair, check_fused, score


def score_folders(
    pairs: Iterable[SourcePair],
    folders: Mapping[str, str | os.PathLike[str]],
    *,
    metrics: Sequence[str] = PAPER_METRICS,
    protocol: str = "paper",
    others: Mapping[str, FusedImages] | None = None,
    baselines: bool = True,
    workers: int = 0,
) -> list[ScoreTable]:
    """Score several methods on the same sources.

    Every folder is checked before the first image is scored.

    Args:
        pairs: The sources.
        folders: Method name to its folder of `NAME.*`, one image per pair.
        metrics: Keys of the registry.
        protocol: `"paper"`, `"cddfuse"` or `"tang"`.
        others: Methods whose images are in memory or made by a function (ours, say), by name. They come first.
        baselines: Whether to append average, maximum and contrast-preserving sum.
        workers: Threads; 0 takes one per processor.

    Returns:
        One table per method: `others`, `folders`, baselines, in this order.

    Raises:
        InputError: A folder is absent, or its images are missing, extra or wrongly sized (all are listed).
        UsageError: Two methods of one name, or an unknown metric or protocol.
    """
    pairs, keys = list(pairs), check_keys(metrics)
    methods: list[tuple[str, FusedImages]] = list((others or {}).items())
    methods += [(name, image_files(Path(folder))) for name, folder in folders.items()]
    methods += BASELINES.items() if baselines else []
    names = [name for name, _ in methods]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise UsageError(f"Two methods are called {', '.join(doubles)}.", "Baselines use their names: choose others.")
    for name, fused in methods:
        if not callable(fused):
            check_fused(pairs, fused, method=name)
    return [
        score(pairs, fused, metrics=keys, protocol=protocol, method=name, workers=workers) for name, fused in methods
    ]
