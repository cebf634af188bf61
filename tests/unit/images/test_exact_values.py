"""Values that a small wrong change alters: luma weights, bands, rounding, and what a file keeps."""

import io

import matplotlib
import numpy as np
import pytest
from PIL import Image

from camfuse_jax.images.color import luma_unit, scalar_as, scalar_from_rgb
from camfuse_jax.images.picture import Metadata
from camfuse_jax.images.ranges import scale_to_unit
from camfuse_jax.images.write import picture_bytes, to_depth, write_picture

RNG = np.random.default_rng(0)
EXIF = Image.Exif()
EXIF[271] = "a camera"


def test_luma_is_that_of_bt601():
    primaries = np.eye(3)[None]
    np.testing.assert_allclose(luma_unit(primaries)[0], [0.299, 0.587, 0.114], rtol=1e-12)


def test_large_images_are_scaled_band_by_band_like_small_ones():
    samples = RNG.integers(0, 4000, (1100, 1000), dtype=np.uint16)
    expected = np.clip((samples.astype(np.float64) - 100) / 3000, 0, 1).astype(np.float32)
    np.testing.assert_array_equal(scale_to_unit(samples, 100, 3100), expected)


def test_gray_that_jpeg_has_tinted_is_gray():
    gray = np.repeat(RNG.uniform(0.2, 0.8, (40, 50, 1)), 3, axis=2)
    tinted = gray + RNG.uniform(-1 / 510, 1 / 510, gray.shape)
    assert scalar_from_rgb(tinted).how == "equal channels"


def test_a_later_frame_is_read_as_the_first_one_was():
    values = np.linspace(0, 1, 256).reshape(16, 16)
    colored = matplotlib.colormaps["inferno"](values)[..., :3]
    np.testing.assert_allclose(scalar_as(colored, "inferno"), values, atol=1 / 255)
    np.testing.assert_allclose(scalar_as(colored, "luma"), luma_unit(colored), atol=1e-6)


def test_sixteen_bits_are_rounded_to_eight():
    samples = np.array([0, 128, 129, 65535 - 128, 65535], np.uint16)
    assert to_depth(samples, np.uint8).tolist() == [0, 0, 1, 255, 255]


def test_eight_bit_png_keeps_profile_and_exif():
    metadata = Metadata(exif=EXIF.tobytes())
    content = picture_bytes(np.zeros((4, 5), np.uint8), icc=b"a profile", metadata=metadata)
    with Image.open(io.BytesIO(content)) as image:
        assert image.info["icc_profile"] == b"a profile"
        assert image.getexif()[271] == "a camera"


def test_jpeg_is_of_high_quality_under_both_endings(tmp_path):
    samples = RNG.integers(0, 256, (64, 64), dtype=np.uint8)
    for ending in ("jpg", "jpeg"):
        write_picture(tmp_path / f"a.{ending}", samples)
        with Image.open(tmp_path / f"a.{ending}") as image:
            assert image.format == "JPEG"
            assert np.abs(np.asarray(image).astype(int) - samples).mean() < 3  # noise, the worst case


def test_exclusive_never_replaces_a_file(tmp_path):
    (tmp_path / "a.png").write_text("a user's")
    with pytest.raises(FileExistsError):
        write_picture(tmp_path / "a.png", np.zeros((4, 5), np.uint8), exclusive=True)
    assert (tmp_path / "a.png").read_text() == "a user's"
    write_picture(tmp_path / "a.png", np.zeros((4, 5), np.uint8))
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
