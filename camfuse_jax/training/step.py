"""Data parallelism: the one place that knows about devices, those of other processes among them.

A step's batch is cut into a fixed number of shards that does not depend on the number of devices. Gradients are
taken shard by shard, gathered, and added in shard order, so that 1, 2 and 4 devices give the same training; a plain
mean over devices would round differently for each count.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from camfuse_jax.config import TrainConfig
from camfuse_jax.errors import UsageError

SHARDS = 4
_AXIS = "devices"


class TrainState(NamedTuple):
    """Everything a training step changes.

    Attributes:
        step: Number of steps taken, int32.
        params: Parameters being trained.
        opt_state: Optimizer state.
    """

    step: jax.Array
    params: Any
    opt_state: Any


LossFn = Callable[[Any, Any, Any, jax.Array], tuple[jax.Array, dict[str, jax.Array]]]


def shard_count(devices: int) -> int:
    """Number of shards for a number of devices: always `SHARDS` where the devices divide it."""
    return SHARDS if SHARDS % devices == 0 else devices


def make_step(loss_fn: LossFn, tx: optax.GradientTransformation, *, devices: int) -> Callable[..., Any]:
    """Makes the training step over all devices.

    Each device takes its shards one after the other with the same compiled program, whatever the number of devices:
    a program for several shards at once would round differently, and Adam turns the last bit of a gradient near zero
    into a whole step.

    Args:
        loss_fn: `(params, frozen, shard, step) -> (mean loss, means to report)`.
        tx: Optimizer.
        devices: Number of devices to use, over all processes.

    Returns:
        `step(state, frozen, batch) -> (state, metrics)` on states from `replicate` and batches from `shard`.
    """
    used = _used(devices)

    def one_shard(params: Any, step: jax.Array, frozen: Any, part: Any) -> Any:
        (loss, metrics), grads = jax.value_and_grad(loss_fn, has_aux=True)(params, frozen, part, step)
        return grads, {"loss": loss, **metrics}

    def apply(state: TrainState, shards: list[Any]) -> tuple[TrainState, dict[str, jax.Array]]:
        # One vector per shard, so that a step sends one message: XLA sends those of several leaves in any order, and
        # gloo, which joins processes on CPU, takes one for another.
        flat = [ravel_pytree(shard)[0] for shard in shards]
        grads, metrics = ravel_pytree(shards[0])[1](_ordered_mean(jax.lax.all_gather(jnp.stack(flat), _AXIS)))
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        return TrainState(state.step + 1, optax.apply_updates(state.params, updates), opt_state), metrics

    gradient = jax.pmap(one_shard, axis_name=_AXIS, in_axes=(0, 0, None, 0), devices=used)
    update = jax.pmap(apply, axis_name=_AXIS, donate_argnums=0, devices=used)

    def step(state: TrainState, frozen: Any, batch: Any) -> tuple[TrainState, dict[str, jax.Array]]:
        count = jax.tree.leaves(batch)[0].shape[1]
        parts = [jax.tree.map(lambda x, i=i: x[:, i], batch) for i in range(count)]
        return update(state, [gradient(state.params, state.step, frozen, part) for part in parts])

    return step


def _ordered_mean(gathered: jax.Array) -> jax.Array:
    shards = gathered.reshape(-1, *gathered.shape[2:])
    total = shards[0]
    for i in range(1, len(shards)):
        total = total + shards[i]
    return total / len(shards)


def _used(devices: int) -> list[jax.Device]:
    """The first devices, process by process, so that a batch's shards have one order however they are spread."""
    return sorted(jax.devices(), key=lambda device: (device.process_index, device.id))[:devices]


def _here(devices: int) -> list[int]:
    """Workdir of this process's devices among those used."""
    return [i for i, device in enumerate(_used(devices)) if device.process_index == jax.process_index()]


def shard(batch: Any, *, devices: int) -> Any:
    """Cuts a whole batch of arrays (b, ...) into (own devices, shards of each, b / shards, ...).

    Every process gives the same batch and keeps what its own devices take.

    Raises:
        UsageError: If the batch size is not a multiple of the number of shards.
    """
    shards = shard_count(devices)
    own = slice(None) if jax.process_count() == 1 else _here(devices)

    def cut(x: Any) -> Any:
        if len(x) % shards:
            raise UsageError(
                f"A batch of {len(x)} cannot be cut into {shards} equal shards.",
                f"Use a batch size that is a multiple of {shards}.",
            )
        return x.reshape(devices, shards // devices, len(x) // shards, *x.shape[1:])[own]

    return jax.tree.map(cut, batch)


def replicate(state: TrainState, *, devices: int) -> TrainState:
    """Copies a state to every device of this process, on a new leading axis."""
    count = len(_here(devices))
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *jnp.shape(x))), state)


def unreplicate(state: Any) -> Any:
    """Takes this process's first copy of what all devices have, as NumPy arrays."""
    # The first device's piece, indexed by NumPy: `x[0]` would compile a program per shape, which takes seconds.
    return jax.tree.map(lambda x: np.asarray(x.addressable_data(0))[0], state)


# Adam with the schedules of the presets.


def make_optimizer(config: TrainConfig, *, total_steps: int) -> optax.GradientTransformation:
    """Builds the optimizer of a stage.

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
