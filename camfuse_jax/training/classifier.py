"""Stage `cls`: trains the depthwise classifier on the frozen encoder (Eqs. 1, 2, 10-14)."""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np

from camfuse_jax import cam, losses
from camfuse_jax.config import Config, recipe
from camfuse_jax.data.examples import PairExample, take_window, windows
from camfuse_jax.data.loader import Loader
from camfuse_jax.data.sources import PairSource
from camfuse_jax.data.workdir import Workdir
from camfuse_jax.fusion.params import Params, load_params, save_params
from camfuse_jax.nets.build import (
    averaging_start,
    equalize,
    init_classifier,
    make_classifier,
    make_encoder,
    rescale_head,
)
from camfuse_jax.system.checksum import seal
from camfuse_jax.training import processes
from camfuse_jax.training.autoencoder import load_autoencoder
from camfuse_jax.training.autoencoder import stage_config as ae_config
from camfuse_jax.training.checkpoint import open_checkpoints
from camfuse_jax.training.loop import Task, fit
from camfuse_jax.training.step import LossFn, make_optimizer


class PairWindows:
    """Sliding windows over pairs: record i is the same window of both images.

    Args:
        pairs: Pairs.
        size: Side of a window in pixels.
        stride: Step in pixels.
    """

    def __init__(self, pairs: PairSource, *, size: int, stride: int):
        self._records = []
        for i in range(len(pairs)):
            _, ir, vis = pairs[i]
            self._records += [(ir, vis, top, left) for top, left in windows(ir.shape, size=size, stride=stride)]
        self._size = size

    def __len__(self) -> int:
        """Number of windows."""
        return len(self._records)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Infrared and visible window, uint8 (size, size) each."""
        ir, vis, top, left = self._records[index]
        return take_window(ir, top, left, self._size), take_window(vis, top, left, self._size)


class FlatLoader:
    """Gives the two images of each record as two images of the batch.

    Args:
        loader: Batches of pairs (b, 2, ...).
    """

    def __init__(self, loader: Loader):
        self._loader = loader
        self.state, self.restore, self.close = loader.state, loader.restore, loader.close
        self.batches_per_epoch = loader.batches_per_epoch

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        """Returns the loader itself."""
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        """Returns the next batch (2 b, ...)."""
        return {name: x.reshape(-1, *x.shape[2:]) for name, x in next(self._loader).items()}


def stage_config(config: Config, places: Workdir) -> dict[str, Any]:
    """What the classifier's weights depend on."""
    return {
        "stage": "cls",
        "cls": recipe(config.cls),
        "pairs": places.label,
        "ae": ae_config(config, places),
    }


def make_loss(config: Config, *, steps_per_epoch: int) -> LossFn:
    """L_class of Eq. 10 over one shard of a batch; alpha acts from its epoch on."""
    switch = config.cls.distance_from_epoch * steps_per_epoch

    def loss_fn(params: Any, frozen: Any, batch: Any, step: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        encoder = make_encoder(config.net, dtype=config.cls.dtype)
        features, _ = encoder.apply({"params": frozen["encoder"]}, batch["image"])
        classifier = make_classifier(config.net, dtype=config.cls.dtype)
        logits, named = classifier.apply({"params": params}, features)
        loss, parts = losses.classifier_loss(
            logits,
            named["last"],
            cam.class_weights(params),
            batch["label"],
            distance_weight=jnp.where(step >= switch, config.cls.distance_weight, 0.0),
        )
        return jnp.mean(loss), jax.tree.map(jnp.mean, parts)

    return loss_fn


def start(config: Config, encoder: Any, image_sym: np.ndarray) -> dict[str, Any]:
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


def train_classifier(config: Config, places: Workdir, *, autoencoder: str | None = None) -> Params:
    """Trains the classifier of a data set, or goes on where its last checkpoint is.

    Args:
        config: Settings.
        places: The data set.
        autoencoder: Weights, as for `load_params`, whose auto-encoder to use instead of the workdir's.

    Returns:
        Weights ready for `fuse`; also written to `places.trained`.

    Raises:
        CheckpointError: If the workdir has no auto-encoder, or the weights cannot be read.
    """
    identity = stage_config(config, places)
    if autoencoder is None:
        networks = load_autoencoder(config, places)
    else:
        given = load_params(autoencoder)
        net = dataclasses.replace(given.net, branches=config.net.branches, strides=config.net.strides)
        config = dataclasses.replace(config, net=net)
        networks = {"encoder": given.encoder, "decoder": given.decoder}
        sealed = seal(flax.traverse_util.flatten_dict(networks, sep="/"), "")
        identity |= {"ae": {"sha256": sealed, "net": dataclasses.asdict(net), "seed": config.seed}}
    params = train_head(config, places, networks, folder=places.cls_folder, identity=identity)
    processes.in_leader(lambda: save_params(places.trained, params))
    return params


def train_head(
    config: Config, places: Workdir, autoencoder: dict[str, Any], *, folder: pathlib.Path, identity: dict[str, Any]
) -> Params:
    """Trains a classifier on a given encoder, with its checkpoints in `folder`; a trained one is only read.

    Args:
        config: Settings.
        places: The data set.
        autoencoder: `{"encoder", "decoder"}`.
        folder: Where the checkpoints go.
        identity: What the weights depend on; a folder made with something else is refused.
    """
    checkpoints = open_checkpoints(folder, identity)
    source = PairWindows(places.pairs("train"), size=config.cls.crop, stride=config.cls.stride)
    example = PairExample(augment=config.cls.augment)
    with checkpoints, Loader(source, example, batch_size=config.cls.batch_size // 2, seed=config.seed) as loader:
        steps_per_epoch = config.cls.steps_per_epoch or loader.batches_per_epoch
        steps = config.cls.epochs * steps_per_epoch
        task = Task(
            f"cls-{places.label}",
            start(config, autoencoder["encoder"], next(FlatLoader(loader))["image"]),
            {"encoder": autoencoder["encoder"]},
            make_loss(config, steps_per_epoch=steps_per_epoch),
            make_optimizer(config.cls, total_steps=steps),
        )
        state = fit(task, FlatLoader(loader), config=config.cls, total_steps=steps, checkpoints=checkpoints)
    classifier = rescale_head(state.params, rms=config.cls.weight_rms) if config.cls.weight_rms else state.params
    return Params(autoencoder["encoder"], autoencoder["decoder"], classifier, net=config.net, fusion=config.fusion)
