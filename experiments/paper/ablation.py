"""Stage `ablate`: Table 3, and the controls that decide whether class activation does anything at all."""

import dataclasses
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from camfuse_jax.config import ClassifierConfig, Config, Rule
from camfuse_jax.data.records import Workdir
from camfuse_jax.fusion.params import Params, load_params, with_rule
from camfuse_jax.metrics.compare import significance
from camfuse_jax.metrics.evaluate import choose_weights
from camfuse_jax.nets.build import init_classifier
from camfuse_jax.system.files import write_atomically
from paper.ablation_heads import retrained
from paper.ablation_scores import Scored, Scorer
from paper.ablation_table import Ablation, Variant, ablation_json, ablation_markdown, agreement

OURS = "ours"
_DRAWS = 3
_HE_GAIN = 2.0
_ALONE = 0.5
"""Weight of the class score where nothing else chooses; chosen on training crops (experiments/study_rule.py)."""
_NO_SALIENCY = {"saliency": 0.0, "warm_base": (0.0, 0.0)}


def ablate(
    config: Config,
    workdir: Workdir,
    *,
    out: Path | None = None,
    weights: str | None = None,
    rule: Rule | None = None,
    seeds: int = 3,
) -> None:
    """Scores variants of the method on the test list; prints the table, writes `ablation.md` and `ablation.json`.

    Classifiers that must be retrained are trained here, with the config's recipe, on the encoder of the weights. They
    lie in `heads/` and every variant's scores in `scores/`, both named by what they depend on: the same command goes on
    where it was stopped and computes nothing twice.

    Args:
        config: Recipe of the retrained classifiers.
        workdir: Folders and data set.
        out: Where to write; `WORKDIR/ablate-DATASET` by default.
        weights: As for `load_params`; by default the workdir's own, else the shipped ones.
        rule: Fusion rule of ours and of every row that does not name another; by default the weights' own.
        seeds: Seeds of each retrained classifier; 0 leaves the retrained rows out.
    """
    chosen = choose_weights(workdir, weights)
    ours = with_rule(load_params(chosen), rule)
    out = out or workdir.workdir / f"ablate-{workdir.label}"
    keep_compiled(out / "compiled")
    pairs = list(workdir.pairs("test"))
    scorer = Scorer(pairs, out / "scores")
    variants: list[Variant] = []
    scored: dict[str, list[Scored]] = {}
    rows = itertools.chain(without_training(ours), retrained(config, workdir, ours, out / "heads", seeds=seeds))
    for variant in rows:
        print(f"ablate: {variant.name} ({len(variant.params)})", file=sys.stderr)
        variants.append(variant)
        scored[variant.name] = [scorer(p, name=variant.name, classify=variant.classifies) for p in variant.params]
    heads = [variant for variant in variants if variant.trained]
    result = Ablation(
        dataset=workdir.label,
        weights=chosen,
        rule=ours.fusion.rule,
        recipe=steps(config.cls) if heads else "",
        variants=tuple(variants),
        tables={name: [found.table for found in several] for name, several in scored.items()},
        correct={v.name: [found.right for found in scored[v.name]] for v in variants if v.classifies},
        images=2 * len(pairs),
        tests=significance([several[0].table for several in scored.values()], against=OURS),
        agreement={v.name: agreement(v.params) for v in heads if len(v.params) > 1},
        with_ours={v.name: agreement(v.params, ours) for v in heads},
    )
    text = ablation_markdown(result)
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "ablation.md", text)
    write_atomically(out / "ablation.json", ablation_json(result))
    print(text)


def steps(settings: ClassifierConfig) -> str:
    """The recipe in words."""
    count, unit = settings.epochs * (settings.steps_per_epoch or 1), "steps" if settings.steps_per_epoch else "passes"
    return f"{count} {unit} of {settings.batch_size} windows of {settings.crop} pixels"


def without_training(ours: Params) -> Iterator[Variant]:
    """Other rules, and the same rule with weights that say something else or nothing."""
    own = np.asarray(ours.class_weights)
    yield Variant(OURS, "", (ours,), classifies=True)
    yield Variant("l1-norm rule", "Table 3", (with_rule(ours, "l1"),))
    yield Variant("Eq. 5 as printed", "rule", (with_rule(ours, "eq5"),))
    doubled = dataclasses.replace(ours.fusion, rule="unit_sum", gain=2.0)
    yield Variant("Eq. 5, weights sum to 1", "rule", (with_rule(ours, "unit_sum"),))
    yield Variant("Eq. 5, weights sum to 2", "rule", (ours.replace(fusion=doubled),))
    yield Variant("Eq. 5, W_c pooled from each image", "rule", (with_rule(ours, "eq5-pooled"),))
    yield Variant("Eq. 5, W_c by contribution in each image", "rule", (with_rule(ours, "eq5-contribution"),))
    yield Variant("mean of features", "rule", (with_rule(ours, "mean"),))
    yield Variant("sum of features", "rule", (with_rule(ours, "add"),))
    yield Variant("maximum of features", "rule", (with_rule(ours, "max"),))
    yield Variant("untrained head, zero: all weights equal", "control", (_with_weights(ours, np.zeros_like(own)),))
    starts = tuple(untrained(ours, seed) for seed in range(_DRAWS))
    yield Variant("untrained classifier, random head", "control", starts, classifies=True)
    as_large = tuple(_with_weights(ours, _scaled_as(p.class_weights, own)) for p in starts)
    yield Variant("random head, as large as ours", "control", as_large)
    yield Variant("both images' weights equal", "control", (_with_weights(ours, own.mean(axis=0, keepdims=True)),))
    shuffled = tuple(_with_weights(ours, _shuffle(own, seed)) for seed in range(_DRAWS))
    yield Variant("weights shuffled over channels", "control", shuffled)
    yield Variant("weights of the two images swapped", "control", (_with_weights(ours, own[::-1]),))
    yield Variant("weights four times as large", "control", (_with_weights(ours, 4 * own),))
    yield from _what_chooses(ours, own)


def _what_chooses(ours: Params, own: np.ndarray) -> Iterator[Variant]:
    """Rule `spatial` with each part of what chooses the detail left out, and alone."""
    nothing = {"sharpness": 0.0, "class_score": 0.0, **_NO_SALIENCY}
    spatial = ours.fusion.spatial
    for name, off in (
        ("activity", {"sharpness": 0.0}),
        ("class score", {"class_score": 0.0}),
        ("thermal saliency", _NO_SALIENCY),
    ):
        yield Variant(f"without {name}", "rule", (_choosing(ours, **off),))
        alone = {**nothing, **{key: getattr(spatial, key) for key in off}}
        if name == "class score":
            alone["class_score"] = _ALONE
        yield Variant(f"{name} alone", "rule", (_choosing(ours, **alone),))
    yield Variant("nothing chooses", "rule", (_choosing(ours, **nothing),))
    alone = _choosing(ours, **{**nothing, "class_score": _ALONE})
    strangers = tuple(_with_weights(alone, _shuffle(own, seed)) for seed in range(_DRAWS))
    yield Variant("class score alone, weights shuffled", "control", strangers)
    yield Variant("class score alone, images swapped", "control", (_with_weights(alone, own[::-1]),))
    yield Variant("class score alone, untrained head", "control", (_with_weights(alone, np.zeros_like(own)),))


def _choosing(params: Params, **settings: Any) -> Params:
    """Rule `spatial` with other settings of what chooses."""
    spatial = dataclasses.replace(params.fusion.spatial, **settings)
    return params.replace(fusion=dataclasses.replace(params.fusion, rule="spatial", spatial=spatial))


def _with_weights(params: Params, class_weights: np.ndarray) -> Params:
    """The same networks with other class weights, (2, k) or one row for both."""
    kernel = jnp.asarray(np.broadcast_to(class_weights, params.class_weights.shape)).T
    return params.replace(classifier={**params.classifier, "head": {"kernel": kernel}})


def untrained(ours: Params, seed: int) -> Params:
    """A classifier as it is before training, its head at He's usual random start instead of zero."""
    classifier = init_classifier(ours.net, seed=seed)
    shape = classifier["head"]["kernel"].shape
    head = np.sqrt(_HE_GAIN / shape[0]) * np.random.default_rng(seed).standard_normal(shape)
    return ours.replace(classifier={**classifier, "head": {"kernel": jnp.asarray(head, jnp.float32)}})


def _scaled_as(class_weights: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The same weights with the root mean square of others."""
    return np.asarray(class_weights) * np.sqrt(np.mean(own**2) / np.mean(np.asarray(class_weights) ** 2))


def _shuffle(class_weights: np.ndarray, seed: int) -> np.ndarray:
    return class_weights[:, np.random.default_rng(seed).permutation(class_weights.shape[1])]


def keep_compiled(folder: Path) -> None:
    """Seeds of one recipe are one program: it is compiled once, and not again by a run that goes on."""
    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
