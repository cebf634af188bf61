"""Class activation and fusion in PyTorch (Eqs. 6, 13 and 14)."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from torch_reference.networks import CamFuse
from torch_reference.rules import combine
from torch_reference.spatial import spatial


def fuse(
    model: CamFuse, ir_unit: Float[Tensor, "n 1 h w"], vis_unit: Float[Tensor, "n 1 h w"]
) -> Float[Tensor, "n 1 h w"]:
    """Fuses images in [0, 1] by the rule of the weights, `model.fusion`."""
    if model.fusion.rule == "spatial":
        return spatial(model, ir_unit, vis_unit, model.fusion.spatial.look)
    both = model.encoder(torch.cat([ir_unit, vis_unit]) * 2 - 1)
    ir, vis = both.chunk(2)
    return (model.decoder(combine(model, ir, vis), ir_unit.shape[2:]) + 1) / 2


def fuse_u8(model: CamFuse, ir: UInt8[Tensor, "n 1 h w"], vis: UInt8[Tensor, "n 1 h w"]) -> UInt8[Tensor, "n 1 h w"]:
    """Fuses 8-bit images."""
    fused = fuse(model, ir.float() / 255, vis.float() / 255)
    return torch.clamp(torch.round(fused * 255), 0, 255).to(torch.uint8)


def min_max(maps: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """Scales each map to [0, 1]; a map that is constant up to rounding becomes zero."""
    low = maps.amin(dim=(1, 2), keepdim=True)
    span = maps.amax(dim=(1, 2), keepdim=True) - low
    constant = span <= 1e-5 * maps.abs().amax(dim=(1, 2), keepdim=True) + 1e-12
    return torch.where(constant, 0.0, (maps - low) / torch.where(constant, 1.0, span))


def caam(last: Float[Tensor, "n k h w"]) -> Float[Tensor, "n h w"]:
    """Class-agnostic activation map (Eq. 13)."""
    return min_max(last.sum(dim=1))


def cam(last: Float[Tensor, "n k h w"], weights: Float[Tensor, "n k"]) -> Float[Tensor, "n h w"]:
    """Class activation map of one class per image (Eq. 14)."""
    return min_max((last * weights[:, :, None, None]).sum(dim=1))


def full_size(model: CamFuse, maps: Float[Tensor, "n h8 w8"], size: tuple[int, int]) -> Float[Tensor, "n h w"]:
    """Draws maps of the classifier at the size of the images, without the margin."""
    cell, margin = 4, model.encoder.margin
    for stride in model.strides:
        cell *= stride
    large = F.interpolate(maps[:, None], scale_factor=cell, mode="bilinear", align_corners=False)[:, 0]
    return large[:, margin : margin + size[0], margin : margin + size[1]]
