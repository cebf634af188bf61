"""Figures: sizes, legible type, nothing cut off, nothing overlapping, text that stays text in the PDF."""

import functools
import io
import itertools

import matplotlib
import numpy as np
import pytest
from matplotlib.text import Text
from paper.channel_maps import ChannelMap, ImageMaps, heatmap_figure
from paper.comparison import comparison_figure
from paper.curves import curves_figure, weights_figure
from paper.sheet import PAGE_HEIGHT, page_height, paginate, sheet_figure
from paper.style import PAGE, STYLE
from paper.zoom import Box

from camfuse_jax.config import Modality

RNG = np.random.default_rng(4)


def _image(height=60, width=80):
    return RNG.integers(0, 256, (height, width), dtype=np.uint8)


def _heatmaps():
    channels = tuple(ChannelMap(100 + i, weight, RNG.random((60, 80))) for i, weight in enumerate((0.1, -2e-5, -0.3)))
    maps = ImageMaps(channels, RNG.random((2, 60, 80)))
    return heatmap_figure({m: _image() for m in Modality}, {m: maps for m in Modality})


def _comparison(count):
    names = ["infrared", "visible", *(f"Method{i}" for i in range(count - 3)), "camfuse_jax"]
    return comparison_figure({name: _image() for name in names}, [Box(0, 0, 20, 15), Box(60, 45, 20, 15)])


def _curves():
    ae = [{"step": 50 * i, "loss": 9.0 / i, "pixel": 1e-4 / i, "ssim": 1 - 1 / (9 * i)} for i in range(1, 90)]
    cls = [{"step": i, "accuracy": 0.9, "cross_entropy": 0.4, "distance": 0.1, "loss": 0.0} for i in range(1, 9)]
    return curves_figure({"auto-encoder": ae, "classifier, tno": cls, "one line": cls[:1]})


def _sheet():
    rows = [(f"Athena_2_men_in_front_of_house_{i}", [_image()] * 7) for i in range(4)]
    return sheet_figure(["infrared", "visible", "MMDRFuse", "SHIP", "SeAFusion", "U2Fusion", "camfuse_jax"], rows)


FIGURES = {
    "heat maps": _heatmaps,
    **{f"comparison of {n}": lambda n=n: _comparison(n) for n in (3, 6, 7)},
    "weights": lambda: weights_figure(RNG.uniform(0.4, 0.6, (2, 128))),
    "equal weights": lambda: weights_figure(np.full((2, 8), 0.5)),
    "curves": _curves,
    "sheet": _sheet,
}


@functools.cache
def _drawn(name):
    figure = FIGURES[name]()
    with matplotlib.rc_context(STYLE):
        figure.canvas.draw()
    return figure


@pytest.fixture(params=FIGURES)
def figure(request):
    with matplotlib.rc_context(STYLE):
        yield _drawn(request.param)


def _texts(figure):
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def test_width_is_both_columns(figure):
    assert figure.get_size_inches()[0] == pytest.approx(PAGE)


def test_type_is_legible(figure):
    assert min(text.get_fontsize() for text in _texts(figure)) >= 7


def _shown(figure):
    """Texts with their boxes in inches. Tick labels beyond an axis' limits exist but are not drawn."""
    renderer = figure.canvas.get_renderer()
    ticks = set()
    for axes in figure.findobj(matplotlib.axes.Axes):
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                    ticks |= {tick.label1, tick.label2}
    found = [(text.get_text(), text.get_window_extent(renderer)) for text in _texts(figure) if text not in ticks]
    return [(told, box.transformed(figure.dpi_scale_trans.inverted())) for told, box in found]


def test_no_text_is_cut_off(figure):
    width, height = figure.get_size_inches()
    for told, box in _shown(figure):
        inside = box.x0 > -0.01 and box.y0 > -0.01 and box.x1 < width + 0.01 and box.y1 < height + 0.01
        assert inside, f"{told!r} at {box}"


def test_no_texts_overlap(figure):
    for (a, first), (b, second) in itertools.combinations(_shown(figure), 2):
        wide = min(first.x1, second.x1) - max(first.x0, second.x0)
        tall = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert wide < 0.01 or tall < 0.01, f"{a!r} and {b!r}"


def test_no_panel_is_empty(figure):
    assert all(axes.has_data() or axes.images or axes.collections for axes in figure.findobj(matplotlib.axes.Axes))


def test_text_stays_text_in_the_pdf():
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        FIGURES["weights"]().savefig(buffer, format="pdf")
    assert b"/CIDFontType2" in buffer.getvalue()
    assert b"/Type3" not in buffer.getvalue()


def test_the_callers_settings_are_put_back():
    before = dict(matplotlib.rcParams)
    _curves()
    assert dict(matplotlib.rcParams) == before


def test_insets_show_the_inside_of_the_boxes():
    images = {"infrared": _image(), "visible": _image()}
    box = Box(10, 20, 16, 12)
    figure = comparison_figure(images, [box])
    shown = [axes.images[0].get_array() for axes in figure.axes]
    np.testing.assert_array_equal(shown[1], images["infrared"][20:32, 10:26])
    np.testing.assert_array_equal(shown[3], images["visible"][20:32, 10:26])


def test_a_page_is_as_high_as_it_says():
    rows = [("a", [_image()] * 3), ("b", [_image(30)] * 3)]
    assert sheet_figure(["x", "y", "z"], rows).get_size_inches()[1] == pytest.approx(page_height(rows, 3))


@pytest.mark.parametrize(("count", "height"), [(1, 60), (25, 60), (50, 45), (7, 3000), (30, 20)])
def test_pages_hold_every_row_once_and_are_no_higher_than_a_page(count, height):
    rows = [(f"p{i}", [np.zeros((height, 80), np.uint8)] * 6) for i in range(count)]
    pages = paginate(rows, 6)
    assert [name for page in pages for name, _ in page] == [name for name, _ in rows]
    heights = [page_height(page, 6) for page in pages]
    assert all(tall <= PAGE_HEIGHT + 1e-6 or len(page) == 1 for tall, page in zip(heights, pages, strict=True))
    assert len(pages) == 1 or min(map(len, pages)) >= max(map(len, pages)) - 2
