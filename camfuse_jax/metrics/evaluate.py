"""Score anyone's fused images: folders of `NAME.*` against the same sources, with the baselines beside them."""

import os
import pathlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import UInt8

from camfuse_jax.config import Modality
from camfuse_jax.data.pairs import image_files
from camfuse_jax.data.sources import PairSource
from camfuse_jax.data.workdir import NAMED, Workdir
from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.fusion.dispatch import cut, plan, run_by_size
from camfuse_jax.fusion.fuse import explain, fuse
from camfuse_jax.fusion.params import Params, load_params, with_rule
from camfuse_jax.images.picture import write_gray
from camfuse_jax.metrics.compare import BASELINES
from camfuse_jax.metrics.export import markdown, write_tables
from camfuse_jax.metrics.gray import UndefinedMetricError
from camfuse_jax.metrics.registry import ALL_METRICS, BASIC_METRICS, PAPER_METRICS, check_keys
from camfuse_jax.metrics.ssim import ssim
from camfuse_jax.metrics.table import FusedImages, ScoreTable, SourcePair, check_fused, score
from camfuse_jax.metrics.vif import vif
from camfuse_jax.nets.build import make_decoder, make_encoder
from camfuse_jax.nets.masking import Size, true_borders


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


# What the scoring stages share: whose images, which weights, our own fused images.


OURS = "camfuse"
PEERS_VARIABLE = "CAMFUSE_PEERS"


def fuse_pairs(params: Params, pairs: PairSource, out: Path) -> dict[str, UInt8[np.ndarray, "h w"]]:
    """Fuses every pair and writes it to `OUT/camfuse/NAME.png`.

    Returns:
        Fused images by name.

    Raises:
        ResourceError: If a file cannot be written.
    """
    fused = {}
    buckets = plan(image.shape for image in pairs.vis)
    for name, ir, vis in pairs:
        fused[name] = np.asarray(fuse(params, ir, vis, buckets=buckets))
        write_gray(out / OURS / f"{name}.png", fused[name])
    return fused


def choose_weights(places: Workdir, weights: str | None) -> str:
    """What `load_params` takes: the given weights, else the workdir's own, else the shipped ones."""
    if weights is not None:
        return weights
    if places.trained.is_file():
        return str(places.trained)
    return places.dataset if places.dataset in NAMED else NAMED[0]


def named_folders(texts: Sequence[str]) -> dict[str, Path]:
    """Reads `NAME=DIR` of other methods' fused images.

    Raises:
        UsageError: If one is not of this form, or a name occurs twice.
    """
    folders: dict[str, Path] = {}
    for text in texts:
        name, separator, folder = text.partition("=")
        if not separator or not name or not folder:
            raise UsageError(f"--fused {text} does not name a method and a folder.", "Write --fused NAME=DIR.")
        if name in folders:
            raise UsageError(f"--fused names {name} twice.", "Give each method its own name.")
        folders[name] = Path(folder)
    return folders


def folders_or_peers(texts: Sequence[str], dataset: str) -> dict[str, Path]:
    """As `named_folders`; without any, the methods `METHOD/DATASET` of the folder that CAMFUSE_PEERS names.

    Raises:
        InputError: If CAMFUSE_PEERS names no folder.
        UsageError: As `named_folders`.
    """
    named = os.environ.get(PEERS_VARIABLE)
    if texts or not named:
        return named_folders(texts)
    root = Path(named)
    if not root.is_dir():
        raise InputError(f"{PEERS_VARIABLE} names {root}, which is not a folder.", "Correct it, or give --fused.")
    return {method.name: method / dataset for method in sorted(root.iterdir()) if (method / dataset).is_dir()}


# Stage `eval`: scores our fused images, the baselines and anyone else's on a test split, and judges the networks.


_METRICS = {"paper": BASIC_METRICS, "all": ALL_METRICS}


def evaluate_dataset(
    places: Workdir,
    *,
    out: pathlib.Path | None = None,
    weights: str | None = None,
    rule: str | None = None,
    others: Sequence[str] = (),
    metrics: str = "paper",
    protocol: str = "paper",
) -> None:
    """Prints and writes the tables of a data set's test split.

    Args:
        places: Folders and data set.
        out: Folder of the tables; `WORKDIR/eval-DATASET` by default.
        weights: As for `load_params`; by default the workdir's own, else the shipped ones.
        rule: Fusion rule instead of the one that the weights bring.
        others: `NAME=DIR` of other methods' fused images.
        metrics: `paper` for the paper's five and the noise estimate, `all` for all.
        protocol: Metric definitions.
    """
    folders = named_folders(others)
    chosen = choose_weights(places, weights)
    params = with_rule(load_params(chosen), rule)
    pairs = places.pairs("test")
    out = out or places.workdir / f"eval-{places.label}"
    fused = fuse_pairs(params, pairs, out)
    tables = score_folders(list(pairs), folders, others={OURS: fused}, metrics=_METRICS[metrics], protocol=protocol)
    files = write_tables(tables, out, against=OURS, title=places.label)
    judged = judge(params, pairs)
    print(f"{places.label}: {len(pairs)} test pairs, weights {chosen}, rule {params.fusion.rule}\n")
    print(markdown(tables))
    print(judged)
    (out / "networks.md").write_text(judged)
    print("\n".join(f"wrote {path}" for path in files), file=sys.stderr)


def judge(params: Params, pairs: PairSource) -> str:
    """Says how well the auto-encoder gives images back and the classifier tells them apart, as Markdown.

    A weak auto-encoder caps every fusion score, and an ignorant classifier's weights mean nothing.
    """
    rows, correct, told_apart = [], 0, 0
    scores: dict[str, list[tuple[float | None, ...]]] = {"ir": [], "vis": []}
    buckets = plan(image.shape for image in pairs.vis)
    for _, ir, vis in pairs:
        for kind, image in (("ir", ir), ("vis", vis)):
            restored = cut(run_by_size(_reconstruct, params, image, buckets=buckets), *image.shape)
            scores[kind].append((_defined(ssim, image, restored), _defined(vif, image, restored)))
        seen = explain(params, ir, vis, buckets=buckets).probability[0]
        correct += int(seen[Modality.IR].argmax() == Modality.IR) + int(seen[Modality.VIS].argmax() == Modality.VIS)
        leaning = seen[:, Modality.IR] - seen[:, Modality.VIS]
        told_apart += int(leaning[Modality.IR] > leaning[Modality.VIS])
    for kind, values in scores.items():
        columns = [[v for v in column if v is not None] for column in zip(*values, strict=True)]
        told = [f"{np.mean(column):.4f}" if column else "n/a" for column in columns]
        rows.append(f"| {kind} | {' | '.join(told)} |")
    head = "| reconstruction | SSIM | VIF |\n|---|---|---|\n"
    images = f"classifier: {correct} of {2 * len(pairs)} test images right"
    return head + "\n".join(rows) + f"\n\n{images}; which image of a pair is infrared: {told_apart} of {len(pairs)}\n"


def _defined(metric: Callable[..., float], image: np.ndarray, restored: np.ndarray) -> float | None:
    """A metric's value, or None for an image that is too small for it."""
    try:
        return metric(image, restored)
    except UndefinedMetricError:
        return None


def _reconstruct(params: Params, image_u8: jax.Array, size: Size | None) -> jax.Array:
    sym = image_u8.astype(np.float32)[None, ..., None] / 127.5 - 1
    with true_borders(params.net, size):
        features, _ = make_encoder(params.net).apply({"params": params.encoder}, sym)
        restored, _ = make_decoder(params.net).apply({"params": params.decoder}, features, sym.shape[1:3])
    return jax.numpy.rint((restored[0, ..., 0] + 1) * 127.5)
