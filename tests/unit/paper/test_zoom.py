"""Zoom boxes: read, checked and found."""

import numpy as np
import pytest
from paper.zoom import Box, check_box, find_boxes, parse_box

from camfuse_jax.errors import UsageError


def test_a_box_is_read():
    assert parse_box("3,4,10,20") == Box(3, 4, 10, 20)
    assert parse_box(" 3, 4, 10, 20 ") == Box(3, 4, 10, 20)


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "1,2,x,4", "1,2,3.5,4", "-1,2,3,4", "1,2,0,4", "1,2,3,0"])
def test_what_is_no_box_is_refused(text):
    with pytest.raises(UsageError, match="--zoom"):
        parse_box(text)


def test_a_box_must_lie_inside():
    check_box(Box(90, 40, 10, 10), (50, 100))
    for box in (Box(91, 40, 10, 10), Box(90, 41, 10, 10), Box(500, 0, 1, 1)):
        with pytest.raises(UsageError, match="100 wide and 50 high"):
            check_box(box, (50, 100))


def test_cut_takes_columns_and_rows():
    image = np.arange(50 * 100).reshape(50, 100)
    np.testing.assert_array_equal(Box(7, 3, 5, 2).cut(image), image[3:5, 7:12])


def test_a_warm_thing_and_a_texture_are_found():
    ir, vis = np.full((120, 200), 40, np.uint8), np.full((120, 200), 90, np.uint8)
    ir[80:100, 30:38] = 250
    vis[10:40, 150:190] = np.random.default_rng(0).integers(60, 120, (30, 40))
    warm, texture = find_boxes(ir, vis)
    assert warm.x <= 30 and warm.x + warm.width >= 38
    assert warm.y <= 80 and warm.y + warm.height >= 100
    assert 120 < texture.x + texture.width / 2 < 200
    assert texture.y + texture.height / 2 < 60


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (5, 7), (20, 21), (200, 30), (90, 400)])
def test_boxes_fit_images_of_any_size_and_are_apart_where_there_is_room(shape):
    ir, vis = np.random.default_rng(1).integers(0, 256, (2, *shape), dtype=np.uint8)
    first, second = find_boxes(ir, vis)
    assert first[2:] == second[2:]
    for box in (first, second):
        check_box(box, shape)
    if shape[0] >= 20:
        apart = abs(first.x - second.x) >= first.width or abs(first.y - second.y) >= first.height
        assert apart
