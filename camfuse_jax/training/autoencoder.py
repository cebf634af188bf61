"""Stage `ae`: trains encoder and decoder to give back photographs (Eqs. 7-9)."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from camfuse_jax import losses
from camfuse_jax.config import Config, recipe
from camfuse_jax.data.examples import PhotoExample, take_window, windows
from camfuse_jax.data.loader import Loader
from camfuse_jax.data.sources import ConcatSource, PairSource, Source
from camfuse_jax.data.workdir import Workdir
from camfuse_jax.errors import CheckpointError
from camfuse_jax.nets.build import init_autoencoder, make_decoder, make_encoder
from camfuse_jax.training import checkpoint, processes
from camfuse_jax.training.checkpoint import open_checkpoints
from camfuse_jax.training.loop import Task, fit
from camfuse_jax.training.step import LossFn, TrainState, make_optimizer

_WINDOW, _STRIDE = 256, 128


class WindowSource:
    """Sliding windows over both images of every pair, as single images.

    Args:
        pairs: Pairs.
        size: Side of a window in pixels.
        stride: Step in pixels.
    """

    def __init__(self, pairs: PairSource, *, size: int, stride: int):
        self._windows = []
        for i in range(len(pairs)):
            _, *images = pairs[i]
            self._windows += [
                (image, top, left) for image in images for top, left in windows(image.shape, size=size, stride=stride)
            ]
        self._size = size

    def __len__(self) -> int:
        """Number of windows."""
        return len(self._windows)

    def __getitem__(self, index: int) -> Any:
        """One window, uint8 (size, size)."""
        image, top, left = self._windows[index]
        return take_window(image, top, left, self._size)


class FirstOf:
    """The first records of a source.

    Args:
        source: Records.
        count: How many of them at most; 0 means all.
    """

    def __init__(self, source: Source, count: int):
        self._source = source
        self._count = min(count, len(source)) if count else len(source)

    def __len__(self) -> int:
        """Number of records."""
        return self._count

    def __getitem__(self, index: int) -> Any:
        """One record."""
        return self._source[index]


def stage_config(config: Config, places: Workdir) -> dict[str, Any]:
    """What the auto-encoder's weights depend on."""
    return {
        "stage": "ae",
        "net": dataclasses.asdict(config.net),
        "ae": recipe(config.ae),
        "seed": config.seed,
        "images": places.photo_parts(),
    }


def reconstruct(config: Config, params: Any, image_sym: jax.Array, *, dtype: str = "float32") -> jax.Array:
    """Encodes and decodes images in [-1, 1]."""
    features, _ = make_encoder(config.net, dtype=dtype).apply({"params": params["encoder"]}, image_sym)
    decoder = make_decoder(config.net, dtype=dtype)
    return decoder.apply({"params": params["decoder"]}, features, image_sym.shape[1:3])[0]


def make_loss(config: Config) -> LossFn:
    """L_ae of Eq. 7 over one shard of a batch."""

    def loss_fn(params: Any, frozen: Any, batch: Any, step: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        del frozen, step
        restored = reconstruct(config, params, batch["image"], dtype=config.ae.dtype)
        loss, parts = losses.autoencoder_loss(batch["image"], restored, ssim_weight=config.ae.ssim_weight)
        return jnp.mean(loss), jax.tree.map(jnp.mean, parts)

    return loss_fn


def train_autoencoder(config: Config, places: Workdir) -> TrainState:
    """Trains the auto-encoder, or goes on where its last checkpoint is.

    Returns:
        The final state; `params` has `encoder` and `decoder`.
    """
    checkpoints = open_checkpoints(places.ae_folder, stage_config(config, places))
    with checkpoints, _loader(config, places) as loader:
        steps = config.ae.epochs * (config.ae.steps_per_epoch or loader.batches_per_epoch)
        task = Task(
            "ae",
            init_autoencoder(config.net, seed=config.seed),
            {},
            make_loss(config),
            make_optimizer(config.ae, total_steps=steps),
        )
        return fit(task, loader, config=config.ae, total_steps=steps, checkpoints=checkpoints)


def load_autoencoder(config: Config, places: Workdir) -> dict[str, Any]:
    """Reads the trained auto-encoder of a workdir: `{"encoder", "decoder"}`.

    Raises:
        CheckpointError: If there is none, it is not trained to its end, or it was trained with another network.
    """
    processes.in_leader(lambda: checkpoint.read(places.ae_folder))
    with open_checkpoints(places.ae_folder, stage_config(config, places), writable=False) as checkpoints:
        params = init_autoencoder(config.net, seed=config.seed)
        like = TrainState(jnp.int32(0), params, make_optimizer(config.ae, total_steps=2).init(params))
        state = checkpoints.restore(like)
        if not checkpoints.finished:
            raise CheckpointError(
                f"The auto-encoder in {places.ae_folder} is trained to step {checkpoints.latest} only.",
                "Finish it with --stage ae first.",
            )
    return state.params


def _loader(config: Config, places: Workdir) -> Loader:
    parts = []
    photos = places.photos()
    if photos is not None:
        parts.append(FirstOf(photos, config.ae.photos))
    if config.ae.pair_images or photos is None:
        parts += [WindowSource(pairs, size=_WINDOW, stride=_STRIDE) for pairs in places.pairs_for_autoencoder()]
    return Loader(ConcatSource(*parts), PhotoExample(config.ae.crop), batch_size=config.ae.batch_size, seed=config.seed)
