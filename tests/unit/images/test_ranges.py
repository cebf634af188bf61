"""Range policies: read from text, monotone whatever the data, and automatic where nothing is said."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.images.picture import Picture, depth
from camfuse_jax.images.ranges import RangePolicy, limits_of, parse_policy, range_misses, scale_to_unit, unit_samples

POLICIES = ["auto", "full", "minmax", "percentile", "percentile:5,60", "fixed:100,30000"]


def _picture(samples):
    bits, top, notes = depth(samples)
    return Picture(samples, bits, top, notes=notes)


@given(arrays.arrays(np.uint16, st.tuples(st.integers(1, 6), st.integers(1, 6))), st.sampled_from(POLICIES))
def test_every_policy_is_monotone_and_in_range(samples, text):
    unit, _ = unit_samples(_picture(samples), parse_policy(text, option="--ir-range"))
    assert unit.dtype == np.float32
    assert np.isfinite(unit).all()
    assert unit.min() >= 0
    assert unit.max() <= 1
    order = np.argsort(samples, axis=None, kind="stable")
    assert np.all(np.diff(unit.ravel()[order]) >= 0)


@given(arrays.arrays(np.float32, (4, 4), elements=st.floats(-1e6, 1e6, width=32)), st.sampled_from(POLICIES))
def test_floats_too(samples, text):
    unit, _ = unit_samples(_picture(samples), parse_policy(text, option="--ir-range"))
    order = np.argsort(samples, axis=None, kind="stable")
    assert np.all(np.diff(unit.ravel()[order]) >= 0)
    assert np.isfinite(unit).all()


def test_limits_are_what_they_say():
    samples = np.arange(1001, dtype=np.uint16)
    for text, limits in (
        ("full", (0, 1023)),
        ("minmax", (0, 1000)),
        ("percentile:10,90", (100, 900)),
        ("fixed:-5,7.5", (-5, 7.5)),
    ):
        assert limits_of(samples, 1023, 10, parse_policy(text, option="x"))[:2] == pytest.approx(limits)
    np.testing.assert_allclose(scale_to_unit(samples, 100, 900)[[0, 100, 500, 900, 1000]], [0, 0, 0.5, 1, 1])


def test_automatic_choice():
    auto = RangePolicy()
    full = np.linspace(0, 65535, 500).astype(np.uint16)
    narrow = np.linspace(29000, 31001, 500).astype(np.uint16)
    assert "full" in limits_of(np.arange(256, dtype=np.uint8), 255, 8, auto)[2]
    assert "full" in limits_of(full, 65535, 16, auto)[2]
    low, high, how = limits_of(narrow, 65535, 16, auto)
    assert "percentiles" in how
    assert 29000 < low < 29100
    assert 30900 < high < 31001
    degrees = np.linspace(-10, 40, 500).astype(np.float32)
    assert "percentiles" in limits_of(degrees, None, 32, auto)[2]
    assert "full" in limits_of(np.linspace(0, 1, 50, dtype=np.float32), None, 32, auto)[2]


@pytest.mark.parametrize(("highest", "white"), [(0.9, 1), (200.0, 255), (4000.0, 65535)])
def test_full_scale_of_floats(highest, white):
    samples = np.linspace(0, highest, 40, dtype=np.float32)
    assert limits_of(samples, None, 32, RangePolicy("full"))[:2] == (0, white)
    assert limits_of(samples - 5, None, 32, RangePolicy("full"))[:2] == pytest.approx((-5, highest - 5))


def test_constant_and_nearly_constant_images():
    for text in POLICIES:
        unit, _ = unit_samples(_picture(np.full((3, 3), 9000, np.uint16)), parse_policy(text, option="x"))
        assert np.ptp(unit) == 0
    lamp = np.full(1000, 9000, np.uint16)
    lamp[0] = 9900  # within the percentiles all is alike: the one lamp must not vanish
    assert unit_samples(_picture(lamp.reshape(20, 50)), parse_policy("percentile", option="x"))[0].max() == 1


def test_8_bit_data_in_a_16_bit_file_is_read_as_8_bit():
    samples = np.arange(256, dtype=np.uint16).reshape(16, 16)
    unit, _ = unit_samples(_picture(samples), RangePolicy("full"))
    np.testing.assert_allclose(unit, samples / 255, atol=1e-7)


WRONG = ["best", "fixed", "fixed:3", "fixed:5,5", "percentile:-1,50", "percentile:9,101", "full:1,2", "fixed:a,b", ""]


@pytest.mark.parametrize("text", [*WRONG, "fixed:0,inf"])
def test_wrong_policies_are_refused(text):
    with pytest.raises(UsageError, match="--ir-range"):
        parse_policy(text, option="--ir-range")


def test_the_usual_percentiles_and_the_share_that_fills_a_scale():
    samples = np.arange(20_001, dtype=np.uint16)
    assert limits_of(samples, 65535, 16, parse_policy("percentile", option="x"))[:2] == (100, 19_900)
    assert limits_of(samples, 65535, 16, RangePolicy())[:2] == (100, 19_900)
    for highest, kind in ((33_500, "full"), (32_500, "percentile")):  # 99 % of it is 50.6 and 49.1 % of the scale
        spread = np.linspace(0, highest, 5001).astype(np.uint16)
        assert kind in limits_of(spread, 65535, 16, RangePolicy())[2]
    dark = np.linspace(0, 30, 500).astype(np.uint8)
    assert limits_of(dark, 255, 8, RangePolicy())[:2] == (0, 255)  # 8-bit images are never stretched by themselves
    assert limits_of(dark.astype(np.uint16) * 4, 1020, 10, RangePolicy())[1] < 130


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("fixed:20C,37C", 20, 37),
        ("fixed:-5c,4.5c", -5, 4.5),
        ("fixed:273.15K,373.15K", 0, 100),
        ("fixed:32F,212F", 0, 100),
    ],
)
def test_degrees(text, low, high):
    policy = parse_policy(text, option="--ir-range")
    assert (policy.kind, policy.degrees) == ("fixed", True)
    assert (policy.low, policy.high) == pytest.approx((low, high))
    assert not parse_policy("fixed:20,37", option="x").degrees


def test_degrees_are_celsius_or_where_only_that_fits_kelvin():
    celsius, policy = np.linspace(15, 40, 100, dtype=np.float32), parse_policy("fixed:20C,37C", option="x")
    assert limits_of(celsius, None, 32, policy) == (20, 37, "fixed")
    low, high, how = limits_of(celsius + 273.15, None, 32, policy)
    assert (low, high) == pytest.approx((293.15, 310.15))
    assert "kelvin" in how
    with pytest.raises(InputError, match="needs temperatures"):
        limits_of(np.arange(300, dtype=np.uint16), 16383, 14, policy)


def test_a_fixed_range_that_misses_is_told_with_its_share():
    picture = _picture(np.arange(1000, dtype=np.uint16).reshape(20, 50) + 2000)
    assert range_misses(picture, parse_policy("fixed:2000,3000", option="x")) == ""
    assert range_misses(picture, RangePolicy("percentile", 10, 90)) == ""
    note = range_misses(picture, parse_policy("fixed:2250,2899", option="x"))
    assert note == "35.0% of the pixels lie outside 2250 to 2899 (25.0% below, 10.0% above)"
    for text in ("fixed:0,100", "fixed:5000,6000"):
        with pytest.raises(InputError, match=r"Every pixel lies outside .* 2000 to 2999"):
            range_misses(picture, parse_policy(text, option="x"))
    # Found for a whole video: a frame may leave it.
    assert range_misses(picture, RangePolicy("constant", 0, 100)) == ""


def test_pixels_without_data_count_neither_as_lowest_nor_as_missed():
    samples = np.arange(1000, dtype=np.float32).reshape(20, 50)
    valid = samples >= 500
    picture = Picture(np.where(valid, samples, -9999), 32, None, valid=valid)
    for text, expected in (
        ("minmax", (500, 999)),
        ("percentile:0,100", (500, 999)),
        ("percentile:50,100", (749.5, 999)),
    ):
        policy = parse_policy(text, option="x")
        assert limits_of(picture.samples, None, 32, policy, valid)[:2] == pytest.approx(expected)
    assert unit_samples(picture, RangePolicy("minmax"))[0][valid].min() == 0
    assert range_misses(picture, parse_policy("fixed:500,1000", option="x")) == ""


WRONG_DEGREES = ["fixed:20C,37", "fixed:20,37C", "fixed:20C,300K", "fixed:37C,20C", "percentile:1C,9C", "fixed:C,C"]


@pytest.mark.parametrize("text", WRONG_DEGREES)
def test_degrees_on_both_ends_or_on_none(text):
    with pytest.raises(UsageError, match="--ir-range"):
        parse_policy(text, option="--ir-range")
