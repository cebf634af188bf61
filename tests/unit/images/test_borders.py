"""Borders are found behind what JPEG does beside their edge, and no sky or backdrop is one."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from camfuse_jax.images.picture import scene_mask


def _scene(shape=(150, 220), seed=0):
    rng = np.random.default_rng(seed)
    planes = [sum(ndimage.gaussian_filter(rng.normal(size=shape), s) * s for s in (1, 4, 12)) for _ in range(3)]
    return np.stack([60 + 170 * (plane - plane.min()) / np.ptp(plane) for plane in planes], -1).astype(np.uint8)


def _jpeg(pixels, quality):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def _framed(kind, value):
    """A picture with a border whose width is no multiple of a block, and where its scene is."""
    scene, inside = _scene(), np.zeros((150, 220), bool)
    if kind == "turned":
        image = Image.fromarray(scene)
        turned = image.rotate(7, Image.Resampling.BILINEAR, fillcolor=(value,) * 3)
        return np.asarray(turned), np.asarray(Image.new("L", image.size, 1).rotate(7)) > 0
    inside[{"frame": np.s_[19:-19, 19:-19], "bars": np.s_[21:-21], "left": np.s_[:, 21:]}[kind]] = True
    return np.where(inside[..., None], scene, np.uint8(value)), inside


@pytest.mark.parametrize("quality", [60, 75, 90])
@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("kind", ["frame", "bars", "left", "turned"])
@pytest.mark.parametrize("gray", [True, False])
def test_a_border_in_jpeg(kind, value, quality, gray):
    pixels, inside = _framed(kind, value)
    valid, notes = scene_mask(_jpeg(pixels[..., 1] if gray else pixels, quality))
    assert notes == ("pixels without data are left out (constant to the edge)",)
    assert valid[inside].mean() > 0.98
    assert valid[~inside].mean() < 0.1


@pytest.mark.parametrize("quality", [None, 75])
def test_a_white_frame_that_touches_a_saturated_sky(quality):
    pixels, inside = _framed("frame", 255)
    skyline = 60 + ndimage.gaussian_filter(np.random.default_rng(1).normal(size=220), 4) * 40
    pixels[(np.arange(150)[:, None] < skyline) & inside] = 255
    valid, _ = scene_mask(pixels if quality is None else _jpeg(pixels, quality))
    assert not valid[~inside].any()
    assert valid[80:-21, 21:-21].all()


@pytest.mark.parametrize("quality", [60, 75, 90, None])
def test_a_sky_a_night_and_an_object_before_a_backdrop_are_scene(quality):
    skyline = 50 + ndimage.gaussian_filter(np.random.default_rng(1).normal(size=220), 5) * 40
    for value in (0, 255):
        sky, backdrop = _scene(), np.full((150, 220, 3), value, np.uint8)
        sky[np.arange(150)[:, None] < skyline] = value
        rows, cols = np.mgrid[:150, :220]
        thing = np.hypot(rows - 75, cols - 110) < 52 + 20 * np.cos(5 * np.arctan2(rows - 75, cols - 110))
        backdrop[thing] = _scene()[thing]
        for picture in (sky, backdrop):
            assert scene_mask(picture if quality is None else _jpeg(picture, quality)) == (None, ())
