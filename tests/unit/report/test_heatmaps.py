"""Heat maps over images."""

import numpy as np

from camfuse_jax.report.pictures import overlay


def _gray(level, shape=(5, 7)):
    return np.full(shape, level, np.uint8)


def test_size_and_type():
    picture = overlay(_gray(100), np.zeros((5, 7)))
    assert picture.shape == (5, 7, 3)
    assert picture.dtype == np.uint8


def test_strength_zero_leaves_the_image():
    image = np.arange(35, dtype=np.uint8).reshape(5, 7)
    picture = overlay(image, np.linspace(0, 1, 35).reshape(5, 7), strength=0)
    np.testing.assert_array_equal(picture, np.repeat(image[..., None], 3, axis=2))


def test_hot_is_brighter_and_more_colored_than_cold():
    heat = np.zeros((5, 7))
    heat[:, 4:] = 1
    picture = overlay(_gray(60), heat).astype(int)
    assert picture[:, 4:].sum() / 15 > picture[:, :4].sum() / 20
    color = picture.max(axis=2) - picture.min(axis=2)
    assert color[:, 4:].min() > color[:, :4].max() + 20


def test_the_image_shows_through():
    image = np.arange(35, dtype=np.uint8).reshape(5, 7) * 7
    luma = overlay(image, np.full((5, 7), 0.5)).astype(int).sum(axis=2).ravel()
    assert np.all(np.diff(luma) > 0)


def test_heat_outside_the_unit_range_is_cut():
    low, high = overlay(_gray(9), np.full((5, 7), -3.0)), overlay(_gray(9), np.full((5, 7), 7.0))
    np.testing.assert_array_equal(low, overlay(_gray(9), np.zeros((5, 7))))
    np.testing.assert_array_equal(high, overlay(_gray(9), np.ones((5, 7))))
