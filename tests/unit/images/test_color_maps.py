"""Infrared stored as color is recognized: gray in three channels, known maps, and anything else with a warning."""

import io

import matplotlib
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from camfuse_jax.images.color import CANDIDATES, scalar_from_rgb


@pytest.fixture(scope="module")
def thermal():
    noise = np.random.default_rng(0).normal(size=(120, 160))
    smooth = ndimage.gaussian_filter(noise, 6)
    return np.clip((smooth - smooth.min()) / np.ptp(smooth), 0, 1)


def _colored(values, name):
    return np.rint(matplotlib.colormaps[name](values)[..., :3] * 255).astype(np.uint8)


def _as_jpeg(rgb, quality=90):
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


@pytest.mark.parametrize("name", CANDIDATES)
def test_burnt_in_maps_are_turned_back(thermal, name):
    found = scalar_from_rgb(_colored(thermal, name) / 255)
    assert found.how == name
    assert np.abs(found.values - thermal).max() < 0.02
    squeezed = scalar_from_rgb(_as_jpeg(_colored(thermal, name)) / 255)
    assert squeezed.how == name
    assert np.abs(squeezed.values - thermal).mean() < 0.02


def test_gray_stored_as_rgb(thermal):
    gray = np.rint(thermal * 255).astype(np.uint8)
    rgb = np.stack([gray] * 3, -1)
    for stored in (rgb, _as_jpeg(rgb)):
        found = scalar_from_rgb(stored / 255)
        assert (found.how, found.sure) == ("equal channels", True)
        assert np.abs(found.values - gray / 255).max() <= 8 / 255
    np.testing.assert_array_equal(np.rint(scalar_from_rgb(rgb / 255).values * 255), gray)


def test_other_colors_become_luma_with_a_warning(thermal):
    found = scalar_from_rgb(_colored(thermal, "gist_ncar") / 255)
    assert (found.how, found.sure) == ("luma", False)
    assert "out of order" in found.note
