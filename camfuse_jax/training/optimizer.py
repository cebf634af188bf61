"""Adam with the schedules of the presets."""

import optax

from camfuse_jax.config import TrainConfig


def make_optimizer(config: TrainConfig, *, total_steps: int) -> optax.GradientTransformation:
    """Builds the optimiser of a stage.

    Args:
        config: Learning rate, schedule and clipping.
        total_steps: Steps of the whole stage, over which `onecycle` is stretched.
    """
    steps = [optax.adam(schedule(config, total_steps=total_steps))]
    if config.clip > 0:
        steps.insert(0, optax.clip_by_global_norm(config.clip))
    return optax.chain(*steps)


def schedule(config: TrainConfig, *, total_steps: int) -> optax.Schedule:
    """Learning rate by step: constant, or a linear rise followed by a cosine fall to a thousandth of the peak."""
    if config.schedule == "constant":
        return optax.constant_schedule(config.learning_rate)
    rise = min(max(1, round(config.warmup * total_steps)), total_steps - 1) if total_steps > 1 else 0
    return optax.warmup_cosine_decay_schedule(
        init_value=config.learning_rate / 25,
        peak_value=config.learning_rate,
        warmup_steps=rise,
        decay_steps=max(total_steps, rise + 1),
        end_value=config.learning_rate / 1000,
    )
