"""How the pages are made from their templates: all text escaped, style and script admitted by their hashes."""

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
from camfuse_jax.metrics.table import ScoreTable
from camfuse_jax.report import charts, pictures, scores
from camfuse_jax.report.provenance import provenance


def environment(*packages: str) -> jinja2.Environment:
    """Templates of this folder, and first of all of other packages' folders.

    Args:
        *packages: Names of sub-packages of camfuse_jax, such as `serve`.
    """
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


# One self-contained HTML page about a set of fused pairs: arrays and tables in, text out.


_OTHER_QUALITY = 72
_TOP_CHANNELS = 32


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

    Returns:
        HTML5 text.

    Raises:
        InputError: If the tables are not comparable, or images of a pair differ in shape.
        UsageError: If `method` is not among the tables.
    """
    template = environment().get_template("page.html.j2")
    weights = np.asarray(channel_weights, np.float64)
    order, preference = by_preference(weights), weights[Modality.IR] - weights[Modality.VIS]
    rows = scores.method_rows(tables)
    shown = [_pair(i, view, tables, method) for i, view in enumerate(pairs, start=1)]
    return template.render(
        title=title,
        method=method,
        facts=facts or {},
        pairs=shown,
        methods=[table.method for table in tables],
        metrics=_metrics(tables[0]),
        rows=rows,
        place=scores.place_of(rows, method),
        tests=scores.significance_rows(tables, against=method),
        undefined={table.method: table.undefined() for table in tables if table.undefined()},
        stamp=tables[0].tag,
        bars=charts.mirrored_bars(weights, order, top=1.0),
        ranges=[(weights[row].min(), weights[row].max()) for row in (Modality.IR, Modality.VIS)],
        preferences=charts.mirrored_bars(np.maximum([preference, -preference], 0), order),
        largest_preference=np.abs(preference).max(),
        favored=[int((preference > 0).sum()), weights.shape[1]],
        curves={name: charts.lines(records) for name, records in (training or {}).items()},
        chart=(charts.WIDTH, charts.HEIGHT),
        heat_colors=pictures.heat_gradient(),
        share_colors=pictures.share_gradient(),
    )


def _pair(number: int, view: PairView, tables: Sequence[ScoreTable], method: str) -> dict[str, Any]:
    origin = provenance(view.ir, view.vis, view.fused)
    order = np.argsort(-view.channels.sum(axis=0), kind="stable")
    rows = scores.image_rows(tables, view.name)
    height, width = view.fused.shape
    return {
        "id": f"pair-{number}",
        "name": view.name,
        "size": (width, height),
        "uris": {kind: pictures.png_uri(getattr(view, kind)) for kind in ("ir", "vis", "fused")},
        "others": {name: pictures.webp_uri(image, quality=_OTHER_QUALITY) for name, image in view.others.items()},
        "maps": _maps(view, origin),
        "rows": rows,
        "own": next(row for row in rows if row.method == method),
        "best": scores.best_of(rows),
        "place": scores.place_of(rows, method),
        "share": _percent(_mean(origin.share, origin.certainty)),
        "detail": _percent(_mean(origin.detail_share, origin.certainty)),
        "alike": _percent(float(np.mean(origin.certainty < 0.5))),
        "residual": f"{np.sqrt(np.mean(origin.residual**2)):.1f}",
        "bars": charts.mirrored_bars(_parts(view.channels), order[:_TOP_CHANNELS]),
        "rest": max(len(order) - _TOP_CHANNELS, 0),
        "rest_part": _percent(float(_parts(view.channels)[:, order[_TOP_CHANNELS:]].sum())),
        "ir_part": _percent(float(_parts(view.channels)[Modality.IR].sum())),
    }


def _maps(view: PairView, origin: Any) -> list[dict[str, str]]:
    """The four colored layers, each with what lies below it and what it says."""
    bases = {kind: pictures.small_uri(getattr(view, kind)) for kind in ("ir", "vis", "fused")}
    return [
        {
            "kind": "heat",
            "title": f"Typical of {word}",
            "alt": f"Class activation map of the {word} image, laid over it",
            "base": bases[kind],
            "layer": pictures.heat_uri(heat),
        }
        for kind, word, heat in (("ir", "infrared", view.ir_cam), ("vis", "visible", view.vis_cam))
    ] + [
        {
            "kind": "share",
            "title": name,
            "alt": f"{name}: infrared or visible, laid over the fused image",
            "base": bases["fused"],
            "layer": pictures.share_uri(share, origin.certainty),
        }
        for name, share in (("Share of the mix", origin.share), ("Share of the detail", origin.detail_share))
    ]


def _parts(channels: np.ndarray) -> np.ndarray:
    """Parts of the whole, which sum to 1; zeros where there is nothing."""
    return channels / (channels.sum() or 1.0)


def by_preference(weights: np.ndarray) -> np.ndarray:
    """Channels from the one that most prefers infrared to the one that most prefers visible."""
    return np.argsort(weights[Modality.VIS] - weights[Modality.IR], kind="stable")


def _metrics(table: ScoreTable) -> list[tuple[str, str]]:
    """Key and arrow of each metric."""
    arrows = {"higher": "↑", "lower": "↓", "none": ""}
    return [(key, arrows[str(table.tag["definitions"][key]["better"])]) for key in table.metrics]


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    total = float(weights.sum())
    return float((values * weights).sum() / total) if total > 0 else 0.5


def _percent(part: float) -> str:
    return f"{100 * part:.0f} %"
