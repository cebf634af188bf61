"""Stage `eval`: scores our fused images, the baselines and anyone else's on a test split, and judges the networks."""

import pathlib
import sys
from collections.abc import Callable, Sequence

import jax
import numpy as np

from camfuse_jax import fusion
from camfuse_jax.config import Modality
from camfuse_jax.data.sources import PairSource
from camfuse_jax.fusion import Params
from camfuse_jax.fusion.placing import cut, run_by_size
from camfuse_jax.metrics import (
    ALL_METRICS,
    BASIC_METRICS,
    UndefinedMetricError,
    markdown,
    score_folders,
    ssim,
    vif,
    write_tables,
)
from camfuse_jax.nets import make_decoder, make_encoder
from camfuse_jax.nets.borders import Size, true_borders
from camfuse_jax.stages.places import Places
from camfuse_jax.stages.scoring import OURS, choose_weights, fuse_pairs, named_folders

_METRICS = {"paper": BASIC_METRICS, "all": ALL_METRICS}


def evaluate_dataset(
    places: Places,
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
    params = fusion.with_rule(fusion.load_params(chosen), rule)
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
    buckets = fusion.plan(image.shape for image in pairs.vis)
    for _, ir, vis in pairs:
        for kind, image in (("ir", ir), ("vis", vis)):
            restored = cut(run_by_size(_reconstruct, params, image, buckets=buckets), *image.shape)
            scores[kind].append((_defined(ssim, image, restored), _defined(vif, image, restored)))
        seen = fusion.explain(params, ir, vis, buckets=buckets).probability[0]
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
