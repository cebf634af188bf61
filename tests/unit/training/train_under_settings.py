"""Run by test_settings.py under JAX's other settings: weights are read, images fused, and both stages take a step."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from small_nets import NET, small_params

from camfuse_jax import fuse, load_params
from camfuse_jax.config import AutoencoderConfig, ClassifierConfig, Config, FusionConfig
from camfuse_jax.fusion.params import save_params
from camfuse_jax.nets.build import init_autoencoder, rescale_head
from camfuse_jax.training import step as parallel
from camfuse_jax.training.autoencoder import make_autoencoder_loss
from camfuse_jax.training.classifier import initial_classifier, make_classifier_loss

CONFIG = Config(
    net=NET, ae=AutoencoderConfig(clip=1.0, mixtures=0.25, channel_gains=0.25), cls=ClassifierConfig(clip=1.0)
)


def _types(tree):
    return [leaf.dtype for leaf in jax.tree.leaves(tree)]


def _step(loss_fn, settings, params, frozen, batch):
    """The parameters after one step, which changes no type."""
    tx = parallel.make_optimizer(settings, total_steps=10)
    before = parallel.TrainState(jnp.int32(0), params, tx.init(params))
    state, frozen = (parallel.replicate(tree, devices=1) for tree in (before, frozen))
    batch = parallel.shard(batch, devices=1)
    state, metrics = parallel.make_step(loss_fn, tx, devices=1)(state, frozen, batch)
    assert _types(state) == _types(before)
    assert all(np.isfinite(value).all() for value in metrics.values())
    return parallel.unreplicate(state).params


def main(folder):
    rng = np.random.default_rng(0)
    save_params(folder / "weights.safetensors", small_params())
    params = load_params(folder / "weights.safetensors")
    assert set(_types((params.encoder, params.decoder, params.classifier))) == {np.dtype("float32")}
    for rule in ("eq5", "spatial"):
        fused = fuse(params.replace(fusion=FusionConfig(rule=rule)), *rng.random((2, 16, 20), np.float32))
        assert fused.dtype == np.float32
    image = rng.uniform(-1, 1, (4, 36, 36, 1)).astype(np.float32)
    batch = {"image": image, "label": np.array([0, 1, 0, 1], np.int32), "share": rng.random(4, np.float32)}
    networks = _step(make_autoencoder_loss(CONFIG), CONFIG.ae, init_autoencoder(NET, seed=0), {}, batch)
    frozen = {"encoder": networks["encoder"]}
    head = initial_classifier(CONFIG, networks["encoder"], image)
    head = _step(make_classifier_loss(CONFIG, steps_per_epoch=0), CONFIG.cls, head, frozen, batch)
    assert set(_types(rescale_head(head, rms=0.5))) == {np.dtype("float32")}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
