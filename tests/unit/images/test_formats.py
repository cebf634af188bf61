"""A file is what its content says, and what is not read is called by its real name."""

import io

import numpy as np
import pytest
from PIL import Image

from camfuse_jax.errors import InputError
from camfuse_jax.images.bounds import Limits, kind_of
from camfuse_jax.images.read import READABLE_SUFFIXES, picture_size, read_gray, read_picture

RGB = np.random.default_rng(0).integers(0, 256, (24, 36, 3), dtype=np.uint8)


def _encoded(kind, image=RGB, **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


LOSSLESS = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}, "JPEG2000": {}}


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a"])
@pytest.mark.parametrize("kind", LOSSLESS)
def test_webp_avif_and_jpeg_2000_are_read_under_any_name(tmp_path, kind, name):
    (tmp_path / name).write_bytes(_encoded(kind, **LOSSLESS[kind]))
    picture = read_picture(tmp_path / name)
    assert picture.size == picture_size(tmp_path / name) == (24, 36)
    assert np.abs(picture.samples.astype(int) - RGB).max() <= (4 if kind == "AVIF" else 0)


def test_jpeg_2000_of_16_bits_and_webp_with_alpha_and_profile():
    deep = np.arange(24 * 36, dtype=np.uint16).reshape(24, 36) * 70
    np.testing.assert_array_equal(read_picture(_encoded("JPEG2000", deep), name="x").samples, deep)
    rgba = np.dstack([RGB, RGB[..., 0]])
    picture = read_picture(_encoded("WEBP", rgba, lossless=True, exact=True, icc_profile=b"profile" * 9), name="x")
    np.testing.assert_array_equal(picture.alpha, RGB[..., 0])
    assert picture.icc == b"profile" * 9


@pytest.mark.parametrize("kind", LOSSLESS)
def test_what_is_decoded_apart_keeps_the_limits_and_fails_by_name(tmp_path, kind):
    content = _encoded(kind, **LOSSLESS[kind])
    with pytest.raises(InputError, match="36 x 24"):
        read_picture(content, Limits(max_pixels=800), name="x.webp")
    for kept in (0.3, 0.7):
        with pytest.raises(InputError, match=r"x\.webp"):
            read_picture(content[: int(len(content) * kept)], name="x.webp")
    assert read_picture(content, name="x.webp").size == (24, 36)


def test_of_an_animation_the_first_frame_is_used():
    buffer = io.BytesIO()
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB), Image.fromarray(RGB // 2)]
    for kind in ("WEBP", "PNG"):
        frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], lossless=True)
        picture = read_picture(buffer.getvalue(), name="x")
        np.testing.assert_array_equal(picture.samples, RGB)
        assert picture.notes == ("3 pages or frames; the first is used",)
        buffer = io.BytesIO()


NAMES = {
    "GIF": _encoded("GIF"),
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50),
    "HEIC ": b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf" + bytes(50),
    "OpenEXR": b"\x76\x2f\x31\x01" + bytes(50),
    "FLIR sequence": b"FFF\0" + bytes(50),
    "JPEG XL": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50),
    "MP4 video": b"\0\0\0\x18ftypisom\0\0\0\0isomiso2" + bytes(50),
    "Matroska video": b"\x1aE\xdf\xa3" + bytes(50),
    "PDF": b"%PDF-1.7\n" + bytes(50),
    "ZIP archive": b"PK\x03\x04" + bytes(50),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(50),
    "Photoshop": b"8BPS" + bytes(50),
    "Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "web page": b"<!DOCTYPE html><html>not found</html>",
}


@pytest.mark.parametrize("kind", NAMES)
def test_other_formats_are_called_by_their_name(tmp_path, kind):
    path = tmp_path / "a.png"
    path.write_bytes(NAMES[kind])
    for reader in (read_picture, picture_size, read_gray):
        with pytest.raises(InputError, match=rf"a\.png is an? {kind.strip()}.*, which is not read") as caught:
            reader(path)
        assert caught.value.remedy
        assert " at 0x" not in str(caught.value)


def test_a_long_file_of_another_format_is_not_read_whole(tmp_path):
    with (tmp_path / "a.png").open("wb") as file:
        file.write(b"FFF\0")
        file.truncate(900_000_000)
    with pytest.raises(InputError, match="FLIR sequence"):
        read_picture(tmp_path / "a.png")


def test_five_bands_are_counted(tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "a.png", np.zeros((8, 9, 5), np.uint8), photometric="minisblack", planarconfig="contig")
    with pytest.raises(InputError, match=r"a\.png is a TIFF image of 5 channels"):
        read_picture(tmp_path / "a.png")


def test_a_link_to_itself_and_a_pipe_are_errors_of_that_file(tmp_path):
    import os

    (tmp_path / "loop.png").symlink_to("loop.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to("nothing.png")
    for name in ("loop.png", "pipe.png", "gone.png"):
        for reader in (read_picture, picture_size):
            with pytest.raises(InputError, match=name):
                reader(tmp_path / name)


def test_endings_of_what_is_read():
    assert {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".avif", ".jp2"} <= READABLE_SUFFIXES
    assert kind_of(b"", "a.png") == ""
    assert kind_of(b"20.1 20.2\n", "a.png") == "table"
