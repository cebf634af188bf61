"""Windows cover every pixel and are always of full size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camfuse_jax.data.batches import take_window, windows
from camfuse_jax.errors import InputError


def test_known_positions():
    assert windows((10, 7), size=4, stride=3) == [(0, 0), (0, 3), (3, 0), (3, 3), (6, 0), (6, 3)]
    assert windows((9, 4), size=4, stride=3) == [(0, 0), (3, 0), (5, 0)]
    assert windows((3, 2), size=4, stride=1) == [(0, 0)]
    assert windows((3, 6), size=4, stride=4) == [(0, 0), (0, 2)]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 12), st.integers(1, 12))
def test_every_pixel_is_covered(height, width, size, stride):
    stride = min(size, stride)
    covered = np.zeros((height, width), bool)
    positions = windows((height, width), size=size, stride=stride)
    assert len(set(positions)) == len(positions)
    for top, left in positions:
        assert top + size <= max(height, size)
        assert left + size <= max(width, size)
        covered[top : top + size, left : left + size] = True
    assert covered.all()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 40))
def test_padding_is_numpys_symmetric(height, width, size):
    image = np.arange(height * width, dtype=np.uint8).reshape(height, width)
    padded = np.pad(image, ((0, max(0, size - height)), (0, max(0, size - width))), mode="symmetric")
    assert np.array_equal(take_window(image, 0, 0, size), padded[:size, :size])


def test_a_window_inside_is_the_image_itself():
    image = np.arange(42, dtype=np.uint8).reshape(6, 7)
    window = take_window(image, 2, 3, 4)
    assert np.shares_memory(window, image)
    assert np.array_equal(window, image[2:6, 3:7])


@pytest.mark.parametrize(("top", "left"), [(-1, 0), (0, -1), (6, 0), (0, 7)])
def test_a_start_outside_is_refused(top, left):
    with pytest.raises(InputError, match="does not start inside 6 x 7"):
        take_window(np.zeros((6, 7), np.uint8), top, left, 4)


@pytest.mark.parametrize(("size", "stride"), [(0, 1), (4, 0)])
def test_zero_is_refused(size, stride):
    with pytest.raises(InputError, match="at least 1"):
        windows((6, 7), size=size, stride=stride)
