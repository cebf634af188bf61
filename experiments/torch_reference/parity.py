"""Stage `parity`: camfuse_jax and PyTorch side by side, quantity by quantity, float32 on the CPU."""

import copy
import dataclasses
import pathlib
import platform
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jaxlib
import numpy as np
import torch

from camfuse_jax import cam
from camfuse_jax.config import Config
from camfuse_jax.errors import CamfuseError
from camfuse_jax.fusion.forward import POOLED_RULES
from camfuse_jax.fusion.fuse import explain, fuse_arrays
from camfuse_jax.fusion.params import Params
from camfuse_jax.fusion.rules import combine
from camfuse_jax.nets.build import make_classifier, make_decoder, make_encoder
from torch_reference import fusion as torch_fusion
from torch_reference import parity_gpu, parity_training, table
from torch_reference.bridge import from_params, nchw, nhwc
from torch_reference.networks import CamFuse
from torch_reference.rules import channel_weights
from torch_reference.rules import combine as torch_combine
from torch_reference.table import FORWARD, Row, compare, compare_levels

Images = Sequence[tuple[str, np.ndarray, np.ndarray]]
_PART = (256, 320)


def parity(config: Config, params: Params, pairs: Images, *, weights: str, out: pathlib.Path) -> None:
    """Compares both sides and writes `parity.md` and `parity.json`.

    Args:
        config: Settings of both training stages.
        params: Weights, the same for both sides.
        pairs: Name, infrared and visible image, uint8 (h, w); training windows are cut from the first.
        weights: What the weights are called.
        out: Folder of the table.

    Raises:
        CamfuseError: If a tolerance is missed; the table is written all the same.
    """
    with jax.default_device(jax.devices("cpu")[0]), jax.default_matmul_precision("highest"):
        rows = [*_forward(params, pairs), *parity_training.rows(config, params, *pairs[0][1:])]
    rows += parity_gpu.rows(params, pairs)
    stamp = _stamp(weights, params.fusion.rule)
    text = table.markdown(rows, stamp)
    values = {"stamp": stamp, "rows": [{**dataclasses.asdict(row), "passed": row.passed} for row in rows]}
    table.write(out, "parity", text, values)
    print(text, end="")
    missed = [row.quantity for row in rows if not row.passed]
    if missed:
        raise CamfuseError(f"PyTorch and camfuse_jax differ by more than is allowed: {', '.join(missed)}.")


def _stamp(weights: str, rule: str) -> dict[str, str]:
    versions = f"jax {jax.__version__}, jaxlib {jaxlib.__version__}, torch {torch.__version__}"
    machine = f"{platform.machine()}, float32 on the CPU"
    passes = (
        "ok: the difference is within the tolerance; ok by float64: it is not, but camfuse_jax is within the tolerance "
        f"of float64 or nearer to it than PyTorch is, and the difference is below {table.FARTHEST} tolerances; rounded "
        "weights from float64: how far float64 itself moves when every weight is moved by half a float32 step"
    )
    return {"weights": weights, "fusion rule": rule, "versions": versions, "machine": machine, "passes": passes}


def _forward(params: Params, pairs: Images) -> Iterator[Row]:
    model = from_params(params)
    for which, pair in (("class weights (Eq. 1)", "class_weights"), ("channel weights (Eq. 3)", "channel_weights")):
        weights = model.classifier.head.weight.detach()
        theirs = weights if pair == "class_weights" else channel_weights(weights)
        yield compare(which, "-", getattr(params, pair), theirs.numpy(), allowed=FORWARD)
    _, ir, vis = pairs[0]
    # A part of the first pair, and the same without a few rows and columns, so that neither side divides by four.
    part = min(ir.shape[0], _PART[0]), min(ir.shape[1], _PART[1])
    for rows, cols in (part, (part[0] - 3, part[1] - 9)):
        both = np.stack([ir[:rows, :cols], vis[:rows, :cols]])[..., None].astype(np.float32) / 255
        yield from _intermediates(params, model, both)
    for name, ir, vis in pairs:
        with torch.no_grad():
            theirs = torch_fusion.fuse_u8(model, *(torch.tensor(x)[None, None] for x in (ir, vis)))[0, 0].numpy()
        yield compare_levels(f"fused, 8 bit: {name}", np.asarray(fuse_arrays(params, ir, vis)), theirs)


def _intermediates(params: Params, model: CamFuse, both: np.ndarray) -> Iterator[Row]:
    """Everything between a pair (2, h, w, 1) in [0, 1] and its fused image."""
    told = "x".join(map(str, both.shape))
    ours = jax.jit(_ours)(params, both)
    seen = explain(params, both[:1], both[1:])
    ours["CAM at image size"] = np.concatenate([seen.ir_cam, seen.vis_cam])
    ours["CAAM at image size"] = np.concatenate([seen.ir_caam, seen.vis_caam])
    ours["fused, float"] = fuse_arrays(params, both[:1], both[1:])
    exact = _theirs(copy.deepcopy(model).double(), nchw(both).double())
    for name, value in _theirs(model, nchw(both)).items():
        yield compare(name, told, ours[name], value, exact=exact[name], allowed=FORWARD)


@torch.no_grad()
def _theirs(model: CamFuse, both: torch.Tensor) -> dict[str, np.ndarray]:
    size = both.shape[2:]
    features = model.encoder(both * 2 - 1)
    logits, last = model.classifier(features)
    own = torch_fusion.cam(last, model.classifier.head.weight[torch.tensor([0, 1])])
    agnostic = torch_fusion.caam(last)
    return {
        "features (Eq. 4)": nhwc(features),
        "reconstructed images": nhwc(model.decoder(features, size)),
        "classifier's last maps": nhwc(last),
        "logits (Eq. 2)": logits.numpy(),
        "CAM (Eq. 14)": own.numpy(),
        "CAAM (Eq. 13)": agnostic.numpy(),
        "CAM at image size": torch_fusion.full_size(model, own, size).numpy(),
        "CAAM at image size": torch_fusion.full_size(model, agnostic, size).numpy(),
        "fused, float": nhwc(torch_fusion.fuse(model, both[:1], both[1:])),
    } | _fused(model.fusion, lambda: nhwc(torch_combine(model, features[:1], features[1:])))


def _ours(params: Params, both: jax.Array) -> dict[str, jax.Array]:
    features, _ = make_encoder(params.net).apply({"params": params.encoder}, both * 2 - 1)
    drawn, _ = make_decoder(params.net).apply({"params": params.decoder}, features, both.shape[1:3])
    logits, named = make_classifier(params.net).apply({"params": params.classifier}, features)
    channels = params.channel_weights
    if params.fusion.rule in POOLED_RULES:
        contributing = params.class_weights if params.fusion.rule == "eq5-contribution" else 1.0
        channels = cam.channel_weights(named["pooled"] * contributing)[None]
    return {
        "features (Eq. 4)": features,
        "reconstructed images": drawn,
        "classifier's last maps": named["last"],
        "logits (Eq. 2)": logits,
        "CAM (Eq. 14)": cam.cam(named["last"], params.class_weights),
        "CAAM (Eq. 13)": cam.caam(named["last"]),
    } | _fused(params.fusion, lambda: combine(params.fusion, features[:1], features[1:], channels))


def _fused(settings: Any, features: Callable[[], Any]) -> dict[str, Any]:
    """Fused features, where the rule makes any."""
    return {} if settings.rule == "spatial" else {f"fused features (rule {settings.rule})": features()}
