"""Files read at their own depth, with alpha, profile and orientation, and what is noticed about them."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from camfuse_jax.errors import InputError
from camfuse_jax.images.bounds import Limits
from camfuse_jax.images.read import picture_size, read_picture
from camfuse_jax.images.write import write_picture

PROFILE = b"a profile" * 20


def _random(shape, dtype):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)], ids=["gray", "rgb"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_what_is_written_is_read_bit_for_bit(tmp_path, suffix, shape, dtype, alpha):
    samples = _random(shape, dtype)
    opacity = _random(shape[:2], dtype) if alpha else None
    write_picture(tmp_path / f"a{suffix}", samples, alpha=opacity, icc=PROFILE)
    read = read_picture(tmp_path / f"a{suffix}")
    assert read.samples.dtype == dtype
    np.testing.assert_array_equal(read.samples, samples)
    assert (read.alpha is None) == (opacity is None)
    if alpha:
        np.testing.assert_array_equal(read.alpha, opacity)
    assert read.icc == PROFILE
    assert read.bits == 8 * np.dtype(dtype).itemsize
    assert picture_size(tmp_path / f"a{suffix}") == (5, 7)


def test_16_bit_color_png_agrees_with_opencv(tmp_path):
    cv2 = pytest.importorskip("cv2")
    samples = _random((9, 11, 3), np.uint16)
    write_picture(tmp_path / "ours.png", samples)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "ours.png"), cv2.IMREAD_UNCHANGED)[..., ::-1], samples)
    cv2.imwrite(str(tmp_path / "theirs.png"), np.ascontiguousarray(samples[..., ::-1]))
    np.testing.assert_array_equal(read_picture(tmp_path / "theirs.png").samples, samples)


@pytest.mark.parametrize(
    ("values", "bits", "top"),
    [
        ([0, 200], 8, 255),
        ([0, 256], 10, 1023),
        ([0, 1023], 10, 1023),
        ([3000, 4095], 12, 4095),
        ([7000, 9001], 14, 16383),
        ([0, 51400], 8, 65535),
        ([16, 65520], 12, 65520),
        ([1, 40000], 16, 65535),
        ([0, 0], 16, 65535),
    ],
)
def test_depth_of_16_bit_files(tmp_path, values, bits, top):
    write_picture(tmp_path / "a.png", np.array([values], np.uint16))
    read = read_picture(tmp_path / "a.png")
    assert (read.bits, read.top) == (bits, top)
    assert (bits == 16) == (read.notes == ())


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.int32, np.uint32])
def test_radiometric_tiff_keeps_its_values(tmp_path, dtype):
    values = np.array([[-300, 12], [25, 4000]]).clip(0 if np.dtype(dtype).kind == "u" else None).astype(dtype)
    tifffile.imwrite(tmp_path / "t.tif", values)
    read = read_picture(tmp_path / "t.tif")
    assert read.samples.dtype == np.float32
    np.testing.assert_array_equal(read.samples, values.astype(np.float32))
    assert (read.bits, read.top) == (32, None)
    assert np.dtype(dtype).name in read.notes[0]


def test_values_that_are_not_finite_become_the_lowest(tmp_path):
    tifffile.imwrite(tmp_path / "t.tif", np.array([[np.nan, 2.0], [np.inf, 5.0]], np.float32))
    read = read_picture(tmp_path / "t.tif")
    assert read.samples.tolist() == [[2, 2], [2, 5]]
    assert read.valid.tolist() == [[False, True], [False, True]]
    assert "pixels without data are left out (not finite)" in read.notes
    tifffile.imwrite(tmp_path / "t.tif", np.full((2, 2), np.nan, np.float32))
    with pytest.raises(InputError, match="no pixel that shows something"):
        read_picture(tmp_path / "t.tif")


@pytest.mark.parametrize("kind", ["png8", "png16", "tif8", "tif16", "jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(tmp_path, kind, orientation):
    upright = np.zeros((6, 10), np.uint16 if "16" in kind else np.uint8)
    upright[:2, :3] = np.iinfo(upright.dtype).max  # a bright corner, top left
    turns = {1: 0, 2: 0, 3: 2, 4: 0, 5: 0, 6: 1, 7: 0, 8: 3}
    stored = np.rot90(upright, turns[orientation])
    stored = {2: np.fliplr, 4: np.flipud, 5: np.transpose, 7: lambda a: np.rot90(a, 2).T}.get(orientation, lambda a: a)(
        stored
    )
    path = tmp_path / f"a.{kind[:3]}"
    if kind == "tif16":
        tifffile.imwrite(path, stored, extratags=[(274, "H", 1, orientation, True)])
    else:
        image = Image.fromarray(np.ascontiguousarray(stored))
        image.getexif()[274] = orientation
        image.save(path, exif=image.getexif())
    read = read_picture(path)
    assert picture_size(path) == read.size == (6, 10)
    assert np.mean(np.abs(read.samples.astype(float) - upright)) < 0.05 * upright.max()


def test_palette_transparency_pages_and_one_bit(tmp_path):
    indices = np.arange(16, dtype=np.uint8).reshape(4, 4)
    palette = Image.fromarray(indices).convert("P")
    colors = _random((16, 3), np.uint8)
    palette.putpalette(colors.ravel().tolist())
    palette.save(tmp_path / "p.png", transparency=3)
    read = read_picture(tmp_path / "p.png")
    np.testing.assert_array_equal(read.samples, colors.reshape(4, 4, 3))
    assert read.alpha.ravel().tolist() == [0 if i == 3 else 255 for i in range(16)]
    palette.putpalette(np.repeat(np.arange(16), 3).astype(np.uint8).tobytes())
    palette.save(tmp_path / "g.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "g.png").samples, indices)
    Image.fromarray(indices > 7).save(tmp_path / "b.png")
    assert set(np.unique(read_picture(tmp_path / "b.png").samples)) == {0, 255}
    tifffile.imwrite(tmp_path / "m.tif", _random((3, 4, 5), np.uint16), photometric="minisblack")
    assert "3 pages" in read_picture(tmp_path / "m.tif").notes[0]


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_limits_are_checked_from_the_header(tmp_path, kind):
    write_picture(tmp_path / f"a.{kind}", _random((5, 7), np.uint16))
    for limits, told in ((Limits(max_pixels=34), "7 x 5"), (Limits(max_bytes=20), "MB are read")):
        with pytest.raises(InputError, match=told):
            read_picture(tmp_path / f"a.{kind}", limits)
    assert read_picture(tmp_path / f"a.{kind}", Limits(max_pixels=35)).size == (5, 7)


def test_limits_can_be_raised_above_pillows_own(tmp_path, monkeypatch):
    Image.fromarray(_random((20, 20), np.uint8)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow itself would refuse this file
    assert read_picture(tmp_path / "a.png", Limits(max_pixels=400)).size == (20, 20)
    assert Image.MAX_IMAGE_PIXELS == 100
