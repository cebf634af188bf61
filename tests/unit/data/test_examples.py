"""From records to training examples: crops, labels, variation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from camfuse_jax.config import Modality
from camfuse_jax.data.batches import (
    PairExample,
    PhotoExample,
    WindowSource,
    flip,
    random_crop,
    strip_sensor,
    to_sym,
    vary,
    windows,
)


def _image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def test_levels_become_minus_one_to_one():
    sym = to_sym(np.array([[0, 255], [127, 128]], np.uint8))
    assert sym.dtype == np.float32
    np.testing.assert_allclose(sym, [[-1, 1], [-1 / 255, 1 / 255]], atol=1e-7)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 24), st.integers(0, 99))
def test_crops_have_their_size_whatever_the_image(height, width, size, seed):
    image = _image(height, width)
    crop = random_crop(image, size, np.random.default_rng(seed))
    assert crop.shape == (size, size)
    assert crop.dtype == np.uint8
    assert set(crop.ravel().tolist()) <= set(image.ravel().tolist())


def test_crops_reach_every_position_and_are_pieces_of_the_image():
    image = np.arange(20, dtype=np.uint8).reshape(4, 5)
    rng = np.random.default_rng(0)
    corners = set()
    for _ in range(200):
        crop = random_crop(image, 3, rng)
        top, left = divmod(int(crop[0, 0]), 5)
        np.testing.assert_array_equal(crop, image[top : top + 3, left : left + 3])
        corners.add((top, left))
    assert corners == {(top, left) for top in range(2) for left in range(3)}


def test_a_small_image_is_continued_by_mirroring():
    crop = random_crop(np.array([[1, 2, 3]], np.uint8), 4, np.random.default_rng(0))
    np.testing.assert_array_equal(crop, [[1, 2, 3, 3]] * 4)


def test_flip_mirrors_columns_about_every_other_time():
    image, rng = _image(3, 4), np.random.default_rng(0)
    mirrored = [not np.array_equal(flip(image, rng), image) for _ in range(400)]
    assert 150 < sum(mirrored) < 250
    results = [flip(image, rng) for _ in range(20)]
    assert all(np.array_equal(r, image) or np.array_equal(r, image[:, ::-1]) for r in results)


@pytest.mark.parametrize("shape", [(40, 50), (5, 70), (1, 1)], ids=str)
def test_photo_example(shape):
    example = PhotoExample(32)(_image(*shape), np.random.default_rng(0))
    assert set(example) == {"image"}
    assert example["image"].shape == (1, 32, 32, 1)
    assert example["image"].dtype == np.float32
    assert -1 <= example["image"].min() <= example["image"].max() <= 1


def test_pair_example_is_infrared_first_with_its_labels():
    ir, vis = np.zeros((6, 6), np.uint8), np.full((6, 6), 255, np.uint8)
    example = PairExample(augment=False)((ir, vis), np.random.default_rng(0))
    assert example["image"].shape == (2, 6, 6, 1)
    assert example["label"].tolist() == [Modality.IR, Modality.VIS] == [0, 1]
    assert example["label"].dtype == np.int32
    assert np.all(example["image"][0] == -1)
    assert np.all(example["image"][1] == 1)


def test_both_windows_are_mirrored_alike():
    window, seen = _image(6, 7), set()
    for seed in range(20):
        image = PairExample(augment=False)((window, window), np.random.default_rng(seed))["image"]
        np.testing.assert_array_equal(image[0], image[1])
        seen.add(np.array_equal(image[0, ..., 0], to_sym(window)))
    assert seen == {True, False}


def test_augmentation_varies_the_two_on_their_own():
    window = _image(16, 16)
    images = PairExample(augment=True)((window, window), np.random.default_rng(1))["image"]
    assert np.mean(np.abs(images[0] - images[1])) > 0.01


@given(st.integers(0, 10_000), st.floats(-1, 1, width=32), st.floats(-1, 1, width=32))
def test_vary_stays_in_range_and_finite(seed, low, high):
    image = np.linspace(low, high, 64, dtype=np.float32).reshape(8, 8)
    varied = vary(image, np.random.default_rng(seed))
    assert varied.shape == image.shape
    assert varied.dtype == np.float32
    assert np.all(np.isfinite(varied))
    assert -1 <= varied.min() <= varied.max() <= 1


def test_vary_depends_on_the_generator_alone():
    image = to_sym(_image(8, 8))
    before = image.copy()
    first, again, other = (vary(image, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(image, before)


def _measured(seed):
    """Logarithm of gamma, contrast, brightness and noise that `vary` gave an image of three gray levels."""
    levels = (0.2, 0.5, 0.8)
    image = np.repeat(np.float32(levels), 64)[:, None] * np.ones(64, np.float32) * 2 - 1
    strips = vary(image, np.random.default_rng(seed)).reshape(3, 64, 64).astype(np.float64)
    low, middle, high = strips.mean(axis=(1, 2))

    def misfit(log_gamma):
        a, b, c = (level ** np.exp(log_gamma) for level in levels)
        return (middle - low) * (c - a) - (high - low) * (b - a)

    log_gamma = optimize.brentq(misfit, -1, 1)
    a, _, c = (level ** np.exp(log_gamma) for level in levels)
    contrast = (high - low) / (2 * (c - a))
    return log_gamma, contrast, low - (2 * a - 1) * contrast, strips.std(axis=(1, 2)).mean()


def test_vary_spreads_gamma_contrast_brightness_and_noise_as_far_as_it_says():
    log_gamma, contrast, brightness, noise = np.array([_measured(seed) for seed in range(400)]).T
    for values, low, high in ((log_gamma, -0.15, 0.15), (contrast, 0.85, 1.15), (brightness, -0.1, 0.1)):
        slack = 0.01 * (high - low) + 0.002
        assert low - slack <= values.min() < low + 3 * slack
        assert high - 3 * slack < values.max() <= high + slack
        assert abs(values.mean() - (low + high) / 2) < 0.1 * (high - low)
    quiet = noise < 1e-6
    assert 0.4 < quiet.mean() < 0.6
    assert 0.0195 < noise.max() < 0.0205
    assert 0.008 < noise[~quiet].mean() < 0.012


def test_stripped_images_have_new_means_noise_and_frequencies():
    flat, wave = np.zeros((48, 48), np.float32), np.cos(np.arange(48) * np.pi / 4).astype(np.float32)[None]
    noise, mean, gain = [], [], []
    for seed in range(200):
        stripped = strip_sensor(flat, np.random.default_rng(seed))
        assert stripped.dtype == np.float32
        assert np.abs(stripped).max() <= 1
        noise.append(stripped.std())
        mean.append(stripped.mean())
        # Small, so that nothing is clipped.
        waving = strip_sensor(flat + 0.05 * wave, np.random.default_rng(seed)) - stripped
        gain.append(np.sqrt(2) * waving[8:-8, 8:-8].std() / 0.05)
    assert 0.09 < max(noise) < 0.105
    assert min(noise) < 0.005
    assert 0.45 < max(mean) < 0.52
    assert -0.52 < min(mean) < -0.45
    assert min(gain) < 0.5
    assert 2 < max(gain) < 4


def test_stripping_is_an_option_of_its_own_and_follows_the_generator():
    window = _image(16, 16)
    plain, stripped, again = (
        PairExample(augment=False, strip=strip)((window, window), np.random.default_rng(2))["image"]
        for strip in (False, True, True)
    )
    np.testing.assert_array_equal(plain[0], plain[1])
    np.testing.assert_array_equal(stripped, again)
    assert np.mean(np.abs(stripped[0] - stripped[1])) > 0.05


def test_the_share_of_a_mixture_is_drawn_last_and_only_where_it_is_wanted():
    image = _image(40, 40)
    plain, shared = (PhotoExample(16, share=share)(image, np.random.default_rng(0)) for share in (False, True))
    assert plain.keys() == {"image"}
    np.testing.assert_array_equal(plain["image"], shared["image"])
    assert shared["share"].shape == (1,)
    assert 0 <= shared["share"][0] < 1


def test_windows_of_a_source_are_those_of_its_images_and_of_its_stacks():
    images = [_image(6, 7), _image(4, 4, seed=1)]
    corners = [(i, *corner) for i, image in enumerate(images) for corner in windows(image.shape, size=4, stride=2)]
    source = WindowSource(images, size=4, stride=2)
    stacks = WindowSource([np.stack([image, 255 - image]) for image in images], size=4, stride=2)
    assert len(source) == len(stacks) == len(corners)
    for number, (i, top, left) in enumerate(corners):
        np.testing.assert_array_equal(source[number], images[i][top : top + 4, left : left + 4])
        np.testing.assert_array_equal(stacks[number], [source[number], 255 - source[number]])
    small = WindowSource([np.stack([images[1], images[1].T])], size=6, stride=6)[0]
    np.testing.assert_array_equal(small[0], np.pad(images[1], ((0, 2), (0, 2)), mode="symmetric"))
    np.testing.assert_array_equal(small[1], small[0].T)
