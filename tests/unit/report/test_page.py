"""The page's text: nothing from outside, nothing unescaped, valid HTML, the same each time."""

import base64
import hashlib
import io
import re
import warnings
from html.parser import HTMLParser

import markupsafe
import numpy as np
import pytest
from PIL import Image
from report_pages import CHANNELS, HOSTILE, METRICS, OTHER, page, view

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.metrics.registry import METRICS as METRICS_BY_KEY
from camfuse_jax.metrics.table import score_folders
from camfuse_jax.report import page as page_module
from camfuse_jax.report.page import by_preference, page_html
from camfuse_jax.report.pictures import FATE_COLORS

VOID = {"meta", "link", "img", "input", "wbr", "br", "hr"}
SVG_LEAVES = {"rect", "line", "polyline"}


class Outline(HTMLParser):
    """Elements with their attributes and own text; fails on a tag that is not closed in turn."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self.open = [], {}, []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"{tag} has an attribute twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in SVG_LEAVES
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data)

    def all(self, tag):
        return [attrs for found, attrs in self.elements if found == tag]


@pytest.fixture(scope="module")
def outline():
    return Outline(page())


def test_nothing_is_asked_of_the_network(outline):
    text = re.sub(r'"data:[^"]*"', '""', page())
    assert re.findall(r"(?:https?:)?//[\w.]+\.\w+|@import|url\(|srcset|fetch\(|XMLHttp|import\(", text) == []
    for tag, attrs in outline.elements:
        for name in ("src", "href", "action", "poster", "data"):
            value = attrs.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value[:60])
        assert not any(name == "style" or name.startswith("on") for name in attrs), (tag, attrs)


def test_the_policy_admits_this_style_and_script_and_nothing_else(outline):
    policy = next(attrs["content"] for attrs in outline.all("meta") if "http-equiv" in attrs)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (text,) = outline.text[tag]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"


def test_hostile_names_are_text(outline):
    assert len(outline.all("script")) == 1
    assert "alert(" not in outline.text["script"][0]
    assert [attrs for attrs in outline.all("img") if attrs["src"] == "x"] == []
    told = "".join(outline.text["h3"])
    assert HOSTILE in told
    assert "Auto-encoder </h3><script>" in told
    assert "<b>Title</b> & more" in "".join(outline.text["h1"])
    assert "{{ 7 * 7 }}" in told
    assert any(attrs["alt"].endswith(f"fused by {OTHER}") for attrs in outline.all("img"))


def test_html_is_valid():
    html5lib = pytest.importorskip("html5lib", reason="the `browser` extra is not installed: no html5lib")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        html5lib.HTMLParser(strict=True).parse(page())


def test_ids_are_unique_and_every_reference_has_its_target(outline):
    ids = [attrs["id"] for _, attrs in outline.elements if "id" in attrs]
    assert len(set(ids)) == len(ids)
    wanted = {attrs["href"][1:] for attrs in outline.all("a")}
    wanted |= {attrs["aria-labelledby"] for _, attrs in outline.elements if "aria-labelledby" in attrs}
    assert wanted <= set(ids)


def test_images_have_sizes_and_words(outline):
    for attrs in outline.all("img"):
        assert "alt" in attrs
        assert (attrs["width"], attrs["height"]) == ("64", "48")
    # Of each pair: one in the list, three lossless ones, another method's, four maps on what lies below, the outlines.
    assert len(outline.all("img")) == 3 * (1 + 3 + 1 + 4 * 2 + 1)


def test_numbers_are_there(outline):
    cells = "".join(outline.text["td"])
    for key in METRICS:
        assert any(text.startswith(key) for text in outline.text["th"])
    assert len(outline.all("polyline")) == 2  # frame and curve of the loss; the one that is no number is left out
    channels = [text for text in outline.text["title"] if text.startswith("channel ")]
    assert len(channels) == 3 * 32 + 2 * CHANNELS
    assert re.search(r"\d\.\d{4}", cells)
    assert "place" in "".join(outline.text["p"])


def test_pictures_come_first_then_the_table_then_the_protocol():
    titles = re.findall(r"<h2[^>]*>([^<]*)", page())
    assert titles == ["Pictures", "Scores of these pairs", "Protocol", "Channel weights", "Training curves"]
    assert page().index("Where each pixel came from") < page().index("What the classifier takes for typical")


def test_every_map_says_what_it_means_and_what_it_does_not(outline):
    pair = page()[: page().index('id="pair-2"')]
    assert pair.count("Where each pixel came from") == 1
    assert "nor that the choice was right" in pair
    for title in ("Where the detail came from", "typical of infrared", "typical of visible"):
        after = pair[pair.index(f"{title}</b>") :]
        meaning = re.search(r'<p class="caption">(.*?)</p>', after).group(1)
        assert re.search(r"\b[Nn]ot\b", meaning), title
    assert "Lens flares and curbs" in pair


def _layer(uri):
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(";base64,")[2]))) as image:
        return np.asarray(image.convert("RGBA")).astype(int)


def test_each_map_lies_on_its_own_image():
    """A map that grows to the right for infrared and to the left for visible, on a dark and a bright image."""
    ramp = np.tile(np.linspace(0, 1, 64), (48, 1))
    shown = page_module._pair(1, view("one", 0, ir_cam=ramp, vis_cam=1 - ramp), _tables([view("one", 0)], ours={}), 0)
    detail, infrared, visible = shown["maps"]
    assert "infrared" in infrared["title"] and "visible" in visible["title"]
    for entry, brighter, dark in ((infrared, 1, True), (visible, -1, False)):
        alpha = _layer(entry["layer"])[..., 3]
        assert np.sign(alpha[:, 48:].mean() - alpha[:, :16].mean()) == brighter
        assert (_layer(entry["base"])[..., 0].mean() < 100) == dark
    assert "detail" in detail["title"]


def test_the_share_map_is_orange_where_the_fused_image_is_infrared():
    one = view("one", 0)
    fused = np.where(np.arange(64) < 32, one.ir, one.vis)
    layer = _layer(page_module._pair(1, view("one", 0, fused=fused), _tables([one], ours={}), 0)["origin"]["layer"])
    left, right = layer[:, :24], layer[:, -24:]
    assert left[..., 0].mean() > left[..., 2].mean()
    assert right[..., 2].mean() > right[..., 0].mean()


def test_warm_targets_are_counted_and_outlined():
    ir = np.full((48, 64), 40, np.uint8)
    for row, col in ((6, 6), (6, 40), (28, 22)):
        ir[row : row + 10, col : col + 8] = 160
    fused = np.full((48, 64), 90, np.uint8)
    fused[6:16, 6:14], fused[6:16, 40:48] = 200, 20
    one = view("one", 0, ir=ir, fused=fused)
    shown = page_module._pair(1, one, _tables([one], ours={}), 0)
    assert shown["targets"] == {"kept": 1, "weak": 1, "inverted": 1}
    outline = _layer(shown["outlines"])
    for (row, col), fate in (((11, 10), "kept"), ((11, 44), "inverted"), ((33, 26), "weak")):
        assert outline[row, col, 3] == 0
        around = outline[row - 8 : row + 8, col - 9 : col + 9]
        color = around[around[..., 3] > 200][:, :3].mean(axis=0)
        wanted = [int(FATE_COLORS[fate][i : i + 2], 16) for i in (1, 3, 5)]
        assert np.abs(color - wanted).max() < 40


def test_channels_run_from_infrared_to_visible():
    weights = np.array([[0.2, 0.9, 0.5], [0.8, 0.1, 0.4]])  # channels 1 and 2 prefer infrared, channel 0 visible
    assert by_preference(weights).tolist() == [1, 2, 0]
    one = view("one", 0, channels=np.ones((2, 3)))
    html = page_html([one], _tables([one], ours={"one": one.fused}), weights, method="ours", title="t")
    table = html[html.index("Channel weights, in the order of the chart") :]
    assert re.findall(r'<th scope="row">(\d+)</th>', table)[:3] == ["1", "2", "0"]
    assert "2 of 3 channels give infrared the larger weight" in html
    chart = html[html.index("How much one is preferred") :]
    assert re.search(r"<title>channel (\d+): infrared ([\d.]+), visible ([\d.]+)", chart).groups() == (
        "1", "0.8000", "0.0000",
    )  # fmt: skip


def test_the_largest_channels_of_a_pair_come_first():
    one = view("one", 0, channels=np.array([[1.0, 5.0, 2.0], [0.0, 4.0, 2.0]]))
    shown = page_module._pair(1, one, _tables([one], ours={}), 0)
    assert [bar.channel for bar in shown["bars"]] == [1, 2, 0]
    assert shown["ir_part"] == "57 %"
    assert len(set(FATE_COLORS.values())) == len(FATE_COLORS) == 3


def test_names_are_words_and_each_metric_says_what_it_rewards():
    assert "contrast-preserving sum" in page()
    for key in METRICS:
        assert METRICS_BY_KEY[key].name in page()
        assert str(markupsafe.escape(METRICS_BY_KEY[key].rewards)) in page()
    assert "training step" in page()


def test_the_same_input_gives_the_same_text():
    first = page()
    page.cache_clear()
    assert page() == first


def _tables(views, **methods):
    methods = {name: found or {v.name: v.fused for v in views} for name, found in methods.items()}
    return score_folders([(v.name, v.ir, v.vis) for v in views], {}, others=methods, metrics=METRICS, baselines=False)


def test_one_method_on_one_pair():
    alone = view("alone", 0, others={}, channels=np.zeros((2, 3)))
    html = page_html(
        [alone], _tables([alone], ours={"alone": alone.fused}), np.full((2, 3), 0.5), method="ours", title="t"
    )
    outline = Outline(html)
    assert "1 pair " in "".join(outline.text["p"])
    assert "rank" not in "".join(outline.text["th"])
    assert "Training curves" not in html


def test_what_is_refused():
    odd = view("odd", 0)
    tables = _tables([odd], ours={"odd": odd.fused})
    with pytest.raises(InputError):
        page_html([view("odd", 0, fused=odd.fused[:-1])], tables, np.ones((2, 3)), method="ours", title="t")
    with pytest.raises(UsageError):
        page_html([], tables, np.ones((2, 3)), method="theirs", title="t")
