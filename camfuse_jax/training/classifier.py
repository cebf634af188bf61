"""Stage `cls`: trains the depthwise classifier on the frozen encoder (Eqs. 1, 2, 10-14)."""

import dataclasses
import pathlib
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from camfuse_jax import cam, cluster, losses
from camfuse_jax.config import Config, recipe
from camfuse_jax.data.batches import Loader, PairExample, WindowSource
from camfuse_jax.data.records import Workdir
from camfuse_jax.fusion.params import Params, load_params, save_params
from camfuse_jax.nets.build import (
    averaging_start,
    equalize,
    init_classifier,
    make_classifier,
    make_encoder,
    rescale_head,
)
from camfuse_jax.system.files import array_digest
from camfuse_jax.training.autoencoder import autoencoder_identity, load_autoencoder
from camfuse_jax.training.checkpoint import Checkpoints
from camfuse_jax.training.loop import fit
from camfuse_jax.training.step import LossFn, make_optimizer


def classifier_identity(config: Config, workdir: Workdir) -> dict[str, Any]:
    """What the classifier's weights depend on."""
    return {
        "stage": "cls",
        "cls": recipe(config.cls),
        "pairs": workdir.label,
        "ae": autoencoder_identity(config, workdir),
    }


def make_classifier_loss(config: Config, *, steps_per_epoch: int) -> LossFn:
    """L_class of Eq. 10 over a batch; alpha acts from its epoch on."""
    switch = config.cls.distance_from_epoch * steps_per_epoch

    def loss_fn(params: Any, frozen: Any, batch: Any, step: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        encoder = make_encoder(config.net, dtype=config.cls.dtype)
        features, _ = encoder.apply({"params": frozen["encoder"]}, batch["image"])
        classifier: Any = make_classifier(config.net, dtype=config.cls.dtype)
        logits, named = classifier.apply({"params": params}, features)
        loss, parts = losses.classifier_loss(
            logits,
            named["last"],
            cam.class_weights(params),
            batch["label"],
            distance_weight=jnp.where(step >= switch, jnp.float32(config.cls.distance_weight), jnp.float32(0)),
        )
        return jnp.mean(loss), jax.tree.map(jnp.mean, parts)

    return loss_fn


def initial_classifier(config: Config, encoder: Any, image_sym: np.ndarray) -> dict[str, Any]:
    """The classifier's parameters before training, scaled on a first batch where the config says so."""
    classifier = init_classifier(config.net, seed=config.seed)
    if config.cls.start == "mean":
        classifier = averaging_start(classifier)
    if not config.cls.channel_size:
        return classifier

    def scale(classifier: Any, encoder: Any, image_sym: jax.Array) -> Any:
        features, _ = make_encoder(config.net).apply({"params": encoder}, image_sym)
        return equalize(config.net, classifier, features, size=config.cls.channel_size)

    return jax.jit(scale)(classifier, encoder, image_sym)


def train_classifier(config: Config, workdir: Workdir, *, autoencoder: str | None = None) -> Params:
    """Trains the classifier of a data set, or goes on where its last checkpoint is.

    Args:
        config: Settings.
        workdir: The data set.
        autoencoder: Weights, as for `load_params`, whose auto-encoder to use instead of the workdir's.

    Returns:
        Weights ready for `fuse`; also written to `workdir.trained`.

    Raises:
        CheckpointError: If the workdir has no auto-encoder, or the weights cannot be read.
    """
    identity = classifier_identity(config, workdir)
    if autoencoder is None:
        networks = load_autoencoder(config, workdir)
    else:
        loaded = load_params(autoencoder)
        net = dataclasses.replace(loaded.net, branches=config.net.branches, strides=config.net.strides)
        config = dataclasses.replace(config, net=net)
        networks = {"encoder": loaded.encoder, "decoder": loaded.decoder}
        arrays: Any = flax.traverse_util.flatten_dict(networks, sep="/")
        identity |= {"ae": {"sha256": array_digest(arrays, ""), "net": recipe(net), "seed": config.seed}}
    params = train_head(config, workdir, networks, folder=workdir.cls_folder, identity=identity)
    cluster.in_leader(lambda: save_params(workdir.trained, params))
    return params


def train_head(
    config: Config, workdir: Workdir, autoencoder: dict[str, Any], *, folder: pathlib.Path, identity: dict[str, Any]
) -> Params:
    """Trains a classifier on an encoder, with its checkpoints in `folder`; a trained one is only read.

    Args:
        config: Settings.
        workdir: The data set.
        autoencoder: `{"encoder", "decoder"}`.
        folder: Where the checkpoints go.
        identity: What the weights depend on; a folder made with something else is refused.
    """
    checkpoints = Checkpoints(folder, identity)
    pairs = workdir.pairs("train")
    stacks = (np.stack(pairs[i][1:]) for i in range(len(pairs)))
    source = WindowSource(stacks, size=config.cls.crop, stride=config.cls.stride)
    example = PairExample(augment=config.cls.augment, strip=config.cls.strip)
    with checkpoints, Loader(source, example, batch_size=config.cls.batch_size // 2, seed=config.seed) as loader:
        steps_per_epoch = config.cls.steps_per_epoch or loader.batches_per_epoch
        steps = config.cls.epochs * steps_per_epoch
        state = fit(
            f"cls-{workdir.label}",
            make_classifier_loss(config, steps_per_epoch=steps_per_epoch),
            make_optimizer(config.cls, total_steps=steps),
            initial_classifier(config, autoencoder["encoder"], next(loader)["image"]),
            loader,
            frozen={"encoder": autoencoder["encoder"]},
            config=config.cls,
            total_steps=steps,
            checkpoints=checkpoints,
        )
    classifier = rescale_head(state.params, rms=config.cls.weight_rms) if config.cls.weight_rms else state.params
    return Params(autoencoder["encoder"], autoencoder["decoder"], classifier, net=config.net, fusion=config.fusion)
