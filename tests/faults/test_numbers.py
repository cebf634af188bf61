"""Odd numbers: finite results or clear bounds, and one result whichever way it is computed.

Tolerances: 1e-6 between two ways to compute in float32 (a batch or one by one, compiled or not); nothing between
two runs of the same program.
"""

import jax
import numpy as np
import pytest
from small_nets import small_params
from stress.soak import TOLERANCE, odd_images

from camfuse_jax import explain, fuse
from camfuse_jax.errors import InputError
from camfuse_jax.fusion.forward import fuse_unit

SIDE = 32


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).uniform(size=(2, 3, SIDE, SIDE, 1)).astype(np.float32)


@pytest.mark.parametrize("name", list(odd_images(4, 0)))
def test_odd_images_give_finite_images_and_maps(noise, name):
    image, other = odd_images(SIDE, 0)[name], noise[0, 0, ..., 0]
    for pair in ((image, other), (other, image), (image, image)):
        if name == "outside [0, 1]":
            with pytest.raises(InputError, match=r"(ir|vis) has values from -"):
                fuse(small_params(), *pair)
            continue
        assert np.isfinite(np.asarray(fuse(small_params(), *pair))).all()
        maps = np.stack([np.asarray(one) for one in explain(small_params(), *pair)[:4]])
        assert maps.min() >= 0
        assert maps.max() <= 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_no_number_is_never_hidden(noise, value):
    spoilt = noise[0, 0].copy()
    spoilt[4, 5] = value
    with pytest.raises(InputError, match="without NaN or infinity"):
        fuse(small_params(), spoilt, noise[1, 0])
    traced = jax.jit(lambda image: fuse(small_params(), image, noise[1, 0]))(spoilt)  # values are not known there
    assert not np.isfinite(np.asarray(traced)[4, 5]).all()


def test_a_batch_is_its_images(noise):
    whole = np.asarray(fuse(small_params(), *noise))
    for i in range(3):
        np.testing.assert_allclose(np.asarray(fuse(small_params(), *noise[:, i])), whole[i], atol=TOLERANCE, rtol=0)


def test_run_twice_is_run_once(noise):
    np.testing.assert_array_equal(np.asarray(fuse(small_params(), *noise)), np.asarray(fuse(small_params(), *noise)))


@pytest.mark.slow
def test_compiled_is_not_compiled(noise):
    with jax.disable_jit():
        plain = np.asarray(fuse_unit(small_params(), *noise))
    np.testing.assert_allclose(np.asarray(fuse(small_params(), *noise)), plain, atol=TOLERANCE, rtol=0)


def test_saturated_integers(noise):
    for kind in (np.uint8, np.uint16):
        top = np.iinfo(kind).max
        for pair in ((0, 0), (0, top), (top, top)):
            fused = np.asarray(fuse(small_params(), *(np.full((SIDE, SIDE), value, kind) for value in pair)))
            assert fused.dtype == kind
