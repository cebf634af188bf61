"""The JAX path against the exact path: any sizes, any batch, padding of any content."""

import jax
import numpy as np
import pytest
from camfuse_jax.metrics.batched import score_batch, score_images
from scipy.ndimage import gaussian_filter

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.metrics.protocol import evaluate
from camfuse_jax.metrics.registry import ALL_METRICS

# Float32 against float64 on 8-bit images: absolute, and relative where the value is larger than 1.
TOLERANCE = {"VIF": 1e-4, "MI": 1e-5, "EN": 1e-5, "MS-SSIM": 1e-5, "SSIM": 1e-5}
LIGHT = [key for key in ALL_METRICS if key != "MS-SSIM"]


def scene(shape, seed):
    """Smooth structure with noise: ir, vis and a fused image, uint8."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.uniform(0, 255, (2, *shape)), (0, 3, 3))
    ir, vis = np.clip((smooth - 127.5) * 8 + 127.5 + rng.normal(0, 4, smooth.shape), 0, 255)
    return [np.rint(image).astype(np.uint8) for image in (ir, vis, 0.5 * ir + 0.4 * vis)]


def assert_close(found, expected):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if value is None:
            assert found[key] is None, key
        else:
            assert found[key] == pytest.approx(value, rel=TOLERANCE.get(key, 1e-5), abs=TOLERANCE.get(key, 1e-5)), key


@pytest.fixture(scope="module")
def mixed():
    """Five pairs of several sizes; the bucket of 64 x 64 holds four of them, one smaller than VIF's window."""
    return [scene(shape, seed) for seed, shape in enumerate([(64, 64), (41, 63), (50, 41), (9, 30), (65, 60)])]


def test_agrees_with_the_exact_path_whatever_the_size(mixed):
    found = score_images(mixed[:4], metrics=LIGHT, batch_size=2)
    for scores, triplet in zip(found, mixed, strict=False):
        assert_close(scores, evaluate(*triplet, metrics=LIGHT).values)
    assert found[3]["VIF"] is None


def test_ms_ssim_of_an_odd_size():
    triplet = scene((177, 190), 8)
    assert_close(score_images([triplet], metrics=["MS-SSIM"])[0], evaluate(*triplet, metrics=["MS-SSIM"]).values)


def test_padding_is_ignored(mixed):
    ir, vis, fused = mixed[2]
    padded = np.zeros((3, 2, 64, 64), np.float32)
    padded[:, 1] = np.random.default_rng(0).uniform(0, 255, (64, 64))
    padded[:, :, :50, :41] = np.stack([ir, vis, fused])[:, None]
    values = jax.device_get(score_batch(*padded, np.array([[50, 41], [50, 41]]), metrics=LIGHT))
    for key in LIGHT:
        assert values[key][0] == values[key][1], key


def test_batches_order_and_repetition_change_no_digit(mixed):
    keys = ["EN", "SCD", "SSIM"]
    single, several, again = (score_images(mixed, metrics=keys, batch_size=size) for size in (1, 3, 3))
    assert single == several == again
    assert score_images(mixed[::-1], metrics=keys, batch_size=2) == single[::-1]
    for one, triplet in zip(single, mixed, strict=True):
        assert_close(one, evaluate(*triplet, metrics=keys).values)


def test_degenerate_images_are_none_where_the_exact_path_has_no_value():
    flat, other = np.full((50, 50), 200, np.uint8), scene((50, 50), 3)[0]
    black = np.zeros((50, 50), np.uint8)
    triplets = [[flat] * 3, [flat, other, other], [other, other, flat], [black] * 3, [other] * 3]
    found = score_images(triplets, metrics=LIGHT, batch_size=2)
    for scores, triplet in zip(found, triplets, strict=True):
        assert_close(scores, evaluate(*triplet, metrics=LIGHT).values)


def test_wrong_input_is_refused():
    image = np.zeros((20, 20))
    with pytest.raises(UsageError, match="SSIM2"):
        score_images([(image, image, image)], metrics=["SSIM2"])
    with pytest.raises(InputError, match="differ in size"):
        score_images([(image, image, image[:5])])
    assert score_images([]) == []
