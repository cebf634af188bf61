"""The recipe for detectors: matching by hand, and OpenCV's detector on the demo pair, whose people are known."""

import json
import shutil
import sys
from pathlib import Path

import detect_people
import numpy as np
import pytest

import camfuse_jax
from camfuse_jax.errors import UsageError

DEMO = Path(camfuse_jax.__file__).parent / "demo"
# Standing people of at least 60 pixels, as they were drawn: left, top, width, height.
PEOPLE = [[84, 214, 30, 78], [304, 220, 54, 118], [506, 212, 42, 90]]


def test_boxes_overlap_by_intersection_over_union():
    assert detect_people.overlap((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(50 / 150)
    assert detect_people.overlap((0, 0, 10, 10), (10, 0, 5, 5)) == 0
    assert detect_people.overlap((3, 4, 5, 6), (3, 4, 5, 6)) == 1


def test_a_person_is_found_once_and_the_second_box_is_wrong():
    people = [(0, 0, 10, 20), (50, 0, 10, 20), (90, 0, 10, 20)]
    boxes = [(1, 1, 10, 20), (2, 0, 10, 20), (50, 2, 10, 20), (200, 0, 10, 20)]
    assert detect_people.judge(boxes, people) == detect_people.Counts(boxes=4, found=2, wrong=2)
    assert detect_people.judge([], people) == detect_people.Counts(0, 0, 0)
    assert detect_people.judge(boxes, []) == detect_people.Counts(4, 0, 4)


@pytest.fixture
def folders(tmp_path):
    """Infrared and visible of the demo pair, and in place of a fused image the infrared one."""
    for folder, kind in (("ir", "ir"), ("vis", "vis"), ("fused", "ir")):
        (tmp_path / folder).mkdir()
        shutil.copy(DEMO / f"{kind}.png", tmp_path / folder / "street.png")
    (tmp_path / "boxes.json").write_text(json.dumps({"street": PEOPLE}))
    return tmp_path


def _command(folders, *more):
    return detect_people.main([*(str(folders / name) for name in ("ir", "vis", "fused")), *more])


def _needs_detector():
    try:
        detect_people.make_detector()
    except UsageError as error:
        pytest.skip(str(error))


def test_people_of_the_demo_pair_are_counted(folders, capsys):
    _needs_detector()
    assert _command(folders, "--boxes", str(folders / "boxes.json"), "--json") == 0
    counts = json.loads(capsys.readouterr().out)["street"]
    assert counts["infrared"]["found"] == 3
    assert counts["infrared"]["found"] > counts["visible"]["found"] >= 1
    assert counts["fused"] == counts["infrared"]
    assert _command(folders) == 0
    printed = capsys.readouterr().out
    assert f"| infrared | {counts['infrared']['boxes']} |" in printed
    assert printed.endswith("1 pairs\n")


def test_an_image_smaller_than_a_person_has_no_people():
    _needs_detector()
    assert detect_people.find_people(detect_people.make_detector(), np.zeros((30, 20), np.uint8)) == []


def test_what_cannot_be_counted_is_an_error(folders, tmp_path, capsys):
    assert _command(folders, "--scale", "0") == 2
    assert "--scale must be above 0" in capsys.readouterr().err
    for text in ("[1]", '{"street": [[1, 2, 3]]}', "{"):
        (tmp_path / "wrong.json").write_text(text)
        assert _command(folders, "--boxes", str(tmp_path / "wrong.json")) == 3
        assert "wrong.json" in capsys.readouterr().err


def test_where_there_is_no_detector_the_extra_is_named(folders, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert _command(folders) == 2
    assert "[detect]" in capsys.readouterr().err


def test_no_fused_image_is_an_error(folders, capsys):
    _needs_detector()
    (folders / "fused" / "street.png").unlink()
    assert _command(folders) == 3
    assert "camfuse fuse" in capsys.readouterr().err
