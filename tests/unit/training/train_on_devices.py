"""Run by test_parallel.py in a process with four CPU devices: both stages' losses on 1, 2 and 4 of them."""

import dataclasses
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from camfuse_jax.config import AutoencoderConfig, Config, NetConfig, TrainConfig
from camfuse_jax.nets.build import init_autoencoder, init_classifier
from camfuse_jax.system import runtime
from camfuse_jax.training import step as parallel
from camfuse_jax.training.autoencoder import make_autoencoder_loss
from camfuse_jax.training.classifier import make_classifier_loss
from camfuse_jax.training.step import make_optimizer

STEPS, BATCH, CROP = 20, 16, 36
CONFIG = Config(
    net=NetConfig(encoder_widths=(4, 6, 8, 8, 8), decoder_widths=(8, 8, 6, 4), init="he", strides=(1, 2)),
    ae=AutoencoderConfig(crop=CROP, batch_size=BATCH),
)
SETTINGS = TrainConfig(learning_rate=1e-4, clip=1.0)
MIXED = dataclasses.replace(CONFIG, ae=dataclasses.replace(CONFIG.ae, mixtures=0.25, channel_gains=0.25))


def _tasks():
    autoencoder = init_autoencoder(CONFIG.net, seed=0)
    classifier = init_classifier(CONFIG.net, seed=0)
    classifier["head"]["kernel"] = jax.random.normal(jax.random.key(1), classifier["head"]["kernel"].shape)
    frozen = {"encoder": autoencoder["encoder"]}
    yield "ae", autoencoder, {}, make_autoencoder_loss(CONFIG)
    yield "ae-mixed", autoencoder, {}, make_autoencoder_loss(MIXED)
    # One step an epoch: the distance loss acts from the first of these steps on.
    yield "cls", classifier, frozen, make_classifier_loss(CONFIG, steps_per_epoch=0)


def _train(params, frozen, loss_fn, *, devices):
    tx = make_optimizer(SETTINGS, total_steps=STEPS)
    rng = np.random.default_rng(0)
    step_fn = parallel.make_step(loss_fn, tx, devices=devices)
    state = parallel.replicate(parallel.TrainState(jnp.int32(0), params, tx.init(params)), devices=devices)
    frozen = parallel.replicate(frozen, devices=devices)
    losses = []
    for _ in range(STEPS):
        image = np.tanh(
            ndimage.gaussian_filter(rng.normal(0, 3, (BATCH, CROP, CROP, 1)), (0, 1, 1, 0)), dtype=np.float32
        )
        batch = {"image": image, "label": np.arange(BATCH, dtype=np.int32) % 2, "share": image[:, 0, 0, 0] / 2 + 0.5}
        state, metrics = step_fn(state, frozen, parallel.shard(batch, devices=devices))
        losses.append(float(metrics["loss"][0]))
    copies = jax.device_get(state.params)
    return losses, copies


def main(target):
    """Writes losses and every device's weights of all runs to an npz file."""
    arrays = {}
    for stage, params, frozen, loss_fn in _tasks():
        for devices in (1, 2, 4):
            losses, copies = _train(params, frozen, loss_fn, devices=devices)
            arrays[f"{stage}/{devices}/losses"] = np.array(losses)
            for i, leaf in enumerate(jax.tree.leaves(copies)):
                arrays[f"{stage}/{devices}/weights/{i}"] = leaf
        if stage == "ae":
            _, copies = _train(params, frozen, loss_fn, devices=4)
            for i, leaf in enumerate(jax.tree.leaves(copies)):
                arrays[f"ae/again/weights/{i}"] = leaf
    np.savez(target, **arrays)


if __name__ == "__main__":
    runtime.configure()
    main(Path(sys.argv[1]))
