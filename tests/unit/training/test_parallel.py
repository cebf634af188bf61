"""One batch gives one result, however many devices share it."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import camfuse_jax
from camfuse_jax.errors import UsageError
from camfuse_jax.training import step as parallel

DATA = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
TARGET = np.arange(8, dtype=np.float32)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Losses and weights of both real stages on 1, 2 and 4 devices."""
    target = tmp_path_factory.mktemp("devices") / "runs.npz"
    environment = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "PYTHONPATH": str(Path(camfuse_jax.__file__).parents[1]),
        "JAX_PLATFORMS": "cpu",
    }
    script = Path(__file__).with_name("train_on_devices.py")
    done = subprocess.run(
        [sys.executable, str(script), str(target)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with np.load(target) as arrays:
        return dict(arrays)


@pytest.mark.slow
# Devices add in another order, and Adam turns the last bit of a gradient near zero into a whole step.
@pytest.mark.parametrize(("stage", "tolerance"), [("ae", 1e-6), ("ae-mixed", 1e-5), ("cls", 1e-5)])
def test_losses_on_several_devices_are_those_of_one(real, stage, tolerance):
    one = real[f"{stage}/1/losses"]
    assert len(set(one.tolist())) == 20
    assert np.all(np.isfinite(one))
    for devices in (2, 4):
        np.testing.assert_allclose(real[f"{stage}/{devices}/losses"], one, rtol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["ae", "ae-mixed", "cls"])
def test_all_devices_end_with_the_same_weights_bit_for_bit(real, stage):
    for devices in (2, 4):
        names = [name for name in real if name.startswith(f"{stage}/{devices}/weights/")]
        assert len(names) >= 5
        for copies in (real[name] for name in names):
            assert len(copies) == devices
            assert np.all(copies == copies[:1])


@pytest.mark.slow
def test_trained_again_is_the_same_bit_for_bit(real):
    names = [name for name in real if name.startswith("ae/again/weights/")]
    assert len(names) >= 5
    for name in names:
        np.testing.assert_array_equal(real[name], real[name.replace("again", "4")])


def _loss_fn(params, frozen, batch, step):
    error = batch["x"] @ params["w"] - frozen["scale"] * batch["y"]
    return jnp.mean(error**2), {"largest": jnp.max(jnp.abs(error)), "step_seen": step.astype(jnp.float32)}


def _train(devices, *, steps=3):
    tx = optax.sgd(0.05)
    params = {"w": jnp.zeros(3)}
    state = parallel.replicate(parallel.TrainState(jnp.int32(0), params, tx.init(params)), devices=devices)
    step_fn = parallel.make_step(_loss_fn, tx, devices=devices)
    history = []
    for _ in range(steps):
        batch = parallel.shard({"x": DATA, "y": TARGET}, devices=devices)
        state, metrics = step_fn(state, parallel.replicate({"scale": np.float32(2)}, devices=devices), batch)
        history.append({name: value[0].item() for name, value in metrics.items()})
    return parallel.unreplicate(state), history


@pytest.mark.parametrize("devices", [1, 2])
def test_a_step_is_a_step_on_the_mean_over_the_whole_batch(devices):
    state, history = _train(devices)
    w = np.zeros(3)
    for i, metrics in enumerate(history):
        error = DATA.astype(np.float64) @ w - 2 * TARGET
        assert metrics["loss"] == pytest.approx(np.mean(error**2), rel=1e-5)
        assert metrics["step_seen"] == i
        w -= 0.05 * 2 * DATA.T.astype(np.float64) @ error / 8
    np.testing.assert_allclose(state.params["w"], w, rtol=1e-4)
    assert state.step == 3
    assert isinstance(state.params["w"], np.ndarray)


def test_two_devices_give_the_weights_of_one_up_to_rounding():
    (one, losses), (two, others) = _train(1), _train(2)
    np.testing.assert_allclose(one.params["w"], two.params["w"], rtol=1e-6)
    np.testing.assert_allclose([m["loss"] for m in losses], [m["loss"] for m in others], rtol=1e-6)


def test_the_order_of_images_is_kept():
    batch = {"x": np.arange(16).reshape(8, 2), "y": np.arange(8)}
    for devices, shape in ((1, (1, 8)), (2, (2, 4))):
        cut = parallel.shard(batch, devices=devices)
        assert cut["y"].shape == shape
        assert cut["y"].ravel().tolist() == list(range(8))
        assert cut["x"].shape == (*shape, 2)


@pytest.mark.parametrize(("size", "devices"), [(7, 2), (1, 2)])
def test_a_batch_that_does_not_divide_is_refused(size, devices):
    with pytest.raises(UsageError, match=rf"A batch of {size} .*multiple of {devices}"):
        parallel.shard({"image": np.zeros((size, 2))}, devices=devices)


def test_replicas_are_copies():
    state = parallel.TrainState(jnp.int32(3), {"w": jnp.arange(2.0)}, ())
    copies = parallel.replicate(state, devices=2)
    assert copies.params["w"].shape == (2, 2)
    jax.tree.map(np.testing.assert_array_equal, parallel.unreplicate(copies), state)


def test_the_step_is_compiled_once(caplog):
    state = parallel.TrainState(jnp.int32(0), {"w": jnp.zeros(3)}, optax.sgd(0.05).init({"w": jnp.zeros(3)}))
    state, frozen = (parallel.replicate(tree, devices=2) for tree in (state, {"scale": np.float32(2)}))
    step_fn, batch = parallel.make_step(_loss_fn, optax.sgd(0.05), devices=2), {"x": DATA, "y": TARGET}
    counts = []
    with jax.log_compiles():
        for _ in range(3):
            caplog.clear()
            state, _ = step_fn(state, frozen, parallel.shard(batch, devices=2))
            counts.append(sum("Compiling" in record.getMessage() for record in caplog.records))
    assert counts == [1, 0, 0]
