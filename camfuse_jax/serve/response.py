"""One pair in memory, and what the page shows of it: the result, where it came from, what the classifier goes by."""

import io
import json
import re
from collections.abc import Callable
from typing import Any

import jinja2
import numpy as np
from jaxtyping import Bool, Float
from PIL import Image
from scipy import ndimage

from camfuse_jax.config import Modality
from camfuse_jax.errors import CamfuseError
from camfuse_jax.fusion.fuse import explain
from camfuse_jax.fusion.params import Params, balanced, with_look
from camfuse_jax.images.bounds import Limits
from camfuse_jax.images.color import luma_unit
from camfuse_jax.images.read import read_picture
from camfuse_jax.images.write import picture_bytes, to_depth
from camfuse_jax.pair.fuse import fuse_frame, to_levels, with_usual_look
from camfuse_jax.pair.prepare import prepare_pair
from camfuse_jax.pair.swapped import certain_swap, swap_evidence, swap_verdict
from camfuse_jax.report import pictures
from camfuse_jax.report.page import by_preference, environment
from camfuse_jax.report.pictures import provenance
from camfuse_jax.serve.request import Balance, FusionRequest

_WEBP_SIDE = 16_383  # pixels, the format's limit
_MAP_SIDE = 640  # pixels; what is warm is looked for at this size
_WARM = 30 / 255  # brighter than the surroundings by this
_SPECK = 20  # pixels of a map below which a bright spot is noise
_OUTLINE = (255, 236, 120, 255)


class KeptPair:
    """A pair that was read and made ready, so that another balance only fuses. For one thread at a time.

    Args:
        request: The pair and its settings.
        limits: What is read at most of each file.
        go_on: Called between steps; raises where nobody waits for the result any more.

    Raises:
        CamfuseError: By kind; a bad file's error says its name.
    """

    def __init__(self, request: FusionRequest, limits: Limits, go_on: Callable[[], None]):
        ir, vis = (self._read(upload, limits, go_on) for upload in (request.ir, request.vis))
        self._ready, self._gray = prepare_pair(ir, vis, request.frame), request.frame.gray
        self._certain = certain_swap(ir, vis)
        self._fused: tuple[Balance, np.ndarray] | None = None
        self._class_maps: dict[str, Any] | None = None

    @staticmethod
    def _read(upload, limits: Limits, go_on: Callable[[], None]):
        go_on()
        return read_picture(upload.content, limits, name=upload)

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays, the result among them."""
        ready = self._ready
        kept = ready.ir_unit, ready.vis_unit, ready.luma, ready.ir_valid, ready.vis_valid, ready.alpha
        return sum(array.nbytes for array in kept if array is not None) + ready.vis_unit.nbytes

    def described(self) -> dict[str, Any]:
        """For JSON: its facts, and both images as they are fused (8 bits, `data:` URIs)."""
        ready = self._ready
        height, width = ready.ir_unit.shape
        return {
            "size": [width, height],
            "bits": ready.bits,
            "color": ready.vis_unit.ndim == 3 and not self._gray,
            "alpha": ready.alpha is not None,
            "natural": self._colored,
            "notes": [words for note in ready.notes if "misregistered" not in note and (words := page_words(note))],
            "swapped": self._certain > 0,
            "misaligned": ready.details.get("misregistration"),
            "ir": pictures.data_uri(*_viewed(to_levels(ready.ir_unit, 8))),
            "vis": pictures.data_uri(*_viewed(to_levels(ready.vis_unit, 8), ready.icc)),
        }

    def preview(self, params: Params, balance: Balance, go_on: Callable[[], None]) -> tuple[bytes, str]:
        """The result at 8 bits, without loss, and its media type: quick to write and quick to show."""
        fused = self.fused(params, balance)
        go_on()
        content, kind = _viewed(to_levels(fused, 8), self._ready.icc)
        return content, f"image/{kind}"

    def png(self, params: Params, balance: Balance, go_on: Callable[[], None]) -> tuple[bytes, str]:
        """What `camfuse fuse` writes, and its media type: the result's own depth, alpha and color profile."""
        levels = to_levels(self.fused(params, balance), self._ready.bits)
        go_on()
        alpha = None if self._ready.alpha is None else to_depth(self._ready.alpha, levels.dtype)
        return picture_bytes(levels, alpha=alpha, icc=self._ready.icc, metadata=self._ready.metadata), "image/png"

    def fused(self, params: Params, balance: Balance) -> Float[np.ndarray, "h w *c"]:
        """The result in [0, 1]; the last one is kept."""
        if self._fused is None or self._fused[0] != balance:
            params, ready = self._balanced(params, balance), self._ready
            fused = fuse_frame(params, ready.ir_unit, ready.vis_unit, gray=self._gray, **ready.masks)
            self._fused = balance, fused
        return self._fused[1]

    def _balanced(self, params: Params, balance: Balance) -> Params:
        return with_balance(with_usual_look(params, colored=self._colored), balance)

    @property
    def _colored(self) -> bool:
        return self._ready.colored and not self._gray

    def maps(self, params: Params, balance: Balance, go_on: Callable[[], None]) -> tuple[bytes, str]:
        """JSON and its media type.

        `origin`: base, layer, warm outlines, and `infrared`, its part of what differs; `classes`: base and layer of the
        infrared, then of the visible image; `swapped`; `channels`: HTML.
        """
        fused = self.fused(params, balance)
        go_on()
        gray = luma_unit(fused) if fused.ndim == 3 else fused
        sources = [to_levels(image, 8) for image in (self._ready.ir_unit, self._ready.luma, gray)]
        origin = provenance(*sources)
        weight = origin.certainty.sum()
        part = float((origin.share * origin.certainty).sum() / weight) if weight > 0 else 0.5
        shown = {
            "base": pictures.small_uri(sources[2]),
            "layer": pictures.share_uri(origin.share, origin.certainty),
            "warm": _outlined(warm_targets(self._ready.ir_unit)),
            "infrared": part,
        }
        go_on()
        if self._class_maps is None:
            self._class_maps = _class_maps(params, self._ready.ir_unit, self._ready.luma)
            self._class_maps["swapped"] = swap_verdict([swap_evidence(self._certain, self._ready)]) != "as named"
        channels = channels_html(self._balanced(params, balance))
        return json.dumps({"origin": shown, "channels": channels, **self._class_maps}).encode(), "application/json"


def with_balance(params: Params, balance: Balance) -> Params:
    """Weights with a balance; raises UsageError where a number is out of range."""
    return with_look(balanced(params, ir_gain=balance.ir_gain, vis_gain=balance.vis_gain), balance.look)


def warm_targets(ir_unit: Float[np.ndarray, "h w"]) -> Bool[np.ndarray, "a b"]:
    """Where the infrared image is much brighter than its surroundings, at most 640 pixels wide."""
    small = Image.fromarray(np.asarray(ir_unit, np.float32))
    small.thumbnail((_MAP_SIDE, _MAP_SIDE), Image.Resampling.BOX)
    ir = np.asarray(small)
    around = ndimage.gaussian_filter(ir, max(ir.shape) / 24, mode="nearest")
    excess = ndimage.gaussian_filter(ir, 1.5) - around
    found = np.empty(excess.shape, np.int32)
    ndimage.label(excess > max(_WARM, 2 * float(excess.std())), output=found)  # sunlit leaves stand out everywhere
    return (found > 0) & (np.bincount(found.ravel()) >= _SPECK)[found]


def _outlined(mask: Bool[np.ndarray, "h w"]) -> str:
    """The outside edge of what is marked, as a layer."""
    edge = ndimage.binary_dilation(mask, iterations=3) & np.logical_not(ndimage.binary_dilation(mask, iterations=1))
    layer = np.zeros((*mask.shape, 4), np.uint8)
    layer[edge] = _OUTLINE
    return pictures.data_uri(*_viewed(layer))


def channels_html(params: Params) -> str:
    """The chart of the channel weights with its key and table."""
    weights = np.asarray(params.channel_weights, np.float64)
    preference = weights[Modality.IR] - weights[Modality.VIS]
    return _TEMPLATES.get_template("channels.html.j2").render(
        bars=pictures.mirrored_bars(weights, by_preference(weights), top=1.0),
        favored=[int((preference > 0).sum()), weights.shape[1]],
        chart=(pictures.WIDTH, pictures.HEIGHT),
    )


# A message names options of the command line; on the page the same is done with its own settings.
_REMEDIES = {
    "--fit": "Choose a size at Different sizes, under Settings.",
    "--max-mega": "Use a smaller image.",
    "--ir-polarity": "To invert it, choose black at Infrared shows hot as, under Settings.",
    "--ir-range": "Choose another infrared range, under Settings.",
}
_OPTION = re.compile(r"(?<![\w-])--[a-z]")
_WHOSE = (("ir: ", "Infrared: "), ("vis: ", "Visible: "), ("ir has ", "The infrared image has "))
_WHOSE_TOO = ("but vis has ", "but the visible one has ")


def page_words(said: CamfuseError | str) -> str:
    """An error or note as the page says it: without options of the command line."""
    what, remedy = (said, "") if isinstance(said, str) else (said.what, said.remedy)
    short = re.sub(r"\s*\(([^()]*)\)", lambda found: "" if _OPTION.search(found[1]) else found[0], what)
    for code, words in _WHOSE:
        short = words + short.removeprefix(code) if short.startswith(code) else short
    short = short.replace(*_WHOSE_TOO)
    if _OPTION.search(remedy) or (short.rstrip(".") != what.rstrip(".") and _OPTION.search(what)):
        remedy = next((words for option, words in _REMEDIES.items() if option in what + remedy), "")
    return f"{short.rstrip('.')}. {remedy}".rstrip()


def _viewed(levels: np.ndarray, icc: bytes | None = None) -> tuple[bytes, str]:
    """An image file without loss, and its kind; WebP takes a fifth of the time that a PNG of the same size takes."""
    kind = "webp" if max(levels.shape[:2]) <= _WEBP_SIDE else "png"
    options = {"lossless": True, "quality": 0, "method": 0} if kind == "webp" else {"compress_level": 1}
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, kind, icc_profile=icc, **options)
    return buffer.getvalue(), kind


def _class_maps(params: Params, ir_unit: np.ndarray, luma: np.ndarray) -> dict[str, Any]:
    explained = explain(params, ir_unit, luma)
    pairs = ((ir_unit, explained.ir_cam), (luma, explained.vis_cam))
    classes = [
        {"base": pictures.small_uri(to_levels(image, 8)), "layer": pictures.heat_uri(np.asarray(heat[0]))}
        for image, heat in pairs
    ]
    return {"classes": classes}


_TEMPLATES: jinja2.Environment = environment("serve")
