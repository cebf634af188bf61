"""Scores of the paper's rule in each of its readings, with heads that know something and heads that do not.

A reading of Eq. 1 and a head together are nothing but channel weights, so an image is encoded once and decoded once for
each of them. What a pair gets is kept on disk by what it depends on, so that a stopped run goes on.
"""

import json
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from camfuse_jax import cam
from camfuse_jax.config import FusionConfig, Rule
from camfuse_jax.data.sources import GrayImage
from camfuse_jax.fusion import rules
from camfuse_jax.fusion.dispatch import Buckets, cut, plan_programs, run_by_size
from camfuse_jax.fusion.forward import encode, to_type, to_unit
from camfuse_jax.fusion.fuse import fuse_arrays
from camfuse_jax.fusion.params import Params, with_rule
from camfuse_jax.metrics.registry import PAPER_METRICS
from camfuse_jax.metrics.table import score_methods
from camfuse_jax.nets.build import make_classifier, make_decoder
from camfuse_jax.nets.layers import Size, features_size, inside
from camfuse_jax.system.files import array_digest, write_atomically
from camfuse_jax.training.manifest import digest
from paper.ablation import untrained
from paper.ablation_scores import CODE
from paper.inputs import code_digest
from paper.pointing import pointing

KEYS = (*PAPER_METRICS, "Qabf")
TRAINED, EQUAL, SHUFFLED, SWAPPED, UNTRAINED = "trained", "equal", "shuffled", "swapped", "untrained"
NONE = "none"
"""Head of the rows that use none."""
DRAWS = 3
_OWN_CODE = ("reproduction_scores.py", "pointing.py")

Pair = tuple[str, GrayImage, GrayImage]


class Reading(NamedTuple):
    """A reading of Eq. 1, and what becomes of brightness.

    Attributes:
        rule: Rule of `FusionConfig`.
        kept: Whether the mean brightness of the sources is kept (`fusion.brightness`).
    """

    rule: Rule
    kept: bool = False

    @property
    def name(self) -> str:
        """As it stands in the table."""
        return f"{self.rule}, brightness kept" if self.kept else self.rule


READINGS = tuple(Reading(rule, kept) for rule in ("eq5", "eq5-pooled", "eq5-contribution") for kept in (False, True))


class Head(NamedTuple):
    """What the channel weights are made of.

    Attributes:
        name: As it stands in the table.
        seed: Which of several of this name.
        classifier: Index into the classifiers of its `Block`.
    """

    name: str
    seed: int = 0
    classifier: int = 0


class Block(NamedTuple):
    """Rows that share an auto-encoder.

    Attributes:
        features: Name of the features.
        params: Weights; their class weights are those of the trained head.
        classifiers: Classifiers that the heads name, the first that of `params`.
        heads: The heads, each of which is scored under each reading.
        plain: Whether the rows without class weights and the pointing game are wanted.
    """

    features: str
    params: Params
    classifiers: tuple[Mapping[str, Any], ...]
    heads: tuple[Head, ...]
    plain: bool = True


class Row(NamedTuple):
    """What a row of the table is about, without the seed."""

    features: str
    reading: str
    head: str


class PairResult(NamedTuple):
    """What a pair gets.

    Attributes:
        scores: Row and seed to metric to value; None where a metric is undefined.
        pointing: As from `pointing.pointing`.
    """

    scores: dict[tuple[Row, int], dict[str, float | None]]
    pointing: Mapping[str, float] | None


def controls(features: str, params: Params) -> Block:
    """The trained head of some weights and the heads that it has to beat.

    equal: every channel of both images has the mean of the trained channel weights of the pair. shuffled: the trained
    channel weights, their pairs permuted over the channels. swapped: each image has the other one's. untrained: a
    classifier at a random start, its class weights and pooled maps scaled to the size of the trained ones.
    """
    starts = tuple(untrained(params, seed).classifier for seed in range(DRAWS))
    heads = (
        *(Head(TRAINED), Head(EQUAL), Head(SWAPPED)),
        *(Head(SHUFFLED, seed) for seed in range(DRAWS)),
        *(Head(UNTRAINED, seed, 1 + seed) for seed in range(DRAWS)),
    )
    return Block(features, params, (params.classifier, *starts), heads)


def image_weights(
    rule: Rule, class_weights: Float[np.ndarray, "2 k"], pooled: Float[np.ndarray, "2 k"]
) -> Float[np.ndarray, "2 k"]:
    """Channel weights (Eq. 3) of a pair under a reading of Eq. 1.

    Args:
        rule: `eq5`: the class weights; `eq5-pooled`: the pooled maps; `eq5-contribution`: their product.
        class_weights: Rows of the classifier's head.
        pooled: Its last maps of the infrared and of the visible image, averaged.
    """
    chosen = {"eq5": class_weights, "eq5-pooled": pooled, "eq5-contribution": class_weights * pooled}[rule]
    return np.asarray(cam.channel_weights(jnp.asarray(chosen, jnp.float32)))


def changed(head: Head, weights: Float[np.ndarray, "2 k"]) -> Float[np.ndarray, "2 k"]:
    """The channel weights of a control, made of the trained ones; see `controls`."""
    if head.name == EQUAL:
        return np.full_like(weights, weights.mean())
    if head.name == SHUFFLED:
        return weights[:, np.random.default_rng(head.seed).permutation(weights.shape[1])]
    return weights[::-1] if head.name == SWAPPED else weights


def block_weights(block: Block, pooled: Float[np.ndarray, "c 2 k"]) -> dict[tuple[Row, int], Float[np.ndarray, "2 k"]]:
    """Row and seed to the channel weights of a pair.

    Args:
        block: Which rows.
        pooled: Pooled last maps of the pair, by classifier.
    """
    rows = {}
    own = np.asarray(block.classifiers[0]["head"]["kernel"]).T
    for reading in READINGS:
        for head in block.heads:
            class_weights = np.asarray(block.classifiers[head.classifier]["head"]["kernel"]).T
            maps = pooled[head.classifier]
            if head.name == UNTRAINED:
                class_weights = class_weights * np.sqrt(np.mean(own**2) / np.mean(class_weights**2))
                maps = maps * (pooled[0].mean() / maps.mean())
            weights = changed(head, image_weights(reading.rule, class_weights, maps))
            rows[Row(block.features, reading.name, head.name), head.seed] = weights
    return rows


def score_block(
    block: Block, pairs: Sequence[Pair], folder: pathlib.Path, *, note: str = "reproduction"
) -> Iterator[PairResult]:
    """Fuses and scores all rows of a block, pair by pair; what is in the folder is read.

    Args:
        block: Which rows.
        pairs: The test list.
        folder: Where each pair's scores are kept.
        note: Who says on standard error how far it is.
    """
    buckets = plan_programs(vis.shape for *_, vis in pairs)
    identity = _identity(block)
    together = os.cpu_count() or 1
    for start in range(0, len(pairs), together):
        some = pairs[start : start + together]
        paths = [folder / f"{digest([identity, name, array_digest(_named(ir, vis), '')])[:16]}.json"
                 for name, ir, vis in some]  # fmt: skip
        kept = [_read(path) for path in paths]
        missing = [i for i, found in enumerate(kept) if found is None]
        for i, text in zip(missing, _computed(block, [some[i] for i in missing], buckets), strict=True):
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(paths[i], json.dumps({"result": text, "sha256": digest(text)}))
            kept[i] = text
        if missing:
            print(f"{note}: {block.features}, {start + len(some)} of {len(pairs)} pairs", file=sys.stderr, flush=True)
        for found in kept:
            assert found is not None
            scores = {(Row(*row), seed): values for row, seed, values in found["scores"]}
            yield PairResult(scores, found["pointing"])


def fuse_rows(
    block: Block, ir: GrayImage, vis: GrayImage, buckets: Buckets | None = None
) -> dict[tuple[Row, int], UInt8[np.ndarray, "h w"]]:
    """The fused images of all rows of a block."""
    classifiers = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *block.classifiers)
    pooled = run_by_size(_pooled, (block.params, classifiers), ir, vis, buckets=buckets)
    rows = block_weights(block, np.asarray(pooled))
    kept = [row.reading.endswith("kept") for row, _ in rows]
    if block.plain:
        k = next(iter(rows.values())).shape
        for name, level in (("mean of features", 0.5), ("sum of features, brightness kept", 1.0)):
            rows[Row(block.features, name, NONE), 0] = np.full(k, level, np.float32)
            kept.append(name.endswith("kept"))
    inputs = (block.params, jnp.asarray(np.stack(list(rows.values()))), jnp.asarray(kept))
    drawn = cut(run_by_size(_drawn, inputs, ir, vis, buckets=buckets), *ir.shape, axis=1)
    fused = dict(zip(rows, drawn, strict=True))
    if block.plain:
        l1 = fuse_arrays(with_rule(block.params, "l1"), ir, vis, buckets=buckets)
        fused[Row(block.features, "l1-norm", NONE), 0] = np.asarray(l1)
    return fused


def _computed(block: Block, pairs: Sequence[Pair], buckets: Buckets) -> Iterator[dict[str, Any]]:
    """What is kept of each pair."""
    if not pairs:
        return
    images = [fuse_rows(block, ir, vis, buckets) for _, ir, vis in pairs]
    fused = {
        f"{number}": {name: of_pair[key] for (name, *_), of_pair in zip(pairs, images, strict=True)}
        for number, key in enumerate(images[0])
    }
    tables = score_methods(pairs, fused, metrics=KEYS)
    for name, ir, vis in pairs:
        scores = [
            [list(row), seed, table.rows[name].values] for (row, seed), table in zip(images[0], tables, strict=True)
        ]
        found = pointing(block.params, ir, vis, buckets=buckets) if block.plain else None
        yield {"scores": scores, "pointing": found}


def _read(path: pathlib.Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        whole = json.loads(path.read_bytes())
        if whole["sha256"] == digest(whole["result"]):
            return whole["result"]
    except (ValueError, LookupError, TypeError, RecursionError):
        pass
    print(f"reproduction: {path} is damaged; its scores are computed again", file=sys.stderr)
    return None


def _identity(block: Block) -> dict[str, Any]:
    """What the scores depend on besides the pair."""
    trees = {"encoder": block.params.encoder, "decoder": block.params.decoder, "classifiers": list(block.classifiers)}
    paths, _ = jax.tree_util.tree_flatten_with_path(trees)
    return {
        "features": block.features,
        "weights": array_digest({jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in paths}, ""),
        "net": repr(block.params.net),
        "heads": [list(head) for head in block.heads],
        "plain": block.plain,
        "metrics": KEYS,
        "code": [code_digest(CODE), code_digest(_OWN_CODE, pathlib.Path(__file__).parent)],
        "versions": [jax.__version__, np.__version__, jax.devices()[0].device_kind],
    }


def _named(ir: GrayImage, vis: GrayImage) -> dict[str, np.ndarray]:
    return {"ir": ir, "vis": vis}


def _pooled(inputs: tuple[Params, Any], ir: Array, vis: Array, size: Size | None) -> Float[Array, "c 2 k"]:
    """The last maps of the infrared and of the visible image, averaged, for each of some classifiers."""
    params, classifiers = inputs
    both, cells = _encoded(params, ir, vis, size), features_size(params.net, size)
    network = make_classifier(params.net)
    return jax.lax.map(lambda tree: network.apply({"params": tree}, both, cells)[1]["pooled"], classifiers)


def _drawn(
    inputs: tuple[Params, Float[Array, "v 2 k"], Bool[Array, " v"]], ir: Array, vis: Array, size: Size | None
) -> UInt8[Array, "v h w"]:
    """The pair fused with each of some channel weights, brightness kept where that is said."""
    params, weights, kept = inputs
    cells = features_size(params.net, size)
    both = _encoded(params, ir, vis, size)
    mask = None if cells is None else inside(both, cells)
    means = jnp.mean(both, axis=(1, 2), where=mask, keepdims=True)
    features, config, decoder = jnp.split(both, 2), FusionConfig(rule="eq5"), make_decoder(params.net)

    def draw(row: tuple[Float[Array, "2 k"], Bool[Array, ""]]) -> UInt8[Array, "h w"]:
        mixed = jnp.where(
            row[1],
            rules.combine(config, *features, row[0], means=means, size=cells),
            rules.combine(config, *features, row[0], size=cells),
        )
        fused_sym, _ = decoder.apply({"params": params.decoder}, mixed, ir.shape, cells)
        return to_type((fused_sym[0, :, :, 0] + 1) / 2, jnp.dtype(jnp.uint8))

    return jax.lax.map(draw, (weights, kept))


def _encoded(params: Params, ir: Array, vis: Array, size: Size | None) -> Float[Array, "2 h4 w4 k"]:
    return encode(params, *(to_unit(image)[None, :, :, None] for image in (ir, vis)), size)
