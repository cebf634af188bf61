"""Stage `ablate`: Table 3, and the controls that decide whether class activation does anything at all."""

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from camfuse_jax import fusion
from camfuse_jax.config import ClassifierConfig, Config, Modality
from camfuse_jax.fusion import Params
from camfuse_jax.metrics import ScoreTable, significance
from camfuse_jax.metrics.table import score
from camfuse_jax.report.ablation import Ablation, Variant, ablation_json, ablation_markdown, agreement
from camfuse_jax.safety.files import write_atomically
from camfuse_jax.safety.seal import seal
from camfuse_jax.stages.places import Places
from camfuse_jax.stages.scoring import choose_weights
from camfuse_jax.stages.train_classifier import train_head

KEYS = ("EN", "AG", "SCD", "SSIM", "VIF", "Qabf", "MI", "NOISE")
OURS = "ours"
_SHUFFLES = 3


def ablate(
    config: Config, places: Places, *, out: Path | None = None, weights: str | None = None, seeds: int = 3
) -> None:
    """Scores variants of the method on the test list; prints the table, writes `ablation.md` and `ablation.json`.

    Classifiers that must be retrained are trained here, with the config's recipe, on the encoder of the weights; they
    lie in `heads/`, so that the same command goes on where it was stopped.

    Args:
        config: Recipe of the retrained classifiers.
        places: Folders and data set.
        out: Where to write; `WORKDIR/ablate-DATASET` by default.
        weights: As for `load_params`; by default the workdir's own, else the shipped ones.
        seeds: Seeds of each retrained classifier; 0 leaves the retrained rows out.
    """
    chosen = choose_weights(places, weights)
    ours = fusion.load_params(chosen)
    out = out or places.workdir / f"ablate-{places.label}"
    pairs = list(places.pairs("test"))
    variants = [*without_training(ours), *_retrained(config, places, ours, out / "heads", seeds=seeds)]
    tables: dict[str, list[ScoreTable]] = {}
    for variant in variants:
        print(f"ablate: {variant.name} ({len(variant.params)})", file=sys.stderr)
        tables[variant.name] = [_score(pairs, params, variant.name) for params in variant.params]
    result = Ablation(
        dataset=places.label,
        weights=chosen,
        steps=config.cls.epochs * config.cls.steps_per_epoch,
        variants=tuple(variants),
        tables=tables,
        correct={v.name: [_correct(pairs, p) for p in v.params] for v in variants if v.classifies},
        images=2 * len(pairs),
        tests=significance([found[0] for found in tables.values()], against=OURS),
        agreement={v.name: agreement(v.params) for v in variants if v.classifies and len(v.params) > 1},
    )
    text = ablation_markdown(result)
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "ablation.md", text)
    write_atomically(out / "ablation.json", ablation_json(result))
    print(text)


def without_training(ours: Params) -> Iterator[Variant]:
    """Other rules, and the same rule with weights that say something else or nothing."""
    yield Variant(OURS, "", (ours,), classifies=True)
    nothing = _with_weights(ours, np.zeros_like(ours.class_weights))
    yield Variant("l1-norm rule", "Table 3", (fusion.with_rule(ours, "l1"),))
    yield Variant("Eq. 5 as printed", "rule", (fusion.with_rule(ours, "eq5"),))
    doubled = dataclasses.replace(ours.fusion, rule="unit_sum", gain=2.0)
    yield Variant("Eq. 5, weights sum to 2", "rule", (ours.replace(fusion=doubled),))
    yield Variant("Eq. 1 image-adaptive", "rule", (fusion.with_rule(ours, "adaptive"),))
    yield Variant("mean of features", "rule", (fusion.with_rule(nothing, "eq5"),))
    everything = _with_weights(ours, np.full_like(ours.class_weights, 20.0))  # tanh is 1
    yield Variant("sum of features", "rule", (fusion.with_rule(everything, "eq5"),))
    yield Variant("maximum of features", "rule", (fusion.with_rule(ours, "max"),))
    yield Variant("untrained head: all weights equal", "control", (nothing,))
    shuffled = tuple(_with_weights(ours, _shuffle(ours.class_weights, seed)) for seed in range(_SHUFFLES))
    yield Variant("weights shuffled over channels", "control", shuffled)
    yield Variant("weights of the two images swapped", "control", (_with_weights(ours, ours.class_weights[::-1]),))
    strong = _with_weights(ours, 4 * np.asarray(ours.class_weights))
    yield Variant("weights four times as large", "control", (strong,))


def _retrained(config: Config, places: Places, ours: Params, folder: Path, *, seeds: int) -> Iterator[Variant]:
    few = min(seeds, 1)
    recipes: list[tuple[str, str, ClassifierConfig, int]] = [
        ("retrained, as ours", "Table 3", config.cls, seeds),
        ("retrained without L_df", "Table 3", dataclasses.replace(config.cls, distance_weight=0.0), seeds),
        ("retrained, alpha 3 as printed", "Table 3", dataclasses.replace(config.cls, distance_weight=3.0), few),
        ("retrained, rate 1e-6 as printed", "training", _as_printed(config.cls), few),
    ]
    for name, group, recipe, count in recipes:
        heads = [_head(config, places, ours, recipe, folder, seed=seed) for seed in range(count)]
        if heads:
            yield Variant(name, group, tuple(heads), classifies=True)
    if seeds:
        single = dataclasses.replace(config, net=dataclasses.replace(ours.net, branches=1))
        head = _head(single, places, ours, config.cls, folder, seed=0)
        yield Variant("retrained, one branch", "training", (head,), classifies=True)


def _as_printed(recipe: ClassifierConfig) -> ClassifierConfig:
    return dataclasses.replace(recipe, learning_rate=1e-6, schedule="constant", weight_rms=0.0)


def _head(config: Config, places: Places, ours: Params, recipe: ClassifierConfig, folder: Path, *, seed: int) -> Params:
    branches = config.net.branches
    config = dataclasses.replace(
        config, cls=recipe, seed=seed, net=dataclasses.replace(ours.net, branches=branches), fusion=ours.fusion
    )
    identity = {
        "stage": "ablate",
        "pairs": places.label,
        "cls": dataclasses.asdict(recipe),
        "seed": seed,
        "branches": branches,
        "encoder": seal({"/".join(k): v for k, v in _flat(ours.encoder)}, ""),
    }
    name = seal({}, repr(sorted(identity.items())))[:12]
    autoencoder = {"encoder": ours.encoder, "decoder": ours.decoder}
    return train_head(config, places, autoencoder, folder=folder / name, identity=identity)


def _flat(tree: dict, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, (*path, name))
        else:
            yield (*path, name), np.asarray(value)


def _with_weights(params: Params, class_weights: np.ndarray) -> Params:
    """The same networks with other class weights (2, k)."""
    head = {"kernel": jnp.asarray(class_weights).T}
    return params.replace(classifier={**params.classifier, "head": head})


def _shuffle(class_weights: np.ndarray, seed: int) -> np.ndarray:
    return np.asarray(class_weights)[:, np.random.default_rng(seed).permutation(class_weights.shape[1])]


def _score(pairs: Sequence, params: Params, name: str) -> ScoreTable:
    buckets = fusion.plan(vis.shape for *_, vis in pairs)
    fused = {pair: np.asarray(fusion.fuse(params, ir, vis, buckets=buckets)) for pair, ir, vis in pairs}
    return score(pairs, fused, metrics=KEYS, method=name)


def _correct(pairs: Sequence, params: Params) -> int:
    """Test images that the classifier takes for what they are."""
    buckets = fusion.plan(vis.shape for *_, vis in pairs)
    seen = [fusion.explain(params, ir, vis, buckets=buckets).probability[0] for _, ir, vis in pairs]
    return sum(int(p[modality].argmax() == modality) for p in seen for modality in Modality)
