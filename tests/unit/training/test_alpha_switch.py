"""Eq. 10: alpha is zero up to epoch 19 and acts from the first step of epoch 20 on."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_nets import NET, small_params

from camfuse_jax.config import Config
from camfuse_jax.training.classifier import make_classifier_loss

STEPS_PER_EPOCH = 3
BATCH = {
    "image": np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 1)).astype(np.float32),
    "label": np.array([0, 1], np.int32),
}


@pytest.fixture(scope="module")
def at_step():
    params = small_params()
    loss_fn = make_classifier_loss(Config(net=NET), steps_per_epoch=STEPS_PER_EPOCH)

    @jax.jit
    def run(step):
        (loss, parts), gradient = jax.value_and_grad(loss_fn, has_aux=True)(
            jax.tree.map(jnp.asarray, params.classifier), {"encoder": params.encoder}, BATCH, step
        )
        return {"loss": loss, **parts}, gradient

    return lambda step: jax.device_get(run(jnp.int32(step)))


@pytest.mark.parametrize(("step", "alpha"), [(0, 0), (59, 0), (60, 3), (61, 3), (89, 3)])
def test_alpha_by_step(at_step, step, alpha):
    parts, _ = at_step(step)
    assert parts["distance"] > 0.01
    np.testing.assert_allclose(parts["loss"], parts["cross_entropy"] + alpha * parts["distance"], rtol=1e-6)


def test_the_gradient_changes_with_the_switch_and_not_before(at_step):
    first, before, after = (at_step(step)[1] for step in (0, 59, 60))
    jax.tree.map(np.testing.assert_array_equal, first, before)
    changed = np.abs(before["head"]["kernel"] - after["head"]["kernel"]).max()
    assert changed > 1e-4


def test_the_epoch_is_a_setting():
    cls = dataclasses.replace(Config().cls, distance_from_epoch=0, distance_weight=2.0)
    loss_fn = make_classifier_loss(Config(net=NET, cls=cls), steps_per_epoch=STEPS_PER_EPOCH)
    params = small_params()
    loss, parts = jax.jit(loss_fn)(params.classifier, {"encoder": params.encoder}, BATCH, jnp.int32(0))
    np.testing.assert_allclose(loss, parts["cross_entropy"] + 2 * parts["distance"], rtol=1e-6)
