"""What each setting of fusion rule `place` does to each metric, on training pairs only: how the default was chosen.

`python experiments/study_rule.py --data ../shared/data` prints one Markdown table per data set. The crops are the
middle 256 x 320 pixels of ten pairs of the `train` list that are large enough, drawn with seed 0. No test list is read.
The last column adds EN, AG, SCD, SSIM, VIF and Qabf, each in units of its spread over methods, from the default's sum.
"""

import argparse
import dataclasses
import pathlib

import numpy as np
from camfuse_jax.metrics.batched import score_images

from camfuse_jax import fuse, load_params
from camfuse_jax.config import FusionConfig
from camfuse_jax.data.records import pair_source
from camfuse_jax.fusion.params import Params
from camfuse_jax.metrics.baselines import BASELINES
from camfuse_jax.system import runtime

CROP = (256, 320)
KEYS = ("EN", "AG", "SCD", "SSIM", "VIF", "Qabf", "MI")
SPREAD = {"EN": 0.20, "AG": 0.81, "SCD": 0.12, "SSIM": 0.031, "VIF": 0.095, "Qabf": 0.084}
"""Standard deviation of each metric over 24 published methods' images of TNO's usual 25 pairs."""
DEFAULT = FusionConfig()
SETTINGS = {
    "default": {},
    "eq5": {"rule": "eq5"},
    "base_gain 1.5": {"base_gain": 1.5},
    "base_gain 2.2": {"base_gain": 2.2},
    "detail_gain 1": {"detail_gain": 1.0},
    "detail_gain 1.6": {"detail_gain": 1.6},
    "sharpness 0, evidence 0 (no choice)": {"sharpness": 0.0, "evidence": 0.0},
    "sharpness 0, evidence 0.5 (class evidence alone)": {"sharpness": 0.0, "evidence": 0.5},
    "evidence 0 (activity alone)": {"evidence": 0.0},
    "evidence 0.25": {"evidence": 0.25},
    "sharpness 3": {"sharpness": 3.0},
    "sharpness 7": {"sharpness": 7.0},
    "base_cells 1.5": {"base_cells": 1.5},
    "base_cells 10": {"base_cells": 10.0},
    "level 0": {"level": 0.0},
    "level 1": {"level": 1.0},
}


def crops(dataset: str, data: pathlib.Path, records: pathlib.Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The middles of some training pairs, (n, h, w, 1) uint8 each."""
    pairs = pair_source(dataset, split="train", data=data, tfds_dir=records, download=False)
    chosen: list[list[np.ndarray]] = []
    for i in np.random.default_rng(0).permutation(len(pairs)):
        _, *images = pairs[int(i)]
        spare = [length - wanted for length, wanted in zip(images[0].shape, CROP, strict=True)]
        if min(spare) >= 0 and len(chosen) < count:
            top, left = (s // 2 for s in spare)
            chosen.append([image[top : top + CROP[0], left : left + CROP[1]] for image in images])
    ir, vis = zip(*chosen, strict=True)
    return np.stack(ir)[..., None], np.stack(vis)[..., None]


def means(ir: np.ndarray, vis: np.ndarray, fused: np.ndarray) -> dict[str, float]:
    """Mean of each metric over the crops."""
    scores = score_images(list(zip(ir[..., 0], vis[..., 0], fused, strict=True)), metrics=KEYS, batch_size=5)
    return {key: float(np.mean([s[key] for s in scores if s[key] is not None])) for key in KEYS}


def row(name: str, found: dict[str, float], default: dict[str, float]) -> str:
    """One line of the table."""
    total = sum((found[key] - default[key]) / spread for key, spread in SPREAD.items())
    return f"| {name} | " + " | ".join(f"{value:.3f}" for value in found.values()) + f" | {total:+.2f} |"


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--records", type=pathlib.Path, default=pathlib.Path("runs/study/data"))
    parser.add_argument("--count", type=int, default=10)
    arguments = parser.parse_args()
    runtime.configure()
    for dataset in ("tno", "roadscene"):
        params = load_params(dataset)
        ir, vis = crops(dataset, arguments.data, arguments.records, arguments.count)

        def fused(change: dict[str, object], params: Params = params, ir: np.ndarray = ir, vis: np.ndarray = vis):
            variant = params.replace(fusion=dataclasses.replace(DEFAULT, **change))
            halves = [np.asarray(fuse(variant, ir[i : i + 5], vis[i : i + 5])) for i in range(0, len(ir), 5)]
            return np.concatenate(halves)[..., 0]

        default = means(ir, vis, fused({}))
        heads = " | ".join((*KEYS, "sum"))
        print(f"\n| {dataset}, {len(ir)} training crops | {heads} |\n|---|{'---:|' * (len(KEYS) + 1)}", flush=True)
        for name, baseline in BASELINES.items():
            images = np.stack([baseline(a[..., 0], b[..., 0]) for a, b in zip(ir, vis, strict=True)])
            print(row(name, means(ir, vis, images), default), flush=True)
        for name, change in SETTINGS.items():
            print(row(name, means(ir, vis, fused(change)), default), flush=True)


if __name__ == "__main__":
    main()
