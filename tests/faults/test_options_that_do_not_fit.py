"""Options that would be passed over are refused, and what is refused is named as it was written."""

import shlex

import numpy as np
import pytest
from small_nets import small_params

from camfuse_jax import save_params
from camfuse_jax.cli import main
from camfuse_jax.images.write import write_picture
from camfuse_jax.stages import run_stages

GRAY = np.random.default_rng(0).integers(0, 256, (20, 24), dtype=np.uint8)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A pair, folders with one pair, and weights, in the current folder."""
    save_params(tmp_path / "w.safetensors", small_params())
    for name in ("i", "v", "ir/1", "vis/1"):
        write_picture(tmp_path / f"{name}.png", GRAY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLA_FLAGS", "")
    return tmp_path


def _told(capsys, line, run=main):
    """Exit code and text of a command line, whoever refuses it."""
    try:
        code = run(shlex.split(line))
    except SystemExit as stop:
        code = stop.code
    return code, " ".join(word for word in "".join(capsys.readouterr()).split() if word != "│")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("fuse i.png v.png --fps 10", "--fps is for videos"),
        ("fuse i.png v.png --ir-fps 10", "--ir-fps is for videos"),
        ("fuse ir vis --seconds 3", "--seconds is for videos, not for still images. Leave it out; for folders of"),
        ("fuse i.png v.png --offset 0.5", "--offset is for videos"),
        ("fuse i.png v.png --show", "--show is for videos"),
        ("fuse --no-audio", "--no-audio is for videos"),
        ("fuse i.png v.png -o a.png --format jpeg", "--format jpeg is given, but a.png names another format"),
        ("fuse i.png v.png --pattern {name}_i {name}_v", "--pattern is given, but i.png is one file"),
        ("fuse i.png v.png --weights w.safetensors --rule mean --preview", "--preview would change nothing"),
        ("fuse i.png v.png --weights w.safetensors --rule mean --ir-gain 2", "--ir-gain would change nothing"),
        ("fuse i.png v.png -o a.mp4 --backend openvino", "--backend is for images, not for videos"),
        ("fuse i.png v.png -o a.mp4 --bits 16", "--bits 16 is given, but a.mp4 holds 8 bits"),
        ("doctor --csv t.csv ir vis", "--csv is given beside IR"),
        ("doctor i.png v.png --pattern {name}_i {name}_v", "--pattern is given, but i.png is one file"),
        ("doctor --pattern {name}_i {name}_v", "--pattern needs images"),
        ("calibrate --points p.csv --board 9x6", "given beside --points"),
        ("calibrate i.png v.png --board 9x6 --pattern {name}_i {name}_v", "--pattern is given, but i.png is one file"),
    ],
)
def test_an_option_that_takes_no_part_is_refused(place, capsys, line, told):
    before = sorted(place.rglob("*"))
    code, text = _told(capsys, line)
    assert (code, told in text) == (2, True), text
    assert sorted(place.rglob("*")) == before


def test_a_video_keeps_its_own_rate(place, capsys):
    pytest.importorskip("av")
    from moving import texture, write_video

    for name in ("i.mp4", "v.mp4"):
        write_video(place / name, [texture(index) for index in range(4)], 10)
    common = "-o o.mp4 --weights w.safetensors --dry-run"
    for line, name in (
        ("i.mp4 v.mp4 --fps 30", "--fps is given, but v.mp4"),
        ("i.mp4 v.mp4 --ir-fps 30", "--ir-fps is given, but i.mp4"),
        ("ir v.mp4 --ir-fps 30 --fps 30 --fit vis", "--fps is given, but v.mp4"),
        ("i.mp4 vis --ir-fps 30 --fit vis", "--ir-fps is given, but i.mp4"),
    ):
        code, text = _told(capsys, f"fuse {line} {common}")
        assert (code, f"{name} has its own times" in text) == (2, True), text
    assert _told(capsys, f"fuse ir v.mp4 --fps 30 --fit vis {common}")[0] == 0


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("fuse --bla 3", "run camfuse fuse --help"),
        ("eval --bla 3", "run camfuse eval --help"),
        ("fuse i.png v.png --rule eq6", "Expected one of ('adaptive', 'add', 'eq5', 'eq5-contribution',"),
        ("fuse i.png v.png --ir-fps a", "Error parsing --ir-fps: could not convert string to float: 'a'"),
        ("fuse i.png v.png --ir-range 5,60", "error: --ir-range 5,60 is not a range"),
        ("fuse i.png v.png --ir-range auto --vis_range=5,60", "error: --vis-range 5,60 is not a range"),
        ("fuse i.png v.png --vis-gain -1", "error: --vis-gain is -1. Give a number from 0 to 100"),
        ("fuse i.png v.png --ir-gain 0 --vis-gain 0", "--ir-gain and --vis-gain are both 0"),
        ("eval ir vis fused/", "error: fused/ does not name a method and a folder. Write NAME=DIR"),
        ("train --rule eq6", "Expected one of ('adaptive', 'add', 'eq5', 'eq5-contribution',"),
    ],
)
def test_what_is_wrong_is_named_as_it_was_written(place, capsys, line, told):
    code, text = _told(capsys, line)
    assert (code, told in text) == (2, True), text
    assert "None" not in text.split("Argument helptext")[0]


def test_the_help_shows_the_command_that_was_asked(capsys):
    code, text = _told(capsys, "train --help")
    assert (code, "camfuse train --stage cls" in text, "run.py" in text) == (0, True, False)
    assert "and eval in turn" in text.split("(default: all)")[0]
    _, text = _told(capsys, "--help", run_stages)
    assert "run.py --stage cls" in text
    assert "(default: all)" not in text
