"""What a file says beside its pixels goes with the result: date, place, profile; not what no longer holds."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from camfuse_jax.images.picture import GeoTag, Metadata
from camfuse_jax.images.read import read_picture
from camfuse_jax.images.write import picture_bytes, write_picture

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
GEO = (
    GeoTag(33550, 12, 3, (0.5, 0.5, 0.0)),
    GeoTag(33922, 12, 6, (0.0, 0.0, 0.0, 448_000.0, 5_412_000.0, 0.0)),
    GeoTag(34264, 12, 16, tuple(float(i) for i in range(16))),
    GeoTag(34735, 3, 8, (1, 1, 0, 1, 1024, 0, 1, 1)),
    GeoTag(34737, 2, 9, "WGS 84 |"),
)


def _exif(orientation=1):
    exif = Image.Exif()
    exif[271], exif[272], exif[306], exif[274] = "FLIR", "T640", "2024:05:01 10:20:30", orientation
    exif[305], exif[315], exif[33432] = "firmware", "A. Nyone", "2024 A. Nyone"
    inner, place = exif.get_ifd(34665), exif.get_ifd(34853)
    inner[36867], inner[33434], inner[37500] = "2024:05:01 10:20:30", 0.004, b"maker's own" * 20
    place[1], place[2], place[3], place[4] = "N", (52.0, 31.0, 12.5), "E", (13.0, 24.0, 3.25)
    return exif


def _file(kind, orientation=1):
    if kind == "TIFF":  # Pillow writes a TIFF without the inner directories
        return picture_bytes(RGB, kind="TIFF", metadata=Metadata(_exif().tobytes()))
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, kind, exif=_exif(orientation), quality=95)
    return buffer.getvalue()


def _told(exif):
    block = Image.Exif()
    block.load(exif)
    return dict(block), block.get_ifd(34665), block.get_ifd(34853)


@pytest.mark.parametrize("out", ["PNG", "JPEG", "TIFF", "PNG16", "TIFF16"])
@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_date_camera_and_place_are_kept(source, out):
    metadata = read_picture(_file(source, orientation=6), name="x").metadata
    samples = RGB.astype(np.uint16) * 257 if "16" in out else RGB
    content = picture_bytes(samples, kind=out.removesuffix("16"), metadata=metadata, provenance="made of x")
    main, inner, place = _told(read_picture(content, name="y").metadata.exif)
    assert (main[271], main[272], main[306]) == ("FLIR", "T640", "2024:05:01 10:20:30")
    assert (main[315], main[33432]) == ("A. Nyone", "2024 A. Nyone")
    assert inner[36867] == "2024:05:01 10:20:30"
    assert float(inner[33434]) == pytest.approx(0.004)
    assert (place[1], place[3]) == ("N", "E")
    assert [float(part) for part in place[2]] == [52.0, 31.0, 12.5]
    with Image.open(io.BytesIO(content)) as image:
        assert image.getexif().get(274, 1) == 1  # the pixels have been turned
        assert image.getexif().get_ifd(34853)[4] == (13.0, 24.0, 3.25)
        assert 37500 not in image.getexif().get_ifd(34665)


def test_geotiff_tags_are_kept_with_the_pixels(tmp_path):
    counts = np.random.default_rng(0).integers(0, 65536, (16, 18)).astype(np.uint16)
    tags = [(tag.code, tag.kind, 0 if tag.kind == 2 else tag.count, tag.value, True) for tag in GEO]
    tifffile.imwrite(tmp_path / "a.tif", counts, extratags=tags)
    picture = read_picture(tmp_path / "a.tif")
    assert {tag.code: tag.value for tag in picture.metadata.geo} == {tag.code: tag.value for tag in GEO}
    write_picture(tmp_path / "b.tif", counts, metadata=picture.metadata, provenance="made of x")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        page = file.pages[0]
        assert {tag.code: page.tags[tag.code].value for tag in GEO} == {tag.code: tag.value for tag in GEO}
        assert page.geotiff_tags["GTModelTypeGeoKey"] == 1
        codes = [tag.code for tag in page.tags]
        assert codes == sorted(codes)


def test_all_of_it_in_one_tiff_with_alpha():
    exif = read_picture(_file("JPEG"), name="x").metadata.exif
    content = picture_bytes(RGB, kind="TIFF", alpha=RGB[..., 0], icc=b"profile" * 9, metadata=Metadata(exif, GEO))
    picture = read_picture(content, name="y")
    np.testing.assert_array_equal(picture.samples, RGB)
    np.testing.assert_array_equal(picture.alpha, RGB[..., 0])
    assert picture.icc == b"profile" * 9
    assert len(picture.metadata.geo) == len(GEO)
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        codes = [tag.code for tag in file.pages[0].tags]
    assert codes == sorted(codes)
    assert _told(picture.metadata.exif)[2][1] == "N"


def test_damaged_exif_is_left_out_with_a_word():
    content = _file("PNG")
    at = content.index(b"eXIf") + 4
    damaged = content[: at + 10] + b"\xff" * 12 + content[at + 22 :]
    import zlib

    length = int.from_bytes(content[at - 8 : at - 4], "big")
    damaged = (
        damaged[: at + length]
        + zlib.crc32(damaged[at - 4 : at + length]).to_bytes(4, "big")
        + damaged[at + length + 4 :]
    )
    picture = read_picture(damaged, name="x")
    np.testing.assert_array_equal(picture.samples, RGB)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_a_color_profile_is_embedded_and_read_back(kind):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    content = picture_bytes(RGB, kind=kind, icc=profile)
    assert read_picture(content, name="x").icc == profile
    with Image.open(io.BytesIO(content)) as image:
        assert image.info["icc_profile"] == profile
    assert read_picture(picture_bytes(RGB, kind=kind), name="x").icc is None


def test_a_profile_of_inks_is_not_kept_for_the_colors_they_become():
    buffer = io.BytesIO()
    Image.fromarray(RGB).convert("CMYK").save(buffer, "JPEG", icc_profile=b"of inks" * 9)
    picture = read_picture(buffer.getvalue(), name="x")
    assert (picture.icc, picture.is_color) == (None, True)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png8", "png16", "tif8", "tif16"])
def test_alpha_is_turned_with_its_picture(tmp_path, kind, orientation):
    dtype = np.uint16 if "16" in kind else np.uint8
    layers = np.random.default_rng(0).integers(0, 256, (6, 9, 4)).astype(dtype)
    path = tmp_path / f"a.{kind[:3]}"
    if "tif" in kind:
        tags = [(274, "H", 1, orientation, True)]
        tifffile.imwrite(path, layers, photometric="rgb", extrasamples=["unassalpha"], extratags=tags)
    else:
        exif = Image.Exif()
        exif[274] = orientation
        metadata = Metadata(exif.tobytes())
        path.write_bytes(picture_bytes(layers[..., :3], alpha=layers[..., 3], metadata=metadata))
    turns = {
        1: 0,
        2: 0,
        3: 2,
        4: 2,
        5: 3,
        6: 3,
        7: 1,
        8: 1,
    }  # quarters to the left, of the flipped layers for 2, 4, 5, 7
    flipped = layers[:, ::-1] if orientation in (2, 4) else layers[::-1] if orientation in (5, 7) else layers
    expected = np.rot90(flipped, turns[orientation])
    picture = read_picture(path)
    np.testing.assert_array_equal(picture.samples, expected[..., :3])
    np.testing.assert_array_equal(picture.alpha, expected[..., 3])


def test_the_digest_is_of_the_bytes_that_were_read(tmp_path):
    import hashlib

    content = _file("PNG")
    (tmp_path / "a.png").write_bytes(content)
    assert (
        read_picture(tmp_path / "a.png").sha256
        == read_picture(content, name="x").sha256
        == hashlib.sha256(content).hexdigest()
    )
