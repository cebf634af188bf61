"""Pictures as data URIs."""

import base64
import io

import numpy as np
from PIL import Image

from camfuse_jax.report.pictures import (
    heat_gradient,
    heat_uri,
    outline_uri,
    png_uri,
    share_gradient,
    share_uri,
    webp_uri,
)


def _decoded(uri):
    kind, _, content = uri.partition(";base64,")
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        assert kind == f"data:image/{image.format.lower()}"
        return image.mode, np.asarray(image)


def test_png_keeps_every_level():
    image = np.arange(256, dtype=np.uint8).reshape(8, 32)
    mode, found = _decoded(png_uri(image))
    assert mode == "L"
    np.testing.assert_array_equal(found, image)


def test_webp_is_near():
    image = np.linspace(0, 255, 64 * 48).reshape(48, 64).astype(np.uint8)
    _, found = _decoded(webp_uri(image, quality=75))
    assert np.abs(found[..., 0].astype(int) - image).max() < 12


def test_heat_is_more_opaque_where_it_is_hotter_and_small():
    heat = np.repeat(np.linspace(0, 1, 640)[None], 480, axis=0)
    mode, layer = _decoded(heat_uri(heat))
    assert (mode, layer.shape) == ("RGBA", (240, 320, 4))
    alpha = layer[..., 3].astype(int)
    assert alpha[:, :20].max() < 90 < 230 < alpha[:, -20:].min()
    assert _decoded(heat_uri(np.zeros((1, 3))))[1].shape == (1, 3, 4)


def test_share_is_clear_where_even_or_uncertain():
    share = np.repeat(np.repeat([0.0, 0.5, 1.0], 32)[None], 64, axis=0)
    certainty = np.ones_like(share)
    certainty[:32] = 0
    layer = _decoded(share_uri(share, certainty))[1].astype(int)
    visible, even, infrared = layer[48:, 8:24], layer[48:, 40:56], layer[48:, 72:88]
    assert layer[:24, ..., 3].max() < 10
    assert even[..., 3].max() < 10
    assert visible[..., 3].min() > 240
    assert infrared[..., 3].min() > 240
    assert np.all(visible[..., 2] > visible[..., 0])
    assert np.all(infrared[..., 0] > infrared[..., 2])


def test_legends_are_lists_of_colors():
    for colors in (heat_gradient(), share_gradient()):
        assert all(color.startswith("#") for color in colors.split(", "))


def test_an_outline_leaves_its_target_and_a_gap_free():
    area = np.zeros((40, 40), bool)
    area[18:22, 18:22] = True
    _, layer = _decoded(outline_uri([((slice(None), slice(None)), area, "kept")], (40, 40)))
    opacity = layer[20, :, 3].astype(int)
    assert opacity[16:24].max() < 40 < 200 < opacity[14:16].min()  # two pixels free on each side, then two of outline
    assert opacity[:12].max() < 40
