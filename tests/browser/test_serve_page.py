"""The page of `camfuse serve` as people use it: dropped or chosen files, views, sliders, download, errors by name."""

import base64
import io
from importlib import resources

import numpy as np
import pytest
from PIL import Image
from served import served
from small_nets import small_params

from camfuse_jax.config import FusionConfig
from camfuse_jax.data.synthetic import synthetic_pair
from camfuse_jax.images.bounds import Limits
from camfuse_jax.images.read import read_picture
from camfuse_jax.images.write import picture_bytes
from camfuse_jax.pair.fuse import fuse_frame, to_levels
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.pair.prepare import prepare_pair
from camfuse_jax.serve.app import make_app
from camfuse_jax.serve.request import Bounds

HEIGHT, WIDTH = 60, 80
MAX_BYTES = 200_000


def _sources():
    ir, vis = synthetic_pair(3, HEIGHT, WIDTH)
    deep = np.stack([vis, vis // 2 + 60, 255 - vis], -1).astype(np.uint16) * 257 + 1
    return picture_bytes(ir // 4), picture_bytes(deep)  # a dark infrared image, to tell sides of the slider apart


IR, VIS = _sources()


@pytest.fixture(scope="module")
def port():
    bounds = Bounds(Limits(20_000, MAX_BYTES), MAX_BYTES)
    with served(make_app(small_params(), weights="my weights.safetensors", bounds=bounds)) as port:
        yield port


@pytest.fixture
def opened(browser, port):
    """Opens the page; at the end there must have been no message, no error, and no request to anywhere else."""
    contexts, messages, asked, addresses = [], [], [], set()

    def open_page(*, width=1280, height=900, at=port, **settings):
        context = browser.new_context(viewport={"width": width, "height": height}, **settings)
        contexts.append(context)
        tab = context.new_page()
        # A refused file is a reply of 400 and more, which Chromium also writes to its console.
        tab.on(
            "console", lambda message: messages.append(message.text) if "with a status of" not in message.text else None
        )
        tab.on("pageerror", lambda error: messages.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        addresses.add(f"http://127.0.0.1:{at}/")
        tab.goto(f"http://127.0.0.1:{at}/")
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert messages == []
    assert {url.partition(":")[0] for url in asked if not url.startswith(tuple(addresses))} <= {"data", "blob"}


def drop(tab, where, *files):
    """Drops files, given as name and content, on an element."""
    content = [[name, base64.b64encode(data).decode()] for name, data in files]
    script = """(files) => { const transfer = new DataTransfer();
        for (const [name, text] of files)
            transfer.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
        return transfer; }"""
    transfer = tab.evaluate_handle(script, content)
    for event in ("dragenter", "dragover", "drop"):
        tab.dispatch_event(where, event, {"dataTransfer": transfer})


def fused(tab):
    """Waits until there is a result with its maps."""
    tab.locator("#status", has_text="Fused in").wait_for(timeout=120_000)
    assert tab.locator("#result").is_visible()
    tab.wait_for_function("() => document.getElementById('channels').innerHTML && !document.querySelector('.stale')")


def choose(tab, ir=("thermal.png", IR), vis=("photo.png", VIS)):
    for kind, (name, content) in (("ir", ir), ("vis", vis)):
        tab.set_input_files(f"#{kind}", {"name": name, "mimeType": "image/png", "buffer": content})


def test_from_drop_to_download(opened, tmp_path):
    tab = opened()
    drop(tab, "[data-tile=ir]", ("thermal.png", IR))
    assert tab.locator("#status").text_content() == "Now the visible image."
    drop(tab, "[data-tile=vis]", ("my photo.png", VIS))
    fused(tab)
    with tab.expect_download() as waiting:
        tab.locator("#download").click()
    assert waiting.value.suggested_filename == "my photo_fused.png"
    waiting.value.save_as(tmp_path / "f.png")
    result = read_picture(tmp_path / "f.png")
    assert result.samples.dtype == np.uint16
    ready = prepare_pair(*(read_picture(content, name="x") for content in (IR, VIS)), FrameSettings())
    expected = to_levels(fuse_frame(small_params(), ready.ir_unit, ready.vis_unit), 16)
    np.testing.assert_array_equal(result.samples, expected)
    assert tab.locator("#depth").text_content() == "16 bits, color"
    assert tab.evaluate("() => scrollY + innerHeight > document.getElementById('stage').getBoundingClientRect().top")
    assert tab.locator("#size").text_content() == f"{WIDTH} \N{MULTIPLICATION SIGN} {HEIGHT} pixels"
    assert tab.locator("#command").text_content() == (
        "camfuse fuse thermal.png 'my photo.png' -o fused.png --weights 'my weights.safetensors'"
    )


def test_files_named_alike_lie_in_two_folders_on_the_command_line(opened):
    tab = opened()
    drop(tab, "[data-tile=ir]", ("001.png", IR))
    drop(tab, "[data-tile=vis]", ("001.png", VIS))
    fused(tab)
    assert tab.locator("#command").text_content().startswith("camfuse fuse ir/001.png vis/001.png -o fused.png")


def test_two_files_at_once_are_told_apart_by_name(opened):
    tab = opened()
    drop(tab, "body", ("001_rgb.png", VIS), ("001_thermal.png", IR))
    fused(tab)
    assert tab.locator("[data-tile=ir] [data-file]").text_content().startswith("001_thermal.png")
    assert tab.locator("[data-tile=vis] [data-file]").text_content().startswith("001_rgb.png")
    drop(tab, "body", ("a", IR), ("b", IR), ("c", VIS))
    assert "one or two images, not 3" in tab.locator("#error").text_content()


def picture(element):
    return np.asarray(Image.open(io.BytesIO(element.screenshot())).convert("L"), float)


def test_thumbnails_are_there_before_the_program_replies(opened):
    tab = opened()
    tab.set_input_files("#ir", {"name": "a.png", "mimeType": "image/png", "buffer": IR})
    image = tab.locator("[data-tile=ir] img")
    image.wait_for(state="visible")
    assert image.get_attribute("src").startswith("blob:")
    tab.wait_for_function("() => document.querySelector('[data-tile=ir] img').naturalWidth > 0")


def test_the_result_comes_into_view(opened):
    tab = opened(width=390, height=600, reduced_motion="reduce")
    choose(tab)
    fused(tab)
    box = tab.locator("#stage").bounding_box()
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= 600


def test_the_slider_stands_between_fused_and_each_source(opened):
    tab = opened()
    choose(tab)
    fused(tab)
    stage, boundary = tab.locator("#stage"), tab.locator("#boundary")
    boundary.focus()
    tab.keyboard.press("End")
    assert boundary.get_attribute("aria-valuetext") == "infrared 100 %, fused 0 %"
    ir = picture(stage)
    tab.get_by_label("visible", exact=True).check(force=True)
    vis = picture(stage)
    boundary.focus()
    tab.keyboard.press("Home")
    result = picture(stage)
    middle = np.s_[int(0.3 * len(ir)) : int(0.9 * len(ir)), 20:-20]
    assert ir[middle].mean() < vis[middle].mean() - 20
    assert np.abs(result - vis)[middle].mean() > 2
    assert np.abs(result - ir)[middle].mean() > 2
    box = stage.bounding_box()
    tab.mouse.move(box["x"] + 10, box["y"] + 100)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 100)
    tab.mouse.up()
    assert boundary.input_value() == "70"


def test_fused_alone_and_side_by_side(opened):
    tab = opened()
    choose(tab)
    fused(tab)
    tab.get_by_label("Side by side").check(force=True)
    boxes = [tab.locator(f"#stage figure.{name}").bounding_box() for name in ("ir", "vis", "fused")]
    assert boxes[0]["x"] < boxes[1]["x"] < boxes[2]["x"]
    assert {round(box["width"]) for box in boxes} == {round(boxes[0]["width"])}
    tab.get_by_label("Fused alone").check(force=True)
    assert not tab.locator("#source-ir").is_visible()
    assert tab.locator("#fused").is_visible()
    assert not tab.locator("#boundary").is_visible()


def test_zoom_enlarges_every_image_alike_and_stays_inside(opened):
    tab = opened()
    choose(tab)
    fused(tab)
    tab.get_by_label("Fused alone").check(force=True)
    stage, image = tab.locator("#stage"), tab.locator("#fused")
    before, whole = image.bounding_box(), picture(stage)
    tab.locator("#zoom-in").click()
    assert tab.locator("#zoom-text").text_content() == "150 %"
    after = image.bounding_box()
    assert after["width"] == pytest.approx(1.5 * before["width"], rel=0.01)
    assert np.abs(picture(stage) - whole).mean() > 1
    stage.focus()
    for _ in range(20):
        tab.keyboard.press("ArrowRight")
    box = stage.bounding_box()
    moved = image.bounding_box()
    assert moved["x"] + moved["width"] == pytest.approx(box["x"] + box["width"], abs=1)
    tab.get_by_label("Side by side").check(force=True)
    moves = tab.evaluate("() => [...document.querySelectorAll('#stage img')].map((i) => getComputedStyle(i).transform)")
    assert len(set(moves)) == 1
    assert moves[0].startswith("matrix(1.5,")
    tab.locator("#zoom-out").click()
    assert tab.locator("#zoom-text").text_content() == "100 %"


def test_full_screen_is_left_by_its_button(opened):
    tab = opened()
    choose(tab)
    fused(tab)
    tab.locator("#full").click()
    tab.wait_for_function("() => document.body.classList.contains('full')")
    box = tab.locator("#stage").bounding_box()
    assert box["height"] > 500 or box["width"] > 1000
    assert not tab.locator("h1").is_visible()
    assert tab.locator("#balance").is_visible()
    tab.locator("#full").click()
    tab.locator("h1").wait_for(state="visible")


def test_balance_by_keyboard_fuses_the_kept_pair_again(opened):
    tab = opened()
    choose(tab)
    fused(tab)
    names = ["fused", "origin-layer", "class-layer-ir", "class-layer-vis"]
    sources = f"() => {names}.map((name) => document.getElementById(name).src)"
    before = tab.evaluate(sources)
    sent = []
    tab.on("request", lambda request: sent.append((request.method, request.url)))
    balance = tab.locator("#balance")
    balance.focus()
    tab.keyboard.press("End")
    tab.wait_for_function("(was) => document.getElementById('origin-layer').src !== was", arg=before[1])
    after = tab.evaluate(sources)
    assert [one != other for one, other in zip(before, after, strict=True)] == [True, True, False, False]
    assert {method for method, _ in sent} == {"GET"}
    assert any("/preview?ir_gain=8&" in url for _, url in sent)
    assert balance.get_attribute("aria-valuetext") == "infrared \N{MULTIPLICATION SIGN} 8"
    assert tab.locator("#command").text_content().endswith("--ir-gain 8")
    tab.locator("#reset").click()
    tab.wait_for_function("() => !document.getElementById('command').textContent.includes('gain')")


def test_the_look_starts_as_the_command_has_it(browser):
    with served(make_app(small_params(fusion=FusionConfig()))) as port:
        tab = browser.new_page()
        tab.goto(f"http://127.0.0.1:{port}/")
        choose(tab)
        fused(tab)
        assert tab.locator("#look").input_value() == "0"
        assert "--look" not in tab.locator("#command").text_content()
        tab.locator("summary", has_text="Settings").click()
        tab.get_by_label("Grayscale result").check()
        tab.wait_for_function("() => document.getElementById('depth').textContent.includes('grayscale')")
        assert tab.locator("#look").input_value() == "1"
        assert "--look" not in tab.locator("#command").text_content()
        tab.locator("#look").focus()
        tab.keyboard.press("ArrowLeft")
        tab.wait_for_function("() => document.getElementById('command').textContent.includes('--look 0.95')")
        tab.get_by_label("Grayscale result").uncheck()  # what a user has moved stays
        tab.wait_for_function("() => document.getElementById('depth').textContent.includes('color')")
        assert tab.locator("#look").input_value() == "0.95"
        tab.close()


def test_a_pair_that_the_program_forgot_is_sent_again(opened):
    bounds = Bounds(Limits(20_000, MAX_BYTES), MAX_BYTES, kept_bytes=1)  # room for the newest pair only
    with served(make_app(small_params(), weights="my weights.safetensors", bounds=bounds)) as port:
        tab, other = opened(at=port), opened(at=port)
        for page in (tab, other):
            choose(page)
            fused(page)
        got = []
        tab.on("response", lambda reply: got.append((reply.url.split("/")[-1].split("?")[0], reply.status)))
        with tab.expect_response(lambda reply: "/preview" in reply.url and reply.status == 200, timeout=120_000):
            tab.locator("#balance").focus()
            tab.keyboard.press("End")
        fused(tab)
        assert tab.locator("#command").text_content().endswith("--ir-gain 8")
    assert got[:3] == [("preview", 410), ("pairs", 200), ("preview", 200)]


def test_maps_lie_over_the_image_that_they_are_named_for(opened):
    tab = opened()
    choose(tab)
    with tab.expect_response("**/maps*") as waiting:
        fused(tab)
    maps = waiting.value.json()
    for kind, one in zip(("ir", "vis"), maps["classes"], strict=True):
        for part in ("base", "layer"):
            assert tab.locator(f"#class-{part}-{kind}").get_attribute("src") == one[part]
    caption = tab.locator("figure", has=tab.locator("#class-layer-ir")).locator("figcaption")
    assert caption.text_content() == "Typical of infrared, in the infrared image"
    for part in ("base", "layer", "warm"):
        assert tab.locator(f"#origin-{part}").get_attribute("src") == maps["origin"][part]
    part = round(100 * maps["origin"]["infrared"])
    assert f"{part}\u00a0% follows infrared" in tab.locator("#origin-part").text_content()


def test_a_grayscale_result_is_asked_for(opened):
    tab = opened()
    choose(tab)
    fused(tab)
    tab.locator("summary", has_text="Settings").click()
    with tab.expect_response("**/pairs") as waiting:
        tab.get_by_label("Grayscale result").check()
    assert waiting.value.json()["color"] is False
    tab.locator("#depth", has_text="grayscale").wait_for()
    assert tab.locator("#command").text_content().endswith("--gray")


def test_a_swapped_or_misaligned_pair_is_noticed(opened):
    tab = opened()

    def reply(route):
        response = route.fetch()
        body = response.json() | {"swapped": True, "misaligned": "infrared edges lie 9 px right and 0 px down"}
        route.fulfill(response=response, json=body)

    tab.route("**/maps*", reply)
    tab.route("**/pairs", reply)
    choose(tab)
    fused(tab)
    assert "look swapped" in tab.locator("#swapped").text_content()
    assert "edges lie 9 px right" in tab.locator("#misaligned").text_content()
    tab.unroute("**/maps*")
    tab.unroute("**/pairs")
    tab.locator("#swap-again").click()
    assert tab.locator("[data-tile=ir] [data-file]").text_content().startswith("photo.png")
    tab.locator("#status", has_text="Fused in").wait_for()
    assert not tab.locator("#misaligned").is_visible()


def test_errors_name_the_file_and_the_next_choice_mends_them(opened):
    tab = opened()
    choose(tab, vis=("torn.png", VIS[:300]))
    error = tab.locator("#error")
    error.wait_for()
    assert error.text_content().startswith("torn.png (visible) is not a whole PNG")
    assert not tab.locator("#result").is_visible()
    choose(tab, vis=("small.png", picture_bytes(np.zeros((9, 9), np.uint8))))
    tab.locator("#error", has_text="9 x 9").wait_for()
    assert error.text_content().endswith("Choose a size at Different sizes, under Settings.")
    tab.locator("summary", has_text="Settings").click()
    tab.get_by_label("Different sizes").select_option("ir")
    fused(tab)
    assert not error.is_visible()
    assert "sizes differ" in tab.locator("#notes").text_content()
    choose(tab, vis=("large.png", VIS + bytes(MAX_BYTES)))
    tab.locator("#error", has_text="0.2 MB are taken").wait_for()
    choose(tab)
    fused(tab)
    assert not error.is_visible()


def test_swap(opened):
    tab = opened()
    choose(tab)
    fused(tab)
    tab.locator("#swap").click()
    assert tab.locator("[data-tile=ir] [data-file]").text_content().startswith("photo.png")
    fused(tab)
    with tab.expect_download() as waiting:
        tab.locator("#download").click()
    assert waiting.value.suggested_filename == "thermal_fused.png"


def test_the_demo_pair_is_one_of_each_kind(browser):
    with served(make_app(small_params())) as port:
        tab = browser.new_page()
        tab.goto(f"http://127.0.0.1:{port}/")
        with tab.expect_response("**/pairs", timeout=120_000) as waiting:
            tab.locator("#demo").click()
        described = waiting.value.json()
        tab.close()
    for kind in ("ir", "vis"):
        shown = base64.b64decode(described[kind].partition(",")[2])
        file = (resources.files("camfuse_jax") / "demo" / f"{kind}.png").read_bytes()
        images = [np.asarray(Image.open(io.BytesIO(content)).convert("L"), float) for content in (shown, file)]
        assert np.abs(images[0] - images[1]).mean() < 1


def test_a_busy_program_is_asked_again(opened):
    tab = opened()
    busy = {"status": 503, "headers": {"retry-after": "0"}, "json": {"error": "Others are served."}}
    left = [busy, busy]
    tab.route("**/preview*", lambda route: route.fulfill(**left.pop()) if left else route.continue_())
    choose(tab)
    fused(tab)
    assert left == []
    assert not tab.locator("#error").is_visible()


def test_a_server_that_fails_is_reported(opened, port):
    tab = opened()
    tab.route("**/pairs", lambda route: route.fulfill(status=500, body="Internal Server Error"))
    choose(tab)
    tab.locator("#error", has_text="The program failed (500)").wait_for()
    tab.unroute("**/pairs")
    choose(tab)
    fused(tab)


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_it_never_scrolls_sideways(opened, width):
    tab = opened(width=width, height=844)
    name = "a_very_long_name_of_a_file_that_does_not_fit_a_telephone_" * 3
    choose(tab, ir=(f"{name}.png", IR), vis=(f"{name}.jpg", VIS))
    fused(tab)
    tab.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_accessibility_rules(opened, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the `browser` extra is not installed")
    tab = opened(width=width, color_scheme=scheme)
    choose(tab)
    fused(tab)
    tab.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    found = axe.Axe().run(tab)
    assert found.violations_count == 0, found.generate_report()


def test_everything_is_reached_by_keyboard(opened):
    tab = opened()
    choose(tab)
    fused(tab)
    wanted = {"ir", "vis", "swap", "demo", "stage", "boundary", "zoom-in", "full", "balance", "download", "reset"}
    seen = set()
    for _ in range(40):
        tab.keyboard.press("Tab")
        seen.add(tab.evaluate("document.activeElement.id"))
    assert wanted <= seen
