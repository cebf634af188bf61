"""Tiles: that they cover an image, that what they draw is the whole image, and what they refuse."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_nets import small_params

from camfuse_jax import fuse
from camfuse_jax.config import FusionConfig, SpatialConfig
from camfuse_jax.errors import ResourceError
from camfuse_jax.fusion.dispatch import memory_needed, pixel_reach, spans, tile_shapes

SIZE = (171, 150)  # of nothing a multiple


def _params(rule, brightness="sum"):
    return small_params(fusion=FusionConfig(rule=rule, brightness=brightness))


def _pair(seed=0):
    """Bright and dark parts, so that what is known of the whole image differs from tile to tile."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 1, (2, 6, 5)).repeat(32, axis=1).repeat(32, axis=2)[:, : SIZE[0], : SIZE[1]]
    return (0.8 * low + 0.2 * rng.uniform(0, 1, (2, *SIZE))).astype(np.float32)


@pytest.mark.parametrize(
    ("rule", "brightness"), [("eq5-contribution", "sum"), ("eq5-pooled", "kept"), ("l1", "kept"), ("eq5", "sum")]
)
def test_tiles_draw_the_whole_image(rule, brightness):
    params, (ir, vis) = _params(rule, brightness), _pair()
    whole = np.asarray(fuse(params, ir, vis, max_memory=2**33))
    pixels = 128 * 128
    assert pixels < whole.size
    tiled = np.asarray(fuse(params, ir, vis, max_memory=memory_needed(params, pixels)))
    np.testing.assert_allclose(tiled, whole, atol=1e-5, rtol=0)


def test_levels_and_shape_are_kept():
    params, pair = _params("l1"), np.rint(255 * _pair(1)).astype(np.uint8)
    whole, tiled = (fuse(params, *pair[..., None], max_memory=m) for m in (2**33, memory_needed(params, 128 * 128)))
    assert (tiled.shape, tiled.dtype) == ((*SIZE, 1), np.uint8)
    assert np.abs(np.asarray(tiled, int) - np.asarray(whole, int)).max() <= 1


@given(st.integers(1, 3000), st.integers(1, 40), st.integers(0, 5), st.sampled_from([4, 16, 32]))
def test_spans_cover_an_axis_once_with_their_overlap(length, blocks, overlap, step):
    overlap, tile = overlap * step, (2 * overlap + blocks) * step
    found = spans(length, tile, overlap, step)
    assert (found[0].first, found[-1].stop) == (0, length)
    assert all(one.stop == other.first for one, other in itertools.pairwise(found))
    for i, span in enumerate(found):
        assert span.start % step == 0
        assert span.first < span.stop <= min(length, span.start + tile)
        assert span.start == 0 or span.first - span.start >= overlap
        assert i == len(found) - 1 or span.start + tile - span.stop >= overlap


def test_tiles_fit_and_the_best_comes_first():
    found = tile_shapes((8192, 8192), 128, 32, 3_000_000)
    assert found == sorted(found)
    assert all(rows * cols <= 3_000_000 for _, rows, cols in found)
    assert found[0][0] < 1.5 * 8192**2
    assert tile_shapes((8192, 8192), 3000, 32, 3_000_000) == []


def test_reach_is_that_of_the_arithmetic():
    """A changed pixel changes the result nowhere farther than `pixel_reach` says, and somewhere nearly so far."""
    params = _params("l1")
    ir, vis = np.random.default_rng(0).uniform(0, 1, (2, 128, 128)).astype(np.float32)
    other = ir.copy()
    other[64, 64] += 0.5
    changed = np.argwhere(np.asarray(fuse(params, ir, vis)) != np.asarray(fuse(params, other, vis)))
    farthest = np.abs(changed - 64).max()
    assert pixel_reach(params) // 2 < farthest <= pixel_reach(params)


def test_a_rule_that_looks_too_far_is_refused():
    params = small_params(fusion=FusionConfig(spatial=SpatialConfig(base_sigma=64.0)))
    pair = np.zeros((2, 2000, 2000), np.uint8)
    with pytest.raises(
        ResourceError, match=r"2000 x 2000 pixels do not fit .* rule spatial looks \d+ pixels far.*Allow"
    ):
        fuse(params, *pair, max_memory=memory_needed(params, 200_000))
