"""Stage `ae`: trains encoder and decoder to give back photographs (Eqs. 7-9)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from camfuse_jax import cluster, losses
from camfuse_jax.config import Config, recipe
from camfuse_jax.data.batches import Loader, PhotoExample, WindowSource
from camfuse_jax.data.records import Workdir
from camfuse_jax.data.sources import ConcatSource
from camfuse_jax.errors import CheckpointError, UsageError
from camfuse_jax.nets.build import init_autoencoder, make_decoder, make_encoder
from camfuse_jax.training.checkpoint import Checkpoints, read_stage_config
from camfuse_jax.training.loop import fit
from camfuse_jax.training.step import LossFn, TrainState, make_optimizer

_WINDOW, _STRIDE = 256, 128
_STEP = 4  # of the encoder: by as many pixels features move with the image by themselves
_BORDER = 8  # pixels that are not compared, where a shift brought other surroundings


def autoencoder_identity(config: Config, workdir: Workdir) -> dict[str, Any]:
    """What the auto-encoder's weights depend on."""
    return {
        "stage": "ae",
        "net": recipe(config.net),
        "ae": recipe(config.ae),
        "seed": config.seed,
        "images": workdir.photo_parts(),
    }


def make_autoencoder_loss(config: Config) -> LossFn:
    """L_ae of Eq. 7, with the mixtures and channel gains that the config asks for."""
    encoder = make_encoder(config.net, dtype=config.ae.dtype)
    decoder = make_decoder(config.net, dtype=config.ae.dtype)

    def encode(params: Any, image: jax.Array) -> jax.Array:
        return encoder.apply({"params": params["encoder"]}, image)[0]

    def decode(params: Any, features: jax.Array, size: tuple[int, int]) -> jax.Array:
        return decoder.apply({"params": params["decoder"]}, features, size)[0]

    def loss_fn(params: Any, frozen: Any, batch: Any, step: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        del frozen
        image = batch["image"]
        wanted, features = image, encode(params, image)
        if config.ae.mixtures:
            own = _chosen(len(image), config.ae.mixtures)
            share = batch["share"][own].reshape(-1, 1, 1, 1)
            wanted, features = (
                jnp.concatenate([x, share * x[own] + (1 - share) * x[own + 1]]) for x in (wanted, features)
            )
        restored = decode(params, features, image.shape[1:3])
        loss, parts = losses.autoencoder_loss(wanted, restored, ssim_weight=config.ae.ssim_weight)
        loss, parts = jnp.mean(loss), jax.tree.map(jnp.mean, parts)
        if config.ae.channel_gains:
            key = jax.random.fold_in(jax.random.key(config.seed), step)
            apart = shifted_apart(params, image[_chosen(len(image), config.ae.channel_gains)], key)
            loss, parts["shifted"] = loss + config.ae.channel_gains * apart, apart
        return loss, parts

    def shifted_apart(params: Any, image: jax.Array, key: jax.Array) -> jax.Array:
        """L_ae between the images that the same channel gains make of two windows, one to three pixels apart."""
        gain_key, shift_key = jax.random.split(key)
        shift = jax.random.randint(shift_key, (2,), 1, _STEP)
        side = image.shape[1] - _STEP
        gains = jax.random.uniform(gain_key, (config.net.encoder_widths[-1],), jnp.float32, 0.0, 2.0)
        still, moved = (
            decode(params, gains * encode(params, window), (side, side))
            for window in (image[:, :side, :side], _window(image, shift, side))
        )
        inner = side - _STEP - 2 * _BORDER
        pieces = (_window(still, shift + _BORDER, inner), _window(moved, shift * 0 + _BORDER, inner))
        return jnp.mean(losses.autoencoder_loss(*pieces, ssim_weight=config.ae.ssim_weight)[0])

    return loss_fn


def _window(image: jax.Array, corner: jax.Array, side: int) -> jax.Array:
    return jax.lax.dynamic_slice(image, (0, corner[0], corner[1], 0), (len(image), side, side, image.shape[3]))


def _chosen(count: int, share: float) -> np.ndarray:
    """Every 1/share-th image of a batch, so that the choice does not depend on how devices share the batch.

    Raises:
        UsageError: If the batch is too small for one.
    """
    chosen = np.floor(np.arange(int(count * share)) / share).astype(int)
    if not chosen.size:
        raise UsageError(
            f"A device's part of a batch, {count} images, is too small for a share of {share:g}.",
            "Use a larger --ae.batch-size or fewer devices.",
        )
    return chosen


def train_autoencoder(config: Config, workdir: Workdir) -> TrainState:
    """Trains the auto-encoder, or goes on where its last checkpoint is.

    Returns:
        The final state; `params` has `encoder` and `decoder`.
    """
    checkpoints = Checkpoints(workdir.ae_folder, autoencoder_identity(config, workdir))
    with checkpoints, _loader(config, workdir) as loader:
        steps = config.ae.epochs * (config.ae.steps_per_epoch or loader.batches_per_epoch)
        return fit(
            "ae",
            make_autoencoder_loss(config),
            make_optimizer(config.ae, total_steps=steps),
            init_autoencoder(config.net, seed=config.seed),
            loader,
            config=config.ae,
            total_steps=steps,
            checkpoints=checkpoints,
        )


def load_autoencoder(config: Config, workdir: Workdir) -> dict[str, Any]:
    """Reads the trained auto-encoder of a workdir: `{"encoder", "decoder"}`.

    Raises:
        CheckpointError: If there is none, it is not trained to its end, or it was trained with another network.
    """
    cluster.in_leader(lambda: read_stage_config(workdir.ae_folder))
    with Checkpoints(workdir.ae_folder, autoencoder_identity(config, workdir), writable=False) as checkpoints:
        params = init_autoencoder(config.net, seed=config.seed)
        like = TrainState(jnp.int32(0), params, make_optimizer(config.ae, total_steps=2).init(params))
        state = checkpoints.restore(like)
        if not checkpoints.finished:
            raise CheckpointError(
                f"The auto-encoder in {workdir.ae_folder} is trained to step {checkpoints.latest} only.",
                "Finish it with --stage ae first.",
            )
    return state.params


def _loader(config: Config, workdir: Workdir) -> Loader:
    parts: list[Any] = []
    photos = workdir.photos(config.ae.photos)
    if photos is not None:
        parts.append(photos)
    if config.ae.pair_images or photos is None:
        for pairs in workdir.pairs_for_autoencoder():
            images = (image for i in range(len(pairs)) for image in pairs[i][1:])
            parts.append(WindowSource(images, size=_WINDOW, stride=_STRIDE))
    example = PhotoExample(config.ae.crop, share=config.ae.mixtures > 0)
    return Loader(ConcatSource(*parts), example, batch_size=config.ae.batch_size, seed=config.seed)
