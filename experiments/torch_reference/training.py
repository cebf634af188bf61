"""Both training stages in PyTorch: plain loops over the batches they are given."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from torch_reference import losses
from torch_reference.networks import CamFuse

_SMALLEST = 1e-5
_VARIATION = 0.3


def learning_rate(config: Any, step: int, *, total_steps: int) -> float:
    """Rate at a step counted from 0: constant, or a linear rise and a cosine fall to a thousandth of the peak."""
    if config.schedule == "constant":
        return config.learning_rate
    rise = min(max(1, round(config.warmup * total_steps)), total_steps - 1) if total_steps > 1 else 0
    first, last = config.learning_rate / 25, config.learning_rate / 1000
    if step < rise:
        return first + (config.learning_rate - first) * step / rise
    done = min((step - rise) / max(total_steps - rise, 1), 1.0)
    return last + (config.learning_rate - last) * (1 + math.cos(math.pi * done)) / 2


class Trainer:
    """Adam over some parameters with the schedule and the gradient clip of a stage.

    Args:
        parameters: What is trained.
        loss_fn: `(step, batch...) -> mean loss`.
        config: A `TrainConfig` of camfuse_jax, or anything with the same names.
        total_steps: Steps of the whole stage.
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        loss_fn: Callable[..., Float[Tensor, ""]],
        config: Any,
        *,
        total_steps: int,
    ):
        self._parameters = list(parameters)
        self._loss_fn = loss_fn
        self._clip = config.clip
        self._adam = torch.optim.Adam(self._parameters, lr=1.0)
        self._rate = torch.optim.lr_scheduler.LambdaLR(
            self._adam, lambda step: learning_rate(config, step, total_steps=total_steps)
        )
        self._step = 0

    def step(self, *batch: Tensor) -> Float[Tensor, ""]:
        """Takes one step and returns the loss before it."""
        self._adam.zero_grad(set_to_none=True)
        loss = self._loss_fn(self._step, *batch)
        loss.backward()
        if self._clip > 0:
            torch.nn.utils.clip_grad_norm_(self._parameters, self._clip)
        self._adam.step()
        self._rate.step()
        self._step += 1
        return loss.detach()


def autoencoder_loss(model: CamFuse, image_sym: Float[Tensor, "n 1 h w"], *, ssim_weight: float) -> Float[Tensor, ""]:
    """Mean L_ae of a batch (Eq. 7)."""
    return losses.autoencoder_loss(image_sym, model.reconstruct(image_sym), ssim_weight=ssim_weight).mean()


def classifier_loss(
    model: CamFuse, image_sym: Float[Tensor, "n 1 h w"], label: Int[Tensor, " n"], distance_weight: float
) -> Float[Tensor, ""]:
    """Mean L_class of a batch (Eq. 10); the encoder is frozen."""
    with torch.no_grad():
        features = model.encoder(image_sym)
    logits, last = model.classifier(features)
    weights = model.classifier.head.weight
    return losses.classifier_loss(logits, last, weights, label, distance_weight=distance_weight).mean()


def autoencoder_trainer(
    model: CamFuse, config: Any, *, total_steps: int, compiled: Callable[[Any], Any] = lambda f: f
) -> Trainer:
    """Stage `ae`; `step` takes images in [-1, 1]. `compiled` may be `torch.compile`."""

    def loss(image_sym: Tensor) -> Tensor:
        return autoencoder_loss(model, image_sym, ssim_weight=config.ssim_weight)

    run = compiled(loss)
    parameters = [*model.encoder.parameters(), *model.decoder.parameters()]
    return Trainer(parameters, lambda step, image: run(image), config, total_steps=total_steps)


def classifier_trainer(
    model: CamFuse, config: Any, *, steps_per_epoch: int, total_steps: int, compiled: Callable[[Any], Any] = lambda f: f
) -> Trainer:
    """Stage `cls`; `step` takes images in [-1, 1] and labels. Alpha acts from its epoch on."""
    switch = config.distance_from_epoch * steps_per_epoch

    def loss(image_sym: Tensor, label: Tensor, distance_weight: Tensor) -> Tensor:
        return classifier_loss(model, image_sym, label, distance_weight)

    run = compiled(loss)

    def at_step(step: int, image_sym: Tensor, label: Tensor) -> Tensor:
        # A tensor, or torch.compile would compile again when alpha begins to act.
        alpha = torch.tensor(config.distance_weight if step >= switch else 0.0, device=image_sym.device)
        return run(image_sym, label, alpha)

    return Trainer(model.classifier.parameters(), at_step, config, total_steps=total_steps)


@torch.no_grad()
def averaging_start(model: CamFuse) -> None:
    """Makes every depthwise branch begin as a local mean, its taps varied by the random kernels it has."""
    for layer in model.classifier.depthwise():
        taps = torch.stack([branch.weight for branch in layer.branches])
        spread = taps.std(correction=0)
        for branch in layer.branches:
            branch.weight.copy_((1 + _VARIATION * branch.weight / spread) / (9 * len(layer.branches)))


@torch.no_grad()
def equalize(model: CamFuse, image_sym: Float[Tensor, "n 1 h w"], *, size: float) -> None:
    """Scales a freshly made classifier so that every channel's pooled value is `size` on average over some images."""
    _, last = model.classifier(model.encoder(image_sym))
    found = last.mean(dim=(0, 2, 3))
    scale = size / torch.clamp(found, min=_SMALLEST * float(found.max()))
    for branch in model.classifier.depthwise1.branches:
        branch.weight.mul_(scale[:, None, None, None])
