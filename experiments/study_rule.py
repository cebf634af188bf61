"""What each setting of fusion rule `spatial` does to each metric, on training pairs only: how to choose a default.

`python experiments/study_rule.py --data ../shared/data` prints one Markdown table per data set. The crops are the
middle 256 x 320 pixels of ten pairs of the `train` list that are large enough, drawn with seed 0. No test list is read.
The last column adds EN, AG, SCD, SSIM, VIF and Qabf, each less the default's, in units of its standard deviation over
the methods at the head of the table on the same crops.

With `--noise` it prints instead what noise drawn on one image does to the result of the weights `fast`.
"""

import argparse
import dataclasses
import pathlib
import statistics
from collections.abc import Callable, Iterator

import numpy as np

from camfuse_jax import fuse, load_params
from camfuse_jax.config import FusionConfig, SpatialConfig
from camfuse_jax.data.records import pair_source
from camfuse_jax.fusion.params import Params
from camfuse_jax.metrics.registry import PICTURE_METRICS
from camfuse_jax.metrics.table import BASELINES, ScoreTable, score
from camfuse_jax.system import runtime

CROP = (256, 320)
SUMMED = ("EN", "AG", "SCD", "SSIM", "VIF", "Qabf")
KEYS = (*SUMMED, "MI", *PICTURE_METRICS)
RULES = ("eq5", "eq5-pooled", "eq5-contribution", "unit_sum", "l1", "mean", "add", "max")
NO_SALIENCY = {"saliency": 0.0, "warm_base": (0.0, 0.0)}
SETTINGS = {
    "default": {},
    "look natural": {"look": 0.0},
    "base_gain 1.5": {"base_gain": (1.0, 1.5)},
    "base_gain 2.2": {"base_gain": (1.0, 2.2)},
    "detail_gain 1": {"detail_gain": (1.0, 1.0)},
    "detail_gain 1.6": {"detail_gain": (1.0, 1.6)},
    "nothing chooses": {"sharpness": 0.0, "class_score": 0.0, **NO_SALIENCY},
    "class score alone, 0.5": {"sharpness": 0.0, "class_score": 0.5, **NO_SALIENCY},
    "without class score": {"class_score": 0.0},
    "class score 0.5": {"class_score": 0.5},
    "without thermal saliency": NO_SALIENCY,
    "saliency 4": {"saliency": 4.0},
    "sharpness 5": {"sharpness": 5.0},
    "sharpness 9": {"sharpness": 9.0},
    "base_sigma 8": {"base_sigma": 8.0},
    "base_sigma 32": {"base_sigma": 32.0},
    "without denoise": {"denoise": 0.0},
}

NOISY = {
    "visible, Gaussian 10": (1, lambda image: 10.0),
    "visible, Gaussian 25": (1, lambda image: 25.0),
    "infrared, Gaussian 10": (0, lambda image: 10.0),
    "infrared, Gaussian 25": (0, lambda image: 25.0),
    "visible, like photons, 25 at mid gray": (1, lambda image: 25 * np.sqrt(image / 128)),
    "infrared, like photons, 25 at mid gray": (0, lambda image: 25 * np.sqrt(image / 128)),
}
"""Which image, and the standard deviation of its noise in gray levels."""

Pairs = list[tuple[str, np.ndarray, np.ndarray]]


def train_crops(dataset: str, data: pathlib.Path, records: pathlib.Path, count: int) -> Pairs:
    """The middles of some training pairs: name, infrared and visible, (h, w) uint8."""
    pairs = pair_source(dataset, split="train", data=data, tfds_dir=records, download=False)
    chosen: Pairs = []
    for i in np.random.default_rng(0).permutation(len(pairs)):
        name, *images = pairs[int(i)]
        spare = [length - wanted for length, wanted in zip(images[0].shape, CROP, strict=True)]
        if min(spare) >= 0 and len(chosen) < count:
            top, left = (s // 2 for s in spare)
            chosen.append((name, *(image[top : top + CROP[0], left : left + CROP[1]] for image in images)))
    return chosen


def spreads(tables: list[ScoreTable]) -> dict[str, float]:
    """Standard deviation of each summed metric over methods, by which unlike metrics can be added."""
    return {key: statistics.stdev(table.mean(key) for table in tables) for key in SUMMED}


def table_row(table: ScoreTable, default: ScoreTable, spread: dict[str, float]) -> str:
    """One line of the table."""
    total = sum((table.mean(key) - default.mean(key)) / spread[key] for key in SUMMED)
    cells = " | ".join(table.text(key, table.mean(key)) for key in KEYS)
    return f"| {table.method} | {cells} | {total:+.2f} |"


def study(params: Params, pairs: Pairs) -> Iterator[str]:
    """The rows of one data set, each as soon as it is known: methods without this rule, then its settings."""

    def scored(name: str, fusion: FusionConfig) -> ScoreTable:
        variant = params.replace(fusion=fusion)
        fused = {pair: np.asarray(fuse(variant, ir, vis)) for pair, ir, vis in pairs}
        return score(pairs, fused, metrics=KEYS, method=name)

    def setting(name: str) -> ScoreTable:
        return scored(name, FusionConfig(spatial=dataclasses.replace(SpatialConfig(), **SETTINGS[name])))

    methods = [score(pairs, baseline, metrics=KEYS, method=name) for name, baseline in BASELINES.items()]
    methods += [scored(rule, FusionConfig(rule=rule)) for rule in RULES]
    spread, default = spreads(methods), setting("default")
    for table in methods:
        yield table_row(table, default, spread)
    for name in SETTINGS:
        yield table_row(default if name == "default" else setting(name), default, spread)


def noise_row(params: Params, pairs: Pairs, name: str, which: int, level: Callable[..., float | np.ndarray]) -> str:
    """One line: SSIM and VIF of the noisy pairs' results with the clean sources, and the share of noise handed on."""
    rng, fused, handed_on = np.random.default_rng(0), {}, []
    for pair, *images in pairs:
        clean = np.asarray(fuse(params, *images), np.float64)
        drawn = images[which] + level(images[which]) * rng.normal(size=clean.shape)
        noisy = np.clip(np.rint(drawn), 0, 255).astype(np.uint8)
        noise = np.std(noisy - images[which].astype(np.float64))
        images[which] = noisy
        fused[pair] = np.asarray(fuse(params, *images))
        handed_on.append(np.std(fused[pair] - clean) / noise)
    table = score(pairs, fused, metrics=("SSIM", "VIF"), method=name)
    return f"| {name} | {table.mean('SSIM'):.3f} | {table.mean('VIF'):.3f} | {np.mean(handed_on):.2f} |"


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--records", type=pathlib.Path, default=pathlib.Path("runs/study/data"))
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--noise", action="store_true")
    arguments = parser.parse_args()
    runtime.configure()
    for dataset in ("tno", "roadscene"):
        pairs = train_crops(dataset, arguments.data, arguments.records, arguments.count)
        if arguments.noise:
            print(f"\n| {dataset}, {len(pairs)} training crops | SSIM | VIF | handed on |\n|---|---:|---:|---:|")
            for name, (which, level) in NOISY.items():
                print(noise_row(load_params("fast"), pairs, name, which, level), flush=True)
            continue
        print(f"\n| {dataset}, {len(pairs)} training crops | {' | '.join((*KEYS, 'sum'))} |")
        print(f"|---|{'---:|' * (len(KEYS) + 1)}")
        for row in study(load_params(dataset), pairs):
            print(row, flush=True)


if __name__ == "__main__":
    main()
