"""Retrained classifier heads of the ablation: one for each recipe and seed, trained once and kept as a weights file."""

import dataclasses
import pathlib
from collections.abc import Iterator

import flax.traverse_util
import jax
import numpy as np

from camfuse_jax.config import Config, recipe
from camfuse_jax.data.records import Workdir
from camfuse_jax.fusion.params import Params, load_params, save_params
from camfuse_jax.system.files import array_digest
from camfuse_jax.training.classifier import train_head
from camfuse_jax.training.manifest import digest
from paper.ablation_table import Variant
from paper.inputs import code_digest

CODE = ("cam.py", "config.py", "data", "images", "losses.py", "nets", "training")
"""What the trained weights depend on besides the settings; paths inside the package."""


def retrained(config: Config, workdir: Workdir, ours: Params, folder: pathlib.Path, *, seeds: int) -> Iterator[Variant]:
    """Trains the rows that need training, one after the other, each when it is asked for.

    Args:
        config: The recipe; the network's shape, the encoder and the fusion rule are those of `ours`.
        workdir: The data set whose training list is used.
        ours: Weights whose encoder and decoder all rows share.
        folder: Where the heads are kept; those that are there are read.
        seeds: Heads of each row, seeds 0, 1, ...; 0 gives no rows.
    """
    cls, net = config.cls, ours.net
    single = dataclasses.replace(net, branches=1)
    printed = dataclasses.replace(cls, learning_rate=1e-6, schedule="constant", weight_rms=0.0)
    rows = [
        ("retrained, as ours: other seeds' heads", "Table 3, control", cls, net),
        ("retrained without L_df", "Table 3", dataclasses.replace(cls, distance_weight=0.0), net),
        ("retrained, alpha 3 as printed", "training", dataclasses.replace(cls, distance_weight=3.0), net),
        ("retrained, rate 1e-6 as printed", "training", printed, net),
        ("retrained, one branch", "training", cls, single),
        ("retrained from a random start", "training", dataclasses.replace(cls, start="he"), net),
    ]
    for name, group, settings, shape in rows if seeds else ():
        base = dataclasses.replace(config, cls=settings, net=shape, fusion=ours.fusion)
        heads = [_head(dataclasses.replace(base, seed=seed), workdir, ours, folder) for seed in range(seeds)]
        yield Variant(name, group, tuple(heads), classifies=True, trained=True)


def _head(config: Config, workdir: Workdir, ours: Params, folder: pathlib.Path) -> Params:
    identity = {
        "stage": "ablate",
        "pairs": [workdir.label, *workdir.pairs("train").names],
        "cls": recipe(config.cls),
        "net": dataclasses.asdict(config.net),
        "seed": config.seed,
        "encoder": array_digest(_flat(ours.encoder), ""),
        "code": code_digest(CODE),
        "jax": jax.__version__,
    }
    name = digest(identity)[:16]
    kept = folder / f"{name}.safetensors"
    if kept.is_file():
        # The rule is no part of what was trained.
        return load_params(kept).replace(fusion=config.fusion, decoder=ours.decoder)
    autoencoder = {"encoder": ours.encoder, "decoder": ours.decoder}
    params = train_head(config, workdir, autoencoder, folder=folder / name, identity=identity)
    save_params(kept, params)
    return params


def _flat(tree: dict) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in flax.traverse_util.flatten_dict(tree, sep="/").items()}
