"""One training step over all devices, and the optimizer with the schedules of the presets."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from camfuse_jax.config import TrainConfig
from camfuse_jax.errors import UsageError


class TrainState(NamedTuple):
    """Everything a training step changes; `step` counts those taken, int32."""

    step: jax.Array
    params: Any
    opt_state: Any


LossFn = Callable[[Any, Any, Any, jax.Array], tuple[jax.Array, dict[str, jax.Array]]]


def make_step(loss_fn: LossFn, tx: optax.GradientTransformation, *, devices: int) -> Callable[..., Any]:
    """Makes the training step: each device takes its part of the batch, and all apply the mean gradient.

    Args:
        loss_fn: `(params, frozen, batch, step) -> (mean loss, means to report)`.
        tx: Optimizer.
        devices: Number of devices to use, over all processes.

    Returns:
        `step(state, frozen, batch) -> (state, metrics)`, on what `replicate` and `shard` give.
    """

    @functools.partial(jax.pmap, axis_name="devices", donate_argnums=0, devices=_used(devices))
    def step(state: TrainState, frozen: Any, batch: Any) -> tuple[TrainState, dict[str, jax.Array]]:
        gradient = jax.value_and_grad(loss_fn, has_aux=True)
        (loss, metrics), grads = gradient(state.params, frozen, batch, state.step)
        # As one vector, so that a step sends one message: XLA sends those of several leaves in any order, and gloo,
        # which joins processes on CPU, takes one for another.
        vector, tree = ravel_pytree((grads, {"loss": loss, **metrics}))
        grads, metrics = tree(jax.lax.pmean(vector, "devices"))
        with jax.numpy_dtype_promotion("standard"):  # optax raises floats to the power of integer counts
            updates, opt_state = tx.update(grads, state.opt_state, state.params)
        return TrainState(state.step + 1, optax.apply_updates(state.params, updates), opt_state), metrics

    return step


def shard(batch: Any, *, devices: int) -> Any:
    """Cuts a whole batch of arrays (b, ...) into (devices of this process, b / devices, ...).

    Every process gives the same batch and keeps what its own devices take.

    Raises:
        UsageError: If the batch size is not a multiple of the number of devices.
    """
    here = _here(devices)

    def cut(x: np.ndarray) -> np.ndarray:
        if len(x) % devices:
            raise UsageError(
                f"A batch of {len(x)} cannot be shared equally by {devices} devices.",
                f"Use a batch size that is a multiple of {devices}.",
            )
        return x.reshape(devices, len(x) // devices, *x.shape[1:])[here]

    return jax.tree.map(cut, batch)


def replicate(tree: Any, *, devices: int) -> Any:
    """Copies arrays to every device of this process, on a new leading axis."""
    count = len(_used(devices)[_here(devices)])
    if not jax.tree.leaves(tree):
        return tree
    copies = jax.tree.map(lambda x: np.broadcast_to(np.asarray(x), (count, *np.shape(x))), tree)
    # With the step's own axis: arrays that lie on another one would make JAX compile the step a second time.
    return jax.pmap(lambda x: x, axis_name="devices", devices=_used(devices))(copies)


def unreplicate(tree: Any) -> Any:
    """Takes this process's first copy of what all devices have, as NumPy arrays."""
    # The first device's piece, indexed by NumPy: `x[0]` would compile a program per shape, which takes seconds.
    return jax.tree.map(lambda x: np.asarray(x.addressable_data(0))[0], tree)


def _used(devices: int) -> list[jax.Device]:  # pyright: ignore[reportInvalidTypeForm] JAX's name of a compiled class
    """The first devices, process by process, so that a batch has one order however it is spread."""
    return sorted(jax.devices(), key=lambda device: (device.process_index, device.id))[:devices]


def _here(devices: int) -> slice:
    """Positions of this process's devices among those used."""
    owners = [device.process_index for device in _used(devices)]
    first = owners.index(jax.process_index()) if jax.process_index() in owners else 0
    return slice(first, first + owners.count(jax.process_index()))


def make_optimizer(config: TrainConfig, *, total_steps: int) -> optax.GradientTransformation:
    """Adam with the learning rate of `schedule`, after clipping the gradient's global norm where that is set."""
    adam = optax.adam(schedule(config, total_steps=total_steps))
    return optax.chain(optax.clip_by_global_norm(config.clip), adam) if config.clip > 0 else optax.chain(adam)


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
