"""The fusion rules in PyTorch: how two images' features become one set (Eqs. 3 and 5, and the rules beside them).

Each is `(model, ir, vis) -> fused`, features (n, k, h, w) of both images in and out; settings are in `model.fusion`.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from torch_reference.networks import CamFuse

IR, VIS = 0, 1
_SILENT = 1e-3

Features = Float[Tensor, "n k h w"]


def channel_weights(class_weights: Float[Tensor, "*n 2 k"]) -> Float[Tensor, "*n 2 k"]:
    """Squashes class weights into (0, 1) (Eq. 3)."""
    return 0.5 * torch.tanh(class_weights) + 0.5


def channel_gains(model: CamFuse) -> Float[Tensor, " k"]:
    """What the classifier's last map shows of a channel that is 1 everywhere, biases left out."""
    level = 1.0
    for layer in model.classifier.depthwise():
        level = sum(torch.relu(branch.weight.sum(dim=(1, 2, 3)) * level) for branch in layer.branches)
    return level


def eq5(model: CamFuse, ir: Features, vis: Features) -> Features:
    """Adds both images' features, each channel times its channel weight (Eq. 5)."""
    return _weighted(model, ir, vis, channel_weights(model.classifier.head.weight))


def adaptive(model: CamFuse, ir: Features, vis: Features) -> Features:
    """Eq. 5 with weights from what each channel contributes to the logit of its image's own class."""
    pooled = torch.stack([model.classifier(features)[1].mean(dim=(2, 3)) for features in (ir, vis)], dim=1)
    return _weighted(model, ir, vis, channel_weights(pooled * model.classifier.head.weight))


def unit_sum(model: CamFuse, ir: Features, vis: Features) -> Features:
    """Eq. 5 with the two weights of a channel scaled to sum to one."""
    weights = channel_weights(model.classifier.head.weight)
    return _weighted(model, ir, vis, weights / weights.sum(dim=0))


def l1(model: CamFuse, ir: Features, vis: Features) -> Features:
    """DenseFuse's l1-norm strategy: shares by the channels' sum, averaged over 3x3 cells."""
    del model
    activity = [
        F.avg_pool2d(F.pad(features.abs().sum(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        for features in (ir, vis)
    ]
    share = activity[IR] / (activity[IR] + activity[VIS]).clamp(min=1e-12)
    return share * ir + (1 - share) * vis


def place(model: CamFuse, ir: Features, vis: Features) -> Features:
    """Detail from where the class activity is, brightness added; see `camfuse_jax.fusion.rules`."""
    settings, weights = model.fusion, channel_weights(model.classifier.head.weight)
    both = torch.stack([ir, vis])
    bases = torch.stack([gaussian(features, settings.base_cells) for features in both])
    details = both - bases
    activity = (details.abs() * weights[:, None, :, None, None]).sum(dim=2, keepdim=True)
    logs = torch.log(_SILENT + torch.stack([gaussian(maps, settings.place_cells) for maps in activity]))
    means = both.mean(dim=(3, 4), keepdim=True)
    contrasts = bases - means
    own = model.classifier.head.weight * channel_gains(model)
    evidence = (contrasts * own[:, None, :, None, None]).sum(dim=2, keepdim=True)
    odds = settings.sharpness * (logs[IR] - logs[VIS]) + settings.evidence * (evidence[IR] - evidence[VIS])
    share = torch.sigmoid(odds)

    same = _sameness(contrasts[IR], contrasts[VIS])
    level = settings.level + same * (1 - settings.level)
    base_gain, detail_gain = (gain / (1 + same * (gain - 1)) for gain in (settings.base_gain, settings.detail_gain))
    detail = share * details[IR] + (1 - share) * details[VIS]
    return level * means.mean(dim=0) + base_gain * contrasts.mean(dim=0) + detail_gain * detail


def gaussian(x: Features, cells: float) -> Features:
    """Gaussian blur of standard deviation `cells`, cut off at three, edges repeated."""
    if not cells:
        return x
    reach = math.ceil(3 * cells)
    offsets = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    taps = torch.exp(-0.5 * (offsets / cells) ** 2)
    taps = taps / taps.sum()
    each = F.pad(x.reshape(-1, 1, *x.shape[2:]), (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(each, taps.reshape(1, 1, -1, 1)), taps.reshape(1, 1, 1, -1)).reshape(x.shape)


def _weighted(model: CamFuse, ir: Features, vis: Features, weights: Float[Tensor, "*n 2 k"]) -> Features:
    own = weights[..., None, None]
    return model.fusion.gain * (own[..., IR, :, :, :] * ir + own[..., VIS, :, :, :] * vis)


def _sameness(ir: Features, vis: Features) -> Float[Tensor, "n 1 1 1"]:
    """Fourth power of the correlation, 0 where it is negative or either is flat."""
    energy = (ir**2).sum(dim=(1, 2, 3), keepdim=True) * (vis**2).sum(dim=(1, 2, 3), keepdim=True)
    product = (ir * vis).sum(dim=(1, 2, 3), keepdim=True)
    flat = energy <= 1e-12
    return torch.where(flat, 0.0, product / torch.sqrt(torch.where(flat, 1.0, energy))).clamp(min=0) ** 4


RULES: dict[str, Callable[[CamFuse, Tensor, Tensor], Tensor]] = {
    "place": place,
    "eq5": eq5,
    "adaptive": adaptive,
    "unit_sum": unit_sum,
    "l1": l1,
    "mean": lambda model, ir, vis: (ir + vis) / 2,
    "add": lambda model, ir, vis: ir + vis,
    "max": lambda model, ir, vis: torch.maximum(ir, vis),
}
