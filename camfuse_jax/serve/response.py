"""One pair fused and explained, as what the page shows: everything in memory, nothing on the disk."""

import io
from typing import Any

import jinja2
import numpy as np

from camfuse_jax.batch.inspect import surely_swapped
from camfuse_jax.config import Modality
from camfuse_jax.fusion.fuse import explain
from camfuse_jax.fusion.params import Params, balanced
from camfuse_jax.images.color import luma_unit
from camfuse_jax.images.picture import Picture, read_picture_file
from camfuse_jax.images.read import Limits
from camfuse_jax.images.write import picture_bytes, to_depth
from camfuse_jax.pair.fuse import fuse_frame, to_levels
from camfuse_jax.pair.prepare import Prepared, prepare
from camfuse_jax.report import charts, pictures
from camfuse_jax.report.page import by_preference, environment
from camfuse_jax.serve.request import Upload, Wish


def answer(params: Params, wish: Wish, limits: Limits) -> dict[str, Any]:
    """Fuses a pair as `camfuse fuse` does.

    Args:
        params: Weights from `load_params`.
        wish: The pair and its settings.
        limits: What is read at most of each file.

    Returns:
        For JSON. Always `fused` (a PNG of the result's own depth, with alpha and profile, as a `data:` URI), `size`
        (width, height), `bits`, `color`, `alpha`, `notes`, `details` and `channels` (HTML). With `wish.maps` also
        `ir` and `vis` (the sources as they were fused, 8 bits), `maps` and `swapped`.

    Raises:
        CamfuseError: By kind; a bad file's error says its name.
    """
    params = balanced(params, ir_gain=wish.ir_gain, vis_gain=wish.vis_gain)
    ready = prepare(_read(wish.ir, limits), _read(wish.vis, limits), wish.frame)
    fused = fuse_frame(params, ready.ir_unit, ready.vis_unit, gray=wish.frame.gray, valid=ready.valid)
    levels = to_levels(fused, ready.bits)
    alpha = None if ready.alpha is None else to_depth(ready.alpha, levels.dtype)
    told = {
        "fused": pictures.data_uri(picture_bytes(levels, alpha=alpha, icc=ready.icc), "png"),
        "size": [levels.shape[1], levels.shape[0]],
        "bits": ready.bits,
        "color": levels.ndim == 3,
        "alpha": alpha is not None,
        "notes": list(ready.notes),
        "details": ready.details,
        "channels": channels_html(params),
    }
    return told | (_explained(params, ready) if wish.maps else {})


def channels_html(params: Params) -> str:
    """The chart of the channel weights with its key and table."""
    weights = np.asarray(params.channel_weights, np.float64)
    preference = weights[Modality.IR] - weights[Modality.VIS]
    return _TEMPLATES.get_template("channels.html.j2").render(
        bars=charts.mirrored_bars(weights, by_preference(weights), top=1.0),
        favored=[int((preference > 0).sum()), weights.shape[1]],
        chart=(charts.WIDTH, charts.HEIGHT),
    )


def _read(upload: Upload, limits: Limits) -> Picture:
    return read_picture_file(io.BytesIO(upload.content), upload, limits)


def _explained(params: Params, ready: Prepared) -> dict[str, Any]:
    """What does not depend on the balance."""
    color = ready.vis_unit.ndim == 3
    luma = luma_unit(ready.vis_unit).astype(np.float32) if color else ready.vis_unit
    seen = explain(params, ready.ir_unit, luma)
    gray = {"ir": to_levels(ready.ir_unit, 8), "vis": to_levels(luma, 8)}
    visible = picture_bytes(to_levels(ready.vis_unit, 8), icc=ready.icc)
    layers = (("ir", "infrared", seen.ir_cam), ("vis", "visible", seen.vis_cam))
    return {
        "ir": pictures.data_uri(picture_bytes(gray["ir"]), "png"),
        "vis": pictures.data_uri(visible, "png"),
        "maps": [
            {"kind": kind, "base": pictures.small_uri(gray[kind]), "layer": pictures.heat_uri(np.asarray(heat[0]))}
            for kind, word, heat in layers
        ],
        "swapped": surely_swapped(np.asarray(seen.probability[0])),
    }


_TEMPLATES: jinja2.Environment = environment("serve")
