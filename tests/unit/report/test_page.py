"""The page's text: nothing from outside, nothing unescaped, valid HTML, the same each time."""

import base64
import hashlib
import re
import warnings
from html.parser import HTMLParser

import numpy as np
import pytest
from report_pages import CHANNELS, HOSTILE, METRICS, OTHER, page, view

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.metrics.table import score_folders
from camfuse_jax.report.page import page_html

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
    # Of each pair: three lossless pictures, another method's, and four maps with what lies below them.
    assert len(outline.all("img")) == 3 * (3 + 1 + 4 * 2)


def test_numbers_are_there(outline):
    cells = "".join(outline.text["td"])
    for key in METRICS:
        assert any(text.startswith(key) for text in outline.text["th"])
    assert len(outline.all("polyline")) == 2  # frame and curve of the loss; the one that is no number is left out
    channels = [text for text in outline.text["title"] if text.startswith("channel ")]
    assert len(channels) == 3 * 32 + 2 * CHANNELS
    assert re.search(r"\d\.\d{4}", cells)
    assert "place" in "".join(outline.text["p"])


def test_the_same_input_gives_the_same_text():
    first = page()
    page.cache_clear()
    assert page() == first


def _tables(views, **methods):
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
