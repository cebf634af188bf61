"""--stage report through the real command: the page it writes, and what it refuses."""

import re

import numpy as np
import pytest
from command_line import refused
from small_nets import small_params

from camfuse_jax import save_params
from camfuse_jax.data.synthetic import synthetic_pair
from camfuse_jax.images.write import write_picture

NAMES = ("a_1", "b<2", "c_3")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Three test pairs, another method's images, weights, and the lines of a training that goes on."""
    root = tmp_path_factory.mktemp("report")
    save_params(root / "small.safetensors", small_params())
    for number, name in enumerate(NAMES):
        ir, vis = synthetic_pair(number, 44, 52)
        for folder, image in (("mine/ir", ir), ("mine/vis", vis), ("theirs", vis)):
            write_picture(root / folder / f"{name}.png", image)
    (root / "mine" / "splits.json").write_text('{"test": ["c_3", "a_1", "b<2"], "train": []}')
    (root / "w" / "ae").mkdir(parents=True)
    (root / "w" / "ae" / "metrics.jsonl").write_text(
        '{"step": 1, "loss": 3}\n{"step": 2, "loss": 2.5}\n{"step": 3, "lo'
    )
    return root


def _report(run, place, *options):
    common = ("--stage", "report", "--weights", "small.safetensors", "--workdir", "w")
    return run(*common, *options, cwd=place)


def _names(path):
    return re.findall(r'<h3 id="pair-\d+-name">(.*?)</h3>', path.read_text(encoding="utf-8"))


def test_a_data_set_with_another_method(run, place):
    done = _report(run, place, "--dataset", "mine", "--fused", "theirs=theirs", "--limit", 2)
    assert done.returncode == 0, done.stderr
    page = place / "w" / "report-mine.html"
    assert "report: w/report-mine.html (2 pairs, 0." in done.stdout
    assert _names(page) == ["c_<wbr>3", "a_<wbr>1"]
    text = page.read_text(encoding="utf-8")
    for told in (
        "first 2 of 3",
        "small.safetensors (sha256 ",
        "theirs",
        "contrast-preserving sum",
        "Training curves",
    ):
        assert told in text
    assert not list(place.rglob("*.part"))
    assert "Traceback" not in done.stderr


def test_two_files_need_no_split(run, place):
    files = ("--ir", "mine/ir/b<2.png", "--vis", "mine/vis/b<2.png")
    done = _report(run, place, *files, "--out", "deep/one.html", "--metrics", "all")
    assert done.returncode == 0, done.stderr
    assert _names(place / "deep" / "one.html") == ["b&lt;2"]
    assert "MS-SSIM" in (place / "deep" / "one.html").read_text(encoding="utf-8")


def test_a_missing_image_is_refused(run, place):
    (place / "odd").mkdir()
    write_picture(place / "odd" / "stranger.png", np.zeros((3, 3), np.uint8))
    done = _report(run, place, "--dataset", "mine", "--limit", 1, "--fused", "odd=odd", "--out", "none.html")
    refused(done, 3, "left out: 1 images of odd belong to no pair: stranger", "1 missing: c_3")
    assert not (place / "none.html").exists()
