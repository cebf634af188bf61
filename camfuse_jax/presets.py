"""Named configs. Each says where its numbers come from, how to run it, what it costs and what to expect of it."""

import dataclasses
from collections.abc import Callable

from camfuse_jax.config import AutoencoderConfig, ClassifierConfig, Config, FusionConfig, NetConfig


def default() -> Config:
    """The recipe of the shipped weights.

    Source: docs/method.md: lapped start, phase bias, one-cycle learning rate. Alpha is a tenth of the printed 3, which
    in a trial brought the classifier down to chance.
    Command: `python experiments/run.py --stage all --preset default --dataset tno --workdir runs/default`.
    Cost on two threads without a GPU, beside other work: auto-encoder 693 steps, 27 minutes (less than half of it on a
    quiet machine); each classifier 750 steps, 4 minutes. Expected scores: `camfuse_jax/weights/cards.json`.
    """
    return Config(
        ae=AutoencoderConfig(epochs=1, batch_size=16, crop=96, learning_rate=1e-4, clip=1.0),
        cls=ClassifierConfig(
            epochs=30,
            batch_size=16,
            steps_per_epoch=25,
            crop=128,
            learning_rate=2e-3,
            clip=1.0,
            distance_weight=0.3,
        ),
    )


def paper() -> Config:
    """As printed in the paper: plain convolutions, random start, Adam at 1e-6, batch 16, 30 epochs.

    What the paper does not say is as everywhere else: the head starts at zero, windows are mirrored every other time.

    Source: section 3.1. The printed learning rate moves a weight by at most 0.015 in the
    auto-encoder's 15,000 steps, so neither the auto-encoder nor the class weights get far from their start.
    Command: `python experiments/run.py --stage all --preset paper --dataset tno --workdir runs/paper`.
    Cost: 15,000 steps of sixteen 256 x 256 images for the auto-encoder: days on two cores, an hour on a GPU.
    """
    return Config(
        net=NetConfig(phase_bias=False, margin=0, init="he"),
        ae=AutoencoderConfig(
            epochs=30, batch_size=16, crop=256, learning_rate=1e-6, schedule="constant", pair_images=False
        ),
        cls=ClassifierConfig(
            epochs=30,
            batch_size=16,
            crop=256,
            learning_rate=1e-6,
            schedule="constant",
            augment=False,
            start="he",
            channel_size=0.0,
            weight_rms=0.0,
        ),
        fusion=FusionConfig(rule="eq5"),
    )


def tiny() -> Config:
    """A rehearsal of every stage on synthetic pairs, in under two minutes on two cores; no data needed.

    Command: `python experiments/run.py --stage all --preset tiny --workdir runs/tiny`.
    """
    return Config(
        ae=AutoencoderConfig(
            epochs=1, steps_per_epoch=20, batch_size=4, crop=32, learning_rate=2e-5, log_every=5, checkpoint_every=10
        ),
        cls=ClassifierConfig(
            epochs=30,
            steps_per_epoch=2,
            batch_size=4,
            crop=64,
            stride=32,
            learning_rate=3e-3,
            log_every=10,
            checkpoint_every=20,
        ),
    )


def ablation() -> Config:
    """The retrained rows of stage `ablate`: `default`'s classifier, shorter, because there are fifteen of them.

    Command: `python experiments/run.py --stage ablate --preset ablation --dataset tno --weights tno`.
    """
    config = default()
    return dataclasses.replace(config, cls=dataclasses.replace(config.cls, steps_per_epoch=10, batch_size=8, crop=96))


PRESETS: dict[str, Callable[[], Config]] = {"default": default, "paper": paper, "ablation": ablation, "tiny": tiny}
