"""Between the two sides in memory: models from `Params`, trees as flat arrays, batches of the same windows."""

import dataclasses
from typing import Any

import flax.traverse_util
import jax
import numpy as np
import torch
from jaxtyping import Float, Int

from camfuse_jax.fusion.forward import encoder_answers
from camfuse_jax.fusion.params import Params
from torch_reference.convert import to_torch
from torch_reference.networks import CamFuse


def from_params(params: Params) -> CamFuse:
    """Builds the PyTorch model with the same weights and rule.

    Raises:
        ValueError: If the weights carry unequal gains (`balanced`), which no file holds and no rule here knows.
    """
    if params.ir_gain != params.vis_gain:
        raise ValueError(f"Gains {params.ir_gain} and {params.vis_gain} have no counterpart in PyTorch.")
    model = CamFuse(**dataclasses.asdict(params.net), fusion=params.fusion)
    arrays = torch_arrays({part: getattr(params, part) for part in ("encoder", "decoder", "classifier")})
    model.load_state_dict({name: torch.tensor(value) for name, value in arrays.items()})
    model.noise_answer = torch.tensor(np.asarray(encoder_answers(params).noise))
    return model.eval()


def torch_arrays(tree: Any) -> dict[str, np.ndarray]:
    """Weights or gradients of camfuse_jax, `{"encoder": ...}`, by their PyTorch names."""
    return to_torch(flax.traverse_util.flatten_dict(jax.tree.map(np.asarray, tree), sep="/"))


def nchw(image: Float[np.ndarray, "n h w c"]) -> torch.Tensor:
    """A batch of camfuse_jax as PyTorch takes it; a copy."""
    return torch.tensor(np.moveaxis(np.asarray(image), 3, 1).copy())


def nhwc(tensor: torch.Tensor) -> Float[np.ndarray, "n h w c"]:
    """The way back."""
    return np.moveaxis(tensor.detach().to(torch.promote_types(tensor.dtype, torch.float32)).cpu().numpy(), 1, 3)


def batches(
    ir: np.ndarray, vis: np.ndarray, *, count: int, size: int, crop: int, seed: int = 0
) -> list[tuple[Float[np.ndarray, "n c c 1"], Int[np.ndarray, " n"]]]:
    """Windows at random places of a pair: images in [-1, 1] and labels, infrared and visible in turn.

    Args:
        ir: Infrared image, uint8 (h, w).
        vis: Visible image.
        count: Batches.
        size: Images per batch.
        crop: Side of a window.
        seed: Chooses the places.
    """
    rng = np.random.default_rng(seed)
    label = np.arange(size, dtype=np.int32) % 2
    out = []
    for _ in range(count):
        corners = rng.integers([side - crop + 1 for side in ir.shape], size=(size, 2))
        cut = [(ir, vis)[k][i : i + crop, j : j + crop] for k, (i, j) in zip(label, corners, strict=True)]
        out.append((np.stack(cut)[..., None].astype(np.float32) / 127.5 - 1, label))
    return out
