"""The loop: resume equals uninterrupted, the same seed the same weights, and a NaN stops it in time."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from camfuse_jax.config import TrainConfig
from camfuse_jax.data.batches import Loader
from camfuse_jax.errors import NonFiniteLossError
from camfuse_jax.training.checkpoint import Checkpoints
from camfuse_jax.training.loop import fit
from camfuse_jax.training.step import make_optimizer

TOTAL = 6


def _example(record, rng):
    x = rng.normal(size=3).astype(np.float32)
    return {"x": x[None], "y": np.float32(x.sum() + record / 100)[None]}


def _loss(params, frozen, batch, step):
    error = batch["x"] @ params["w"] + params["b"] - batch["y"]
    return jnp.mean(error**2), {"error": jnp.mean(jnp.abs(error))}


def _loss_nan_at(index):
    def loss_fn(params, frozen, batch, step):
        loss, parts = _loss(params, frozen, batch, step)
        return jnp.where(step == index, jnp.nan, loss), parts

    return loss_fn


def _gradient_nan_at(index):
    """The loss stays finite, its gradient does not: the square root at zero."""

    def loss_fn(params, frozen, batch, step):
        loss, parts = _loss(params, frozen, batch, step)
        return loss + jnp.sqrt(jnp.where(step == index, 0 * jnp.sum(params["w"] ** 2), 1.0)), parts

    return loss_fn


def _fit(folder, *, total=TOTAL, seed=0, loss_fn=_loss, devices=None, log_every=1, checkpoint_every=3):
    """A run with objects of its own, as a new process would have."""
    config = TrainConfig(
        batch_size=8, learning_rate=0.1, clip=1.0, log_every=log_every, checkpoint_every=checkpoint_every
    )
    key = jax.random.key(seed, impl="rbg")
    params = {"w": jax.random.normal(key, (3,)), "b": jnp.zeros(())}
    tx = make_optimizer(config, total_steps=TOTAL)
    with (
        Checkpoints(folder, {"seed": seed}) as checkpoints,
        Loader(range(20), _example, batch_size=8, seed=seed) as data,
    ):
        settings = {"config": config, "total_steps": total, "checkpoints": checkpoints, "devices": devices}
        return fit("toy", loss_fn, tx, params, data, **settings)


def _steps(folder):
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def _same(a, b):
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, _fit(folder)


def test_training_nears_the_solution_and_ends_with_a_checkpoint(whole):
    folder, state = whole
    assert state.step == TOTAL
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    start = jax.random.normal(jax.random.key(0, impl="rbg"), (3,))  # y is the sum of x, so the solution is ones
    assert np.linalg.norm(state.params["w"] - 1) < np.linalg.norm(start - 1)
    assert set(lines[0]) == {"step", "loss", "error", "images_per_second"}
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"3", "6"}
    assert isinstance(state.params["w"], np.ndarray)


@pytest.mark.parametrize("first", [3, 5])
def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path, whole, first):
    halfway = _fit(tmp_path, total=first)
    assert halfway.step == first
    _same(_fit(tmp_path), whole[1])
    assert _steps(tmp_path) == _steps(whole[0]) == list(range(1, TOTAL + 1))


def test_a_kill_between_checkpoints_costs_only_the_steps_since(tmp_path, whole):
    _fit(tmp_path, total=3)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "loss": 7.0}\n{"step": 5, "lo')  # written before the kill, trained again after
    _same(_fit(tmp_path), whole[1])
    assert _steps(tmp_path) == list(range(1, TOTAL + 1))


def test_resuming_on_another_number_of_devices_changes_no_more_than_rounding(tmp_path, whole):
    _fit(tmp_path, total=3, devices=1)
    resumed = _fit(tmp_path, devices=2)
    for left, right in zip(jax.tree.leaves(resumed), jax.tree.leaves(whole[1]), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)


def test_a_finished_stage_trains_no_more(whole):
    folder, state = whole
    before = (folder / "metrics.jsonl").read_bytes()

    def never(*_):
        raise AssertionError("a step was taken")

    _same(_fit(folder, loss_fn=never), state)
    assert (folder / "metrics.jsonl").read_bytes() == before


def test_same_seed_same_weights_and_another_seed_others(tmp_path, whole):
    _same(_fit(tmp_path / "again"), whole[1])
    other = _fit(tmp_path / "other", seed=1)
    assert not np.array_equal(other.params["w"], whole[1].params["w"])


def test_intervals_of_reports_and_checkpoints_do_not_change_the_weights(tmp_path, whole):
    _same(_fit(tmp_path, log_every=4, checkpoint_every=100), whole[1])
    assert _steps(tmp_path) == [4, 6]


def test_a_report_is_the_mean_since_the_last_one(tmp_path, whole):
    _fit(tmp_path, log_every=4, checkpoint_every=100)
    every = [json.loads(line)["loss"] for line in (whole[0] / "metrics.jsonl").read_text().splitlines()]
    means = [json.loads(line)["loss"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    np.testing.assert_allclose(means, [np.mean(every[:4]), np.mean(every[4:])], rtol=1e-6)


@pytest.mark.parametrize(("index", "good", "log_every"), [(0, None, 50), (3, 2, 50), (4, 4, 1), (5, 4, 50)])
def test_a_loss_that_is_nan_names_its_step_and_the_last_good_checkpoint(tmp_path, index, good, log_every):
    with pytest.raises(NonFiniteLossError) as caught:
        _fit(tmp_path, loss_fn=_loss_nan_at(index), checkpoint_every=2, log_every=log_every)
    text = str(caught.value)
    assert f"became nan at step {index + 1};" in text
    assert (f"last good checkpoint: step {good} in {tmp_path}." if good else "none was saved yet") in text


def test_weights_that_are_nan_never_become_a_checkpoint(tmp_path):
    # The gradient of the fourth step is NaN while its loss is not: the checkpoint of step 4 would be worthless.
    with pytest.raises(NonFiniteLossError, match="last good checkpoint: step 2 in"):
        _fit(tmp_path, loss_fn=_gradient_nan_at(3), checkpoint_every=2)
    assert np.all(np.isfinite(_fit(tmp_path, checkpoint_every=2).params["w"]))


def test_a_last_step_that_ruins_the_weights_is_an_error_too(tmp_path):
    with pytest.raises(NonFiniteLossError):
        _fit(tmp_path, loss_fn=_gradient_nan_at(TOTAL - 1), checkpoint_every=2)
