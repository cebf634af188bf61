"""The small inputs of real users' faults give what is right for them; `tests/hostile_images.py` makes their like."""

import time

import numpy as np
import pytest
from PIL import Image

from camfuse_jax.errors import InputError
from camfuse_jax.images.ranges import RangePolicy, limits_of, parse_policy, range_misses
from camfuse_jax.images.read import picture_size, read_picture


def _limits(picture, policy=None):
    return limits_of(picture.samples, picture.top, picture.bits, policy or RangePolicy(), picture.valid)[:2]


@pytest.mark.parametrize("case", ["nodata_geotiff", "nodata_nan_black"])
def test_no_data_is_no_temperature(cases_root, case):
    picture = read_picture(cases_root / case / "ir.tif")
    low, high = _limits(picture)
    assert 0 < low < 5
    assert 15 < high < 17
    assert 0.1 < np.mean(~picture.valid) < 0.5
    assert any("without data" in note for note in picture.notes)


def test_codecs(cases_root):
    files = sorted((cases_root / "tiff_codecs" / "ir").iterdir())
    assert len(files) == 5
    for path in files:
        with Image.open(path) as image:
            np.testing.assert_array_equal(read_picture(path).samples, np.asarray(image))


@pytest.mark.parametrize(
    "name",
    [
        "tiff_ifd_loop/ir/b.tif",
        "tiff_memoryerror/ir/b.tif",
        "tiff_bomb/lzma_4G.tif",
        "scan_bomb/b.jpg",
        "ctrl_c/ir/b.jpg",
    ],
)
def test_hostile_files_are_refused_by_name_and_soon(cases_root, name):
    for reader in (read_picture, picture_size):
        begun = time.process_time()
        with pytest.raises(InputError, match=name.rsplit("/", 1)[1]):
            reader(cases_root / name)
        assert time.process_time() - begun < 2


def test_a_link_to_itself(cases_root):
    folder = cases_root / "symlink_loop" / "ir"
    if not (folder / "loop.png").is_symlink():
        pytest.skip("links were not laid")
    with pytest.raises(InputError, match=r"loop\.png"):
        read_picture(folder / "loop.png")


def test_a_white_border_is_left_out(cases_root):
    bordered = read_picture(cases_root / "white_border" / "bordered" / "ir" / "1.png")
    plain = read_picture(cases_root / "white_border" / "plain" / "ir" / "1.png")
    np.testing.assert_array_equal(bordered.samples[bordered.valid], plain.samples.ravel())


def test_a_fixed_range_that_misses_all(cases_root):
    picture = read_picture(cases_root / "fixed_range_misses" / "ir.png")
    with pytest.raises(InputError, match="Every pixel lies outside"):
        range_misses(picture, parse_policy("fixed:0,100", option="--ir-range"))


def test_raw_thermal_data_is_spoken_of(cases_root):
    notes = read_picture(cases_root / "radiometric_jpeg_silent" / "ir.jpg").notes
    assert any("FLIR raw data" in note for note in notes)


def test_real_names(cases_root):
    folder = cases_root / "other_format_named_png" / "ir"
    for name in ("webp.png", "avif.jpg", "jp2.jpg"):
        assert read_picture(folder / name).size == (48, 64)
    for name, kind in (("gif.png", "GIF"), ("five_bands.tif", "TIFF image of 5 channels")):
        with pytest.raises(InputError, match=kind) as caught:
            read_picture(folder / name)
        assert "object at" not in str(caught.value)


def test_kinds_that_were_passed_over(cases_root):
    folder = cases_root / "unread_kinds" / "ir"
    assert read_picture(folder / "1.npy").size == (48, 64)
    assert read_picture(folder / "2.csv").samples.tolist() == [[pytest.approx(20.1), pytest.approx(20.2)]]
    assert read_picture(folder / "4.webp").size == (48, 64)
    for name, kind in (("3.seq", "FLIR sequence"), ("5.heic", "HEIC")):
        with pytest.raises(InputError, match=kind):
            read_picture(folder / name)


def test_mixed_depths_are_each_told(cases_root):
    depths = [read_picture(path).bits for path in sorted((cases_root / "mixed_depth_series" / "ir").iterdir())]
    assert depths == [14, 8, 14, 8]
