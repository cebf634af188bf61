"""Losses: Eqs. 7 to 12 against the reference, their gradients, and their behavior at the edges."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from jax.test_util import check_grads
from skimage.metrics import structural_similarity

from camfuse_jax import losses

RNG = np.random.default_rng(7)
SIZE = (13, 16)
IMAGE = RNG.uniform(-1, 1, (2, *SIZE, 1)).astype(np.float32)
DRAWN = np.clip(IMAGE + 0.3 * RNG.normal(size=IMAGE.shape), -1, 1).astype(np.float32)
LOGITS = np.array([[0.3, -1.2], [2.0, 0.1], [-0.4, -0.9]], np.float32)
LAST = RNG.uniform(0, 2, (3, 4, 5, 6)).astype(np.float32)
WEIGHTS = RNG.normal(size=(2, 6)).astype(np.float32)
LABEL = np.array([0, 1, 1])

_ssim = jax.jit(losses.ssim)
_autoencoder_loss = jax.jit(losses.autoencoder_loss)
_classifier_loss = jax.jit(losses.classifier_loss)


def _gradient(function):
    return jax.jit(jax.grad(lambda x: jnp.sum(function(x))))


@jax.jit
@jax.grad
def _autoencoder_gradient(drawn, image):
    return jnp.sum(losses.autoencoder_loss(image, drawn, ssim_weight=100.0)[0])


@jax.jit
@functools.partial(jax.grad, argnums=(0, 1))
def _distance_gradient(last, weights):
    return jnp.sum(losses.distance_loss(last, weights, LABEL))


def test_pixel_loss_is_the_squared_norm_per_pixel():
    np.testing.assert_allclose(losses.pixel_loss(IMAGE, DRAWN), reference.pixel_loss(IMAGE, DRAWN), rtol=1e-5)
    np.testing.assert_array_equal(losses.pixel_loss(IMAGE, IMAGE), np.zeros(2))


def test_ssim_equals_the_reference():
    np.testing.assert_allclose(_ssim(IMAGE, DRAWN), reference.ssim(IMAGE, DRAWN), rtol=0, atol=1e-5)


def _pairs():
    rows, cols = np.mgrid[:24, :31] / 10
    smooth = np.sin(3 * rows) * np.cos(2 * cols)
    noise = np.random.default_rng(8).uniform(-1, 1, (2, 24, 31))
    flat = np.full_like(smooth, 0.4)
    return {
        "smooth and noisy": (smooth, 0.8 * smooth + 0.2 * noise[0]),
        "two noises": (noise[0], noise[1]),
        "inverted": (smooth, -smooth),
        "flat and noise": (flat, noise[0]),
        "two flats": (flat, -flat),
        "same": (noise[0], noise[0]),
    }


def test_ssim_equals_scikit_image_where_the_window_fits():
    pairs = _pairs()
    first, second = (np.stack([pair[i] for pair in pairs.values()]) for i in range(2))
    ours = np.asarray(_ssim(first[..., None].astype(np.float32), second[..., None].astype(np.float32)))
    options = {"data_range": 2, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "full": True}
    theirs = [structural_similarity(a, b, **options)[1][5:-5, 5:-5].mean() for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5, err_msg=str(list(pairs)))


def test_ssim_is_symmetric_and_one_for_equal_images():
    np.testing.assert_allclose(_ssim(IMAGE, DRAWN), _ssim(DRAWN, IMAGE), rtol=0, atol=1e-6)
    np.testing.assert_allclose(_ssim(IMAGE, IMAGE), 1, rtol=0, atol=1e-6)


def test_dissimilarity_of_nearly_equal_images_keeps_its_digits():
    nearly = np.float32(IMAGE + 1e-3 * RNG.normal(size=IMAGE.shape))
    expected = 1 - reference.ssim(IMAGE, nearly)
    assert np.all(expected < 1e-4)  # 1 minus a float32 SSIM would keep three digits of it, or fewer
    np.testing.assert_allclose(jax.jit(losses.dissimilarity)(IMAGE, nearly), expected, rtol=1e-4)


def test_ssim_takes_the_smallest_image_and_refuses_smaller_ones():
    smallest = IMAGE[:, :11, :11]
    np.testing.assert_allclose(_ssim(smallest, smallest), 1, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match=r"at least 11 x 11 pixels, got \(13, 10\)"):
        losses.ssim(IMAGE[:, :, :10], DRAWN[:, :, :10])


def test_autoencoder_loss_adds_its_two_terms():
    total, parts = _autoencoder_loss(IMAGE, DRAWN, ssim_weight=100.0)
    np.testing.assert_allclose(total, reference.autoencoder_loss(IMAGE, DRAWN, 100), rtol=1e-5)
    np.testing.assert_allclose(parts["pixel"], reference.pixel_loss(IMAGE, DRAWN), rtol=1e-5)
    np.testing.assert_allclose(parts["ssim"], reference.ssim(IMAGE, DRAWN), rtol=0, atol=1e-5)
    without, _ = _autoencoder_loss(IMAGE, DRAWN, ssim_weight=0.0)
    np.testing.assert_allclose(without, reference.pixel_loss(IMAGE, DRAWN), rtol=1e-5)


def test_autoencoder_gradient_is_finite_on_flat_equal_and_constant_images():
    flat, noise = np.full(IMAGE.shape, 0.4, np.float32), IMAGE
    black, white = np.full(IMAGE.shape, -1, np.float32), np.full(IMAGE.shape, 1, np.float32)
    for image, drawn in [(flat, flat), (flat, noise), (noise, flat), (noise, noise), (black, white), (black, black)]:
        assert np.all(np.isfinite(_autoencoder_gradient(drawn, image)))
    for image in (flat, noise, black):  # equal images are the minimum
        np.testing.assert_allclose(_autoencoder_gradient(image, image), 0, rtol=0, atol=1e-3)


def test_cross_entropy_equals_the_reference():
    expected = reference.cross_entropy_loss(LOGITS, LABEL)
    np.testing.assert_allclose(losses.cross_entropy_loss(LOGITS, LABEL), expected, rtol=1e-5)
    probabilities = reference.sigmoid(LOGITS)  # and as Eq. 11 is printed
    printed = [-np.log([p[c], 1 - p[1 - c]]).mean() for p, c in zip(probabilities, LABEL, strict=True)]
    np.testing.assert_allclose(expected, printed, rtol=1e-12)


def test_cross_entropy_of_extreme_logits_is_finite_with_finite_gradient():
    logits = np.array([[100, -100], [-100, 100], [100, 100], [-100, -100]], np.float32)
    label = np.array([0, 0, 1, 1])
    np.testing.assert_allclose(losses.cross_entropy_loss(logits, label), [0, 100, 50, 50], rtol=1e-6, atol=1e-30)
    gradient = jax.jit(jax.grad(lambda z: jnp.sum(losses.cross_entropy_loss(z, label))))(logits)
    np.testing.assert_allclose(gradient, [[0, 0], [-0.5, 0.5], [0.5, 0], [0, -0.5]], rtol=0, atol=1e-6)


def test_distance_loss_equals_the_reference():
    expected = reference.distance_loss(LAST, WEIGHTS, LABEL)
    assert np.min(expected) > 0.05
    np.testing.assert_allclose(losses.distance_loss(LAST, WEIGHTS, LABEL), expected, rtol=0, atol=1e-5)


def test_distance_loss_looks_at_the_own_class_only():
    changed = WEIGHTS.copy()
    changed[1] = -changed[1]
    before, after = (np.asarray(losses.distance_loss(LAST, weights, LABEL)) for weights in (WEIGHTS, changed))
    np.testing.assert_array_equal(before != after, LABEL == 1)


def test_distance_loss_is_zero_for_equal_weights_and_finite_for_dead_maps():
    equal = np.full((2, 6), 0.7, np.float32)
    np.testing.assert_allclose(losses.distance_loss(LAST, equal, LABEL), 0, rtol=0, atol=1e-6)
    start, dead, flat = np.zeros((2, 6), np.float32), 0 * LAST, 0 * LAST + 0.3
    for last, weights in [(dead, WEIGHTS), (flat, WEIGHTS), (LAST, start), (dead, start), (LAST, equal)]:
        assert all(np.all(np.isfinite(part)) for part in _distance_gradient(last, weights))


@pytest.mark.parametrize("alpha", [0.0, 3.0])
def test_classifier_loss_adds_alpha_times_the_distance(alpha):
    total, parts = _classifier_loss(LOGITS, LAST, WEIGHTS, LABEL, distance_weight=alpha)
    np.testing.assert_allclose(total, reference.classifier_loss(LOGITS, LAST, WEIGHTS, LABEL, alpha), rtol=1e-5)
    np.testing.assert_allclose(parts["cross_entropy"], reference.cross_entropy_loss(LOGITS, LABEL), rtol=1e-5)
    np.testing.assert_allclose(parts["distance"], reference.distance_loss(LAST, WEIGHTS, LABEL), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(parts["accuracy"], np.argmax(LOGITS, axis=1) == LABEL)


def test_alpha_zero_gives_the_maps_no_gradient():
    gradient = _gradient(lambda x: losses.classifier_loss(LOGITS, x, WEIGHTS, LABEL, distance_weight=0.0)[0])
    np.testing.assert_array_equal(gradient(LAST), np.zeros_like(LAST))


GRADIENTS = {
    "pixel": (_gradient(lambda x: losses.pixel_loss(IMAGE, x)), lambda x: reference.pixel_loss(IMAGE, x), DRAWN),
    "autoencoder": (
        lambda x: _autoencoder_gradient(x, IMAGE),
        lambda x: reference.autoencoder_loss(IMAGE, x, 100.0),
        DRAWN,
    ),
    "cross entropy": (
        _gradient(lambda z: losses.cross_entropy_loss(z, LABEL)),
        lambda z: reference.cross_entropy_loss(z, LABEL),
        LOGITS,
    ),
    "distance by maps": (
        lambda x: _distance_gradient(x, WEIGHTS)[0],
        lambda x: reference.distance_loss(x, WEIGHTS, LABEL),
        LAST,
    ),
    "distance by weights": (
        lambda w: _distance_gradient(LAST, w)[1],
        lambda w: reference.distance_loss(LAST, w, LABEL),
        WEIGHTS,
    ),
    "classifier": (
        _gradient(lambda x: losses.classifier_loss(LOGITS, x, WEIGHTS, LABEL, distance_weight=3.0)[0]),
        lambda x: reference.classifier_loss(LOGITS, x, WEIGHTS, LABEL, 3.0),
        LAST,
    ),
}


@pytest.mark.parametrize(("gradient", "independent", "x"), GRADIENTS.values(), ids=GRADIENTS)
def test_gradient_is_the_slope_of_the_reference(gradient, independent, x):
    gradient = np.asarray(gradient(x), np.float64)
    for seed in range(3):
        direction = np.random.default_rng(seed).normal(size=x.shape)
        slope = reference.slope(lambda x: independent(x).sum(), x, direction)
        np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("loss", "x"),
    [
        (lambda x: losses.pixel_loss(IMAGE, x), DRAWN),
        (lambda x: losses.ssim(IMAGE, x), DRAWN),
        (lambda z: losses.cross_entropy_loss(z, LABEL), LOGITS),
    ],
    ids=["pixel", "ssim", "cross entropy"],
)
def test_check_grads_of_smooth_losses(loss, x):
    # The others have kinks that a step long enough for float32 crosses: the float64 slopes above judge them.
    check_grads(jax.jit(lambda x: jnp.sum(loss(x))), (x,), order=1, modes=["rev"], eps=1e-2, rtol=2e-2, atol=2e-2)
