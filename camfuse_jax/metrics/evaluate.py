"""Stage `eval` and `camfuse eval`: fused images of a test split, or of one's own pairs, scored beside the baselines."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import UInt8

from camfuse_jax.config import Modality, NamedRule
from camfuse_jax.data.pairs import Pair, find_pairing, listing
from camfuse_jax.data.records import NAMED, SYNTHETIC, Workdir
from camfuse_jax.data.sources import PairSource
from camfuse_jax.data.splits import SPLITS_FILE, image_files
from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.fusion.dispatch import cut, plan_programs, run_by_size
from camfuse_jax.fusion.fuse import explain, fuse_arrays
from camfuse_jax.fusion.params import SHIPPED, Params, load_params, with_rule
from camfuse_jax.images.write import write_picture
from camfuse_jax.metrics.compare import markdown, write_tables, write_texts
from camfuse_jax.metrics.gray import UndefinedMetricError
from camfuse_jax.metrics.information import vif
from camfuse_jax.metrics.registry import METRIC_SETS
from camfuse_jax.metrics.ssim import structural_similarity
from camfuse_jax.metrics.table import FusedImages, SourcePair, score_folders
from camfuse_jax.nets.build import make_decoder, make_encoder
from camfuse_jax.nets.layers import Size

OURS = "camfuse"


def results_of_pairs(
    pairs: Sequence[Pair], folders: Mapping[str, Path], *, pattern: str = "{name}"
) -> dict[str, dict[str, Path]]:
    """Method to pair name to the file of its fused image; says on standard error which files belong to no pair.

    A file is called after its pair (by the pattern), or like one of the pair's two files.

    Raises:
        InputError: A folder is absent or holds two images of one name.
    """
    results: dict[str, dict[str, Path]] = {}
    for method, folder in folders.items():
        files = image_files(folder)
        chosen = {}
        for pair in pairs:
            wanted = (pattern.replace("{name}", pair.name), pair.vis.stem, pair.ir.stem)
            stem = next((stem for stem in wanted if stem in files), None)
            if stem is not None:
                chosen[pair.name] = stem
        results[method] = {name: files[stem] for name, stem in chosen.items()}
        tell_left_out(method, files.keys() - set(chosen.values()))
    return results


def tell_left_out(method: str, extra: Iterable[str]) -> None:
    """Says which of a method's images belong to none of the pairs; nothing where there are none."""
    extra = sorted(extra)
    if extra:
        print(f"left out: {len(extra)} images of {method} belong to no pair: {listing(extra)}", file=sys.stderr)


def write_fused(params: Params, pairs: PairSource, out: Path) -> dict[str, UInt8[np.ndarray, "h w"]]:
    """Fuses every pair, writes it to `OUT/camfuse/NAME.png`, and returns the fused images by name."""
    fused = {}
    buckets = plan_programs(image.shape for image in pairs.vis)
    for name, ir, vis in pairs:
        fused[name] = np.asarray(fuse_arrays(params, ir, vis, buckets=buckets))
        write_picture(out / OURS / f"{name}.png", fused[name])
    return fused


def choose_weights(workdir: Workdir, weights: str | None) -> str:
    """What `load_params` takes: the given weights, else the workdir's own, else the shipped ones."""
    if weights is not None:
        return weights
    if workdir.trained.is_file():
        return str(workdir.trained)
    return workdir.dataset if workdir.dataset in NAMED else NAMED[0]


def named_folders(texts: Sequence[str]) -> dict[str, Path]:
    """Reads `NAME=DIR` of other methods' fused images; UsageError if one is not of this form, or a name twice."""
    folders: dict[str, Path] = {}
    for text in texts:
        name, separator, folder = text.partition("=")
        if not separator or not name or not folder:
            raise UsageError(f"{text} does not name a method and a folder.", "Write NAME=DIR, such as mine=fused/.")
        if name in folders:
            raise UsageError(f"Two folders are named {name}.", "Give each method its own name.")
        folders[name] = Path(folder)
    return folders


def evaluate_dataset(
    workdir: Workdir,
    *,
    out: Path | None = None,
    weights: str | None = None,
    rule: NamedRule | None = None,
    settings: Mapping[str, Any] | None = None,
    others: Sequence[str] = (),
    metrics: str = "paper",
    protocol: str = "paper",
) -> None:
    """Prints and writes the tables of a data set's test split, and how good the networks are.

    A folder without `splits.json` is scored whole, unless the weights were trained on a part of it in this workdir.

    Args:
        workdir: Folders and data set.
        out: Folder of the tables; `WORKDIR/eval-DATASET` by default.
        weights: As for `load_params`; by default the workdir's own, else the shipped ones.
        rule: Fusion rule instead of the one that the weights bring.
        settings: Settings of the rule instead of those that the weights bring, by dotted names.
        others: `NAME=DIR` of other methods' fused images.
        metrics: Key of `METRIC_SETS`.
        protocol: Metric definitions.
    """
    folders = named_folders(others)
    chosen = choose_weights(workdir, weights)
    params = with_rule(load_params(chosen), rule, settings)
    split = scored_split(workdir, chosen)
    pairs = workdir.pairs(split)
    files = {name: image_files(folder) for name, folder in folders.items()}
    for method, found in files.items():
        tell_left_out(method, found.keys() - set(pairs.names))
    out = out or workdir.workdir / f"eval-{workdir.label}"
    title = f"{workdir.label}: {len(pairs)} pairs of split {split}, weights {chosen}, rule {params.fusion.rule}"
    if split == "all" and chosen not in SHIPPED:
        title += ", which may have been trained on some of them"
    title += "".join(f", {name} {value}" for name, value in (settings or {}).items())
    methods = {OURS: write_fused(params, pairs, out), **files}
    written = _score_and_write([*pairs], methods, out, title, metrics=metrics, protocol=protocol)
    judged = judge_networks(params, pairs)
    print(judged)
    _tell_written([*written, *write_texts(out, {"networks.md": judged})])


def scored_split(workdir: Workdir, weights: str) -> str:
    """What is scored of a data set: `test`; all of a folder without `splits.json` on which nothing was trained."""
    folder = Path(workdir.dataset)
    listed = workdir.dataset in (*NAMED, SYNTHETIC) or (folder / SPLITS_FILE).is_file()
    return "test" if listed or weights == str(workdir.trained) else "all"


def evaluate_pairs(
    ir: Path,
    vis: Path,
    results: Sequence[str],
    *,
    out: Path,
    pattern: Sequence[str] | None = None,
    weights: str | None = None,
    metrics: str = "paper",
    protocol: str = "paper",
) -> None:
    """Prints and writes the tables of one's own pairs and results: no data set, no split, nothing trained.

    Args:
        ir: Infrared file or folder.
        vis: Visible file or folder.
        results: `NAME=DIR` of fused images to score.
        out: Folder of the tables.
        pattern: Names of infrared and visible files with `{name}`, as for `camfuse fuse`, and perhaps of the results.
        weights: As for `load_params`; where given, or where there are no results, our own fused images are scored, too.
        metrics: As for `evaluate_dataset`.
        protocol: Metric definitions.

    Raises:
        InputError: Nothing pairs, or images are missing or differ in size.
        UsageError: A wrong pattern or name.
    """
    folders = named_folders(results)
    if pattern is not None and (len(pattern) not in (2, 3) or any(text.count("{name}") != 1 for text in pattern)):
        raise UsageError(
            "--pattern takes two or three names with {name}.", "For example '{name}_ir' '{name}_vis' '{name}_fused'."
        )
    found = find_pairing(ir, vis, pattern=None if pattern is None else (pattern[0], pattern[1]))
    for problem in found.problems:
        print(f"left out: {problem}", file=sys.stderr)
    if not found.pairs:
        raise InputError(f"No file of {ir} has a partner in {vis}.", "Give their names with --pattern.")
    pairs = PairSource.from_files(found.pairs)
    methods: dict[str, FusedImages] = {}
    if weights is not None or not folders:
        methods[OURS] = write_fused(load_params(weights or NAMED[0]), pairs, out)
    names = {"pattern": pattern[2]} if pattern is not None and len(pattern) == 3 else {}
    methods |= results_of_pairs(found.pairs, folders, **names)
    title = f"{vis.stem}: {len(pairs)} pairs"
    _tell_written(_score_and_write(found.pairs, methods, out, title, metrics=metrics, protocol=protocol))


def _score_and_write(
    pairs: Sequence[SourcePair], methods: Mapping[str, FusedImages], out: Path, title: str, **definitions: str
) -> list[Path]:
    """Scores methods and baselines, prints the table and writes all tables."""
    keys = METRIC_SETS[definitions["metrics"]]
    tables = score_folders(pairs, {}, others=methods, metrics=keys, protocol=definitions["protocol"])
    first = next(iter(methods))
    written = write_tables(tables, out, against=first, title=title.partition(":")[0])
    print(f"{title}\n\n{markdown(tables)}")
    return written


def _tell_written(paths: Iterable[Path]) -> None:
    print("\n".join(f"wrote {path}" for path in paths), file=sys.stderr)


def judge_networks(params: Params, pairs: PairSource) -> str:
    """Says how well the auto-encoder gives images back and the classifier tells them apart, as Markdown.

    A weak auto-encoder caps every fusion score, and an ignorant classifier's weights mean nothing.
    """
    correct, told_apart = 0, 0
    scores: dict[str, list[tuple[float | None, ...]]] = {"ir": [], "vis": []}
    buckets = plan_programs(image.shape for image in pairs.vis)
    for _, ir, vis in pairs:
        for kind, image in (("ir", ir), ("vis", vis)):
            restored = cut(run_by_size(_reconstruct, params, image, buckets=buckets), *image.shape)
            scores[kind].append((_defined(structural_similarity, image, restored), _defined(vif, image, restored)))
        probability = explain(params, ir, vis, buckets=buckets).probability[0]
        correct += count_right(probability)
        difference = probability[:, Modality.IR] - probability[:, Modality.VIS]
        told_apart += int(difference[Modality.IR] > difference[Modality.VIS])
    lines = ["| reconstruction | SSIM | VIF |", "|---|---|---|"]
    for kind, values in scores.items():
        columns = [[v for v in column if v is not None] for column in zip(*values, strict=True)]
        lines.append(f"| {kind} | {' | '.join(f'{np.mean(c):.4f}' if c else 'n/a' for c in columns)} |")
    images = f"classifier: {correct} of {2 * len(pairs)} test images right"
    lines += ["", f"{images}; which image of a pair is infrared: {told_apart} of {len(pairs)}"]
    return "\n".join(lines) + "\n"


def count_right(probability: jax.Array | np.ndarray) -> int:
    """How many of a pair's two images, (2, 2) class probabilities, get their own class."""
    return sum(int(probability[modality].argmax() == modality) for modality in Modality)


def _defined(metric: Callable[..., float], image: np.ndarray, restored: np.ndarray) -> float | None:
    """A metric's value, or None for an image that is too small for it."""
    try:
        return metric(image, restored)
    except UndefinedMetricError:
        return None


def _reconstruct(params: Params, image_u8: jax.Array, size: Size | None) -> jax.Array:
    sym = image_u8.astype(np.float32)[None, ..., None] / 127.5 - 1
    features, _ = make_encoder(params.net).apply({"params": params.encoder}, sym, size)
    restored, _ = make_decoder(params.net).apply({"params": params.decoder}, features, sym.shape[1:3], size)
    return jax.numpy.rint((restored[0, ..., 0] + 1) * 127.5)
