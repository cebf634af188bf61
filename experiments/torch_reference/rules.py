"""The fusion rules in PyTorch that make one set of features of two (Eqs. 3 and 5, and the rules beside them).

Each is `(model, ir, vis) -> fused`, features (n, k, h, w) of both images in and out; settings are in `model.fusion`.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from torch_reference.networks import CamFuse

IR, VIS = 0, 1

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


def eq5_pooled(model: CamFuse, ir: Features, vis: Features) -> Features:
    """Eq. 5 with W_c the classifier's pooled last maps of each image."""
    return _weighted(model, ir, vis, channel_weights(_pooled(model, ir, vis)))


def eq5_contribution(model: CamFuse, ir: Features, vis: Features) -> Features:
    """Eq. 5 with weights from what each channel contributes to the logit of its image's own class."""
    return _weighted(model, ir, vis, channel_weights(_pooled(model, ir, vis) * model.classifier.head.weight))


def _pooled(model: CamFuse, ir: Features, vis: Features) -> Float[Tensor, "n 2 k"]:
    return torch.stack([model.classifier(features)[1].mean(dim=(2, 3)) for features in (ir, vis)], dim=1)


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


def _weighted(model: CamFuse, ir: Features, vis: Features, weights: Float[Tensor, "*n 2 k"]) -> Features:
    own = weights[..., None, None]
    return model.fusion.gain * (own[..., IR, :, :, :] * ir + own[..., VIS, :, :, :] * vis)


def combine(model: CamFuse, ir: Features, vis: Features) -> Features:
    """Applies the rule of the weights; where brightness is kept, to what differs from each image's mean."""
    rule = RULES[model.fusion.rule]
    if model.fusion.brightness != "kept":
        return rule(model, ir, vis)
    if model.fusion.rule.startswith("eq5-"):
        weights = channel_weights(
            _pooled(model, ir, vis) * (model.classifier.head.weight if model.fusion.rule == "eq5-contribution" else 1.0)
        )
        rule = lambda model, a, b: _weighted(model, a, b, weights)  # noqa: E731
    ir_mean, vis_mean = (x.mean(dim=(2, 3), keepdim=True) for x in (ir, vis))
    return 0.5 * (ir_mean + vis_mean) + rule(model, ir - ir_mean, vis - vis_mean)


RULES: dict[str, Callable[[CamFuse, Tensor, Tensor], Tensor]] = {
    "eq5": eq5,
    "eq5-pooled": eq5_pooled,
    "eq5-contribution": eq5_contribution,
    "unit_sum": unit_sum,
    "l1": l1,
    "mean": lambda model, ir, vis: (ir + vis) / 2,
    "add": lambda model, ir, vis: ir + vis,
    "max": lambda model, ir, vis: torch.maximum(ir, vis),
}
