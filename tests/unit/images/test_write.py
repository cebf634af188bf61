"""Results on disk: whole or not at all, with their stamp, and refused where a format cannot hold them."""

import os

import numpy as np
import pytest
from PIL import Image

from camfuse_jax.errors import InputError, ResourceError, UsageError
from camfuse_jax.images.write import read_provenance, to_depth, write_picture

GRAY = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_stamp_is_read_back(tmp_path, suffix, dtype):
    if suffix == ".jpg" and dtype == np.uint16:
        pytest.skip("JPEG holds 8 bits")
    path = tmp_path / f"a{suffix}"
    write_picture(path, GRAY.astype(dtype), provenance="made of 12")
    assert read_provenance(path) == "made of 12"
    write_picture(path, GRAY.astype(dtype))
    assert read_provenance(path) is None
    path.write_bytes(b"something else")
    assert read_provenance(path) is None


def test_what_jpeg_cannot_hold_is_refused(tmp_path):
    for options in ({"samples": GRAY.astype(np.uint16)}, {"samples": GRAY, "alpha": GRAY}):
        with pytest.raises(UsageError, match="JPEG"):
            write_picture(tmp_path / "a.jpg", **options)
    with pytest.raises(UsageError, match="format"):
        write_picture(tmp_path / "a.gif", GRAY)
    with pytest.raises(InputError, match="8 or 16 bit"):
        write_picture(tmp_path / "a.png", GRAY.astype(np.float32))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write_picture(tmp_path / "a.png", GRAY)
    before = (tmp_path / "a.png").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ResourceError, match="No space left"):
        write_picture(tmp_path / "a.png", GRAY + 1)
    assert (tmp_path / "a.png").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_folder_or_a_file_in_the_way_is_a_resource_error(tmp_path):
    (tmp_path / "a.png").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "a.png", tmp_path / "file" / "b.png"):
        with pytest.raises(ResourceError, match=path.name):
            write_picture(path, GRAY)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "file"]


def test_depths_convert_there_and_back():
    assert to_depth(np.array([0, 255], np.uint8), np.dtype(np.uint16)).tolist() == [0, 65535]
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_depth(to_depth(levels, np.dtype(np.uint16)), np.dtype(np.uint8)), levels)


def test_png_of_8_bit_is_a_plain_png(tmp_path):
    write_picture(tmp_path / "a.png", np.stack([GRAY] * 3, -1))
    with Image.open(tmp_path / "a.png") as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
