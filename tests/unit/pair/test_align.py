"""Movements are carried out exactly, found again from the images, and refused where the images do not say."""

import sys

import numpy as np
import pytest
from scipy import ndimage

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.images.picture import Picture
from camfuse_jax.pair import register
from camfuse_jax.pair.calibrate import read_homography
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.pair.prepare import prepare_pair
from camfuse_jax.pair.register import align, find_shift, resize, warp


def _scene(seed, shape=(180, 240)):
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), 3) > 0
    return (0.2 + 0.6 * ndimage.gaussian_filter(smooth.astype(np.float32), 0.8)).astype(np.float32)


def test_warp_moves_a_plane_exactly_and_says_where_it_knows():
    ys, xs = np.mgrid[:40, :60]
    plane = ((xs + 2 * ys) / 200).astype(np.float32)
    homography = np.array([[1.1, 0.05, 3.0], [-0.04, 0.95, -2.0], [0, 0, 1]])
    moved, valid = warp(plane, homography, 44, 70)
    back = np.linalg.inv(homography)
    y, x = np.mgrid[:44, :70]
    sx, sy, _ = np.tensordot(back, np.stack([x, y, np.ones_like(x)]), axes=1)
    inside = (sx >= 0) & (sy >= 0) & (sx <= 59) & (sy <= 39)
    np.testing.assert_array_equal(valid, inside)
    core = (sx > 8) & (sy > 8) & (sx < 51) & (sy < 31)  # a spline feels the border a little
    np.testing.assert_allclose(moved[core], ((sx + 2 * sy) / 200)[core], atol=1e-4)
    assert np.all(moved[~valid] == 0)
    np.testing.assert_allclose(warp(plane, np.eye(3), 40, 60)[0], plane, atol=1e-6)


@pytest.mark.parametrize(("right", "share"), [(0, ""), (140, "12.5%"), (150, "6.2%"), (159, "0.6%"), (160, None)])
def test_a_calibration_that_moves_the_image_out_of_the_picture_is_told(right, share):
    picture = Picture(np.random.default_rng(0).integers(0, 256, (120, 160), dtype=np.uint8), 8, 255)
    settings = FrameSettings(calibration=((1.0, 0.0, right), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), check=False)
    if share is None:
        with pytest.raises(InputError, match=r"no pixel of it is left.*--calibration"):
            prepare_pair(picture, picture, settings)
        return
    notes = prepare_pair(picture, picture, settings).notes
    little = (f"the moved infrared image covers only {share} of the picture (see --calibration)",)
    assert notes == (little if right >= 150 else ())


def test_warp_agrees_with_opencv():
    cv2 = pytest.importorskip("cv2")
    image = ndimage.gaussian_filter(np.random.default_rng(0).random((60, 80)), 4).astype(np.float32)
    homography = np.array([[1.02, 0.03, 3.3], [-0.02, 0.98, -2.1], [1e-4, -2e-4, 1]])
    moved, valid = warp(image, homography, 60, 80)
    theirs = cv2.warpPerspective(image, homography, (80, 60), flags=cv2.INTER_LINEAR)
    core = ndimage.binary_erosion(valid, iterations=3)
    assert np.abs(moved - theirs)[core].max() < 0.01 * np.ptp(image)


def test_resize_of_color():
    image = np.random.default_rng(0).random((8, 9, 3)).astype(np.float32)
    assert resize(image, 16, 5).shape == (16, 5, 3)
    np.testing.assert_array_equal(resize(image, 8, 9), image)


@pytest.mark.parametrize("method", ["translation", "ecc", "homography"])
def test_a_known_movement_is_found(method):
    pytest.importorskip("cv2")
    scene = _scene(0, (240, 320))
    true = np.array([[1, 0, 7.0], [0, 1, -5.0], [0, 0, 1]])
    if method != "translation":
        true[:2, :2] += [[0.02, -0.015], [0.01, -0.02]]
    if method == "homography":
        true[2, :2] = 4e-5, -3e-5
    vis = scene
    ir, _ = warp(1 - scene, np.linalg.inv(true), 240, 320)  # other polarity, seen from the other camera
    found = align(ir, vis, method)
    points = np.array([[x, y, 1] for x in (80, 160, 240) for y in (60, 120, 180)]).T
    a, b = found.homography @ points, true @ points
    error = np.hypot(*(a[:2] / a[2] - b[:2] / b[2]))
    assert error.max() < 1.5
    assert found.confidence > 5
    corners = np.array([[0, 0, 1], [319, 0, 1], [0, 239, 1], [319, 239, 1]]).T
    x, y, z = found.homography @ corners
    assert found.moved == pytest.approx(np.hypot(x / z - corners[0], y / z - corners[1]).max())
    if method == "translation":
        np.testing.assert_allclose(found.homography[:2, :2], np.eye(2), atol=1e-9)


def test_a_translation_neither_turns_nor_scales():
    """Also where the images differ by a little of both."""
    pytest.importorskip("cv2")
    scene = _scene(0, (240, 320))
    true = np.array([[1.01, -0.01, 7.0], [0.01, 1.01, -5.0], [0, 0, 1]])
    ir, _ = warp(1 - scene, np.linalg.inv(true), 240, 320)
    np.testing.assert_allclose(align(ir, scene, "translation").homography[:2, :2], np.eye(2), atol=1e-9)
    assert np.abs(align(ir, scene, "ecc").homography[:2, :2] - true[:2, :2]).max() < 0.004


def test_a_movement_too_far_to_be_one_is_refused(monkeypatch):
    pytest.importorskip("cv2")
    scene = _scene(0, (120, 160))
    for share, trusted in ((0.24, True), (0.26, False)):
        monkeypatch.setattr(register, "_corner_movement", lambda *_, share=share: share * 200.0)  # of the diagonal
        if trusted:
            align(scene, scene, "translation")
        else:
            with pytest.raises(InputError, match="corners moved 52 px"):
                align(scene, scene, "translation")


def test_unrelated_images_are_refused():
    pytest.importorskip("cv2")
    noise = np.random.default_rng(5).random((2, 120, 160)).astype(np.float32)
    with pytest.raises(InputError, match="not trusted"):
        align(noise[0], noise[1], "translation")
    with pytest.raises(InputError, match="not trusted"):
        align(np.zeros((120, 160), np.float32), noise[1], "ecc")


def test_without_opencv_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UsageError, match=r"camfuse-jax\[align\]"):
        align(_scene(0), _scene(0), "translation")


def test_shift_has_its_sign():
    scene = _scene(1, (200, 260))
    shift = find_shift(scene[10:170, 20:220], scene[10:170, 26:226])
    assert (shift.rows, shift.cols) == (0, 6)
    assert find_shift(np.zeros((40, 40)), np.zeros((40, 40))).score == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("h.json", "[[1, 0, 5], [0, 1, 6], [0, 0, 1]]"),
        ("h.json", '{"homography": [[2, 0, 10], [0, 2, 12], [0, 0, 2]]}'),
        ("h.txt", "1 0 5\n0, 1, 6\n0 0 1\n"),
    ],
)
def test_calibration_files(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    np.testing.assert_array_equal(read_homography(tmp_path / name), [[1, 0, 5], [0, 1, 6], [0, 0, 1]])


@pytest.mark.parametrize("content", ["", "1 2 3", "0 0 0 0 0 0 0 0 0", "a b c d e f g h i", "1 0 0 0 1 0 0 0 nan"])
def test_wrong_calibrations_are_refused(tmp_path, content):
    for name in ("h.txt", "h.json"):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match="homography"):
            read_homography(tmp_path / name)


def test_a_mask_that_is_resized_counts_only_what_is_whole():
    mask = np.ones((8, 12), bool)
    mask[2, 5] = False
    expected = np.ones((4, 6), bool)
    expected[1, 2] = False
    np.testing.assert_array_equal(register.shrink_mask(mask, 6), expected)
    assert not register.resize_mask(mask, 4, 6)[1, 2]
    assert register.resize_mask(np.ones((8, 12), bool), 4, 6).all()
    half = np.zeros((8, 12), bool)
    half[:, :5] = True  # the third column of the result is half of it
    assert not register.resize_mask(half, 4, 6)[:, 2:].any()
    assert not register.warp_mask(half, np.array([[1, 0, 0.5], [0, 1, 0], [0, 0, 1]]), 8, 12)[:, 5].any()


def test_both_masks_must_hold():
    one, other = np.array([True, True, False, False]), np.array([True, False, True, False])
    np.testing.assert_array_equal(register.both(one, other), [True, False, False, False])
    assert register.both(one, None) is one
    assert register.both(None, other) is other
