"""Scores of one method over many images, with mean, spread and the protocol that made them."""

import hashlib
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from camfuse_jax.data.pairs import listing
from camfuse_jax.errors import InputError
from camfuse_jax.images.picture import read_gray, read_shape
from camfuse_jax.metrics.gray import as_gray
from camfuse_jax.metrics.protocol import ImageScores, evaluate, stamp
from camfuse_jax.metrics.registry import PAPER_METRICS, check_keys

ImageOrFile = ArrayLike | str | os.PathLike[str]
SourcePair = tuple[str, ImageOrFile, ImageOrFile]
"""`(name, ir, vis)`, each a gray array in 0..255 or a file; `data.Pair` is one."""
FusedImages = Mapping[str, ImageOrFile] | Callable[[ArrayLike, ArrayLike], ArrayLike]
"""Fused images by name, or a function of `(ir, vis)` that makes them, such as a baseline."""


@dataclass(frozen=True)
class ScoreTable:
    """What one method scores.

    Attributes:
        method: Its name.
        metrics: Metric keys, in column order.
        rows: Image name to its scores, in the order of the pairs.
        stamp: The protocol stamp (see `protocol.stamp`).
    """

    method: str
    metrics: tuple[str, ...]
    rows: dict[str, ImageScores]
    stamp: dict[str, object]

    def column(self, key: str) -> dict[str, float]:
        """Image name to value, for the images where the metric is defined."""
        values = {name: row.values[key] for name, row in self.rows.items()}
        return {name: value for name, value in values.items() if value is not None}

    def mean(self, key: str) -> float | None:
        """Mean over the images where the metric is defined; None if there are none. Independent of their order."""
        values = self.column(key).values()
        return math.fsum(values) / len(values) if values else None

    def std(self, key: str) -> float | None:
        """Sample standard deviation (n - 1); None for fewer than two values."""
        values = self.column(key).values()
        if len(values) < 2:
            return None
        mean = math.fsum(values) / len(values)
        return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))

    def undefined(self) -> list[str]:
        """One line for each value that does not exist: image, and why."""
        return [f"{name}: {reason}" for name, row in self.rows.items() for reason in row.undefined.values()]


def score(
    pairs: Iterable[SourcePair],
    fused: FusedImages,
    *,
    metrics: Sequence[str] = PAPER_METRICS,
    protocol: str = "paper",
    method: str = "fused",
    workers: int = 0,
) -> ScoreTable:
    """Score one method's fused images against their sources, by the exact path.

    Each image is scored on its own, so neither the order of the pairs nor the number of workers changes a digit.

    Args:
        pairs: The sources. Files are read as 8-bit luma.
        fused: The fused images, exactly one per pair; or a function that makes them.
        metrics: Keys of the registry, in column order.
        protocol: `"paper"`, `"cddfuse"` or `"tang"`.
        method: What to call these images.
        workers: Threads; 0 takes one per processor.

    Returns:
        The table.

    Raises:
        InputError: No pairs, a name twice; fused images that are missing, extra or of another size than their sources
            (all are listed); or an image that cannot be used.
        UsageError: An unknown metric or protocol.
    """
    pairs, keys = list(pairs), check_keys(metrics)
    _check_names([name for name, _, _ in pairs])
    if not callable(fused):
        check_fused(pairs, fused, method=method)

    def one(pair: SourcePair) -> tuple[ImageScores, str]:
        name, ir, vis = pair
        ir, vis = _load(ir, f"{name} (ir)"), _load(vis, f"{name} (vis)")
        image = fused(ir, vis) if callable(fused) else _load(fused[name], f"{name} ({method})")
        return evaluate(ir, vis, image, metrics=keys, protocol=protocol), _pixels_digest(name, ir, vis)

    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        results = list(pool.map(one, pairs))
    names = [name for name, _, _ in pairs]
    digest = hashlib.sha256("".join(sorted(digest for _, digest in results)).encode()).hexdigest()
    rows = {name: scores for name, (scores, _) in zip(names, results, strict=True)}
    return ScoreTable(method, keys, rows, stamp(protocol, keys, names, digest))


def check_fused(pairs: Sequence[SourcePair], fused: Mapping[str, ImageOrFile], *, method: str) -> None:
    """Refuse a set of fused images that does not fit its sources, before anything is computed.

    Args:
        pairs: The sources.
        fused: The fused images by name.
        method: What to call them in the error.

    Raises:
        InputError: Images are missing, extra or wrongly sized; each kind is listed.
    """
    names = [name for name, _, _ in pairs]
    missing = [name for name in names if name not in fused]
    extra = sorted(fused.keys() - set(names))
    wrong = []
    for name, ir, _ in pairs:
        if name in fused and (got := _shape(fused[name])) != (want := _shape(ir)):
            wrong.append(f"{name} is {_by(got)}, its sources {_by(want)}")
    kinds = (("missing", missing), ("extra", extra), ("wrongly sized (height x width)", wrong))
    problems = [f"{len(items)} {kind}: {listing(items)}" for kind, items in kinds if items]
    if problems:
        raise InputError(
            f"The fused images of {method} do not fit the {len(names)} pairs. {'; '.join(problems)}.",
            "Give one image per pair, with the pair's name and size, and no others.",
        )


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise InputError("There are no pairs to score.", "Name a data set or folder that has some.")
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise InputError(f"Pairs given twice: {listing(doubles)}.", "Give each pair once.")


def _is_file(image: ImageOrFile) -> bool:
    return isinstance(image, str | os.PathLike)


def _load(image: ImageOrFile, name: str) -> np.ndarray:
    return read_gray(Path(image)) if _is_file(image) else as_gray(image, name=name)


def _shape(image: ImageOrFile) -> tuple[int, ...]:
    return read_shape(image) if _is_file(image) else as_gray(image).shape


def _by(shape: Sequence[int]) -> str:
    return " x ".join(str(side) for side in shape)


def _pixels_digest(name: str, *images: np.ndarray) -> str:
    """Digest of a name and its sources; the same for uint8 and for float arrays of the same levels."""
    digest = hashlib.sha256(name.encode())
    for image in images:
        digest.update(f"{image.shape}".encode())
        digest.update(np.ascontiguousarray(image, dtype=np.float64).tobytes())
    return digest.hexdigest()
