"""Schedules and the optimizer's steps."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from camfuse_jax.config import TrainConfig
from camfuse_jax.training.step import make_optimizer, schedule

ONECYCLE = TrainConfig(learning_rate=2e-3, schedule="onecycle", warmup=0.1)


def test_onecycle_rises_in_a_line_and_falls_as_a_cosine():
    rates = np.array([schedule(ONECYCLE, total_steps=200)(step) for step in range(201)])
    np.testing.assert_allclose(rates[[0, 20, 200]], [2e-3 / 25, 2e-3, 2e-6], rtol=1e-5)
    np.testing.assert_allclose(rates[:21], np.linspace(2e-3 / 25, 2e-3, 21), rtol=1e-5)
    angle = np.linspace(0, np.pi, 181)
    np.testing.assert_allclose(rates[20:], 2e-6 + (2e-3 - 2e-6) * (1 + np.cos(angle)) / 2, rtol=1e-4, atol=1e-9)


def test_constant_is_constant():
    config = dataclasses.replace(ONECYCLE, schedule="constant")
    rates = {float(schedule(config, total_steps=50)(step)) for step in (0, 1, 49, 5000)}
    assert rates == {2e-3}


@pytest.mark.parametrize("total", [1, 2, 3])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 1.0])
def test_the_shortest_runs_have_a_schedule(total, warmup):
    rates = schedule(dataclasses.replace(ONECYCLE, warmup=warmup), total_steps=total)
    values = np.array([rates(step) for step in range(total + 1)])
    assert np.all(np.isfinite(values))
    assert np.all((values > 0) & (values <= 2e-3 * (1 + 1e-6)))


def _updates(config, gradients):
    tx = make_optimizer(config, total_steps=10)
    params = {"w": jnp.zeros(2)}
    state, result = tx.init(params), []
    for gradient in gradients:
        update, state = tx.update({"w": jnp.asarray(gradient)}, state, params)
        result.append(np.asarray(update["w"]))
    return result


def _adam(rate, gradients):
    first = second = 0.0
    for t, gradient in enumerate(np.asarray(gradients, np.float64), start=1):
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        yield -rate * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)


def test_steps_are_adams():
    config, gradients = TrainConfig(learning_rate=0.1, schedule="constant"), [[3.0, -4.0], [0.5, 0.1], [-30.0, 40.0]]
    np.testing.assert_allclose(_updates(config, gradients), list(_adam(0.1, gradients)), rtol=1e-4)


def test_clip_bounds_the_norm_of_a_gradient_and_leaves_small_ones():
    config = TrainConfig(learning_rate=0.1, schedule="constant", clip=1.0)
    gradients, clipped = [[3.0, -4.0], [0.5, 0.1], [-30.0, 40.0]], [[0.6, -0.8], [0.5, 0.1], [-0.6, 0.8]]
    np.testing.assert_allclose(_updates(config, gradients), list(_adam(0.1, clipped)), rtol=1e-4)
