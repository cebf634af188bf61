"""Scoring one's own pairs and results: how files find their pair, what is left out, and what is scored of a folder."""

import csv
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from small_nets import small_params

from camfuse_jax.cli import main
from camfuse_jax.config import Modality
from camfuse_jax.data.records import Workdir
from camfuse_jax.data.synthetic import synthetic_pair
from camfuse_jax.fusion.fuse import fuse_arrays
from camfuse_jax.fusion.params import load_params, save_params
from camfuse_jax.images.read import read_gray
from camfuse_jax.images.write import write_picture
from camfuse_jax.metrics import evaluate
from camfuse_jax.metrics.evaluate import (
    choose_weights,
    count_right,
    evaluate_dataset,
    evaluate_pairs,
    judge_networks,
    scored_split,
)
from camfuse_jax.metrics.table import average

NAMES = ("0", "1", "2", "3", "4")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Five pairs in ir/ and vis/, their average in mine/, and weights; the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLA_FLAGS", "")
    for number, name in enumerate(NAMES):
        ir, vis = synthetic_pair(number, 44, 52)
        for folder, image in (("set/ir", ir), ("set/vis", vis), ("mine", average(ir, vis))):
            write_picture(tmp_path / folder / f"{name}.png", image)
    save_params(tmp_path / "small.safetensors", small_params())
    return tmp_path


def _scores(path):
    return {row["image"]: row for row in csv.DictReader(path.read_text().splitlines())}


def _score(**options):
    settings = {"out": "e", **options}
    evaluate_pairs(Path("set/ir"), Path("set/vis"), **{**settings, "out": Path(settings["out"])})


def test_own_results_are_scored_whole_beside_the_baselines(place, capsys):
    _score(results=["mine=mine"])
    out = capsys.readouterr().out
    assert out.startswith("vis: 5 pairs\n")
    assert "| mine | " in out and "| average | " in out and "camfuse" not in out.split("Protocol")[0]
    assert "KEPT" in out
    mine, baseline = _scores(place / "e" / "mine.csv"), _scores(place / "e" / "average.csv")
    assert mine == baseline
    assert list(mine) == list(NAMES)
    assert not (place / "e" / "camfuse").exists()


def test_ours_is_scored_where_weights_are_given_or_nothing_else_is(place, capsys, monkeypatch):
    _score(results=["mine=mine"], weights="small.safetensors")
    assert list(_scores(place / "e" / "camfuse.csv")) == list(NAMES)
    expected = np.asarray(fuse_arrays(small_params(), *synthetic_pair(0, 44, 52))).astype(int)
    assert np.abs(read_gray(place / "e" / "camfuse" / "0.png") - expected).max() <= 1
    assert json.loads((place / "e" / "vis.json").read_text())["significance"]["against"] == "camfuse"
    capsys.readouterr()
    asked = []
    monkeypatch.setattr(evaluate, "load_params", lambda name: asked.append(name) or small_params())
    _score(results=[], out="alone")
    assert asked == ["tno"]
    assert _scores(place / "alone" / "camfuse.csv") == _scores(place / "e" / "camfuse.csv")


def test_files_of_no_pair_are_left_out_by_name(place, capsys):
    write_picture(place / "mine" / "stray.png", np.zeros((3, 3), np.uint8))
    write_picture(place / "set" / "ir" / "alone.png", np.zeros((3, 3), np.uint8))
    _score(results=["mine=mine"])
    captured = capsys.readouterr()
    assert "1 images of mine belong to no pair: stray" in captured.err
    assert "alone.png" in captured.err
    assert list(_scores(place / "e" / "mine.csv")) == list(NAMES)


def test_patterns_name_pairs_and_results(place, capsys):
    for name in NAMES:
        (place / "set" / "ir" / f"{name}.png").rename(place / "set" / "ir" / f"T{name}_a.png")
        (place / "set" / "vis" / f"{name}.png").rename(place / "set" / "vis" / f"V{name}.png")
        (place / "mine" / f"{name}.png").rename(place / "mine" / f"fused-{name}.png")
    pattern = ("T{name}_a", "V{name}", "fused-{name}")
    _score(results=["mine=mine"], pattern=pattern)
    assert list(_scores(place / "e" / "mine.csv")) == list(NAMES)
    for name in NAMES:  # a result called like one of the sources needs no pattern
        (place / "mine" / f"fused-{name}.png").rename(place / "mine" / f"V{name}.png")
    _score(results=["mine=mine"], pattern=pattern[:2], out="again")
    assert _scores(place / "again" / "mine.csv") == _scores(place / "e" / "mine.csv")
    for name in NAMES:
        (place / "mine" / f"V{name}.png").rename(place / "mine" / f"T{name}_a.png")
    _score(results=["mine=mine"], pattern=pattern[:2], out="third")
    assert _scores(place / "third" / "mine.csv") == _scores(place / "e" / "mine.csv")
    assert "left out" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (("set/ir",), 2, ("IR is given without VIS",)),
        (("set/ir", "set/vis", "mine"), 2, ("mine", "NAME=DIR")),
        (("set/ir", "set/vis", "mine=mine", "--fused", "mine=set/ir"), 2, ("Two folders are named mine",)),
        (("set/ir", "set/vis", "a=nowhere"), 3, ("nowhere does not exist",)),
        (("set/ir", "set/vis", "mine=mine", "--dataset", "tno"), 2, ("beside --dataset",)),
        (("--pattern", "{name}", "{name}"), 2, ("--pattern is for one's own pairs",)),
        (("set/ir", "set/vis", "mine=mine", "--pattern", "x", "{name}"), 2, ("--pattern",)),
        (("set/ir", "mine2", "mine=mine"), 3, ("mine2",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_wrong_calls_say_what_to_do(place, capsys, arguments, code, parts):
    assert main(["eval", *arguments]) == code
    error = capsys.readouterr().err
    assert [part for part in parts if part not in error] == []
    assert "Traceback" not in error


def test_missing_results_are_listed(place, capsys):
    (place / "mine" / "3.png").unlink()
    assert main(["eval", "set/ir", "set/vis", "mine=mine"]) == 3
    assert "1 missing: 3" in capsys.readouterr().err


def test_the_command_takes_pairs_and_results(place, capsys):
    assert main(["eval", "set/ir", "set/vis", "mine=mine", "-o", "tables", "--metrics", "all"]) == 0
    assert "MS-SSIM" in capsys.readouterr().out
    assert (place / "tables" / "vis.md").is_file()


def test_what_is_chosen_is_handed_on(place, monkeypatch):
    given = []
    for name in ("evaluate_pairs", "evaluate_dataset"):
        monkeypatch.setattr(evaluate, name, lambda *args, name=name, **options: given.append((name, args, options)))
    chosen = ("--weights", "fast", "--metrics", "all", "--protocol", "tang", "-o", "t", "--fused", "b=there")
    assert main(["eval", "i", "v", "a=here", *chosen, "--pattern", "{name}", "{name}_v"]) == 0
    assert main(["eval", "--dataset", "roadscene", "--workdir", "w", "--data", "d", "--download", *chosen]) == 0
    options = {"out": Path("t"), "weights": "fast", "metrics": "all", "protocol": "tang"}
    assert given == [
        (
            "evaluate_pairs",
            (Path("i"), Path("v"), ("a=here", "b=there")),
            {**options, "pattern": ("{name}", "{name}_v")},
        ),
        (
            "evaluate_dataset",
            (Workdir(Path("w"), "roadscene", data=Path("d"), download=True),),
            {**options, "others": ("b=there",)},
        ),
    ]


def test_a_protocol_that_is_asked_for_is_used(place, capsys):
    _score(results=["mine=mine"])
    _score(results=["mine=mine"], protocol="tang", out="other")
    capsys.readouterr()
    assert _scores(place / "e" / "mine.csv") != _scores(place / "other" / "mine.csv")


def test_a_folder_without_splits_is_scored_whole_and_the_message_names_the_split(place, capsys):
    evaluate_dataset(Workdir(place / "w", "set"), weights="small.safetensors", others=["mine=mine"])
    out = capsys.readouterr().out
    assert out.startswith("set: 5 pairs of split all, weights small.safetensors, rule eq5")
    assert "| reconstruction | SSIM | VIF |" in out
    assert (place / "w" / "eval-set" / "networks.md").read_text() in out
    evaluate_dataset(Workdir(place / "w", "set"), weights="small.safetensors", rule="max")
    assert capsys.readouterr().out.startswith("set: 5 pairs of split all, weights small.safetensors, rule max")


def test_weights_that_are_given_come_before_those_of_the_workdir(place):
    workdir = Workdir(place / "w", "set")
    assert choose_weights(workdir, None) == "tno"
    assert choose_weights(Workdir(place / "w", "roadscene"), None) == "roadscene"
    save_params(workdir.trained, small_params())
    assert choose_weights(workdir, None) == str(workdir.trained)
    assert choose_weights(workdir, "fast") == "fast"


@pytest.mark.parametrize(
    ("right", "images", "pairs"), [([[0.9, 0.1], [0.2, 0.8]], 10, 5), ([[0.1, 0.9], [0.8, 0.2]], 0, 0)]
)
def test_networks_are_judged_by_what_they_give_back_and_by_the_class_they_name(
    place, monkeypatch, right, images, pairs
):
    monkeypatch.setattr(evaluate, "explain", lambda *_, **__: SimpleNamespace(probability=np.array([right])))
    told = judge_networks(load_params("fast"), Workdir(place / "w", "set").pairs("all"))
    assert f"{images} of 10 test images right; which image of a pair is infrared: {pairs} of 5" in told
    assert all(float(ssim) > 0.99 for ssim in re.findall(r"\| (?:ir|vis) \| ([\d.]+)", told))


def test_which_part_of_a_data_set_is_scored(place):
    workdir = Workdir(place / "w", "set")
    assert scored_split(workdir, "tno") == "all"
    assert scored_split(workdir, str(workdir.trained)) == "test"  # the others were trained on
    (place / "set" / "splits.json").write_text('{"train": ["0"], "test": ["1"]}')
    assert scored_split(workdir, "tno") == "test"
    assert scored_split(Workdir(place / "w", "tno"), "tno") == "test"


def test_only_images_that_get_their_own_class_count_as_right():
    right = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert count_right(right) == 2
    assert count_right(right[::-1]) == 0
    assert count_right(np.array([[0.9, 0.1], [0.6, 0.4]])) == 1
    assert (Modality.IR, Modality.VIS) == (0, 1)
