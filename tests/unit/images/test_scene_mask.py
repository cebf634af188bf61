"""What is no scene is left out: nodata values, NaN, fill values and constant frames; what is scene is not."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import ndimage

from camfuse_jax.images.picture import scene_mask
from camfuse_jax.images.ranges import RangePolicy, limits_of, unit_samples
from camfuse_jax.images.read import read_gray, read_picture
from camfuse_jax.images.write import write_picture


def _scene(shape=(60, 80), low=20, high=230, seed=0):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 3)
    unit = (noise - noise.min()) / np.ptp(noise)
    return np.rint(low + unit * (high - low))


def _celsius():
    return (_scene() / 10 - 5).astype(np.float32)


@pytest.mark.parametrize(
    ("text", "value"), [("-9999", -9999), ("nan", np.nan), ("-3.4028234663852886e+38", None), ("0", 0)]
)
def test_a_declared_nodata_value_is_left_out_of_the_range(tmp_path, text, value):
    samples = _celsius()
    samples[:10] = np.finfo(np.float32).min if value is None else value
    tifffile.imwrite(tmp_path / "a.tif", samples, extratags=[(42113, "s", 0, text, True)])
    picture = read_picture(tmp_path / "a.tif")
    assert not picture.valid[:10].any()
    assert picture.valid[10:].sum() >= picture.valid[10:].size - np.sum(samples[10:] == 0)
    low, high, _ = limits_of(picture.samples, picture.top, picture.bits, RangePolicy("minmax"), picture.valid)
    shown = samples[10:][picture.valid[10:]]
    assert (low, high) == pytest.approx((shown.min(), shown.max()))
    assert np.ptp(unit_samples(picture, RangePolicy())[0][10:]) > 0.9


def test_integers_too_and_with_an_orientation(tmp_path):
    samples = (28_000 + _scene() * 4).astype(np.uint16)
    samples[:7, :9] = 31_000
    options = {"extratags": [(42113, "s", 0, "31000", True), (274, "H", 1, 6, True)]}
    tifffile.imwrite(tmp_path / "a.tif", samples, **options)
    picture = read_picture(tmp_path / "a.tif")
    assert picture.size == picture.valid.shape == (80, 60)
    assert np.array_equal(picture.valid, np.rot90(samples != 31_000, -1))
    assert "pixels without data are left out (nodata value 31000)" in picture.notes


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [
        (np.uint16, 0),
        (np.uint16, 65535),
        (np.int16, -32768),
        (np.int16, 32767),
        (np.float32, -9999),
        (np.float32, 1e35),
    ],
)
def test_fill_values_at_the_types_end_need_no_declaration(tmp_path, dtype, fill):
    samples = (
        (29_000 + _scene() * 4 + _scene() % 3).astype(dtype) if dtype == np.uint16 else (_scene() - 100).astype(dtype)
    )
    samples[20:30, 5:50] = fill
    tifffile.imwrite(tmp_path / "a.tif", samples)
    picture = read_picture(tmp_path / "a.tif")
    assert np.array_equal(~picture.valid, samples == np.array(fill, dtype))
    assert picture.bits == (16 if dtype == np.uint16 else 32)
    assert any("fill value" in note for note in picture.notes)


def test_kelvin_with_zeros_and_counts_of_14_bits_with_a_16_bit_fill(tmp_path):
    kelvin = (_celsius() + 273.15).astype(np.float32)
    kelvin[:, :6] = 0
    assert np.array_equal(~scene_mask(kelvin)[0], kelvin == 0)
    counts = (7000 + _scene() * 8).astype(np.uint16)
    counts[:5] = 65535
    tifffile.imwrite(tmp_path / "a.tif", counts)
    picture = read_picture(tmp_path / "a.tif")
    assert (picture.bits, picture.top) == (14, 16383)


def test_a_hot_spot_dead_pixels_and_a_full_range_are_scene():
    counts = (29_000 + _scene() * 4).astype(np.uint16)
    counts[5, 5] = 65535
    counts[7, 7:12] = 0
    assert scene_mask(counts) == (None, ())
    assert scene_mask(np.linspace(0, 65535, 4800).astype(np.uint16).reshape(60, 80)) == (None, ())
    assert scene_mask(_celsius() - _celsius().min()) == (None, ())  # 0 degrees among degrees
    assert scene_mask(np.zeros((60, 80), np.uint16)) == (None, ())
    assert scene_mask((_scene() > 120).astype(np.uint16) * 65535) == (None, ())


@pytest.mark.parametrize("value", [0, 255, 128])
@pytest.mark.parametrize("sides", ["all", "bars", "left", "turned"])
def test_a_constant_border_is_no_scene(value, sides):
    inner = _scene((90, 120)).astype(np.uint8)
    inner[abs(inner.astype(int) - value) <= 8] ^= 32
    framed, mask = np.full((110, 150), value, np.uint8), np.zeros((110, 150), bool)
    if sides == "turned":
        angle = np.deg2rad(7)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        source = _scene((110, 150)).clip(140, 250)
        framed = ndimage.affine_transform(source, turn, (7, -5), order=0, cval=value if value != 255 else 0).astype(
            np.uint8
        )
        mask = ndimage.affine_transform(np.ones((110, 150)), turn, (7, -5), order=0) > 0
    else:
        area = {"all": np.s_[10:100, 15:135], "bars": np.s_[10:100, :], "left": np.s_[:, 15:]}[sides]
        mask[area] = True
        framed[area] = np.resize(inner, mask[area].shape)
    found, notes = scene_mask(framed)
    assert notes == ("pixels without data are left out (constant to the edge)",)
    assert np.mean(found != mask) < 0.01


def test_a_frame_in_color_and_as_jpeg(tmp_path):
    rgb = np.stack([_scene((90, 120)) + shift for shift in (0, 8, -8)], -1).astype(np.uint8)
    framed = np.pad(rgb, ((16, 16), (24, 24), (0, 0)), constant_values=255)
    Image.fromarray(framed).save(tmp_path / "a.jpg", quality=90)
    picture = read_picture(tmp_path / "a.jpg")
    inside = np.zeros(framed.shape[:2], bool)
    inside[16:-16, 24:-24] = True
    assert picture.valid[inside].mean() > 0.99
    assert picture.valid[~inside].mean() < 0.05


def test_single_pixels_that_differ_do_not_hide_a_frame():
    samples = np.full((120, 160), 252, np.uint8)
    samples[20:100, 30:140] = _scene((80, 110))
    samples[[3, 50, 110], [80, 10, 150]] = 200  # as JPEG leaves beside a slanted edge
    valid, _ = scene_mask(samples)
    assert not valid[:20].any() and not valid[:, :30].any() and valid[30:90, 40:130].all()


def test_a_saturated_sky_a_dark_corner_and_a_plain_background_are_scene():
    sky = _scene().astype(np.uint8)
    skyline = 12 + ndimage.gaussian_filter(np.random.default_rng(1).normal(size=80), 2) * 9
    sky[np.arange(60)[:, None] < skyline] = 255
    corner = _scene().astype(np.uint8)
    corner[np.hypot(*np.mgrid[:60, :80]) < 25] = 0
    lamp = np.zeros((60, 80), np.uint8)
    lamp[20:40, 30:50] = 200  # a quarter of the picture and more has to be scene
    for picture in (sky, corner, lamp, np.full((60, 80), 7, np.uint8)):
        assert scene_mask(picture) == (None, ())


def test_no_photograph_of_the_lists_is_taken_for_framed(data_root):
    framed = {
        path.stem
        for folder in ("roadscene/ir", "roadscene/vis", "tno/ir", "tno/vis", "others/ir", "others/vis")
        for path in sorted((data_root / folder).iterdir())[:60]
        if read_picture(path).valid is not None
    }
    assert framed == {"M3FD_00000", "VIFB_labMan", "VIFB_walking"}  # the corners of a warp, a frame, and both


def test_gray_levels_keep_what_is_stored(tmp_path):
    framed = np.pad(_scene().astype(np.uint8), 8)
    Image.fromarray(framed).save(tmp_path / "a.png")
    assert np.array_equal(read_gray(tmp_path / "a.png"), framed)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_alpha_hides_is_no_scene(tmp_path, dtype):
    samples = np.stack([_scene()] * 3, -1).astype(dtype)
    alpha = np.full(samples.shape[:2], np.iinfo(dtype).max, dtype)
    alpha[:20, :30] = 0
    alpha[30:, 40:] //= 2
    write_picture(tmp_path / "a.png", samples, alpha=alpha)
    picture = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.valid, alpha > 0)
    assert "pixels without data are left out (transparent)" in picture.notes
    write_picture(tmp_path / "b.png", samples, alpha=0 * alpha)  # nothing would be left: a broken channel
    assert read_picture(tmp_path / "b.png").valid is None
