"""From records to training examples: crops, labels, variation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camfuse_jax.config import Modality
from camfuse_jax.data.examples import PairExample, PhotoExample, flip, random_crop, to_sym, vary


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
