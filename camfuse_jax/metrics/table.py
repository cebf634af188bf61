"""Scores of one method over many images, with mean, spread and the tag of how they were made; and the baselines.

A baseline is fusion without learning, one line of arithmetic: a method that does not beat it has shown nothing.
"""

import hashlib
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy.typing import ArrayLike

from camfuse_jax.data.pairs import listing
from camfuse_jax.data.splits import image_files
from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.images.read import picture_size, read_gray
from camfuse_jax.metrics.gray import Gray, as_gray, levels, require_same_shape
from camfuse_jax.metrics.picture import PairFacts
from camfuse_jax.metrics.protocol import ImageScores, find_protocol, provenance_tag, score_image
from camfuse_jax.metrics.registry import PAPER_METRICS, Metric, check_keys

MISSING = "n/a"
"""Printed where a metric is undefined."""

ImageOrFile = ArrayLike | str | os.PathLike[str]
SourcePair = tuple[str, ImageOrFile, ImageOrFile]
"""`(name, ir, vis)`, each a gray array in 0..255 or a file; `data.Pair` is one."""
FusedImages = Mapping[str, ImageOrFile] | Callable[[ArrayLike, ArrayLike], ArrayLike]
"""Fused images by name, or a function of `(ir, vis)` that makes them, such as a baseline."""


@dataclass(frozen=True)
class ScoreTable:
    """What one method scores.

    `metrics` are keys in column order, `rows` hold each image's scores in the order of the pairs, and `tag` says how
    they were made (see `protocol.provenance_tag`).
    """

    method: str
    metrics: tuple[str, ...]
    rows: dict[str, ImageScores]
    tag: dict[str, Any]

    def metric(self, key: str) -> Metric:
        """The definition behind a column."""
        return find_protocol(str(self.tag["protocol"])).metric(key)

    def keys_of(self, family: str) -> list[str]:
        """The columns of a family of metrics, `score` or `picture`."""
        return [key for key in self.metrics if self.metric(key).family == family]

    def column(self, key: str) -> dict[str, float]:
        """Image name to value, for the images where the metric is defined."""
        values = {name: row.values[key] for name, row in self.rows.items()}
        return {name: value for name, value in values.items() if value is not None}

    def mean(self, key: str) -> float | None:
        """Mean over the images where the metric is defined; None if there are none. Independent of their order.

        Of a pooled metric each image counts as much as it has targets.
        """
        column = self.column(key)
        weights = {name: self.rows[name].weights.get(key, 1.0) for name in column}
        total = math.fsum(column[name] * weight for name, weight in weights.items())
        return total / math.fsum(weights.values()) if column else None

    def std(self, key: str) -> float | None:
        """Sample standard deviation (n - 1) over the images; None for fewer than two values."""
        values = self.column(key).values()
        if len(values) < 2:
            return None
        mean = math.fsum(values) / len(values)
        return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))

    def partial(self, key: str) -> bool:
        """Whether the mean leaves images out, because the metric is not defined for them."""
        return 0 < len(self.column(key)) < len(self.rows)

    def text(self, key: str, value: float | None) -> str:
        """A value as it is printed: rounded as the metric's definition says, or `n/a`."""
        return MISSING if value is None else f"{value:.{self.metric(key).digits}f}"

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
    """Score one method's fused images; arguments and errors as of `score_methods`."""
    return score_methods(pairs, {method: fused}, metrics=metrics, protocol=protocol, workers=workers)[0]


def score_methods(
    pairs: Iterable[SourcePair],
    methods: Mapping[str, FusedImages],
    *,
    metrics: Sequence[str] = PAPER_METRICS,
    protocol: str = "paper",
    workers: int = 0,
) -> list[ScoreTable]:
    """Score the fused images of several methods against their sources, by the exact path.

    Each image is scored on its own, so neither the order of the pairs nor the number of workers changes a digit. The
    methods of a pair are scored together: what a metric needs of the sources alone is computed once.

    Args:
        pairs: The sources. Files are read as 8-bit luma.
        methods: Name to its fused images, one for each pair (images of no pair are passed over); or to a function that
            makes them.
        metrics: Keys of the registry, in column order.
        protocol: `"paper"`, `"cddfuse"` or `"tang"`.
        workers: Threads; 0 takes one per processor.

    Raises:
        InputError: No pairs, a name twice; fused images that are missing or of another size than their sources (all
            are listed, before anything is computed); or an image that cannot be used.
        UsageError: An unknown metric or protocol.
    """
    pairs, keys = list(pairs), check_keys(metrics)
    names = [name for name, _, _ in pairs]
    _check_names(names)
    find_protocol(protocol)
    for method, fused in methods.items():
        if not callable(fused):
            check_fused(pairs, fused, method=method)

    def one(pair: SourcePair) -> tuple[list[ImageScores], str]:
        name, ir, vis = pair
        ir, vis = _load(ir, f"{name} (ir)"), _load(vis, f"{name} (vis)")
        facts = PairFacts(as_gray(ir), as_gray(vis))
        scores = []
        for method, fused in methods.items():
            image = fused(ir, vis) if callable(fused) else _load(fused[name], f"{name} ({method})")
            scores.append(score_image(ir, vis, image, metrics=keys, protocol=protocol, facts=facts))
        return scores, _pixels_digest(name, ir, vis)

    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        results = list(pool.map(one, pairs))
    digest = hashlib.sha256("".join(sorted(digest for _, digest in results)).encode()).hexdigest()
    tag = provenance_tag(protocol, keys, names, digest)
    columns = zip(*(scores for scores, _ in results), strict=True)
    return [
        ScoreTable(method, keys, dict(zip(names, column, strict=True)), tag)
        for method, column in zip(methods, columns, strict=True)
    ]


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
    """Score several methods on the same sources; the rest as `score_methods`.

    Args:
        pairs: The sources.
        folders: Method name to its folder of `NAME.*`, one image per pair.
        metrics: Keys of the registry.
        protocol: Metric definitions.
        others: Methods whose images are in memory or made by a function (ours, say), by name. They come first.
        baselines: Whether to append average, maximum and contrast-preserving sum.
        workers: Threads; 0 takes one per processor.

    Raises:
        InputError: A folder is absent, or its images do not fit.
        UsageError: Two methods of one name, or an unknown metric or protocol.
    """
    methods: list[tuple[str, FusedImages]] = list((others or {}).items())
    methods += [(name, image_files(Path(folder))) for name, folder in folders.items()]
    methods += BASELINES.items() if baselines else []
    names = [name for name, _ in methods]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise UsageError(f"Two methods are called {', '.join(doubles)}.", "Baselines use their names: choose others.")
    return score_methods(pairs, dict(methods), metrics=metrics, protocol=protocol, workers=workers)


def check_fused(pairs: Sequence[SourcePair], fused: Mapping[str, ImageOrFile], *, method: str) -> None:
    """Refuse a set of fused images that does not fit its sources; raises InputError that lists what is wrong."""
    missing = [name for name, _, _ in pairs if name not in fused]
    wrong = []
    for name, ir, _ in pairs:
        if name in fused and (got := _shape(fused[name])) != (want := _shape(ir)):
            wrong.append(f"{name} is {_by(got)}, its sources {_by(want)}")
    kinds = (("missing", missing), ("wrongly sized (height x width)", wrong))
    problems = [f"{len(items)} {kind}: {listing(items)}" for kind, items in kinds if items]
    if problems:
        others = sorted(fused.keys() - {name for name, _, _ in pairs})
        problems += [f"{len(others)} of no pair: {listing(others)}"] if missing and others else []
        raise InputError(
            f"The fused images of {method} do not fit the {len(pairs)} pairs. {'; '.join(problems)}.",
            "Give one image per pair, with the pair's name and size.",
        )


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise InputError("There are no pairs to score.", "Name a data set or folder that has some.")
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise InputError(f"Pairs given twice: {listing(doubles)}.", "Give each pair once.")


def _load(image: ImageOrFile, name: str) -> np.ndarray:
    return read_gray(Path(image)) if isinstance(image, str | os.PathLike) else as_gray(image, name=name)


def _shape(image: ImageOrFile) -> tuple[int, ...]:
    return picture_size(image) if isinstance(image, str | os.PathLike) else as_gray(image).shape


def _by(shape: Sequence[int]) -> str:
    return " x ".join(str(side) for side in shape)


def _pixels_digest(name: str, *images: np.ndarray) -> str:
    """Digest of a name and its sources; the same for uint8 and for float arrays of the same levels."""
    digest = hashlib.sha256(name.encode())
    for image in images:
        digest.update(f"{image.shape}".encode())
        digest.update(np.ascontiguousarray(image, dtype=np.float64).tobytes())
    return digest.hexdigest()


Fused = UInt8[np.ndarray, "h w"]


def average(ir: ArrayLike, vis: ArrayLike) -> Fused:
    """(ir + vis) / 2, halves rounded to even. Near the best possible SSIM, CC, PSNR and MS-SSIM.

    Of gray images (h, w) in [0, 255], as the others; InputError if they are not, or differ in size.
    """
    ir, vis = _sources(ir, vis)
    return levels((ir + vis) / 2)


def maximum(ir: ArrayLike, vis: ArrayLike) -> Fused:
    """max(ir, vis). Near the best possible VIF, MI and Qabf."""
    return levels(np.maximum(*_sources(ir, vis)))


def contrast_preserving_sum(ir: ArrayLike, vis: ArrayLike) -> Fused:
    """Sum with the mean moved to mid-gray: ir + vis - mean(ir + vis) + 127.5, clipped to 0..255 and rounded.

    Keeps both contrasts in full and beats many networks on EN, AG and SCD.
    """
    ir, vis = _sources(ir, vis)
    total = ir + vis
    return levels(np.clip(total - total.mean() + 127.5, 0.0, 255.0))


BASELINES: dict[str, Callable[[ArrayLike, ArrayLike], Fused]] = {
    "average": average,
    "maximum": maximum,
    "contrast_preserving_sum": contrast_preserving_sum,
}
"""All baselines by the name that a table gives them."""


def _sources(ir: ArrayLike, vis: ArrayLike) -> tuple[Gray, Gray]:
    ir, vis = as_gray(ir, name="ir"), as_gray(vis, name="vis")
    require_same_shape(ir=ir, vis=vis)
    return ir, vis
