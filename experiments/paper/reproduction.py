"""Stage `ablate`, preset `reproduction`: the paper's rule in each reading, on three kinds of features, in one table."""

import dataclasses
import itertools
import pathlib

from camfuse_jax.config import Config
from camfuse_jax.data.records import NAMED, Workdir
from camfuse_jax.errors import UsageError
from camfuse_jax.fusion.params import Params, load_params
from camfuse_jax.system.files import write_atomically
from paper.ablation import keep_compiled, steps
from paper.ablation_heads import retrained
from paper.reproduction_scores import Block, Head, controls, score_block
from paper.reproduction_table import RETRAINED, WITHOUT_LDF, Result, gather, reproduction_json, reproduction_markdown


def reproduce(
    config: Config,
    workdir: Workdir,
    *,
    out: pathlib.Path | None = None,
    weights: str | None = None,
    seeds: int = 0,
) -> None:
    """Scores every features, reading and head on the test list; prints the table, writes `reproduction.md` and `.json`.

    What is computed lies in `OUT/scores/` and `OUT/heads/`: the same command goes on where it was stopped, and one with
    learned features added computes only theirs.

    Args:
        config: Recipe of the retrained heads.
        workdir: Folders and data set.
        out: Where to write; `WORKDIR/reproduction-DATASET` by default.
        weights: Weights with learned features; by default the workdir's own, if it has trained a classifier for this
            data set on features from a random start.
        seeds: Heads trained here with and without L_df, on the shallow features; 0 leaves them out.

    Raises:
        UsageError: The weights did not start from random ones, so their features are not learned.
    """
    out = out or workdir.workdir / f"reproduction-{workdir.label}"
    keep_compiled(out / "compiled")
    pairs = list(workdir.pairs("test"))
    notes = ["lapped: weights " + _lapped(workdir) + "; shallow: weights fast."]
    blocks = [controls("shallow", load_params("fast")), controls("lapped", load_params(_lapped(workdir)))]
    learned = _learned(workdir, weights)
    if learned is None:
        notes.append("learned: not finished yet; `--weights FILE` adds its rows.")
    else:
        blocks.append(controls("learned", learned))
    if seeds:
        blocks.append(_retrained(config, workdir, blocks[0].params, out / "heads", seeds))
        notes.append(f"Retrained: {steps(config.cls)}, alpha {config.cls.distance_weight:g}, on the shallow encoder.")
    rows, shares, count = {}, {}, 0
    for block in blocks:
        found, pointed, with_targets = gather(list(score_block(block, pairs, out / "scores")))
        rows |= found
        if block.plain:
            shares[block.features], count = pointed, with_targets
    result = Result(workdir.label, len(pairs), rows, shares, count, notes)
    text = reproduction_markdown(result)
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "reproduction.md", text)
    write_atomically(out / "reproduction.json", reproduction_json(result))
    print(text)


def _lapped(workdir: Workdir) -> str:
    return workdir.label if workdir.label in NAMED else NAMED[0]


def _learned(workdir: Workdir, weights: str | None) -> Params | None:
    if weights is None and not workdir.trained.is_file():
        return None
    params = load_params(weights or workdir.trained)
    if params.net.init == "he":
        return params
    if weights is None:
        return None
    raise UsageError(
        f"The weights {weights} started as a lapped transform: their features are not learned.",
        "Give a file of a training with preset `learned`, or leave --weights out.",
    )


def _retrained(config: Config, workdir: Workdir, ours: Params, folder: pathlib.Path, seeds: int) -> Block:
    """Heads trained with and without L_df; the first two rows of Table 3's retrained ones."""
    variants = itertools.islice(retrained(config, workdir, ours, folder, seeds=seeds), 2)
    several = [(name, variant.params) for name, variant in zip((RETRAINED, WITHOUT_LDF), variants, strict=True)]
    classifiers = tuple(params.classifier for _, group in several for params in group)
    named = [(name, seed) for name, group in several for seed in range(len(group))]
    heads = tuple(Head(name, seed, index) for index, (name, seed) in enumerate(named))
    params = dataclasses.replace(ours, classifier=classifiers[0])
    return Block("shallow", params, classifiers, heads, plain=False)
