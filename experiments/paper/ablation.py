"""Retrained classifier heads of the ablation: one for each recipe and seed, trained once and kept as a weights file."""

import dataclasses
import itertools
import json
import pathlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import scipy

from camfuse_jax.config import ClassifierConfig, Config, Modality, Rule, recipe
from camfuse_jax.data.sources import GrayImage
from camfuse_jax.data.workdir import Workdir
from camfuse_jax.fusion.dispatch import plan_programs
from camfuse_jax.fusion.fuse import explain, fuse_arrays
from camfuse_jax.fusion.params import Params, load_params, save_params, with_rule
from camfuse_jax.metrics.compare import significance
from camfuse_jax.metrics.evaluate import choose_weights
from camfuse_jax.metrics.protocol import ImageScores
from camfuse_jax.metrics.table import ScoreTable, score
from camfuse_jax.nets.build import init_classifier
from camfuse_jax.system.checksum import code_digest, seal
from camfuse_jax.system.files import write_atomically
from camfuse_jax.training.classifier import train_head
from camfuse_jax.training.manifest import digest
from paper.ablation_table import Ablation, Variant, ablation_json, ablation_markdown, agreement

CODE = ("cam.py", "data", "images", "losses.py", "nets", "stages/train_classifier.py", "training")
"""What the trained weights depend on besides the settings; paths inside the package."""


def retrained(config: Config, places: Workdir, ours: Params, folder: pathlib.Path, *, seeds: int) -> Iterator[Variant]:
    """Trains the rows that need training, one after the other, each when it is asked for.

    Args:
        config: The recipe; the network's shape, the encoder and the fusion rule are those of `ours`.
        places: The data set whose training list is used.
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
        heads = [_head(dataclasses.replace(base, seed=seed), places, ours, folder) for seed in range(seeds)]
        yield Variant(name, group, tuple(heads), classifies=True, trained=True)


def _head(config: Config, places: Workdir, ours: Params, folder: pathlib.Path) -> Params:
    identity = {
        "stage": "ablate",
        "pairs": [places.label, *places.pairs("train").names],
        "cls": recipe(config.cls),
        "net": dataclasses.asdict(config.net),
        "seed": config.seed,
        "encoder": seal(_flat(ours.encoder), ""),
        "code": code_digest(CODE),
        "jax": jax.__version__,
    }
    name = digest(identity)[:16]
    kept = folder / f"{name}.safetensors"
    if kept.is_file():
        # The rule is no part of what was trained.
        return load_params(kept).replace(fusion=config.fusion, decoder=ours.decoder)
    autoencoder = {"encoder": ours.encoder, "decoder": ours.decoder}
    params = train_head(config, places, autoencoder, folder=folder / name, identity=identity)
    save_params(kept, params)
    return params


def steps(settings: ClassifierConfig) -> str:
    """The recipe in words."""
    if not settings.steps_per_epoch:
        told = f"{settings.epochs} passes"
    else:
        told = f"{settings.epochs * settings.steps_per_epoch} steps"
    return f"{told} of {settings.batch_size} windows of {settings.crop} pixels"


def _flat(tree: dict) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in flax.traverse_util.flatten_dict(tree, sep="/").items()}


# Scores of the ablation's variants, kept on disk by what they depend on, so that a stopped run goes on.


KEYS = ("EN", "AG", "SCD", "SSIM", "VIF", "Qabf", "MI", "NOISE")
CODE_ablate_scores = ("cam.py", "fusion", "images", "metrics", "nets", "runtime.py")
"""What fused images and their scores depend on besides weights and sources; paths inside the package."""

Pair = tuple[str, GrayImage, GrayImage]


@dataclasses.dataclass(frozen=True)
class Scored:
    """What one set of weights gets on the test list.

    Attributes:
        table: Its scores.
        right: Test images that its classifier takes for what they are; None where it was not asked.
    """

    table: ScoreTable
    right: int | None


class Scorer:
    """Fuses and scores a test list for one set of weights after the other.

    Args:
        pairs: The list.
        folder: Where the scores are kept; made when the first are.
    """

    def __init__(self, pairs: Sequence[Pair], folder: pathlib.Path):
        self._pairs, self._folder = list(pairs), folder
        self._buckets = plan_programs(vis.shape for *_, vis in pairs)
        arrays = {f"{name}/{kind}": image for name, *both in pairs for kind, image in zip(Modality, both, strict=True)}
        self._sources = seal(arrays, json.dumps([name for name, *_ in pairs]))

    def __call__(self, params: Params, *, name: str, classify: bool) -> Scored:
        """The scores of some weights: read if they were computed before by the same code, else computed and kept.

        Args:
            params: Weights and rule.
            name: What to call them in the table.
            classify: Whether to ask the classifier as well.
        """
        path = self._folder / f"{self._key(params, classify=classify)[:16]}.json"
        found = _read(path, name)
        if found is None:
            found = self._compute(params, name=name, classify=classify)
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, _text(found))
        return found

    def _key(self, params: Params, *, classify: bool) -> str:
        return digest(
            {
                "sources": self._sources,
                "params": seal(_flat_ablate_scores(params), repr((params.net, params.fusion))),
                "metrics": KEYS,
                "classify": classify,
                "code": code_digest(CODE_ablate_scores),
                "versions": [jax.__version__, np.__version__, scipy.__version__, jax.devices()[0].device_kind],
            }
        )

    def _compute(self, params: Params, *, name: str, classify: bool) -> Scored:
        fused = {pair: np.asarray(fuse_arrays(params, ir, vis, buckets=self._buckets)) for pair, ir, vis in self._pairs}
        table = score(self._pairs, fused, metrics=KEYS, method=name)
        return Scored(table, self._right(params) if classify else None)

    def _right(self, params: Params) -> int:
        seen = [explain(params, *both, buckets=self._buckets).probability[0] for _, *both in self._pairs]
        return sum(int(p[modality].argmax() == modality) for p in seen for modality in Modality)


def _flat_ablate_scores(params: Params) -> dict[str, np.ndarray]:
    tree = {part: getattr(params, part) for part in ("encoder", "decoder", "classifier")}
    flat = flax.traverse_util.flatten_dict(tree, sep="/")
    gains = {"ir_gain": params.ir_gain, "vis_gain": params.vis_gain}
    return {name: np.asarray(value) for name, value in {**flat, **gains}.items()}


def _text(scored: Scored) -> str:
    content = {
        "rows": {image: dataclasses.asdict(scores) for image, scores in scored.table.rows.items()},
        "stamp": scored.table.tag,
        "right": scored.right,
    }
    return json.dumps({"scores": content, "sha256": digest(content)}, indent=1)


def _read(path: pathlib.Path, name: str) -> Scored | None:
    """What `_text` wrote; None if there is nothing, or it is damaged."""
    if not path.is_file():
        return None
    try:
        whole = json.loads(path.read_bytes())
        content = whole["scores"]
        intact = whole["sha256"] == digest(content)
    except (ValueError, LookupError, TypeError, RecursionError):
        intact = False
    if not intact:
        print(f"ablate: {path} is damaged; its scores are computed again", file=sys.stderr)
        return None
    rows = {image: ImageScores(**scores) for image, scores in content["rows"].items()}
    return Scored(ScoreTable(name, KEYS, rows, content["stamp"]), content["right"])


# Stage `ablate`: Table 3, and the controls that decide whether class activation does anything at all.


OURS = "ours"
_DRAWS = 3
_HE_GAIN = 2.0
_ALONE = (
    0.5  # weight of class evidence where nothing else chooses; chosen on training crops (experiments/study_rule.py)
)


def ablate(
    config: Config,
    places: Workdir,
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
        places: Folders and data set.
        out: Where to write; `WORKDIR/ablate-DATASET` by default.
        weights: As for `load_params`; by default the workdir's own, else the shipped ones.
        rule: Fusion rule of ours and of every row that does not name another; by default the weights' own.
        seeds: Seeds of each retrained classifier; 0 leaves the retrained rows out.
    """
    chosen = choose_weights(places, weights)
    ours = with_rule(load_params(chosen), rule)
    out = out or places.workdir / f"ablate-{places.label}"
    _keep_compiled(out / "compiled")
    pairs = list(places.pairs("test"))
    scorer = Scorer(pairs, out / "scores")
    variants: list[Variant] = []
    scored: dict[str, list[Scored]] = {}
    rows = itertools.chain(without_training(ours), retrained(config, places, ours, out / "heads", seeds=seeds))
    for variant in rows:
        print(f"ablate: {variant.name} ({len(variant.params)})", file=sys.stderr)
        variants.append(variant)
        scored[variant.name] = [scorer(p, name=variant.name, classify=variant.classifies) for p in variant.params]
    heads = [variant for variant in variants if variant.trained]
    result = Ablation(
        dataset=places.label,
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


def without_training(ours: Params) -> Iterator[Variant]:
    """Other rules, and the same rule with weights that say something else or nothing."""
    own = np.asarray(ours.class_weights)
    yield Variant(OURS, "", (ours,), classifies=True)
    yield Variant("l1-norm rule", "Table 3", (with_rule(ours, "l1"),))
    yield Variant("Eq. 5 as printed", "rule", (with_rule(ours, "eq5"),))
    doubled = dataclasses.replace(ours.fusion, rule="unit_sum", gain=2.0)
    yield Variant("Eq. 5, weights sum to 1", "rule", (with_rule(ours, "unit_sum"),))
    yield Variant("Eq. 5, weights sum to 2", "rule", (ours.replace(fusion=doubled),))
    yield Variant("Eq. 1 image-adaptive", "rule", (with_rule(ours, "adaptive"),))
    yield Variant("mean of features", "rule", (with_rule(ours, "mean"),))
    yield Variant("sum of features", "rule", (with_rule(ours, "add"),))
    yield Variant("maximum of features", "rule", (with_rule(ours, "max"),))
    yield Variant("untrained head, zero: all weights equal", "control", (_with_weights(ours, np.zeros_like(own)),))
    untrained = tuple(_untrained(ours, seed) for seed in range(_DRAWS))
    yield Variant("untrained classifier, random head", "control", untrained, classifies=True)
    as_large = tuple(_with_weights(ours, _scaled_as(p.class_weights, own)) for p in untrained)
    yield Variant("random head, as large as ours", "control", as_large)
    yield Variant("both images' weights equal", "control", (_with_weights(ours, own.mean(axis=0, keepdims=True)),))
    shuffled = tuple(_with_weights(ours, _shuffle(own, seed)) for seed in range(_DRAWS))
    yield Variant("weights shuffled over channels", "control", shuffled)
    yield Variant("weights of the two images swapped", "control", (_with_weights(ours, own[::-1]),))
    yield Variant("weights four times as large", "control", (_with_weights(ours, 4 * own),))
    yield Variant("activity alone", "rule", (_choosing(ours, evidence=0.0),))
    alone = _choosing(ours, sharpness=0.0, evidence=_ALONE)
    yield Variant("class evidence alone", "rule", (alone,))
    strangers = tuple(_with_weights(alone, _shuffle(own, seed)) for seed in range(_DRAWS))
    yield Variant("class evidence alone, weights shuffled", "control", strangers)
    yield Variant("class evidence alone, images swapped", "control", (_with_weights(alone, own[::-1]),))
    yield Variant("class evidence alone, untrained head", "control", (_with_weights(alone, np.zeros_like(own)),))


def _choosing(params: Params, **settings: float) -> Params:
    """Rule `place` with other settings of what chooses."""
    return params.replace(fusion=dataclasses.replace(params.fusion, rule="place", **settings))


def _with_weights(params: Params, class_weights: np.ndarray) -> Params:
    """The same networks with other class weights, (2, k) or one row for both."""
    kernel = jnp.asarray(np.broadcast_to(class_weights, params.class_weights.shape)).T
    return params.replace(classifier={**params.classifier, "head": {"kernel": kernel}})


def _untrained(ours: Params, seed: int) -> Params:
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


def _keep_compiled(folder: Path) -> None:
    """Seeds of one recipe are one program: it is compiled once, and not again by a run that goes on."""
    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
