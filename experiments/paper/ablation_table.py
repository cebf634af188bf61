"""The ablation as a table: each variant's scores, its spread over seeds, and whether it differs from ours."""

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.stats

from camfuse_jax.config import Modality
from camfuse_jax.fusion.params import Params
from camfuse_jax.metrics.compare import Significance
from camfuse_jax.metrics.table import ScoreTable
from paper.published import printed_ablation

ALPHA = 0.05


@dataclasses.dataclass(frozen=True)
class Variant:
    """One row of the ablation.

    Attributes:
        name: What differs from ours.
        group: `Table 3` (the paper's), `rule`, `training` or `control`; empty for ours.
        params: Weights with rule, one per seed.
        classifies: Whether its classifier can be asked for classes.
        trained: Whether these are heads trained for this table.
    """

    name: str
    group: str
    params: tuple[Params, ...]
    classifies: bool = False
    trained: bool = False


@dataclasses.dataclass(frozen=True)
class Ablation:
    """What was measured.

    Attributes:
        dataset: Test list.
        weights: Weights of ours.
        rule: Fusion rule of ours and of the rows that do not name another.
        recipe: How long the retrained classifiers were trained, in words; empty if none was.
        variants: The rows, ours first.
        tables: Scores of each variant, one table per seed.
        correct: Test images classified correctly, one number per seed.
        images: Number of test images.
        tests: Paired tests of each variant's first seed against ours.
        agreement: Mean rank correlation of class weights between seeds.
        with_ours: Mean rank correlation of class weights with ours.
    """

    dataset: str
    weights: str
    rule: str
    recipe: str
    variants: tuple[Variant, ...]
    tables: Mapping[str, Sequence[ScoreTable]]
    correct: Mapping[str, Sequence[int]]
    images: int
    tests: Sequence[Significance]
    agreement: Mapping[str, float]
    with_ours: Mapping[str, float]


def agreement(params: Sequence[Params], other: Params | None = None) -> float:
    """Mean Spearman correlation of "infrared minus visible" class weights, over pairs of heads or of each with another.

    Args:
        params: The heads; at least two without `other`.
        other: A head to hold each of them against.
    """
    heads = [(p, other) for p in params] if other is not None else itertools.combinations(params, 2)
    return float(np.mean([scipy.stats.spearmanr(_difference(a), _difference(b)).statistic for a, b in heads]))


def _difference(params: Params) -> np.ndarray:
    return np.asarray(params.class_weights[Modality.IR] - params.class_weights[Modality.VIS])


def ablation_markdown(result: Ablation) -> str:
    """GitHub-flavored Markdown: the scores, then the picture measures, with a legend."""
    first = next(iter(result.tables.values()))[0]
    scores, picture = first.keys_of("score"), first.keys_of("picture")
    lines = _grid(result, scores, "right", {name: ", ".join(map(str, n)) for name, n in result.correct.items()})
    for name, values in printed_ablation(result.dataset).items():
        lines.append(f"| {name} | published | {' | '.join(values.get(key, _NONE) for key in scores)} | {_NONE} |")
    if picture:
        lines += ["", *_grid(result, picture)]
    return "\n".join([*lines, "", *_legend(result)]) + "\n"


_NONE = "–"  # noqa: RUF001


def _grid(result: Ablation, keys: Sequence[str], more: str = "", texts: Mapping[str, str] | None = None) -> list[str]:
    """A row for each variant; with a last column of other texts where there are some."""
    differs = {(t.method, t.metric): t for t in result.tests if t.p_holm < ALPHA}
    first = next(iter(result.tables.values()))[0]
    arrows = {"higher": " ↑", "lower": " ↓", "none": ""}
    heads = [key + arrows[first.metric(key).direction] for key in keys] + ([more] if more else [])
    lines = [f"| variant | | {' | '.join(heads)} |", "|---|---|" + "---:|" * len(heads)]
    for variant in result.variants:
        found = result.tables[variant.name]
        cells = [_cell(found, key) + _mark(differs.get((variant.name, key))) for key in keys]
        cells += [(texts or {}).get(variant.name) or _NONE] if more else []
        seeds = f" ({len(found)} seeds)" if len(found) > 1 else ""
        lines.append(f"| {variant.name}{seeds} | {variant.group} | {' | '.join(cells)} |")
    return lines


def ablation_json(result: Ablation) -> str:
    """All means, spreads, tests and the protocol."""
    stamp = next(iter(result.tables.values()))[0].tag
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
            "rule": result.rule,
            "recipe": result.recipe,
            "images": result.images,
            "rows": rows,
            "tests": [dataclasses.asdict(test) for test in result.tests],
            "agreement": dict(result.agreement),
            "agreement_with_ours": dict(result.with_ours),
            "stamp": stamp,
        },
        indent=1,
    )


def _cell(tables: Sequence[ScoreTable], key: str) -> str:
    values = [v for table in tables if (v := table.mean(key)) is not None]
    spread = f" ± {tables[0].text(key, float(np.std(values, ddof=1)))}" if len(values) > 1 else ""
    return tables[0].text(key, float(np.mean(values)) if values else None) + spread


def _mark(test: Significance | None) -> str:
    if test is None or test.wins == test.losses:
        return ""
    return " better" if test.wins > test.losses else " worse"


def _legend(result: Ablation) -> list[str]:
    stamp = next(iter(result.tables.values()))[0].tag
    lines = [
        f"{result.dataset}, {result.images // 2} test pairs, weights {result.weights}, rule {result.rule}; mean over "
        "images, ± the standard deviation over seeds."
        + (f" Retrained: {result.recipe}, on the same encoder." if result.recipe else ""),
        "better, worse: than ours (first seed, Wilcoxon signed-rank, Holm over scores and over picture measures, "
        f"p < {ALPHA}). "
        f"right: test images of {result.images} that the classifier takes for what they are.",
    ]
    for name, value in result.with_ours.items():
        seeds = f" between seeds {result.agreement[name]:.2f}," if name in result.agreement else ""
        lines.append(f"Rank correlation of the class weights, {name}:{seeds} with ours {value:.2f}.")
    if printed_ablation(result.dataset):
        lines.append("published: the paper's printed digits, on images and by definitions that it does not name.")
    return [*lines, f"Protocol {stamp['protocol']}:{stamp['id']}."]
