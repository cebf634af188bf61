"""What the page shows of a pair: the result of each balance, maps that are of the image they are named for, words."""

import base64
import io
import json
import re
import time

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from served import fuse, get, send, served
from small_nets import small_params

from camfuse_jax.config import FusionConfig
from camfuse_jax.data.synthetic import synthetic_pair
from camfuse_jax.errors import InputError
from camfuse_jax.fusion.fuse import explain
from camfuse_jax.fusion.params import balanced, with_look
from camfuse_jax.images.picture import Metadata
from camfuse_jax.images.read import read_picture
from camfuse_jax.images.write import picture_bytes
from camfuse_jax.pair.fuse import fuse_frame, to_levels
from camfuse_jax.pair.swapped import Swap
from camfuse_jax.report import pictures
from camfuse_jax.report.pictures import provenance
from camfuse_jax.serve import response
from camfuse_jax.serve.app import make_app
from camfuse_jax.serve.request import Bounds
from camfuse_jax.serve.response import page_words, warm_targets

HEIGHT, WIDTH = 41, 53
PARAMS = small_params()


@pytest.fixture(scope="module")
def sources():
    ir, vis = synthetic_pair(3, HEIGHT, WIDTH)
    return ir, np.stack([vis, vis // 2 + 60, 255 - vis], -1)


@pytest.fixture(scope="module")
def port():
    with served(make_app(PARAMS, bounds=Bounds(kept_bytes=1, kept_seconds=60))) as port:
        yield port


def picture(content):
    return read_picture(content, name="reply")


def shown(uri):
    """Samples of an image of a `data:` URI."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_both_sources_come_back_as_they_are_fused(port, sources):
    status, described = send(port, *map(picture_bytes, sources), fields=(("ir_polarity", "black"),))
    assert status == 200
    assert described["size"] == [WIDTH, HEIGHT]
    assert (described["bits"], described["color"], described["alpha"]) == (8, True, False)
    np.testing.assert_array_equal(shown(described["ir"])[..., 0], 255 - sources[0])
    np.testing.assert_array_equal(shown(described["vis"]), sources[1])


def test_preview_is_the_result_of_its_balance_and_even_is_the_default(port, sources):
    token = send(port, *map(picture_bytes, sources))[1]["token"]
    images = [(image / 255).astype(np.float32) for image in sources]
    results = []
    for gains in ({}, {"ir_gain": 8.0}, {"vis_gain": 8.0}):
        preview, result = (get(port, token, kind, **gains) for kind in ("preview", "result"))
        assert preview[0] == result[0] == 200
        results.append(picture(result[1]).samples)
        np.testing.assert_array_equal(results[-1], to_levels(fuse_frame(balanced(PARAMS, **gains), *images), 8))
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(preview[1])).convert("RGB")), results[-1])
    assert all(np.abs(results[0].astype(int) - other).max() > 3 for other in results[1:])


def test_color_is_natural_unless_a_look_is_asked_for(sources):
    params = small_params(fusion=FusionConfig())
    images = [(image / 255).astype(np.float32) for image in sources]
    natural, contrast = (to_levels(fuse_frame(with_look(params, look), *images), 8) for look in (0, 1))
    pair = tuple(map(picture_bytes, sources))
    with served(make_app(params, bounds=Bounds(kept_bytes=1, kept_seconds=60))) as port:
        described = send(port, *pair)[1]
        assert described["natural"]
        for asked, expected in (({}, natural), ({"look": 0.0}, natural), ({"look": 1.0}, contrast)):
            result = picture(get(port, described["token"], "result", **asked)[1]).samples
            np.testing.assert_allclose(result.astype(int), expected, atol=1)
        assert not send(port, *pair, fields=(("gray", "1"),))[1]["natural"]
        assert not send(port, pair[0], pair[0])[1]["natural"]
    assert np.abs(natural.astype(int) - contrast).max() > 4


def test_profile_and_metadata_of_the_visible_image_stay(port, sources):
    exif = Image.Exif()
    exif[272] = "T640"
    vis = picture_bytes(sources[1], icc=b"profile" * 9, metadata=Metadata(exif.tobytes()))
    described, content = fuse(port, picture_bytes(sources[0]), vis)
    result, block = picture(content), Image.Exif()
    block.load(result.metadata.exif)
    assert (result.icc, block[272]) == (b"profile" * 9, "T640")
    preview = get(port, described["token"], "preview")[1]
    shown_vis = base64.b64decode(described["vis"].partition(",")[2])
    for image in (preview, shown_vis):
        assert Image.open(io.BytesIO(image)).info["icc_profile"] == b"profile" * 9


def test_where_the_infrared_image_shows_nothing_the_visible_one_stays(port, sources):
    celsius = sources[0].astype(np.float32)
    celsius[:10] = np.nan
    table = io.BytesIO()
    np.save(table, celsius)
    result = picture(fuse(port, table.getvalue(), picture_bytes(sources[1]))[1]).samples
    deep = sources[1].astype(np.uint16) * 257  # as the infrared table is deep, so is the result
    np.testing.assert_array_equal(result[:10], deep[:10])
    assert (result[10:] != deep[10:]).any()


def test_grayscale_is_asked_for(port, sources):
    pair = tuple(map(picture_bytes, sources))
    described, result = fuse(port, *pair, fields=(("gray", "1"),))
    assert not described["color"]
    assert picture(result).samples.shape == (HEIGHT, WIDTH)
    assert picture(fuse(port, *pair, fields=(("gray", "0"),))[1]).samples.shape == (HEIGHT, WIDTH, 3)


def test_each_map_is_of_the_image_and_class_that_it_is_named_for(port, sources):
    ir, vis = sources[0], sources[1][..., 0]
    token = send(port, picture_bytes(ir), picture_bytes(vis))[1]["token"]
    maps = json.loads(get(port, token, "maps")[1])
    explained = explain(PARAMS, *(image.astype(np.float32) / 255 for image in (ir, vis)))
    expected = [pictures.heat_uri(np.asarray(heat[0])) for heat in (explained.ir_cam, explained.vis_cam)]
    assert expected[0] != expected[1]
    for image, heat, one in zip((ir, vis), expected, maps["classes"], strict=True):
        np.testing.assert_allclose(shown(one["layer"]).astype(int), shown(heat).astype(int), atol=6)
        assert one["base"] == pictures.small_uri(image)
    assert isinstance(maps["swapped"], bool)
    assert "<svg" in maps["channels"]


def test_warm_things_of_the_infrared_image_are_outlined(port):
    ir, vis = np.full((2, 96, 128), 60, np.uint8)
    ir[20:32, 20:32] = vis[60:72, 90:102] = 250
    token = send(port, picture_bytes(ir), picture_bytes(vis))[1]["token"]
    rows, cols = np.nonzero(shown(json.loads(get(port, token, "maps")[1])["origin"]["warm"])[..., 3])
    assert (rows.mean(), cols.mean()) == pytest.approx((25.5, 25.5), abs=2)


def test_the_channels_are_those_of_the_balance(port, sources):
    token = send(port, *map(picture_bytes, sources))[1]["token"]
    favored = []
    for gains in ({"vis_gain": 8}, {}, {"ir_gain": 8}):
        told = json.loads(get(port, token, "maps", **gains)[1])["channels"]
        favored.append(int(re.search(r"(\d+) of \d+ channels give infrared the larger one", told)[1]))
    assert favored[0] < favored[2]
    assert favored == sorted(favored)


def test_statistics_count_where_colors_say_nothing(port, sources, monkeypatch):
    monkeypatch.setattr(response, "swap_evidence", lambda certain, ready: Swap(certain, 9.0))
    colors = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    for vis, swapped in ((sources[1][..., 0], True), (colors, False)):
        token = send(port, picture_bytes(sources[0]), picture_bytes(vis))[1]["token"]
        assert json.loads(get(port, token, "maps")[1])["swapped"] is swapped


def test_the_origin_map_follows_the_balance(port, sources):
    ir, vis = sources[0], sources[1][..., 0]
    token = send(port, picture_bytes(ir), picture_bytes(vis))[1]["token"]
    for gains in ({"ir_gain": 8}, {"vis_gain": 8}):
        fused = picture(get(port, token, "result", **gains)[1]).samples
        maps = json.loads(get(port, token, "maps", **gains)[1])
        measured = provenance(ir, vis, fused)
        assert maps["origin"]["layer"] == pictures.share_uri(measured.share, measured.certainty)
        assert maps["origin"]["base"] == pictures.small_uri(fused)
        mean = (measured.share * measured.certainty).sum() / measured.certainty.sum()
        assert maps["origin"]["infrared"] == pytest.approx(mean)


def test_a_pair_of_infrared_twice_comes_from_infrared():
    """Share, base and warm outline belong together: what follows infrared is orange and counted as infrared."""
    noise = np.random.default_rng(0).integers(0, 255, (2, 64, 64), np.uint8)
    measured = provenance(noise[0], noise[1], noise[0])
    layer = shown(pictures.share_uri(measured.share, measured.certainty))
    red, blue = (float(layer[..., channel].mean()) for channel in (0, 2))
    assert red > blue


def test_warm_targets_are_outlined_and_noise_is_not():
    ir = np.random.default_rng(0).normal(0.3, 0.02, (240, 320)).astype(np.float32)
    assert not warm_targets(ir).any()
    ir[100:130, 200:212] += 0.4
    found = warm_targets(ir)
    assert found[103:127, 203:209].all()
    assert not found[:, :180].any()


def test_the_page_can_ask_again_only_while_the_pair_is_kept(port, sources):
    pair = tuple(map(picture_bytes, sources))
    first = send(port, *pair)[1]["token"]
    assert get(port, first, "preview")[0] == 200
    second = send(port, *pair)[1]["token"]  # two do not fit into one byte; the newest stays
    assert get(port, first, "preview")[0] == 410
    assert get(port, second, "preview")[0] == 200
    assert get(port, "x" * 32, "maps")[0] == 410
    assert get(port, second, "thumbnail")[0] == 404


def test_what_was_asked_for_last_stays(sources):
    pair = tuple(map(picture_bytes, sources))
    with served(make_app(PARAMS, bounds=Bounds(kept_bytes=150_000))) as port:  # two of 70,000
        tokens = [send(port, *pair)[1]["token"] for _ in range(2)]
        assert get(port, tokens[0], "preview")[0] == 200
        assert send(port, *pair)[0] == 200
        assert [get(port, token, "preview")[0] for token in tokens] == [200, 410]


def test_a_pair_that_nobody_asks_for_is_forgotten(sources):
    with served(make_app(PARAMS, bounds=Bounds(kept_seconds=0.3))) as port:
        token = send(port, *map(picture_bytes, sources))[1]["token"]
        time.sleep(0.6)
        assert get(port, token, "preview")[0] == 410


def test_a_shifted_pair_is_called_misaligned(port):
    noise = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(240, 332)), 2.0)
    scene = np.clip(128 + 400 * noise, 0, 255).astype(np.uint8)
    straight, moved = picture_bytes(scene[:, 12:]), picture_bytes(scene[:, :-12])
    described = send(port, moved, straight)[1]
    assert "12 px right" in described["misaligned"]
    assert described["notes"] == []  # it is said once
    assert send(port, straight, straight)[1]["misaligned"] is None


def test_colors_in_the_infrared_image_alone_say_that_the_two_are_swapped(port, sources):
    colors = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    for pair, swapped in (((colors, sources[0]), True), ((sources[0], colors), False)):
        described = send(port, *map(picture_bytes, pair))[1]
        assert described["swapped"] is swapped
        assert json.loads(get(port, described["token"], "maps")[1])["swapped"] is swapped


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (InputError("ir has 9 x 9 pixels but vis has 8 x 8.", "Give --fit ir or --fit vis, or a --calibration."),
         "The infrared image has 9 x 9 pixels but the visible one has 8 x 8. "
         "Choose a size at Different sizes, under Settings."),
        (InputError("a.png has too many pixels.", "Raise --max-megapixels."),
         "a.png has too many pixels. Use a smaller image."),
        (InputError("a.png is empty (0 bytes).", "Save it again."), "a.png is empty (0 bytes). Save it again."),
        ("ir: may be black-hot; not inverted (--ir-polarity black does)",
         "Infrared: may be black-hot; not inverted. To invert it, choose black at Infrared shows hot as, "
         "under Settings."),
        (InputError("x--fit.png is empty.", "Save it again."), "x--fit.png is empty. Save it again."),
        ("14 bit in a 16-bit file", "14 bit in a 16-bit file."),
    ],
)  # fmt: skip
def test_messages_are_in_the_pages_words(said, words):
    assert page_words(said) == words
