"""Channel maps of Fig. 1, on random narrow networks."""

import numpy as np
import pytest
from paper.channel_maps import choose_channels, image_maps, last_maps
from small_nets import small_params

from camfuse_jax import cam
from camfuse_jax.config import Modality
from camfuse_jax.fusion.fuse import explain

SHAPE = (30, 41)


@pytest.fixture(scope="module")
def seen():
    params = small_params()
    ir, vis = np.random.default_rng(2).integers(0, 256, (2, *SHAPE), dtype=np.uint8)
    return params, ir, vis, last_maps(params, ir, vis)


def test_the_channels_are_the_extremes_of_the_weights():
    weights = np.array([0.3, -0.2, 0.9, 0.01, -0.7])
    assert choose_channels(weights, np.ones(5, bool)) == (2, 3, 4)
    assert choose_channels(weights, np.array([True, True, False, False, False])) == (0, 1, 1)
    assert choose_channels(weights, np.zeros(5, bool)) == (2, 3, 4)


@pytest.mark.parametrize("modality", Modality)
def test_the_own_class_map_is_that_of_explain(seen, modality):
    params, ir, vis, last = seen
    maps = image_maps(params, last, modality, SHAPE)
    told = explain(params, ir, vis)
    expected = told.ir_cam[0] if modality == Modality.IR else told.vis_cam[0]
    np.testing.assert_allclose(maps.cams[modality], expected, atol=1e-5)


@pytest.mark.parametrize("modality", Modality)
def test_maps_have_the_images_size_and_weights_are_the_class_weights(seen, modality):
    params, _, _, last = seen
    maps = image_maps(params, last, modality, SHAPE)
    assert maps.cams.shape == (2, *SHAPE)
    for found in maps.channels:
        assert found.heat.shape == SHAPE
        assert found.weight == pytest.approx(float(params.class_weights[modality, found.channel]))
        assert 0 <= found.heat.min() <= found.heat.max() <= 1


def test_a_channels_map_is_its_own_feature_map(seen):
    params, _, _, last = seen
    (highest, _, _), _ = image_maps(params, last, Modality.VIS, SHAPE)
    own = cam.min_max(last[Modality.VIS, ..., highest.channel][None])[0]
    cell = 4 * int(np.prod(params.net.strides))
    center = cell // 2 - params.net.margin  # where the first cell's middle lies in the image, if it does
    rows = [center + cell * i for i in range(own.shape[0]) if 0 < center + cell * i < SHAPE[0] - 1]
    first = int(center < 0)
    for i, row in enumerate(rows, start=first):
        # Between two pixels: the linear enlargement is the cell's value but for half a pixel's slope.
        assert highest.heat[row].max() <= own[max(i - 1, 0) : i + 2].max() + 1e-5
