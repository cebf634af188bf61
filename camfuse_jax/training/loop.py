"""The training loop both stages share: restore, step, report, save."""

import contextlib
import math
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from camfuse_jax import cluster
from camfuse_jax.config import TrainConfig
from camfuse_jax.data.batches import Loader
from camfuse_jax.errors import NonFiniteLossError, StoppedError
from camfuse_jax.system import program
from camfuse_jax.training import step as parallel
from camfuse_jax.training.checkpoint import Checkpoints
from camfuse_jax.training.progress import Progress
from camfuse_jax.training.step import LossFn, TrainState


def fit(
    title: str,
    loss_fn: LossFn,
    tx: optax.GradientTransformation,
    params: Any,
    loader: Loader,
    *,
    frozen: Any = None,
    config: TrainConfig,
    total_steps: int,
    checkpoints: Checkpoints,
    devices: int | None = None,
) -> TrainState:
    """Trains to `total_steps`, going on from the newest checkpoint.

    Args:
        title: Name shown while training.
        loss_fn: See `make_step`.
        tx: Optimizer.
        params: Parameters before training.
        loader: Batches; it is moved to the step training goes on from.
        frozen: Parameters that are used but not trained.
        config: Intervals and batch size.
        total_steps: Steps of the whole stage.
        checkpoints: Where the state is kept.
        devices: Number of devices to use; all by default, those of other processes too.

    Returns:
        The final state, NumPy arrays.

    Raises:
        NonFiniteLossError: If a loss is not finite.
        StoppedError: If a signal came; the steps taken until then are saved.
    """
    devices = devices or jax.device_count()
    state = TrainState(jnp.int32(0), params, tx.init(params))
    # Other machines' processes may have computed the initial values with other last bits.
    state = cluster.spread(state) if checkpoints.latest is None else checkpoints.restore(state)
    first = int(state.step)
    if first >= total_steps:
        print(f"{title}: already trained to step {first}", file=sys.stderr)
        return jax.tree.map(np.asarray, state)
    loader.restore({**loader.state(), "step": first})
    step_fn = parallel.make_step(loss_fn, tx, devices=devices)
    replicated, frozen = (parallel.replicate(tree, devices=devices) for tree in (state, frozen or {}))
    recent: list[dict[str, jax.Array]] = []
    progress = Progress(
        title,
        total_steps=total_steps,
        first_step=first,
        batch_size=config.batch_size,
        metrics_file=checkpoints.folder / "metrics.jsonl" if cluster.leads() else None,
    )
    with contextlib.closing(progress), program.deferred() as stopped:
        for step in range(first + 1, total_steps + 1):
            replicated, metrics = step_fn(replicated, frozen, parallel.shard(next(loader), devices=devices))
            # Else the host would run many steps ahead, and what a signal wants saved would be that far away.
            jax.block_until_ready(recent[-1:])
            recent.append(metrics)
            # One process's signal stops all of them after the same step.
            signal = cluster.highest(stopped() or 0, after=(replicated, metrics)) or None
            saving = step % config.checkpoint_every == 0 or step == total_steps or signal is not None
            if saving or step % config.log_every == 0:
                progress.report(step, _means(recent, last_step=step, checkpoints=checkpoints))
                recent = []
            if saving:
                state = parallel.unreplicate(replicated)
                _check_finite(state.params, step=step, checkpoints=checkpoints)
                checkpoints.save(step, state, last=step == total_steps)
            if signal is not None:
                what = f"{title}: stopped and saved after step {step}."
                raise StoppedError(signal, what, "The same command goes on from there.")
    return parallel.unreplicate(replicated)


def _means(recent: list[dict[str, jax.Array]], *, last_step: int, checkpoints: Checkpoints) -> dict[str, float]:
    """Means of the metrics since the last report, after checking that every loss was finite."""
    values = [{name: float(value) for name, value in metrics.items()} for metrics in parallel.unreplicate(recent)]
    for step, metrics in enumerate(values, start=last_step - len(values) + 1):
        if not math.isfinite(metrics["loss"]):
            raise _not_finite(f"The loss became {metrics['loss']} at step {step}", checkpoints)
    return {name: float(np.mean([metrics[name] for metrics in values])) for name in values[0]}


def _check_finite(params: Any, *, step: int, checkpoints: Checkpoints) -> None:
    """Keeps weights ruined by the very step that is being saved out of the checkpoints."""
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params)):
        raise _not_finite(f"The weights are not finite after step {step}", checkpoints)


def _not_finite(what: str, checkpoints: Checkpoints) -> NonFiniteLossError:
    good = checkpoints.latest
    where = f"step {good} in {checkpoints.folder}" if good is not None else "none was saved yet"
    return NonFiniteLossError(
        f"{what}; last good checkpoint: {where}.",
        "Train in another --workdir with a lower learning rate or a gradient clip.",
    )
