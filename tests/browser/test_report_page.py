"""The report page as a reader has it: mouse, finger, keyboard, telephone, screen reader, no script."""

import io

import numpy as np
import pytest
from PIL import Image
from report_pages import HOSTILE

FOCUSABLE = "a[href], input, summary, [tabindex='0']"
SECOND = "#pair-2"


def _brightness(frame):
    """Gray level of each column of the frame on the screen, left to right."""
    picture = Image.open(io.BytesIO(frame.screenshot())).convert("L")
    rows = np.asarray(picture, np.float64)
    # Below the handle; without the outermost columns, of which the frame covers only a part.
    return rows[int(0.7 * len(rows)) : int(0.95 * len(rows))].mean(axis=0)[2:-2]


def _boundary_on_screen(frame):
    """Share of the frame's width that shows the source: dark infrared left of the middle gray fused image."""
    columns = _brightness(frame)
    return float(np.mean(columns < 75))


def _parts(tab):
    section = tab.locator(SECOND)
    section.scroll_into_view_if_needed()
    return section.locator("[data-frame]"), section.locator("[data-boundary]")


def test_it_loads_and_shows_every_picture(opened):
    tab = opened()
    assert tab.title() == "<b>Title</b> & more"
    assert tab.locator(f"{SECOND} h3").text_content() == HOSTILE
    tab.evaluate("Promise.all([...document.images].map((image) => image.decode()))")
    assert tab.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")


def test_the_boundary_follows_the_mouse(opened):
    tab = opened()
    frame, boundary = _parts(tab)
    assert _boundary_on_screen(frame) == pytest.approx(0.5, abs=0.03)
    box = frame.bounding_box()
    middle = box["y"] + box["height"] / 3
    tab.mouse.move(box["x"] + 0.5 * box["width"], middle)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 0.2 * box["width"], middle, steps=4)
    tab.mouse.up()
    tab.mouse.move(box["x"] + 0.9 * box["width"], middle)  # released: must not follow
    assert boundary.input_value() == "20"
    assert _boundary_on_screen(frame) == pytest.approx(0.2, abs=0.03)


def test_the_boundary_follows_a_finger(opened):
    tab = opened(width=390, height=844, has_touch=True, is_mobile=True)
    frame, boundary = _parts(tab)
    box = frame.bounding_box()
    tab.touchscreen.tap(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 3)
    assert int(boundary.input_value()) == pytest.approx(80, abs=1)
    assert _boundary_on_screen(frame) == pytest.approx(0.8, abs=0.03)


def test_the_boundary_follows_the_keyboard(opened):
    tab = opened()
    frame, boundary = _parts(tab)
    boundary.focus()
    for _ in range(10):
        tab.keyboard.press("ArrowRight")
    assert boundary.input_value() == "60"
    assert boundary.get_attribute("aria-valuetext") == "infrared 60 %, fused 40 %"
    assert _boundary_on_screen(frame) == pytest.approx(0.6, abs=0.03)
    tab.keyboard.press("Home")
    assert _boundary_on_screen(frame) < 0.03
    tab.keyboard.press("End")
    assert _boundary_on_screen(frame) > 0.97


def test_another_source_can_be_chosen_by_keyboard(opened):
    tab = opened()
    frame, boundary = _parts(tab)
    tab.locator(f"{SECOND} input[type=radio]").first.focus()
    tab.keyboard.press("ArrowDown")
    assert boundary.get_attribute("aria-valuetext").startswith("visible 50 %")
    columns = _brightness(frame)
    assert columns[: int(0.45 * len(columns))].min() > 180
    assert columns[int(0.55 * len(columns)) :].max() < 170
    assert tab.locator("#pair-1 input[type=radio]").first.is_checked()


def test_opacity_of_the_colors(opened):
    tab = opened()
    maps = tab.locator(f"{SECOND} .origin")
    layer = "(maps) => getComputedStyle(maps.querySelector('.stack img + img')).opacity"
    assert float(maps.evaluate(layer)) == pytest.approx(0.75)
    colored = maps.screenshot()
    opacity = tab.locator(f"{SECOND} [data-opacity]")
    opacity.focus()
    tab.keyboard.press("Home")
    assert float(maps.evaluate(layer)) == 0
    assert maps.screenshot() != colored
    assert float(tab.locator("#pair-1 .origin").evaluate(layer)) == pytest.approx(0.75)
    tab.locator(f"{SECOND} details").first.evaluate("(details) => { details.open = true; }")
    assert float(tab.locator(f"{SECOND} .maps").evaluate(layer)) == 0


def test_every_control_is_reached_by_tab_in_the_order_of_the_page(opened):
    tab = opened()
    # Of a group of radio buttons only the chosen one is a stop; what a closed <details> hides is none.
    stops = f"""[...document.querySelectorAll("{FOCUSABLE}")].filter((element) => element.checkVisibility()
        && (element.type !== "radio" || element.checked))"""
    count = tab.evaluate(f"{stops}.length")
    assert count > 30
    places = []
    for _ in range(count):
        tab.keyboard.press("Tab")
        places.append(tab.evaluate(f"{stops}.indexOf(document.activeElement)"))
        if tab.evaluate("document.activeElement.matches('[data-boundary]')"):
            outline = tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid"
    assert places == list(range(count))


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_the_page_never_scrolls_sideways(opened, width):
    tab = opened(width=width, height=800)
    tab.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    wide = """[...document.querySelectorAll("main *")].filter((element) => !element.closest(".scroll, svg, .frame")
        && element.getBoundingClientRect().right > innerWidth + 1).map((element) => element.outerHTML.slice(0, 80))"""
    assert tab.evaluate(wide) == []


@pytest.mark.parametrize("width", [320, 390])
def test_a_telephone_sees_every_score_without_scrolling_sideways(opened, width):
    tab = opened(width=width, height=800)
    table = tab.locator("#scores ~ table.scores").first
    table.scroll_into_view_if_needed()
    cells = table.locator("td")
    assert cells.count() == 5 * (3 + 1)  # five methods; three metrics and their mean rank
    for number in range(cells.count()):
        box = cells.nth(number).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
        assert cells.nth(number).evaluate("(cell) => getComputedStyle(cell, '::before').content").strip('"')
    assert table.get_by_role("cell").count() == cells.count()  # it is still a table to a screen reader
    assert table.get_by_role("columnheader").count() == 6


def test_a_wide_screen_shows_methods_side_by_side(opened):
    tab = opened()
    rows = tab.locator("#scores ~ table.scores").first.locator("tbody tr")
    boxes = [rows.nth(1).locator("td").nth(i).bounding_box() for i in range(5)]
    assert len({box["y"] for box in boxes}) == 1
    assert len({box["x"] for box in boxes}) == 5


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_accessibility_rules(opened, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the `browser` extra is not installed")
    tab = opened(width=width, color_scheme=scheme)
    tab.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    found = axe.Axe().run(tab)
    assert found.violations_count == 0, found.generate_report()
    names = {rule["id"] for rule in found.response["passes"]}
    assert {"color-contrast", "label", "image-alt", "html-has-lang", "landmark-one-main"} <= names


def test_both_schemes_differ(opened):
    grounds = {
        opened(color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    }
    assert len(grounds) == 2


def test_reduced_motion(opened):
    behavior = "getComputedStyle(document.documentElement).scrollBehavior"
    assert opened(reduced_motion="no-preference").evaluate(behavior) == "smooth"
    assert opened(reduced_motion="reduce").evaluate(behavior) == "auto"


def test_without_script_every_picture_is_seen_and_no_dead_control(opened):
    tab = opened(java_script_enabled=False)
    frame = tab.locator(f"{SECOND} [data-frame]")
    frame.scroll_into_view_if_needed()
    pictures = frame.locator("img")
    boxes = [pictures.nth(i).bounding_box() for i in range(pictures.count())]
    assert len(boxes) == 4
    assert len({(box["x"], box["y"]) for box in boxes}) == 4
    assert all(box["width"] > 100 for box in boxes)
    assert not tab.locator(f"{SECOND} [data-boundary]").is_visible()
    assert tab.locator(f"{SECOND} .stack img").first.is_visible()


def test_the_policy_stops_what_is_put_into_the_page(browser, page_file):
    """The policy does its work: a picture from elsewhere, a style and a script put in afterwards are refused."""
    tab = browser.new_page()
    asked, told = [], []
    tab.on("requestfinished", lambda request: asked.append(request.url))
    tab.on("console", lambda message: told.append(message.text))
    tab.goto(page_file.as_uri())
    tab.evaluate("""() => { const script = document.createElement("script"); script.textContent = "window.ran = 1";
        document.body.append(script); const image = new Image(); image.src = "http://example.invalid/x.png";
        document.body.append(image); }""")
    tab.wait_for_timeout(100)
    assert tab.evaluate("window.ran") is None
    assert not any("example.invalid" in url for url in asked)
    assert sum("Content Security Policy" in text for text in told) >= 2
    tab.close()
