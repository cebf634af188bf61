"""The page of `camfuse serve` as a person has it: dropped or chosen files, sliders, download, errors by name."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from served import served
from small_nets import small_params

from camfuse_jax.data.synthetic import synthetic_pair
from camfuse_jax.images.bounds import Limits
from camfuse_jax.images.read import read_picture
from camfuse_jax.images.write import picture_bytes
from camfuse_jax.pair.fuse import fuse_frame, to_levels
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.pair.prepare import prepare_pair
from camfuse_jax.serve.app import Bounds, make_app

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
    contexts, told, asked = [], [], []

    def open_page(*, width=1280, height=900, **settings):
        context = browser.new_context(viewport={"width": width, "height": height}, **settings)
        contexts.append(context)
        tab = context.new_page()
        # A refused file is an answer of 400 and more, which Chromium also writes to its console.
        tab.on("console", lambda message: told.append(message.text) if "with a status of" not in message.text else None)
        tab.on("pageerror", lambda error: told.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(f"http://127.0.0.1:{port}/")
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert told == []
    assert {url.partition(":")[0] for url in asked if not url.startswith(f"http://127.0.0.1:{port}/")} <= {
        "data",
        "blob",
    }


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
    """Waits until there is a result and nothing more to come."""
    tab.locator("#status", has_text="Fused in").wait_for(timeout=120_000)
    assert tab.locator("#result").is_visible()


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


def test_the_slider_stands_between_fused_and_each_source(opened):
    tab = opened()
    choose(tab)
    fused(tab)
    frame = tab.locator("[data-frame]")
    frame.scroll_into_view_if_needed()

    def picture():
        return np.asarray(Image.open(io.BytesIO(frame.screenshot())).convert("L"), float)

    boundary = tab.locator("[data-boundary]")
    boundary.focus()
    tab.keyboard.press("End")
    assert boundary.get_attribute("aria-valuetext") == "infrared 100 %, fused 0 %"
    ir = picture()
    tab.get_by_label("visible", exact=True).check()
    vis = picture()
    boundary.focus()
    tab.keyboard.press("Home")
    result = picture()
    middle = np.s_[int(0.3 * len(ir)) : int(0.9 * len(ir)), 20:-20]
    assert ir[middle].mean() < vis[middle].mean() - 20
    assert np.abs(result - vis)[middle].mean() > 2
    assert np.abs(result - ir)[middle].mean() > 2
    for name in ("base-ir", "layer-ir", "base-vis", "layer-vis"):
        assert tab.evaluate(f"document.getElementById('{name}').naturalWidth") > 0


def test_balance_by_keyboard_changes_picture_weights_and_command(opened):
    tab = opened()
    choose(tab)
    fused(tab)
    before = tab.evaluate("[document.getElementById('fused').src, document.getElementById('channels').innerHTML]")
    heat = tab.evaluate("document.getElementById('layer-ir').src")
    balance = tab.locator("#balance")
    balance.focus()
    with tab.expect_response("**/fuse") as waiting:
        tab.keyboard.press("End")
    assert "maps" not in waiting.value.json()
    tab.wait_for_function("(was) => document.getElementById('fused').src !== was", arg=before[0])
    fused(tab)
    after = tab.evaluate("[document.getElementById('fused').src, document.getElementById('channels').innerHTML]")
    assert after[1] != before[1]
    assert tab.evaluate("document.getElementById('layer-ir').src") == heat
    assert balance.get_attribute("aria-valuetext") == "infrared \N{MULTIPLICATION SIGN} 8"
    assert tab.locator("#command").text_content().endswith("--ir-gain 8")
    tab.locator("#even").click()
    tab.wait_for_function("() => !document.getElementById('command').textContent.includes('gain')")


def test_errors_are_told_by_name_and_the_next_choice_mends_them(opened):
    tab = opened()
    choose(tab, vis=("torn.png", VIS[:300]))
    error = tab.locator("#error")
    error.wait_for()
    assert error.text_content().startswith("torn.png (visible) is not a whole PNG")
    assert not tab.locator("#result").is_visible()
    choose(tab, vis=("small.png", picture_bytes(np.zeros((9, 9), np.uint8))))
    tab.locator("#error", has_text="9 x 9").wait_for()
    tab.locator("summary", has_text="Settings").click()
    tab.get_by_label("Different sizes").select_option("ir")
    fused(tab)
    assert not error.is_visible()
    assert "sizes differ: resampled to that of ir" in tab.locator("#notes").text_content()
    choose(tab, vis=("large.png", VIS + bytes(MAX_BYTES)))
    tab.locator("#error", has_text="0.2 MB are taken").wait_for()
    choose(tab)
    fused(tab)
    assert not error.is_visible()


def test_swap_and_demo(opened):
    tab = opened()
    choose(tab)
    fused(tab)
    tab.locator("#swap").click()
    assert tab.locator("[data-tile=ir] [data-file]").text_content().startswith("photo.png")
    fused(tab)
    assert tab.locator("#download").get_attribute("download") == "thermal_fused.png"


def test_a_server_that_has_gone_is_told(opened, port):
    tab = opened()
    tab.route("**/fuse", lambda route: route.fulfill(status=500, body="Internal Server Error"))
    choose(tab)
    tab.locator("#error", has_text="The program failed (500)").wait_for()
    tab.unroute("**/fuse")
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
    wanted = {"ir", "vis", "swap", "demo", "balance", "download", "even"}
    seen = set()
    for _ in range(40):
        tab.keyboard.press("Tab")
        seen.add(tab.evaluate("document.activeElement.id"))
    assert wanted <= seen
