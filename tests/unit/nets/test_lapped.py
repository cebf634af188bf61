"""The lapped start: an auto-encoder that reconstructs before any training."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from camfuse_jax.errors import UsageError
from camfuse_jax.nets import lapped_init
from camfuse_jax.nets.autoencoder import Decoder, Encoder

LEVEL = 2 / 255  # one gray level of 255 in [-1, 1]


def _shapes(encoder, decoder):
    image = jnp.zeros((1, 8, 8, 1))
    params = jax.eval_shape(lambda: encoder.init(jax.random.key(0), image)["params"])
    features = jax.eval_shape(lambda: encoder.apply({"params": _zeros(params)}, image)[0])
    return params, jax.eval_shape(lambda: decoder.init(jax.random.key(0), jnp.zeros(features.shape), (8, 8))["params"])


def _zeros(shapes):
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)


@functools.cache
def _start(seed=0):
    return lapped_init.lapped_deep(*_shapes(Encoder(), Decoder()), seed=seed)


@jax.jit
def _reconstruct(params, images):
    features, _ = Encoder().apply({"params": params[0]}, images)
    return Decoder().apply({"params": params[1]}, features, images.shape[1:3])[0], features


def _kinds(size):
    """Images in [-1, 1]: smooth, noise, noise of two levels, black, white, a step, one-pixel stripes."""
    rng = np.random.default_rng(size)
    rows, cols = np.mgrid[: size[0], : size[1]]
    return {
        "smooth": np.sin(rows / 5 + 1) * np.cos(cols / 7),
        "noise": rng.uniform(-1, 1, size),
        "two levels": rng.choice([-1.0, 1.0], size),
        "black": np.full(size, -1.0),
        "white": np.full(size, 1.0),
        "step": np.where(cols > size[1] // 2, 0.9, -0.9),
        "stripes": np.where((rows + cols) % 2, 0.8, -0.6),
    }


@pytest.mark.parametrize("size", [(29, 43), (2, 5)], ids=str)
def test_reconstructs_to_three_grey_levels_before_training(size):
    kinds = _kinds(size)
    images = np.stack(list(kinds.values()))[..., None].astype(np.float32)
    drawn, _ = _reconstruct(_start(), images)
    errors = np.abs(np.asarray(drawn) - images).max(axis=(1, 2, 3)) / LEVEL
    assert dict(zip(kinds, errors, strict=True)) == {kind: pytest.approx(0, abs=3) for kind in kinds}


def test_decoder_inverts_the_bands_exactly():
    size = (29, 43)
    image = _kinds(size)["noise"][None, ..., None].astype(np.float32)
    _, features = _reconstruct(_start(), np.tile(image, (7, 1, 1, 1)))  # the shape that is compiled already
    bands = np.asarray(features)[:1, ..., :64] - np.asarray(features)[:1, ..., 64:]
    kernel = _start()[1]["conv1"]["conv"]["kernel"][:, :, :64, :16]  # the positive half, first level
    signals = reference.conv3x3(bands, kernel, 0)[0]
    cells = np.empty((4 * signals.shape[0], 4 * signals.shape[1]))
    for signal in range(16):
        coarse, fine = divmod(signal, 4)
        cells[2 * (coarse // 2) + fine // 2 :: 4, 2 * (coarse % 2) + fine % 2 :: 4] = signals[..., signal]
    np.testing.assert_allclose(cells[4 : 4 + size[0], 4 : 4 + size[1]], image[0, ..., 0], rtol=0, atol=2e-5)


def test_features_come_in_halves_of_opposite_sign():
    image = _kinds((29, 43))["noise"][None, ..., None].astype(np.float32)
    _, features = _reconstruct(_start(), np.tile(image, (7, 1, 1, 1)))
    positive, negative = np.split(np.asarray(features), 2, axis=-1)
    assert np.max(np.minimum(positive, negative)) == 0
    assert np.all(np.max(positive + negative, axis=(0, 1, 2)) > 0)


def test_start_has_the_parameters_of_the_networks_and_is_repeatable():
    shapes, params = _shapes(Encoder(), Decoder()), _start()
    for wanted, made in zip(shapes, params, strict=True):
        assert jax.tree.map(lambda a: (a.shape, a.dtype), made) == jax.tree.map(lambda s: (s.shape, s.dtype), wanted)
    again, other = lapped_init.lapped_deep(*shapes, seed=0), lapped_init.lapped_deep(*shapes, seed=1)
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, params, again)))
    assert not all(jax.tree.leaves(jax.tree.map(np.array_equal, params, other)))


@pytest.mark.parametrize(
    ("encoder", "decoder", "named"),
    [
        (Encoder((16, 32, 64, 128, 64)), Decoder(), "(16, 32, 64, 128, 64)"),
        (Encoder(), Decoder((128, 64, 32, 8)), "(128, 64, 32, 8)"),
        (Encoder(), Decoder(phase_bias=False), "phase bias"),
    ],
    ids=["encoder", "decoder", "plain"],
)
def test_other_networks_are_refused(encoder, decoder, named):
    with pytest.raises(UsageError) as caught:
        lapped_init.lapped_deep(*_shapes(encoder, decoder), seed=0)
    assert named in caught.value.what
    assert "--net.init he" in caught.value.remedy
