"""Files of every accepted kind read as the gray levels they mean, and damaged ones are refused by name."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from camfuse_jax.errors import InputError, ResourceError
from camfuse_jax.images import read
from camfuse_jax.images.bounds import Limits
from camfuse_jax.images.picture import luma
from camfuse_jax.images.read import picture_size, read_gray
from camfuse_jax.images.write import write_picture


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (5, 7), dtype=np.uint8)


@pytest.fixture
def rgb():
    return np.random.default_rng(1).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def _expected_luma(rgb):
    red, green, blue = np.moveaxis(rgb.astype(np.float64), -1, 0)
    return np.rint(0.299 * red + 0.587 * green + 0.114 * blue).astype(np.uint8)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_gray_8_bit_is_unchanged(tmp_path, pixels, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels).save(path)
    read = read_gray(path)
    assert read.dtype == np.uint8
    assert np.array_equal(read, pixels)
    assert picture_size(path) == (5, 7)


def test_gray_jpeg_is_pillows_plane(tmp_path, pixels):
    path = tmp_path / "a.jpg"
    Image.fromarray(pixels).save(path)
    with Image.open(path) as image:
        assert np.array_equal(read_gray(path), np.asarray(image))


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_rgb_becomes_luma(tmp_path, rgb, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(rgb).save(path)
    assert np.array_equal(read_gray(path), _expected_luma(rgb))


def test_every_equal_triple_is_its_own_luma():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(luma(np.repeat(levels[..., None], 3, axis=-1)), levels)


def test_luma_of_primaries():
    primaries = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert luma(primaries).tolist() == [[76, 150, 29]]


def test_infrared_stored_as_rgb_equals_its_channel(tmp_path, pixels):
    Image.fromarray(np.stack([pixels] * 3, axis=-1)).save(tmp_path / "a.png")
    assert np.array_equal(read_gray(tmp_path / "a.png"), pixels)


def test_alpha_is_dropped_without_blending(tmp_path, rgb, pixels):
    alpha = np.zeros((*rgb.shape[:2], 1), np.uint8)
    Image.fromarray(np.concatenate([rgb, alpha], axis=-1)).save(tmp_path / "rgba.png")
    assert np.array_equal(read_gray(tmp_path / "rgba.png"), _expected_luma(rgb))
    Image.fromarray(np.stack([pixels, np.zeros_like(pixels)], axis=-1)).save(tmp_path / "la.png")
    assert np.array_equal(read_gray(tmp_path / "la.png"), pixels)


@pytest.mark.parametrize("transparency", [None, 3])
def test_palette_reads_its_colors_not_its_indices(tmp_path, rgb, transparency):
    colors = rgb.reshape(-1, 3)[:16]
    indices = np.arange(16, dtype=np.uint8).reshape(4, 4)
    image = Image.fromarray(indices).convert("P")
    image.putpalette(colors.ravel().tolist())
    options = {} if transparency is None else {"transparency": transparency}
    image.save(tmp_path / "p.png", **options)
    with Image.open(tmp_path / "p.png") as stored:
        assert stored.mode == "P"
    assert np.array_equal(read_gray(tmp_path / "p.png"), _expected_luma(colors.reshape(4, 4, 3)))


def test_one_bit_becomes_0_and_255(tmp_path):
    bits = np.array([[True, False, True], [False, False, True]])
    Image.fromarray(bits).save(tmp_path / "b.png")
    assert read_gray(tmp_path / "b.png").tolist() == [[255, 0, 255], [0, 0, 255]]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_is_divided_by_257(tmp_path, suffix):
    wide = np.array([[0, 128, 129, 257], [32767, 32768, 65406, 65535]], np.uint16)
    Image.fromarray(wide).save(tmp_path / f"w.{suffix}")
    assert read_gray(tmp_path / f"w.{suffix}").tolist() == [[0, 0, 1, 1], [127, 128, 254, 255]]


def test_color_of_16_bits_has_the_luma_of_its_8_bits(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    rgb[0, 0] = 255
    for name, samples in (("8.png", rgb), ("16.png", rgb.astype(np.uint16) * 257)):
        write_picture(tmp_path / name, samples)
    np.testing.assert_array_equal(read_gray(tmp_path / "16.png"), read_gray(tmp_path / "8.png"))


_UPRIGHT = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).T,
    8: np.rot90,
}


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("orientation", list(_UPRIGHT))
def test_exif_orientation(tmp_path, pixels, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels).save(path, exif=exif)
    expected = _UPRIGHT[orientation](pixels)
    assert np.array_equal(read_gray(path), expected)
    assert picture_size(path) == expected.shape


def test_unknown_orientation_is_ignored(tmp_path, pixels):
    exif = Image.Exif()
    exif[0x0112] = 77
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_gray(tmp_path / "a.png"), pixels)


def test_content_decides_not_the_name(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.jpg", format="PNG")
    assert np.array_equal(read_gray(tmp_path / "a.jpg"), pixels)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_samples_without_a_gray_level_are_refused(tmp_path, mode):
    Image.new(mode, (4, 4)).save(tmp_path / "m.tif")
    with pytest.raises(InputError, match=r"m\.tif holds more than 16 bits or floats"):
        read_gray(tmp_path / "m.tif")


def test_inks_become_the_luma_of_their_rgb(tmp_path):
    inks = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8), "CMYK")
    inks.save(tmp_path / "m.tif")
    assert np.array_equal(read_gray(tmp_path / "m.tif"), _expected_luma(np.asarray(inks.convert("RGB"))))


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
@pytest.mark.parametrize("kept", [0.1, 0.6, 0.9])
def test_truncated_file_is_refused(tmp_path, suffix, kept):
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(InputError, match=rf"cut\.{suffix}"):
        read_gray(path)


def test_empty_absent_folder_and_text_are_refused(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not an image")
    reasons = {"empty.png": "0 bytes", "no.png": "not exist", "": "folder", "text.png": "not an image that can"}
    for name, reason in reasons.items():
        for reader in (read_gray, picture_size):
            with pytest.raises(InputError, match=reason) as caught:
                reader(tmp_path / name)
            assert str(tmp_path / name) in str(caught.value)


def test_pixel_cap_is_checked_before_decoding(tmp_path, pixels, monkeypatch):
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    monkeypatch.setattr(read, "_decode", lambda *_: pytest.fail("decoded"))
    for reader in (read_gray, picture_size):
        with pytest.raises(InputError, match="7 x 5"):
            reader(path, Limits(max_pixels=34))


def test_a_bomb_is_refused(tmp_path):
    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 9) + b"IDAT" + bytes(13))
    with pytest.raises(InputError, match="megapixels"):
        read_gray(tmp_path / "bomb.png")


def test_write_then_read(tmp_path, pixels):
    path = tmp_path / "new" / "folder" / "a.png"
    write_picture(path, pixels)
    assert np.array_equal(read_gray(path), pixels)
    write_picture(path, 255 - pixels)
    assert np.array_equal(read_gray(path), 255 - pixels)
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    "bad",
    [np.zeros((2, 2), np.float32), np.zeros((1, 2, 2), np.uint8), np.zeros((0, 2), np.uint8)],
)
def test_write_refuses_other_arrays(tmp_path, bad):
    with pytest.raises(InputError, match="is not an 8 or 16 bit image"):
        write_picture(tmp_path / "a.png", bad)
    assert not list(tmp_path.iterdir())


def test_write_over_a_folder_or_below_a_file_is_a_resource_error(tmp_path, pixels):
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    for path in (tmp_path / "file" / "a.png", tmp_path / "folder.png"):
        with pytest.raises(ResourceError) as caught:
            write_picture(path, pixels)
        assert str(path) in str(caught.value)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder.png"]


def test_a_full_disk_leaves_the_old_file(tmp_path, pixels, monkeypatch):
    path = tmp_path / "a.png"
    write_picture(path, pixels)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match="No space left"):
        write_picture(path, 255 - pixels)
    assert np.array_equal(read_gray(path), pixels)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_content_in_memory_decodes_as_the_file(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / "a.jpg")
    assert np.array_equal(read_gray((tmp_path / "a.jpg").read_bytes(), name="a"), read_gray(tmp_path / "a.jpg"))
    for data, reason in ((b"", "0 bytes"), (b"no image", "is not an image that can be read")):
        with pytest.raises(InputError, match=rf"record 7 .*{reason}"):
            read_gray(data, name="record 7")
