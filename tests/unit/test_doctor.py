"""What `camfuse doctor` says about a folder: sides that may be swapped, pairs that do not fit, and what it looks at."""

import json

import numpy as np
import pytest
from scipy import ndimage

from camfuse_jax.batch import inspect
from camfuse_jax.batch.inspect import examine_pairs
from camfuse_jax.cli import main
from camfuse_jax.data.pairs import Pairing, find_pairing
from camfuse_jax.images.write import write_picture
from camfuse_jax.pair.swapped import Swap

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (40, 48), dtype=np.uint8)
COLORS = RNG.integers(0, 256, (40, 48, 3), dtype=np.uint8)


@pytest.fixture
def examined(tmp_path):
    """Writes pairs (name to infrared and visible image) and examines them."""

    def run(pairs, limit=0):
        for name, pair in pairs.items():
            for kind, image in zip(("ir", "vis"), pair, strict=True):
                write_picture(tmp_path / kind / f"{name}.png", image)
        return examine_pairs(find_pairing(tmp_path / "ir", tmp_path / "vis"), limit=limit)

    return run


def test_a_pair_that_does_not_fit_is_a_problem_and_its_depth_is_a_note(examined, tmp_path):
    write_picture(tmp_path / "ir" / "alone.png", GRAY)
    smooth = ndimage.gaussian_filter(RNG.normal(size=(160, 200)), 2)
    scene = np.rint(255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)
    near, far = scene[16:144, 24:192], scene[16:144, 16:184]
    found = examined({"a": (255 - near, near), "b": (255 - far, near), "c": (near.astype(np.uint16), near)})
    alone, told = found["problems"]
    assert alone == "not paired: ir/alone.png has no partner"
    assert told.startswith("looks misregistered")
    assert told.endswith(": 1 of 3 pairs (b)")
    assert "ir: 8 bit in a 16-bit file: 1 of 3 pairs (c)" in found["notes"]


def test_a_black_hot_pair_is_a_problem(examined):
    spots = np.zeros((96, 128))
    spots[20:24, 30:34] = spots[70:75, 90:93] = spots[50:53, 60:62] = 1
    hot = np.rint(255 * (0.1 + 0.8 * ndimage.gaussian_filter(spots, 0.7))).astype(np.uint8)
    vis = RNG.integers(0, 256, hot.shape, dtype=np.uint8)
    found = examined({"hot": (hot, vis), "black": (255 - hot, vis)})
    assert found["problems"] == ["infrared looks black-hot (--ir-polarity black): 1 of 2 pairs (black)"]
    assert found["notes"] == ["infrared and visible may be swapped: 2 of 2 pairs look so"]  # drawn, and noise


def test_gray_folders_say_how_sure_they_are(examined, monkeypatch):
    for log_odds, problems, notes in ((9.0, 1, 0), (1.5, 0, 1), (-9.0, 0, 0)):
        monkeypatch.setattr(inspect, "swap_evidence", lambda certain, ready, odds=log_odds: Swap(certain, odds))
        found = examined({str(index): (GRAY, GRAY[::-1]) for index in range(3)})
        assert found["problems"].count("infrared and visible look swapped: 3 of 3 pairs") == problems
        assert found["notes"].count("infrared and visible may be swapped: 3 of 3 pairs look so") == notes


def test_swapped_folders_are_named_and_a_limit_spreads_over_the_folder(examined):
    pairs = {str(index): (COLORS, GRAY) for index in range(5)}
    found = examined(pairs, limit=3)
    assert (found["pairs"], found["examined"]) == (5, 3)
    assert "infrared and visible look swapped: 3 of 3 pairs" in found["problems"]
    assert examined(pairs)["examined"] == 5


@pytest.mark.parametrize(
    "arguments", [("ir", "vis"), ("--csv", "pairs.csv"), ("all", "--pattern", "{name}_a", "{name}_b")], ids=" ".join
)
def test_what_is_chosen_is_looked_at(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLA_FLAGS", "")
    for name in ("ir/1", "vis/1", "all/1_a", "all/1_b"):
        write_picture(tmp_path / f"{name}.png", GRAY)
    (tmp_path / "pairs.csv").write_text("ir,vis,name\nir/1.png,vis/1.png,row\n")
    asked = []
    machine = {"versions": {}, "devices": [], "weights": {}, "first_call_s": None, "frame_ms": None, "problems": []}
    images = {"pairs": 1, "examined": 1, "problems": [], "notes": ["a remark"]}

    def examine(pairing: Pairing, **options):
        asked.append(([pair.name for pair in pairing.pairs], options))
        return images

    monkeypatch.setattr(inspect, "examine_machine", lambda weights: machine | {"weights": {weights: "readable"}})
    monkeypatch.setattr(inspect, "examine_pairs", examine)
    command = ["doctor", *arguments, "--weights", "tno", "--limit", "7"]
    assert main(command) == 0
    assert asked == [(["row" if "--csv" in arguments else "1"], {"limit": 7})]
    assert "note: a remark" in capsys.readouterr().out
    images["problems"] = ["one"]
    assert main([*command, "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["images"]["problems"] == ["one"]
    assert "1 thing to look at" in told.err


def test_a_folder_of_one_camera_wants_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_picture(tmp_path / "thermal" / "1.png", GRAY)
    machine = {"versions": {}, "devices": [], "weights": {}, "first_call_s": None, "frame_ms": None, "problems": []}
    monkeypatch.setattr(inspect, "examine_machine", lambda weights: machine | {"weights": {weights: "readable"}})
    assert main(["doctor", "thermal"]) == 1
    assert "Give the other folder too: camfuse doctor thermal OTHER." in capsys.readouterr().out
