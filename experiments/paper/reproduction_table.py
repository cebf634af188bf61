"""The table of docs/reproduction.md, and the sentences below it, which are computed from it."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from camfuse_jax.metrics.registry import METRICS
from paper.pointing import MAPS
from paper.published import KEYS as PRINTED_KEYS
from paper.published import PUBLISHED, printed_ablation
from paper.reproduction_scores import EQUAL, KEYS, NONE, READINGS, SHUFFLED, TRAINED, PairResult, Row

RETRAINED, WITHOUT_LDF = "retrained", "retrained without L_df"
L1 = "l1-norm"
_DECISIVE = ("VIF", "Qabf")
"""What a head is judged by; EN, AG and SCD reward any contrast."""
_AGAINST_L1 = ("EN", "AG", "SCD", "VIF")
"""Where the paper's Table 3 has its rule ahead of the l1-norm."""

Means = Mapping[str, float | None]


class Result(NamedTuple):
    """What was measured.

    Attributes:
        dataset: Test list.
        images: Number of pairs.
        rows: Row to the means over the pairs, one for each seed.
        pointing: Features to each map's mean share of energy on the warm targets, and the targets' share of the area.
        with_targets: Pairs that have targets.
        notes: Sentences on what the rows are and which are missing.
    """

    dataset: str
    images: int
    rows: dict[Row, list[Means]]
    pointing: dict[str, Mapping[str, float]]
    with_targets: int
    notes: Sequence[str] = ()


def gather(results: Sequence[PairResult]) -> tuple[dict[Row, list[Means]], Mapping[str, float], int]:
    """Means over the pairs of a block: of the scores by row and seed, of the pointing game, and how many it had."""
    rows: dict[Row, list[Means]] = {}
    for row, seed in results[0].scores:
        rows.setdefault(row, []).append({key: _mean([r.scores[row, seed][key] for r in results]) for key in KEYS})
    found = [r.pointing for r in results if r.pointing is not None]
    return (
        rows,
        {name: float(np.mean([one[name] for one in found])) for name in (found[0] if found else ())},
        len(found),
    )


def distance(dataset: str, means: Means) -> float | None:
    """How far a row is from the paper's printed one: mean over metrics of the distance in spreads over the methods.

    The spread is the standard deviation over the methods of the printed table. Metrics whose printed value our
    definitions cannot give (`published`) are left out. None for a data set of which nothing is printed.
    """
    table = PUBLISHED.get(dataset)
    if table is None:
        return None
    parts = []
    for key in compared_keys(dataset):
        printed = [float(table.printed(m)[key]) for m in table.rows if key not in table.doubtful.get(m, ())]
        value = means[key]
        if value is not None:
            parts.append(abs(value - float(table.printed(table.own)[key])) / float(np.std(printed, ddof=1)))
    return float(np.mean(parts))


def compared_keys(dataset: str) -> list[str]:
    """Metrics that `distance` reads."""
    table = PUBLISHED[dataset]
    return [key for key in PRINTED_KEYS if key not in table.doubtful.get(table.own, ())]


def reproduction_markdown(result: Result) -> str:
    """GitHub-flavored Markdown: the printed rows, ours, the heads' duel, the pointing game, and what follows."""
    lines = [*_grid(result), "", *_legend(result), "", *_duels(result), "", *_pointing(result), ""]
    return "\n".join([*lines, *(f"- {sentence}" for sentence in sentences(result))]) + "\n"


def reproduction_json(result: Result) -> str:
    """All means."""
    rows = [{**row._asdict(), "means": found, "distance": _row_distance(result, row)}
            for row, found in result.rows.items()]  # fmt: skip
    return json.dumps({**result._asdict(), "rows": rows, "sentences": sentences(result)}, indent=1)


def sentences(result: Result) -> list[str]:
    """What follows from the numbers, in words."""
    found = []
    readings = [reading.name for reading in READINGS]
    names = list(dict.fromkeys(row.features for row in result.rows))
    for features in names:
        trained = {
            r: result.rows[Row(features, r, TRAINED)] for r in readings if Row(features, r, TRAINED) in result.rows
        }
        if not trained:
            continue
        if result.dataset in PUBLISHED:
            found += _fit(result, features, list(trained))
        verdicts = {reading: duel(result, features, reading)[-1] for reading in trained}
        ahead = [reading for reading, verdict in verdicts.items() if verdict == "ahead"]
        behind = [reading for reading, verdict in verdicts.items() if verdict == "behind"]
        found.append(
            f"{features}: the trained head is ahead of both equal and shuffled weights by more than the spread, in "
            f"VIF and in Qabf, under {len(ahead)} of {len(verdicts)} readings{_listed(ahead)}, and behind both in both "
            f"under {len(behind)}{_listed(behind)}."
        )
        found += _against_l1(result, features, list(trained))
        found += _distance_loss(result, features, readings)
    return found


def duel(result: Result, features: str, reading: str) -> tuple[dict[str, tuple[float, float, float]], str]:
    """The trained head against equal and shuffled weights.

    Returns:
        Metric to (trained less equal, trained less the mean of the shuffled, spread of the shuffled); and `ahead` if
        all differences are above their spread, `behind` if all are below minus it, else `neither`.
    """
    differences = {}
    for key in _DECISIVE:
        own, equal = (_center(result.rows[Row(features, reading, head)], key) for head in (TRAINED, EQUAL))
        shuffled = result.rows[Row(features, reading, SHUFFLED)]
        differences[key] = (own - equal, own - _center(shuffled, key), _spread(shuffled, key))
    signs = [np.sign(d) * (abs(d) > spread) for *both, spread in differences.values() for d in both]
    return differences, "ahead" if all(s > 0 for s in signs) else "behind" if all(s < 0 for s in signs) else "neither"


def _fit(result: Result, features: str, readings: Sequence[str]) -> list[str]:
    by = {reading: _row_distance(result, Row(features, reading, TRAINED)) or math.inf for reading in readings}
    best = min(by, key=lambda reading: by[reading])
    of_all = {row: _row_distance(result, row) or math.inf for row in result.rows if row.features == features}
    nearest = min(of_all, key=lambda row: of_all[row])
    text = f"{features}: with the trained head, reading {best} is nearest to the printed row (distance {by[best]:.2f})"
    if of_all[nearest] < by[best]:
        head = "" if nearest.head == NONE else f" with head {nearest.head}"
        text += f"; nearest of all rows is {nearest.reading}{head} ({of_all[nearest]:.2f})"
    return [text + "."]


def _against_l1(result: Result, features: str, readings: Sequence[str]) -> list[str]:
    l1 = result.rows.get(Row(features, L1, NONE))
    if l1 is None:
        return []
    ahead = {
        reading: [k for k in _AGAINST_L1 if _center(result.rows[Row(features, reading, TRAINED)], k) > _center(l1, k)]
        for reading in readings
    }
    best = max(
        ahead, key=lambda reading: (len(ahead[reading]), -(_row_distance(result, Row(features, reading, TRAINED)) or 0))
    )
    full = [reading for reading, keys in ahead.items() if len(keys) == len(_AGAINST_L1)]
    start = f"{features}: ahead of the l1-norm with the same features in EN, AG, SCD and VIF, as in the paper's Table 3"
    if full:
        return [f"{start}, is the trained head under {len(full)} of {len(ahead)} readings{_listed(full)}."]
    return [f"{start}, is the trained head under no reading; {best} is ahead in {', '.join(ahead[best]) or 'none'}."]


def _distance_loss(result: Result, features: str, readings: Sequence[str]) -> list[str]:
    texts = []
    for reading in readings:
        both = [result.rows.get(Row(features, reading, head)) for head in (RETRAINED, WITHOUT_LDF)]
        if both[0] is None or both[1] is None:
            continue
        gains = [_center(both[0], key) - _center(both[1], key) for key in _DECISIVE]
        spreads = [max(_spread(found, key) for found in both if found) for key in _DECISIVE]
        parts = (f"{g:+.4f} (± {s:.4f}) in {k}" for g, s, k in zip(gains, spreads, _DECISIVE, strict=True))
        texts.append(f"{reading} {', '.join(parts)}")
    return [f"{features}: what L_df adds, with the spread over seeds: {'; '.join(texts)}."] if texts else []


def _grid(result: Result) -> list[str]:
    lines = [
        f"| features | reading | head | {' | '.join(KEYS)} | distance |",
        "|---|---|---|" + "---:|" * (len(KEYS) + 1),
    ]
    for text, printed in _printed(result.dataset):
        cells = [printed.get(key, "") for key in KEYS]
        means = {key: float(printed[key]) if key in printed else None for key in KEYS}
        lines.append(f"| *printed* | {text} | | {' | '.join(cells)} | {_text(distance(result.dataset, means))} |")
    for row, found in result.rows.items():
        seeds = f" ({len(found)} seeds)" if len(found) > 1 else ""
        head = "" if row.head == NONE else f"{row.head}{seeds}"
        cells = [_cell(found, key) for key in KEYS]
        far = _text(_row_distance(result, row))
        lines.append(f"| {row.features} | {row.reading} | {head} | {' | '.join(cells)} | {far} |")
    return lines


def _printed(dataset: str) -> list[tuple[str, dict[str, str]]]:
    table = PUBLISHED.get(dataset)
    if table is None:
        return []
    rows = [(name, table.printed(name)) for name in table.rows]
    own = [(name, digits) for name, digits in printed_ablation(dataset).items() if name != table.own]
    return [*own, *rows]


def _legend(result: Result) -> list[str]:
    lines = [f"{result.dataset}, {result.images} test pairs; mean over pairs, ± the standard deviation over seeds."]
    if result.dataset in PUBLISHED:
        lines.append(
            f"distance: to the paper's own printed row, mean over {', '.join(compared_keys(result.dataset))} in units "
            "of the standard deviation over the printed methods."
        )
    return [*lines, *result.notes]


def _duels(result: Result) -> list[str]:
    heads = [f"{key}: {what}" for key in _DECISIVE for what in ("less equal", "less shuffled", "spread")]
    lines = [f"| features | reading | {' | '.join(heads)} | trained is |", "|---|---|" + "---:|" * len(heads) + "---|"]
    for row in result.rows:
        if row.head == TRAINED:
            differences, verdict = duel(result, row.features, row.reading)
            cells = [
                text for equal, shuffled, spread in differences.values()
                for text in (f"{equal:+.4f}", f"{shuffled:+.4f}", f"{spread:.4f}")
            ]  # fmt: skip
            lines.append(f"| {row.features} | {row.reading} | {' | '.join(cells)} | {verdict} |")
    return lines


def _pointing(result: Result) -> list[str]:
    if not any(result.pointing.values()):
        return ["No pair has warm targets, so no map can point at them."]
    names = ("area", *MAPS)
    lines = [f"| features | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
    for features, found in result.pointing.items():
        cells = [f"{found['area']:.4f}", *(f"{found[n]:.4f} ({found[n] / found['area']:.1f} x)" for n in MAPS)]
        lines.append(f"| {features} | {' | '.join(cells)} |")
    return [
        *lines,
        "",
        f"Share of a map's energy on the warm targets of the infrared image, mean over the {result.with_targets} pairs "
        "that have any; in brackets how many times the targets' share of the area.",
    ]


def _row_distance(result: Result, row: Row) -> float | None:
    found = result.rows[row]
    return distance(result.dataset, {key: _mean([means[key] for means in found]) for key in KEYS})


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return math.fsum(there) / len(there) if there else None


def _center(found: Sequence[Means], key: str) -> float:
    mean = _mean([means[key] for means in found])
    return math.nan if mean is None else mean


def _spread(found: Sequence[Means], key: str) -> float:
    values = [means[key] for means in found if means[key] is not None]
    return float(np.std(np.asarray(values, float), ddof=1)) if len(values) > 1 else 0.0


def _cell(found: Sequence[Means], key: str) -> str:
    digits = METRICS[key].digits
    spread = f" ± {_spread(found, key):.{digits}f}" if len(found) > 1 else ""
    return f"{_center(found, key):.{digits}f}{spread}"


def _text(far: float | None) -> str:
    return "" if far is None else f"{far:.2f}"


def _listed(names: Sequence[str]) -> str:
    return f" ({'; '.join(names)})" if names else ""
