"""What came from where: constructed cases with a known share."""

import numpy as np
import pytest

from camfuse_jax.errors import InputError
from camfuse_jax.report.pictures import provenance

SHAPE = (40, 50)


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, SHAPE).astype(float), rng.integers(0, 256, SHAPE).astype(float)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_a_mix_has_its_own_share(pair, share):
    ir, vis = pair
    found = provenance(ir, vis, share * ir + (1 - share) * vis)
    np.testing.assert_allclose(found.share, share, atol=1e-12)
    np.testing.assert_allclose(found.residual, 0, atol=1e-5)
    assert found.certainty.min() > 0.9


@pytest.mark.parametrize(("which", "share"), [(0, 1.0), (1, 0.0)])
def test_a_copy_gives_all_of_the_detail_too(pair, which, share):
    np.testing.assert_allclose(provenance(*pair, pair[which]).detail_share, share, atol=1e-12)


def test_the_average_of_equal_contrasts_shares_the_detail(pair):
    ir, _ = pair
    found = provenance(ir, 255 - ir, np.full(SHAPE, 127.5))
    np.testing.assert_allclose(found.share, 0.5, atol=1e-12)
    np.testing.assert_allclose(found.detail_share, 0.5, atol=1e-9)


def test_a_flat_source_gives_brightness_but_no_detail(pair):
    flat, vis = np.full(SHAPE, 200.0), pair[1]
    found = provenance(flat, vis, (flat + vis) / 2)
    np.testing.assert_allclose(found.share, 0.5, atol=1e-12)
    np.testing.assert_allclose(found.detail_share, 0, atol=1e-9)


def test_flat_images_are_told_apart_by_their_levels():
    ir, vis = np.full(SHAPE, 200.0), np.full(SHAPE, 40.0)
    np.testing.assert_allclose(provenance(ir, vis, ir).share, 1)
    np.testing.assert_allclose(provenance(ir, vis, np.full(SHAPE, 80.0)).share, 0.25)


def test_alike_sources_leave_the_share_open(pair):
    ir, _ = pair
    found = provenance(ir, ir, ir)
    assert np.all(found.share == 0.5)
    assert np.all(found.certainty == 0)
    assert provenance(ir, ir + 1, ir).certainty.max() < 0.1


def test_halves_of_an_image_keep_their_own_share(pair):
    ir, vis = pair
    fused = np.concatenate([ir[:, :25], vis[:, 25:]], axis=1)
    found = provenance(ir, vis, fused)
    assert found.share[:, :10].min() > 0.99
    assert found.share[:, -10:].max() < 0.01


def test_what_is_in_neither_source_is_left_over(pair):
    ir, vis = pair
    found = provenance(ir, vis, (ir + vis) / 2 + 10)
    assert 5 < np.sqrt(np.mean(found.residual**2)) <= 10
    beyond = provenance(ir, vis, vis + 1.5 * (ir - vis))
    assert beyond.share.max() == beyond.share.min() == 1
    assert beyond.residual.min() > 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_tiny_images(shape):
    found = provenance(np.full(shape, 9), np.full(shape, 5), np.full(shape, 9))
    assert found.share.shape == shape
    assert np.all(found.share == 1)


def test_shapes_that_differ_are_refused(pair):
    with pytest.raises(InputError, match="one size"):
        provenance(pair[0], pair[1], pair[0][:-1])
