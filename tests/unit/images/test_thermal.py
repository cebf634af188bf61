"""Temperatures inside radiometric JPEG files and in tables, and a word where they are not used."""

import importlib.util
import io
import json

import flir_files
import numpy as np
import pytest

from camfuse_jax.errors import InputError
from camfuse_jax.images import decode
from camfuse_jax.images.bounds import Limits
from camfuse_jax.images.ranges import parse_policy, unit_samples
from camfuse_jax.images.read import picture_size, read_picture

RAW = np.random.default_rng(0).integers(14_000, 17_000, (60, 80)).astype(np.uint16)
CELSIUS = np.linspace(-4, 36, 12 * 9).reshape(12, 9)


def test_raw_data_that_is_not_used_is_no_secret(monkeypatch):
    monkeypatch.setattr(decode, "is_readable", lambda maker: False)
    picture = read_picture(flir_files.radiometric_jpeg(RAW), name="x.jpg")
    assert picture.size == (48, 64)
    assert (
        "its FLIR raw data is not used, but the drawn picture; the extra radiometric reads temperatures"
        in picture.notes
    )
    dji = flir_files.hostile_images.jpeg()
    dji = dji[:2] + b"\xff\xe3\xff\xff" + bytes(65533) + b"\xff\xe3\xff\xff" + bytes(65533) + dji[2:]
    assert any("DJI" in note and "radiometric-dji" in note for note in read_picture(dji, name="x.jpg").notes)


@pytest.mark.skipif(importlib.util.find_spec("flyr") is None, reason="needs the extra radiometric")
def test_flir_raw_data_becomes_degrees_by_planck(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(flir_files.radiometric_jpeg(RAW))
    picture = read_picture(path)
    assert picture.size == picture_size(path) == RAW.shape
    assert picture.top is None
    np.testing.assert_allclose(picture.samples, flir_files.kelvin(RAW) - 273.15, atol=0.02)
    assert any("temperatures out of its FLIR raw data" in note for note in picture.notes)


@pytest.mark.skipif(importlib.util.find_spec("flyr") is None, reason="needs the extra radiometric")
def test_damaged_raw_data_leaves_the_drawn_picture_and_says_why():
    content = flir_files.radiometric_jpeg(RAW).replace(b"FFF\0", b"XXX\0")
    content = content[: content.index(b"XXX\0")] + content[content.index(b"XXX\0") :].replace(
        bytes([0, 32, 0, 1]), b"\0\0\0\0"
    )
    picture = read_picture(content, name="x.jpg")
    assert picture.size == (48, 64)
    assert any(note.startswith("its FLIR raw data is damaged or of an unknown kind") for note in picture.notes)


def test_an_extra_is_named_for_degrees_of_counts(monkeypatch):
    monkeypatch.setattr(decode, "is_readable", lambda maker: False)
    picture = read_picture(flir_files.radiometric_jpeg(RAW), name="x.jpg")
    with pytest.raises(InputError, match="extra radiometric"):
        unit_samples(picture, parse_policy("fixed:20C,37C", option="--ir-range"))


def _npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "array", [CELSIUS, CELSIUS.astype(np.float32), CELSIUS.astype(np.int16), np.asfortranarray(CELSIUS)]
)
def test_numpy_temperatures(tmp_path, array):
    (tmp_path / "a.npy").write_bytes(_npy(array))
    picture = read_picture(tmp_path / "a.npy")
    np.testing.assert_array_equal(picture.samples, array.astype(np.float32))
    assert (picture.bits, picture.top, picture_size(tmp_path / "a.npy")) == (32, None, (12, 9))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, ">u2"])
def test_numpy_counts_and_colors(dtype):
    array = np.random.default_rng(0).integers(0, 200, (6, 7, 3)).astype(dtype)
    picture = read_picture(_npy(array), name="a.npy")
    np.testing.assert_array_equal(picture.samples, array)
    assert picture.samples.dtype == np.dtype(dtype).newbyteorder("=")


def test_a_fourth_channel_of_floats_is_left_out_with_a_word():
    array = np.random.default_rng(0).random((6, 7, 4)).astype(np.float32)
    picture = read_picture(_npy(array), name="a.npy")
    np.testing.assert_array_equal(picture.samples, array[..., :3])
    assert picture.alpha is None
    assert "alpha that is not 8 or 16 bit was left out" in picture.notes


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(5),
        np.zeros((2, 3, 4, 5)),
        np.zeros((2, 3, 7)),
        np.array([[{}]]),
        np.array([["a"]]),
        np.zeros((3, 3), complex),
    ],
)
def test_other_arrays_are_refused_by_name(array):
    with pytest.raises(InputError, match=r"a\.npy"):
        read_picture(_npy(array), name="a.npy")


def test_a_shape_is_named_with_what_is_wanted():
    with pytest.raises(InputError, match=r"a\.npy has shape \(1, 12, 16\), .*\(height, width\), or"):
        read_picture(_npy(np.zeros((1, 12, 16))), name="a.npy")


def test_a_header_out_of_proportion_is_refused_in_our_words():
    content = _npy(CELSIUS)
    long = content[:8] + (60_000).to_bytes(2, "little") + content[10:-1].ljust(60_100)
    with pytest.raises(InputError, match=r"a\.npy is not a whole NumPy array: its header claims 60000 bytes") as caught:
        read_picture(long, name="a.npy")
    assert "pickle" not in str(caught.value)


def _text(separator, decimal=".", encoding="utf-8", head="", tail="", end=""):
    rows = (separator.join(f"{value:.3f}".replace(".", decimal) for value in row) + end for row in CELSIUS)
    return (head + "\r\n".join(rows) + tail).encode(encoding)


@pytest.mark.parametrize(
    "content",
    [
        _text(","),
        _text(";", ","),
        _text("\t", ","),
        _text("\t"),
        _text(" "),
        _text(", "),
        _text(";", ",", end=";"),
        _text(",", encoding="utf-16"),
        _text(";", ",", encoding="utf-8-sig", head="Emissivity;0,95 m\r\nFrame 1\r\n\r\n", tail="\r\nend of table\r\n"),
        _text('";"', ",").replace(b"\r\n", b'"\r\n"'),
    ],
)
def test_tables_as_programs_write_them(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    picture = read_picture(tmp_path / "a.csv")
    np.testing.assert_allclose(picture.samples, CELSIUS, atol=6e-4)


def test_an_empty_cell_is_no_temperature():
    picture = read_picture(b"1.5,2.5,3.5\n1,,2\n4,5,6\n", name="a.csv")
    assert np.argwhere(~picture.valid).tolist() == [[1, 1]]


@pytest.mark.parametrize("content", [b"ir,vis\na.png,b.png\n", b"1,2\n3\n", b"a\nb\n", b"1;2\n3;x\n4;5\n"])
def test_other_text_is_refused_by_name(content):
    with pytest.raises(InputError, match=r"a\.csv is not a table of numbers"):
        read_picture(content, name="a.csv")


def test_limits_hold_for_tables():
    for content, name in ((_npy(CELSIUS), "a.npy"), (_text(","), "a.csv")):
        with pytest.raises(InputError, match="9 x 12"):
            read_picture(content, Limits(max_pixels=100), name=name)


def test_a_large_table_is_read_apart(tmp_path):
    values = np.random.default_rng(0).normal(20, 4, (700, 1000)).astype(np.float32)
    content = "\n".join(",".join(f"{value:.3f}" for value in row) for row in values).encode()
    assert len(content) > 2**22
    np.testing.assert_allclose(read_picture(content, name="a.csv").samples, values, atol=6e-4)


def test_other_numbers_are_tables_only_where_they_are_numbers_alone():
    assert json.dumps([1, 2]) == "[1, 2]"
    with pytest.raises(InputError, match="is not an image that can be read, or is cut off"):
        read_picture(b"[1, 2]", name="a.png")
