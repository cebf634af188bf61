"""Every TIFF that Pillow or tifffile reads is read bit for bit, and what neither reads is refused with the cure."""

import lzma
import struct
import zlib

import hostile_images
import numpy as np
import pytest
import tifffile
from PIL import Image

from camfuse_jax.errors import InputError
from camfuse_jax.images import decode
from camfuse_jax.images.bounds import Limits
from camfuse_jax.images.read import picture_size, read_picture, tiff_frames

RNG = np.random.default_rng(0)
U16 = (21_000 + RNG.integers(0, 4000, (48, 64))).astype(np.uint16)
RGB16 = RNG.integers(0, 65536, (20, 30, 3)).astype(np.uint16)
F32 = RNG.normal(20, 5, (48, 64)).astype(np.float32)


def _read(path):
    picture = read_picture(path)
    assert picture_size(path) == picture.size
    return picture.samples


@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("codec", ["tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "packbits", "zstd", "lzma"])
def test_codecs_of_gray_16_bit(tmp_path, codec, predictor):
    if (codec, predictor) == ("packbits", 2):
        pytest.skip("libtiff writes the tag and no differences")
    Image.fromarray(U16).save(tmp_path / "a.tif", compression=codec, tiffinfo={317: predictor} if predictor > 1 else {})
    np.testing.assert_array_equal(_read(tmp_path / "a.tif"), U16)


@pytest.mark.parametrize("predictor", [1, 3])
@pytest.mark.parametrize("codec", ["tiff_lzw", "tiff_deflate", "zstd"])
def test_codecs_of_floats(tmp_path, codec, predictor):
    Image.fromarray(F32).save(tmp_path / "a.tif", compression=codec, tiffinfo={317: predictor} if predictor > 1 else {})
    np.testing.assert_array_equal(_read(tmp_path / "a.tif"), F32)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint32, np.float64, np.float16])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_other_types(tmp_path, dtype, compression):
    values = (F32 * 100).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, compression=compression)
    np.testing.assert_array_equal(_read(tmp_path / "a.tif"), values.astype(np.float32))


@pytest.mark.parametrize("options", [{"bigtiff": True}, {"byteorder": ">"}, {"tile": (16, 32)}, {"rowsperstrip": 5}])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("samples", [U16, RGB16, F32, RGB16.astype(np.uint8)])
def test_layouts(tmp_path, options, compression, samples):
    photometric = "rgb" if samples.ndim == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric=photometric, compression=compression, **options)
    np.testing.assert_array_equal(_read(tmp_path / "a.tif"), samples)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_planes_one_after_the_other(tmp_path, dtype, compression):
    planes = np.moveaxis(RGB16, -1, 0).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate", compression=compression)
    np.testing.assert_array_equal(_read(tmp_path / "a.tif"), RGB16.astype(dtype))


@pytest.mark.parametrize("channels", [3, 4])
def test_color_of_16_bits_keeps_both_bytes_where_only_pillow_has_the_codec(tmp_path, channels, monkeypatch):
    samples = RNG.integers(0, 65536, (20, 30, channels)).astype(np.uint16)
    extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", compression="zlib", **extra)

    def lacks_codec(*_):
        raise ValueError("no codec")

    monkeypatch.setattr(decode, "_by_tifffile", lacks_codec)
    picture = read_picture(tmp_path / "a.tif")
    np.testing.assert_array_equal(picture.samples, samples[..., :3])
    if channels == 4:
        np.testing.assert_array_equal(picture.alpha, samples[..., 3])


@pytest.mark.parametrize("first", [True, False])
def test_one_decoder_falls_back_on_the_other(tmp_path, monkeypatch, first):
    tifffile.imwrite(tmp_path / "a.tif", U16, compression=None if first else "zlib")

    def broken(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr(decode, "_by_tifffile" if first else "_by_pillow", broken)
    np.testing.assert_array_equal(_read(tmp_path / "a.tif"), U16)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("codec", ["raw", "tiff_deflate"])
def test_white_is_zero_is_inverted(tmp_path, dtype, codec):
    samples = U16.astype(dtype)
    Image.fromarray(samples).save(tmp_path / "a.tif", compression=codec, tiffinfo={262: 0})
    tifffile.imwrite(
        tmp_path / "b.tif", samples, photometric="miniswhite", compression="zlib" if codec != "raw" else None
    )
    np.testing.assert_array_equal(_read(tmp_path / "b.tif"), np.iinfo(dtype).max - samples)


def test_what_neither_reads_is_named_with_the_cure(tmp_path):
    (tmp_path / "a.tif").write_bytes(hostile_images.tiff(compression=34712))
    with pytest.raises(InputError, match=r"a\.tif cannot be decoded as TIFF: .*extra tiff") as caught:
        read_picture(tmp_path / "a.tif")
    assert "object at 0x" not in str(caught.value)


def test_a_bomb_behind_a_type_that_only_tifffile_reads(tmp_path):
    """Tifffile inflates a piece whole: what a piece makes is counted first."""
    pixels = zlib.compress(bytes(2**26))
    (tmp_path / "a.tif").write_bytes(hostile_images.tiff(pixels, bits=64, compression=8, extra=[(339, 3, 1, 3)]))
    with pytest.raises(InputError, match=r"a\.tif"):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("code", [8, 34925])
def test_a_piece_that_goes_on_after_its_rows_is_refused(tmp_path, code):
    content = (zlib if code == 8 else lzma).compress(U16.astype("<u2").tobytes() + bytes(2**24))
    (tmp_path / "a.tif").write_bytes(hostile_images.tiff(content, compression=code))
    with pytest.raises(InputError, match=r"a\.tif has a piece that inflates to more"):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("samples", [F32, (F32 * 100).astype(np.int16), (F32 * 100).astype(np.int32), U16, RGB16])
def test_the_other_byte_order_behind_a_codec_that_only_pillow_has(tmp_path, samples, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", samples, compression="zlib", byteorder=">")

    def lacks_codec(*_):
        raise ValueError("no codec")

    monkeypatch.setattr(decode, "_by_tifffile", lacks_codec)
    np.testing.assert_array_equal(_read(tmp_path / "a.tif"), samples)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (8, "CIELAB"),
        (9, "ICC Lab"),
        (10, "ITU Lab"),
        (32803, "color filter array"),
        (32845, "LogLuv"),
        (51177, "51177"),
    ],
)
def test_colors_of_other_kinds_are_refused_by_name(tmp_path, code, told):
    old, new = (struct.pack("<HHII", 262, 3, 1, value) for value in (1, code))
    (tmp_path / "a.tif").write_bytes(hostile_images.tiff().replace(old, new))
    for reader in (read_picture, picture_size):
        with pytest.raises(InputError, match=rf"a\.tif is a TIFF image .*{told}.*, which is not read\. Convert it to"):
            reader(tmp_path / "a.tif")


def test_what_pillow_alone_converts_is_not_taken_as_it_is_stored(tmp_path):
    inks = np.zeros((8, 9, 4), np.uint16)
    inks[..., 3] = 65535
    tifffile.imwrite(tmp_path / "a.tif", inks, photometric="separated")
    picture = read_picture(tmp_path / "a.tif")
    assert picture.samples.max() == 0
    assert "CMYK converted to RGB without its profile" in picture.notes
    colors = RNG.integers(0, 65536, (3, 65536), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "b.tif", U16, photometric="palette", colormap=colors)
    with pytest.raises(
        InputError, match=r"b\.tif cannot be decoded as TIFF: .*colors stored in a way .*or leave it out"
    ):
        read_picture(tmp_path / "b.tif")


def _pages(path, *pages, **options):
    with tifffile.TiffWriter(path, **options) as file:
        for samples, tags in pages:
            file.write(samples, **tags)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_mask_page_says_what_is_scene(tmp_path, compression):
    shown = np.ones(F32.shape, bool)
    shown[:20] = False
    mask = {"photometric": 4, "subfiletype": 4, "compression": compression}
    turned = [(274, "H", 1, 6, True)]
    _pages(tmp_path / "a.tif", (F32, {"extratags": turned}), (shown[::2], mask), (shown, mask))
    picture = read_picture(tmp_path / "a.tif")
    np.testing.assert_array_equal(picture.valid, np.rot90(shown, -1))
    assert picture.notes == ("stored as float32", "pixels without data are left out (its mask)")


def test_a_mask_that_cannot_be_read_is_spoken_of(tmp_path):
    shown = np.ones(F32.shape, bool)
    _pages(tmp_path / "a.tif", (F32, {}), (shown, {"photometric": 4, "subfiletype": 4, "compression": "zlib"}))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        at = file.pages[1].dataoffsets[0]
    content = (tmp_path / "a.tif").read_bytes()
    picture = read_picture(content[:at] + bytes(8) + content[at + 8 :], name="a.tif")
    assert picture.valid is None
    assert "its mask cannot be read and is not used" in picture.notes


def test_smaller_copies_are_no_pages(tmp_path):
    _pages(tmp_path / "a.tif", (U16, {}), (U16[::2, ::2], {"subfiletype": 1}), (U16[::4, ::4], {"subfiletype": 1}))
    picture = read_picture(tmp_path / "a.tif")
    np.testing.assert_array_equal(picture.samples, U16)
    assert not any("pages" in note for note in picture.notes)
    assert len(tiff_frames(tmp_path / "a.tif", Limits())) == 1


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}])
@pytest.mark.parametrize("inside", [True, False])
def test_behind_a_thumbnail_the_image_is_read(tmp_path, inside, options):
    thumbnail = {"subfiletype": 1, "metadata": None} | ({"subifds": 1} if inside else {})
    _pages(tmp_path / "a.tif", (U16[::4, ::4], thumbnail), (U16, {"metadata": None}), **options)
    np.testing.assert_array_equal(_read(tmp_path / "a.tif"), U16)
    _pages(tmp_path / "b.tif", (U16[::4, ::4], thumbnail), (U16, {"metadata": None, "photometric": 32803}), **options)
    with pytest.raises(InputError, match=r"b\.tif .*color filter array"):
        read_picture(tmp_path / "b.tif")


def test_more_codecs_are_advised_only_where_a_codec_is_the_reason(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", U16)
    content = (tmp_path / "a.tif").read_bytes()[:-1000]
    with pytest.raises(InputError, match=r"a\.tif is not a whole TIFF image: .*Replace the file") as caught:
        read_picture(content, name="a.tif")
    assert "codec" not in str(caught.value)


def test_a_fourth_channel_that_says_nothing_of_itself_is_no_alpha(tmp_path):
    layers = RNG.integers(0, 65536, (20, 30, 4)).astype(np.uint16)
    for kind, left_out in (("unspecified", True), ("assocalpha", False), ("unassalpha", False)):
        tifffile.imwrite(tmp_path / "a.tif", layers, photometric="rgb", extrasamples=[kind])
        picture = read_picture(tmp_path / "a.tif")
        np.testing.assert_array_equal(picture.samples, layers[..., :3])
        assert (picture.alpha is None) == left_out
        assert ("an extra channel without a meaning was left out" in picture.notes) == left_out


@pytest.mark.parametrize("kind", ["signed", "32 bits", "white is zero"])
def test_samples_that_only_pillow_decodes_keep_their_values(tmp_path, kind, monkeypatch):
    samples = {
        "signed": RNG.integers(-300, 300, (20, 30)).astype(np.int16),
        "32 bits": RNG.integers(2**31, 2**32, (20, 30)).astype(np.uint32),
        "white is zero": U16,
    }[kind]
    how = {"photometric": "miniswhite"} if kind == "white is zero" else {}
    tifffile.imwrite(tmp_path / "a.tif", samples, compression="zlib", **how)

    def lacks_codec(*_):
        raise ValueError("no codec")

    monkeypatch.setattr(decode, "_by_tifffile", lacks_codec)
    expected = 65535 - samples if how else samples.astype(np.float32)
    np.testing.assert_array_equal(_read(tmp_path / "a.tif"), expected)
