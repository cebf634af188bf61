"""One self-contained HTML page about a set of fused pairs: arrays and tables in, text out."""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jinja2
import markupsafe
import numpy as np
from jaxtyping import Float, UInt8

from camfuse_jax.config import Modality
from camfuse_jax.metrics.picture import PairFacts, target_fates
from camfuse_jax.metrics.table import ScoreTable
from camfuse_jax.report import charts, pictures, scores
from camfuse_jax.report.provenance import Provenance, provenance

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
    tests = scores.significance_rows(tables, against=method)
    methods = [table.method for table in tables]
    weights = np.asarray(channel_weights, np.float64)
    order, preference = by_preference(weights), weights[Modality.IR] - weights[Modality.VIS]
    groups = scores.metric_groups(tables)
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
            place=scores.standing(groups, index),
            tests=tests,
            undefined={table.method: table.undefined() for table in tables if table.undefined()},
            tag=tables[0].tag,
            definitions={key: tables[0].metric(key) for key in tables[0].metrics},
            arrows=scores.ARROWS,
            bars=charts.mirrored_bars(weights, order, top=1.0),
            ranges=[(weights[row].min(), weights[row].max()) for row in (Modality.IR, Modality.VIS)],
            preferences=charts.mirrored_bars(np.maximum([preference, -preference], 0), order),
            largest_preference=np.abs(preference).max(),
            favored=[int((preference > 0).sum()), weights.shape[1]],
            curves={name: charts.lines(records) for name, records in (training or {}).items()},
            chart=(charts.WIDTH, charts.HEIGHT),
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
    groups = scores.image_groups(tables, view.name)
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
        "place": scores.standing(groups, index),
        "share": _percent(_mean(origin.share, origin.certainty)),
        "detail": _percent(_mean(origin.detail_share, origin.certainty)),
        "alike": _percent(float(np.mean(origin.certainty < 0.5))),
        "residual": f"{np.sqrt(np.mean(origin.residual**2)):.1f}",
        "bars": charts.mirrored_bars(parts, order[:_TOP_CHANNELS]),
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
