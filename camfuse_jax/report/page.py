"""One self-contained HTML page about a set of fused pairs: arrays and tables in, text out.

Score tables have one row per metric and one cell per method.
"""

import base64
import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jinja2
import markupsafe
import numpy as np
from jaxtyping import Float, UInt8

from camfuse_jax.config import Modality
from camfuse_jax.metrics.compare import ARROWS, MEAN_RANKS, ranks, significance
from camfuse_jax.metrics.picture import PairFacts, target_fates
from camfuse_jax.metrics.table import ScoreTable
from camfuse_jax.report import pictures
from camfuse_jax.report.pictures import Provenance, provenance

_OTHER_QUALITY = 72
_TOP_CHANNELS = 32
NAMES = {"contrast_preserving_sum": "contrast-preserving sum"}
"""Methods whose names are identifiers, as a reader knows them."""


def environment(*packages: str) -> jinja2.Environment:
    """Templates of this folder, and first of all of other packages' folders, such as `serve`: all text escaped."""
    loaders = [jinja2.PackageLoader("camfuse_jax", name) for name in (*packages, "report")]
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["csp_hash"] = lambda text: markupsafe.Markup(csp_hash(text))
    made.filters["breakable"] = _breakable
    return made


def csp_hash(text: str) -> str:
    """The source expression by which a content security policy admits exactly this text."""
    digest = base64.b64encode(hashlib.sha256(str(text).encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _breakable(text: str) -> markupsafe.Markup:
    """A name that may be broken after its underscores: on a telephone long ones do not fit a line."""
    return markupsafe.escape(text).replace("_", markupsafe.Markup("_<wbr>"))


@dataclass(frozen=True)
class PairView:
    """What the page shows of one pair.

    Attributes:
        name: Its name, as in the tables.
        ir: Infrared.
        vis: Visible.
        fused: Fused by the method that the page is about.
        ir_cam: Class activation map of the infrared image for its own class, in [0, 1].
        vis_cam: The same of the visible image.
        channels: Weighted channel sizes (see `report.channels`); rows ordered as `Modality`.
        others: Fused by other methods, by method name.
    """

    name: str
    ir: UInt8[np.ndarray, "h w"]
    vis: UInt8[np.ndarray, "h w"]
    fused: UInt8[np.ndarray, "h w"]
    ir_cam: Float[np.ndarray, "h w"]
    vis_cam: Float[np.ndarray, "h w"]
    channels: Float[np.ndarray, "2 k"]
    others: Mapping[str, UInt8[np.ndarray, "h w"]] = field(default_factory=dict)


def page_html(
    pairs: Iterable[PairView],
    tables: Sequence[ScoreTable],
    channel_weights: Float[np.ndarray, "2 k"],
    *,
    method: str,
    title: str,
    facts: Mapping[str, str] | None = None,
    training: Mapping[str, Sequence[Mapping[str, float]]] | None = None,
) -> str:
    """Renders the page. The same input gives the same text.

    The page asks for nothing outside itself, and its content security policy forbids it to: pictures are `data:`
    URIs, style and script stand in the page and are admitted by their hashes. Every text is escaped.

    Args:
        pairs: In the order to show; each is turned into text and let go before the next is asked for.
        tables: Scores of `method` and of all others on the same pairs, from `metrics.score_folders`.
        channel_weights: What_c of Eq. 3, in (0, 1).
        method: The method that the page is about.
        title: Heading.
        facts: What else a reader should know, label to text, such as the weights' name.
        training: Title to the lines of a `metrics.jsonl`.

    Raises:
        InputError: If the tables are not comparable, or images of a pair differ in shape.
        UsageError: If `method` is not among the tables.
    """
    tests = significance_rows(tables, against=method)
    methods = [table.method for table in tables]
    weights = np.asarray(channel_weights, np.float64)
    order, preference = by_preference(weights), weights[Modality.IR] - weights[Modality.VIS]
    groups = metric_groups(tables)
    index = methods.index(method)
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            title=title,
            method=method,
            methods=methods,
            shown={name: NAMES.get(name, name) for name in methods},
            index=index,
            facts=facts or {},
            pairs=[_pair(i, view, tables, index) for i, view in enumerate(pairs, start=1)],
            groups=groups,
            place=standing(groups, index),
            tests=tests,
            undefined={table.method: table.undefined() for table in tables if table.undefined()},
            tag=tables[0].tag,
            definitions={key: tables[0].metric(key) for key in tables[0].metrics},
            arrows=ARROWS,
            bars=pictures.mirrored_bars(weights, order, top=1.0),
            ranges=[(weights[row].min(), weights[row].max()) for row in (Modality.IR, Modality.VIS)],
            preferences=pictures.mirrored_bars(np.maximum([preference, -preference], 0), order),
            largest_preference=np.abs(preference).max(),
            favored=[int((preference > 0).sum()), weights.shape[1]],
            curves={name: pictures.lines(records) for name, records in (training or {}).items()},
            chart=(pictures.WIDTH, pictures.HEIGHT),
            heat_colors=pictures.heat_gradient(),
            share_colors=pictures.share_gradient(),
            fate_colors=pictures.FATE_COLORS,
        )
    )


def _pair(number: int, view: PairView, tables: Sequence[ScoreTable], index: int) -> dict[str, Any]:
    origin = provenance(view.ir, view.vis, view.fused)
    facts = PairFacts(*(np.asarray(image, np.float64) for image in (view.ir, view.vis)))
    fates = target_fates(facts, np.asarray(view.fused, np.float64))
    parts = view.channels / (view.channels.sum() or 1.0)
    order = np.argsort(-parts.sum(axis=0), kind="stable")
    groups = image_groups(tables, view.name)
    height, width = view.fused.shape
    return {
        "id": f"pair-{number}",
        "name": view.name,
        "size": (width, height),
        "uris": {kind: pictures.png_uri(getattr(view, kind)) for kind in ("ir", "vis", "fused")},
        "thumb": pictures.small_uri(view.fused, side=200),
        "others": {name: pictures.webp_uri(image, quality=_OTHER_QUALITY) for name, image in view.others.items()},
        "origin": _layered(view.fused, pictures.share_uri(origin.share, origin.certainty)),
        "outlines": pictures.outline_uri([(t.window, t.body, fate) for t, fate in fates], view.fused.shape),
        "maps": _maps(view, origin),
        "targets": {fate: sum(found == fate for _, found in fates) for fate in ("kept", "weak", "inverted")},
        "groups": groups,
        "place": standing(groups, index),
        "share": _percent(_mean(origin.share, origin.certainty)),
        "detail": _percent(_mean(origin.detail_share, origin.certainty)),
        "alike": _percent(float(np.mean(origin.certainty < 0.5))),
        "residual": f"{np.sqrt(np.mean(origin.residual**2)):.1f}",
        "bars": pictures.mirrored_bars(parts, order[:_TOP_CHANNELS]),
        "rest": max(len(order) - _TOP_CHANNELS, 0),
        "rest_part": _percent(float(parts[:, order[_TOP_CHANNELS:]].sum())),
        "ir_part": _percent(float(parts[Modality.IR].sum())),
    }


def _maps(view: PairView, origin: Provenance) -> list[dict[str, str]]:
    """The maps below the first, each with what it means and what it does not."""
    detail = _layered(view.fused, pictures.share_uri(origin.detail_share, origin.certainty))
    maps = [
        {
            "title": "Where the detail came from",
            "meaning": "The same mix, each part counted with the contrast that its source has there: a flat source "
            "adds brightness but no detail. Not a judgment whether the detail is worth having.",
            "alt": "Share of infrared and visible in the detail, laid over the fused image",
            **detail,
        }
    ]
    for word, image, heat in (("infrared", view.ir, view.ir_cam), ("visible", view.vis, view.vis_cam)):
        also = "" if word == "infrared" else " Lens flares and curbs are typical of visible images and glow, too."
        maps.append(
            {
                "title": f"What the classifier takes for typical of {word}",
                "meaning": f"Where the classifier found what tells the {word} camera from the other. Not where the "
                f"fused image took its pixels from, nor what is important.{also}",
                "alt": f"Class activation map of the {word} image, laid over it",
                **_layered(image, pictures.heat_uri(heat)),
            }
        )
    return maps


def _layered(below: np.ndarray, layer: str) -> dict[str, str]:
    return {"base": pictures.small_uri(below), "layer": layer}


def by_preference(weights: np.ndarray) -> np.ndarray:
    """Channels from the one that most prefers infrared to the one that most prefers visible."""
    return np.argsort(weights[Modality.VIS] - weights[Modality.IR], kind="stable")


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    total = float(weights.sum())
    return float((values * weights).sum() / total) if total > 0 else 0.5


def _percent(part: float) -> str:
    return f"{100 * part:.0f} %"


_TITLES = {"score": "Scores", "picture": "What a person would complain of"}
_WORDS = {"higher": "higher is better", "lower": "lower is better", "none": "not ranked"}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One number: rounded as the metric's definition says or `n/a`, its standard deviation, its rank, whether best.

    Spread and rank are empty where there is none.
    """

    text: str
    spread: str = ""
    rank: str = ""
    best: bool = False


@dataclasses.dataclass(frozen=True)
class Row:
    """A metric: its key with an arrow, its name, which end is better in words, and a cell for each method."""

    head: str
    name: str
    better: str
    cells: list[Cell]


@dataclasses.dataclass(frozen=True)
class Group:
    """A family of metrics: its title, its rows, and the methods' mean ranks; None where nothing is ranked."""

    title: str
    rows: list[Row]
    mean_ranks: list[float] | None


def metric_groups(tables: Sequence[ScoreTable]) -> list[Group]:
    """Means over the images: the scores, then the picture measures.

    Raises:
        InputError: The tables are not comparable.
    """
    ranked = ranks(tables) if len(tables) > 1 else {tables[0].method: {}}
    groups = []
    for family, mean_rank in MEAN_RANKS.items():
        rows = [_row(tables, key, ranked) for key in tables[0].keys_of(family)]
        mean_ranks = [row[mean_rank] for table in tables if mean_rank in (row := ranked[table.method])]
        if rows:
            groups.append(Group(_TITLES[family], rows, mean_ranks if len(mean_ranks) == len(tables) else None))
    return groups


def image_groups(tables: Sequence[ScoreTable], image: str) -> list[Group]:
    """The same of one image, with its own ranks."""
    return metric_groups([dataclasses.replace(table, rows={image: table.rows[image]}) for table in tables])


def _row(tables: Sequence[ScoreTable], key: str, ranked: dict[str, dict[str, float]]) -> Row:
    metric = tables[0].metric(key)
    # Methods that tie for the first place share a rank such as 1.5; whoever reads like them is best, too.
    first = min((own[key] for own in ranked.values() if key in own), default=None)
    texts = [table.text(key, table.mean(key)) for table in tables]
    best = {text for table, text in zip(tables, texts, strict=True) if ranked[table.method].get(key, -1) == first}
    cells = []
    for table, text in zip(tables, texts, strict=True):
        rank, spread = ranked[table.method].get(key), table.std(key)
        spread = "" if spread is None else table.text(key, spread)
        mark = " †" if table.partial(key) else ""
        cells.append(Cell(text + mark, spread, "" if rank is None else f"{rank:g}", rank is not None and text in best))
    return Row(f"{key} {ARROWS[metric.direction]}".strip(), metric.name, _WORDS[metric.direction], cells)


def standing(groups: Sequence[Group], index: int) -> str:
    """A sentence's end about one method: `mean rank 2.40, place 2 of 5 (scores); ...`; empty without ranks."""
    parts = []
    for group in groups:
        means = group.mean_ranks
        if means is not None and len(means) > 1:
            place = 1 + sum(value < means[index] for value in means)
            shared = "shared " if means.count(means[index]) > 1 else ""
            parts.append(f"mean rank {means[index]:.2f}, {shared}place {place} of {len(means)} ({group.title.lower()})")
    return "; ".join(parts)


def significance_rows(tables: Sequence[ScoreTable], *, against: str) -> list[dict[str, str]]:
    """The paired tests of every other method against one; UsageError if that is not among the methods."""
    return [
        {
            "method": test.method,
            "metric": test.metric,
            "wins": f"{test.wins} of {test.images}",
            "losses": f"{test.losses} of {test.images}",
            "median": f"{test.median_difference:+.4g}",
            "p": "< 0.0001" if test.p_holm < 1e-4 else f"{test.p_holm:.4f}",
        }
        for test in significance(tables, against=against)
    ]
