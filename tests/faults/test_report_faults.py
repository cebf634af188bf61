"""Wrong calls of --stage report: refused early, with the exit code that says whose mistake it is."""

import numpy as np
import pytest
from small_nets import small_params

from camfuse_jax import save_params
from camfuse_jax.errors import InputError, ResourceError
from camfuse_jax.images.write import write_picture
from camfuse_jax.report.build import report_page
from camfuse_jax.stages import run_stages as main


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLA_FLAGS", "")
    save_params("small.safetensors", small_params())
    for folder in ("mine/ir", "mine/vis", "theirs"):
        for name in ("a", "b"):
            write_picture(tmp_path / folder / f"{name}.png", np.zeros((8, 9), np.uint8))
    return tmp_path


@pytest.mark.parametrize(
    ("code", "options", "told"),
    [
        (2, ("--out", "page.pdf"), ("page.pdf", ".html")),
        (2, ("--out", "mine"), ("mine is not the name of a page",)),
        (2, ("--limit", "-1"), ("--limit must be 0", "got -1")),
        (2, ("--fused", "theirs"), ("theirs does not name a method", "NAME=DIR")),
        (2, ("--fused", "camfuse=theirs"), ("camfuse", "taken")),
        (2, ("--fused", "average=theirs"), ("average", "taken")),
        (2, ("--fused", "a=theirs", "--fused", "a=mine"), ("Two folders are named a",)),
        (2, ("--ir", "mine/ir"), ("Only one of --ir and --vis",)),
        (3, ("--fused", "a=nowhere"), ("nowhere does not exist",)),
        (3, ("--dataset", "nothing"), ("no data set or folder named 'nothing'",)),
        (4, ("--weights", "none.safetensors"), ("no weights at none.safetensors",)),
        (5, ("--out", "small.safetensors/page.html"), ("small.safetensors", "File exists")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_is_refused(place, capsys, code, options, told):
    before = sorted(path for path in place.rglob("*") if "data" not in path.parts)
    assert main(["--stage", "report", "--dataset", "mine", "--weights", "small.safetensors", *options]) == code
    error = capsys.readouterr().err
    assert [text for text in told if text not in error] == []
    after = sorted(path for path in place.rglob("*") if "data" not in path.parts)
    assert [path for path in after if path not in before and path.suffix == ".html"] == []


def test_sizes_that_differ_name_the_pair(tmp_path):
    pair = ("odd", np.zeros((8, 9), np.uint8), np.zeros((8, 8), np.uint8))
    with pytest.raises(InputError, match="Pair odd: ir is 8 x 9, vis is 8 x 8"):
        report_page([pair], params=small_params(), out=tmp_path / "p.html")


def test_no_pairs(tmp_path):
    with pytest.raises(InputError, match="no pairs"):
        report_page([], params=small_params(), out=tmp_path / "p.html")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_page(tmp_path, monkeypatch):
    out = tmp_path / "page.html"
    out.write_text("old")
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ResourceError, match="No space left"):
        report_page([("a", image, image)], params=small_params(), out=out, metrics=("EN",))
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert out.read_text() == "old"
