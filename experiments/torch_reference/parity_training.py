"""Losses, gradients and twenty training steps of both stages, from the same weights and batches."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from camfuse_jax import cam, losses
from camfuse_jax.config import Config
from camfuse_jax.fusion.params import Params
from camfuse_jax.nets.build import make_classifier, make_decoder, make_encoder
from camfuse_jax.training import autoencoder
from camfuse_jax.training import classifier as train_classifier
from camfuse_jax.training import step as parallel
from camfuse_jax.training.step import make_optimizer
from torch_reference import losses as torch_losses
from torch_reference import training
from torch_reference.bridge import batches, from_params, nchw, torch_arrays
from torch_reference.networks import CamFuse
from torch_reference.table import FORWARD, GRADIENT, TRAINED, Row, compare

STEPS, BATCH, CROP = 20, 8, 64


def rows(config: Config, params: Params, ir: np.ndarray, vis: np.ndarray) -> Iterator[Row]:
    """Compares both stages on windows of a pair."""
    config = dataclasses.replace(
        config,
        net=params.net,
        ae=dataclasses.replace(config.ae, dtype="float32"),
        # Alpha acts in the second half of the steps, so that both kinds of step are seen.
        cls=dataclasses.replace(config.cls, dtype="float32", distance_from_epoch=1),
    )
    given = batches(ir, vis, count=STEPS, size=BATCH, crop=CROP)
    yield from _gradients(_autoencoder_losses(config, params, *given[0]), ("encoder", "decoder"), params)
    yield from _gradients(_classifier_losses(config, params, *given[0]), ("classifier",), params)
    yield from _steps_autoencoder(config, params, given)
    yield from _steps_classifier(config, params, given)


Losses = dict[str, tuple[Callable[[Any], jax.Array], Callable[[CamFuse], torch.Tensor]]]


def _autoencoder_losses(config: Config, params: Params, image: np.ndarray, label: np.ndarray) -> Losses:
    del params, label
    weight = config.ae.ssim_weight

    def given(model: CamFuse) -> torch.Tensor:
        return _as_model(nchw(image), model)

    def restored(tree: Any) -> jax.Array:
        features, _ = make_encoder(config.net).apply({"params": tree["encoder"]}, image)
        return make_decoder(config.net).apply({"params": tree["decoder"]}, features, image.shape[1:3])[0]

    return {
        "L_pixel (Eq. 8)": (
            lambda tree: jnp.mean(losses.pixel_loss(image, restored(tree))),
            lambda model: torch_losses.pixel_loss(given(model), model.reconstruct(given(model))).mean(),
        ),
        "1 - SSIM (Eq. 9)": (
            lambda tree: jnp.mean(losses.dissimilarity(image, restored(tree))),
            lambda model: (1 - torch_losses.ssim(given(model), model.reconstruct(given(model)))).mean(),
        ),
        "L_ae (Eq. 7)": (
            lambda tree: jnp.mean(losses.autoencoder_loss(image, restored(tree), ssim_weight=weight)[0]),
            lambda model: training.autoencoder_loss(model, given(model), ssim_weight=weight),
        ),
    }


def _classifier_losses(config: Config, params: Params, image: np.ndarray, label: np.ndarray) -> Losses:
    features, _ = make_encoder(config.net).apply({"params": params.encoder}, image)
    classifier = make_classifier(config.net)
    kind, alpha = torch.tensor(label).long(), config.cls.distance_weight

    def ours(loss: Callable[..., jax.Array]) -> Callable[[Any], jax.Array]:
        def run(tree: Any) -> jax.Array:
            logits, named = classifier.apply({"params": tree["classifier"]}, features)
            return jnp.mean(loss(logits, named["last"], cam.class_weights(tree["classifier"])))

        return run

    def theirs(loss: Callable[..., torch.Tensor]) -> Callable[[CamFuse], torch.Tensor]:
        def run(model: CamFuse) -> torch.Tensor:
            logits, last = model.classifier(model.encoder(_as_model(nchw(image), model)).detach())
            return loss(logits, last, model.classifier.head.weight).mean()

        return run

    return {
        "L_ce (Eq. 11)": (
            ours(lambda logits, last, weights: losses.cross_entropy_loss(logits, label)),
            theirs(lambda logits, last, weights: torch_losses.cross_entropy_loss(logits, kind)),
        ),
        "L_df (Eq. 12)": (
            ours(lambda logits, last, weights: losses.distance_loss(last, weights, label)),
            theirs(lambda logits, last, weights: torch_losses.distance_loss(last, weights, kind)),
        ),
        "L_class (Eq. 10)": (
            ours(lambda *seen: losses.classifier_loss(*seen, label, distance_weight=alpha)[0]),
            theirs(lambda *seen: torch_losses.classifier_loss(*seen, kind, distance_weight=alpha)),
        ),
    }


def _gradients(given: Losses, trained: tuple[str, ...], params: Params) -> Iterator[Row]:
    tree = {part: getattr(params, part) for part in trained}
    told = f"{BATCH}x{CROP}x{CROP}x1"
    for name, (ours, theirs) in given.items():
        value, grads = jax.jit(jax.value_and_grad(ours))(tree)
        expected = torch_arrays(grads)
        (loss, found), (exact_loss, exact) = (
            _torch_gradient(theirs, model, expected) for model in (from_params(params), from_params(params).double())
        )
        yield compare(name, told, value, loss, exact=exact_loss, allowed=FORWARD)
        _, nudged = _torch_gradient(theirs, _nudged(params), expected)
        gradients = {"exact": exact, "nudged": nudged}
        yield compare(f"gradient of {name}", told, expected, found, allowed=GRADIENT, floor=0.0, **gradients)


def _nudged(params: Params) -> CamFuse:
    """PyTorch in float64 with every weight moved at random by at most half a rounding step of float32."""
    model, rng = from_params(params).double(), np.random.default_rng(0)
    with torch.no_grad():
        for weight in model.parameters():
            step = np.spacing(np.abs(weight.numpy()).astype(np.float32)).astype(np.float64)
            weight += torch.tensor(rng.uniform(-0.5, 0.5, step.shape) * step)
    return model


def _torch_gradient(
    loss_fn: Callable[[CamFuse], torch.Tensor], model: CamFuse, names: Iterable[str]
) -> tuple[float, dict[str, np.ndarray]]:
    loss = loss_fn(model)
    loss.backward()
    weights = dict(model.named_parameters())
    # What a loss does not depend on has no gradient in PyTorch, and a zero one in JAX.
    grads = {name: weights[name].grad if weights[name].grad is not None else 0 * weights[name] for name in names}
    return loss.item(), {name: grad.detach().numpy() for name, grad in grads.items()}


def _as_model(x: torch.Tensor, model: CamFuse) -> torch.Tensor:
    return x.to(next(model.parameters()).dtype)


def _steps_autoencoder(config: Config, params: Params, given: list[Any]) -> Iterator[Row]:
    tree = {"encoder": params.encoder, "decoder": params.decoder}
    loss_fn = autoencoder.make_autoencoder_loss(config)
    ours, after = _train(tree, {}, loss_fn, config.ae, [{"image": image} for image, _ in given])

    def run(model: CamFuse) -> tuple[list[float], CamFuse]:
        trainer = training.autoencoder_trainer(model, config.ae, total_steps=STEPS)
        return [trainer.step(_as_model(nchw(image), model)).item() for image, _ in given], model

    yield from _compare_steps("auto-encoder", ours, torch_arrays(after), torch_arrays(tree), run, params)


def _steps_classifier(config: Config, params: Params, given: list[Any]) -> Iterator[Row]:
    half = STEPS // 2
    loss_fn = train_classifier.make_classifier_loss(config, steps_per_epoch=half)
    batch = [{"image": image, "label": label} for image, label in given]
    ours, after = _train(params.classifier, {"encoder": params.encoder}, loss_fn, config.cls, batch)

    def run(model: CamFuse) -> tuple[list[float], CamFuse]:
        trainer = training.classifier_trainer(model, config.cls, steps_per_epoch=half, total_steps=STEPS)
        seen = [
            trainer.step(_as_model(nchw(image), model), torch.tensor(label).long()).item() for image, label in given
        ]
        return seen, model

    before, after = (torch_arrays({"classifier": tree}) for tree in (params.classifier, after))
    yield from _compare_steps("classifier", ours, after, before, run, params)


def _train(tree: Any, frozen: Any, loss_fn: Any, config: Any, given: list[Any]) -> tuple[list[float], Any]:
    """The package's own training step on one device: losses of every step, and the weights after the last."""
    tx = make_optimizer(config, total_steps=STEPS)
    step = parallel.make_step(loss_fn, tx, devices=1)
    state = parallel.replicate(parallel.TrainState(jnp.int32(0), tree, tx.init(tree)), devices=1)
    frozen = parallel.replicate(frozen, devices=1)
    seen = []
    for batch in given:
        state, metrics = step(state, frozen, parallel.shard(batch, devices=1))
        seen.append(float(metrics["loss"][0]))
    return seen, parallel.unreplicate(state).params


def _compare_steps(
    stage: str,
    ours: list[float],
    after: dict[str, np.ndarray],
    before: dict[str, np.ndarray],
    run: Callable[[CamFuse], tuple[list[float], CamFuse]],
    params: Params,
) -> Iterator[Row]:
    told = f"{STEPS} steps, {BATCH}x{CROP}x{CROP}x1"
    (theirs, model), (exact, exact_model) = (run(m) for m in (from_params(params), from_params(params).double()))
    yield compare(f"{stage}: loss of the first step", told, ours[0], theirs[0], exact=exact[0], allowed=FORWARD)
    yield compare(f"{stage}: loss of every step", told, ours, theirs, exact=exact, allowed=TRAINED)
    sides = [after, *({n: p.detach().numpy() for n, p in m.named_parameters()} for m in (model, exact_model)), before]
    flat = [np.concatenate([np.ravel(side[name]).astype(np.float64) for name in after]) for side in sides]
    yield compare(f"{stage}: weights after the last", told, flat[0], flat[1], exact=flat[2], allowed=None)
    moved = np.linalg.norm(flat[2] - flat[3])
    apart, ours_off, theirs_off = (float(np.linalg.norm(flat[i] - flat[j])) for i, j in ((0, 1), (0, 2), (1, 2)))
    name = f"{stage}: distance of the weights, over the way they moved"
    yield Row(name, told, apart, apart / moved, None, apart, ours_off / moved, theirs_off / moved)
