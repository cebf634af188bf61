"""The ablation as a table: each variant's scores, its spread over seeds, and whether it differs from ours."""

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.stats

from camfuse_jax.config import Modality
from camfuse_jax.fusion import Params
from camfuse_jax.metrics import ScoreTable, Significance

ALPHA = 0.05


@dataclasses.dataclass(frozen=True)
class Variant:
    """One row of the ablation.

    Attributes:
        name: What differs from ours.
        group: `Table 3` (the paper's), `rule`, `training` or `control`; empty for ours.
        params: Weights with rule, one per seed.
        classifies: Whether its classifier can be asked for classes.
    """

    name: str
    group: str
    params: tuple[Params, ...]
    classifies: bool = False


@dataclasses.dataclass(frozen=True)
class Ablation:
    """What was measured.

    Attributes:
        dataset: Test list.
        weights: Weights of ours.
        steps: Training steps of the retrained classifiers.
        variants: The rows, ours first.
        tables: Scores of each variant, one table per seed.
        correct: Test images classified correctly, one number per seed.
        images: Number of test images.
        tests: Paired tests of each variant's first seed against ours.
        agreement: Mean rank correlation of class weights between seeds.
    """

    dataset: str
    weights: str
    steps: int
    variants: tuple[Variant, ...]
    tables: Mapping[str, Sequence[ScoreTable]]
    correct: Mapping[str, Sequence[int]]
    images: int
    tests: Sequence[Significance]
    agreement: Mapping[str, float]


def agreement(params: Sequence[Params]) -> float:
    """Mean Spearman correlation over pairs of heads of "infrared minus visible" class weights."""
    leaning = [np.asarray(p.class_weights[Modality.IR] - p.class_weights[Modality.VIS]) for p in params]
    return float(np.mean([scipy.stats.spearmanr(a, b).statistic for a, b in itertools.combinations(leaning, 2)]))


def ablation_markdown(result: Ablation) -> str:
    """GitHub-flavoured Markdown with a legend."""
    keys = next(iter(result.tables.values()))[0].metrics
    differs = {(t.method, t.metric): t for t in result.tests if t.p_holm < ALPHA}
    lines = [f"| variant | | {' | '.join(keys)} | right |", "|---|---|" + "---:|" * (len(keys) + 1)]
    for variant in result.variants:
        found = result.tables[variant.name]
        cells = [_cell(found, key) + _mark(differs.get((variant.name, key))) for key in keys]
        right = ", ".join(str(n) for n in result.correct.get(variant.name, ())) or "–"  # noqa: RUF001
        seeds = f" ({len(found)} seeds)" if len(found) > 1 else ""
        lines.append(f"| {variant.name}{seeds} | {variant.group} | {' | '.join(cells)} | {right} |")
    lines += ["", *_legend(result)]
    return "\n".join(lines) + "\n"


def ablation_json(result: Ablation) -> str:
    """All means, spreads, tests and the protocol."""
    stamp = next(iter(result.tables.values()))[0].stamp
    rows = [
        {
            "variant": v.name,
            "group": v.group,
            "mean": [{key: table.mean(key) for key in table.metrics} for table in result.tables[v.name]],
            "right": list(result.correct.get(v.name, ())),
        }
        for v in result.variants
    ]
    return json.dumps(
        {
            "dataset": result.dataset,
            "weights": result.weights,
            "steps": result.steps,
            "images": result.images,
            "rows": rows,
            "tests": [dataclasses.asdict(test) for test in result.tests],
            "agreement": dict(result.agreement),
            "stamp": stamp,
        },
        indent=1,
    )


def _cell(tables: Sequence[ScoreTable], key: str) -> str:
    values = [v for table in tables if (v := table.mean(key)) is not None]
    if not values:
        return "n/a"
    spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{spread}"


def _mark(test: Significance | None) -> str:
    if test is None or test.wins == test.losses:
        return ""
    return " ↑" if test.wins > test.losses else " ↓"


def _legend(result: Ablation) -> list[str]:
    stamp = next(iter(result.tables.values()))[0].stamp
    lines = [
        f"{result.dataset}, {result.images // 2} test pairs, weights {result.weights}; mean over images, ± the "
        f"standard deviation over seeds. Retrained: {result.steps} steps on the same encoder.",
        f"↑ better, ↓ worse than ours (first seed, Wilcoxon signed-rank, Holm over all, p < {ALPHA}). "
        f"right: test images of {result.images} that the classifier takes for what they are.",
    ]
    for name, value in result.agreement.items():
        lines.append(f"Rank correlation of the class weights between seeds, {name}: {value:.2f}.")
    return [*lines, f"Protocol {stamp['protocol']}:{stamp['id']}."]
