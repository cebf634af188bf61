"""What `camfuse doctor` says about a folder: sides that may be swapped, pairs that do not fit, and what it looks at."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from camfuse_jax.batch import inspect
from camfuse_jax.batch.inspect import Swap, examine_pairs, surely_swapped, swap_evidence, swap_verdict
from camfuse_jax.cli import main
from camfuse_jax.data.pairs import Pairing, find_pairing
from camfuse_jax.images.picture import Picture
from camfuse_jax.images.write import write_picture
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.pair.prepare import prepare_pair

SURE, DOUBT = 40.0, -40.0  # what the classifiers say of a pair at most
RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (40, 48), dtype=np.uint8)
COLORS = RNG.integers(0, 256, (40, 48, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("swaps", "verdict"),
    [
        ([Swap(0, SURE)] * 8, "unsure"),
        ([Swap(0, SURE)] * 50, "unsure"),
        ([Swap(0, DOUBT)] * 8, "as named"),
        ([Swap(0, 1.0)] * 8, "as named"),  # swapped folders are rare
        ([Swap(0, 1.0)] * 50, "as named"),  # pairs of one folder are alike
        ([Swap(-1, SURE)] * 8, "as named"),
        ([Swap(-1, SURE)] + [Swap(0, SURE)] * 7, "as named"),
        ([Swap(1, DOUBT)] * 8, "swapped"),
        ([Swap(1, DOUBT)] * 5 + [Swap(-1, DOUBT)] * 3, "swapped"),
        ([Swap(1, DOUBT)] * 3 + [Swap(-1, DOUBT)] * 5, "as named"),
        ([], "as named"),
    ],
)
def test_only_color_and_temperatures_accuse(swaps, verdict):
    assert swap_verdict(swaps) == verdict


def test_the_classifiers_say_swapped_where_each_image_is_of_the_other_class():
    as_named = np.array([[0.999, 0.001], [0.001, 0.999]])
    assert surely_swapped(as_named[::-1])
    assert not surely_swapped(as_named)
    assert not surely_swapped(np.full((2, 2), 0.5))


def _evidence(ir, vis):
    pictures = [Picture(image, 8, None if image.dtype == np.float32 else 255) for image in (ir, vis)]
    return swap_evidence(*pictures, prepare_pair(*pictures, FrameSettings()), []).certain


def test_colors_and_temperatures_say_which_image_is_which():
    matplotlib = pytest.importorskip("matplotlib")
    maps = (matplotlib.colormaps[name](GRAY)[..., :3] for name in ("inferno", "jet", "turbo"))
    mapped, jet, turbo = (np.rint(image * 255).astype(np.uint8) for image in maps)
    degrees = GRAY.astype(np.float32) / 10
    for ir, vis, certain in (
        (GRAY, COLORS, -1),
        (mapped, COLORS, -1),
        (mapped, GRAY, 0),  # a color map is no color of a scene
        (jet, GRAY, 0),
        (turbo, GRAY, 0),
        (jet, COLORS, -1),
        (degrees, GRAY, -1),
        (GRAY, GRAY, 0),
    ):
        assert _evidence(ir, vis) == certain
        assert _evidence(vis, ir) == -certain or certain == 0


@pytest.fixture
def examined(tmp_path, monkeypatch):
    """Writes pairs (name to infrared and visible image) and examines them; the classifiers say nothing."""
    monkeypatch.setattr(inspect, "explain", lambda *_: SimpleNamespace(probability=np.full((1, 2, 2), 0.5)))

    def run(pairs, limit=0):
        for name, pair in pairs.items():
            for kind, image in zip(("ir", "vis"), pair, strict=True):
                write_picture(tmp_path / kind / f"{name}.png", image)
        return examine_pairs(find_pairing(tmp_path / "ir", tmp_path / "vis"), weights="fast", limit=limit)

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

    monkeypatch.setattr(inspect, "examine_machine", lambda weights: machine)
    monkeypatch.setattr(inspect, "examine_pairs", examine)
    command = ["doctor", *arguments, "--weights", "tno", "--limit", "7"]
    assert main(command) == 0
    assert asked == [(["row" if "--csv" in arguments else "1"], {"weights": "tno", "limit": 7})]
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
    monkeypatch.setattr(inspect, "examine_machine", lambda weights: machine)
    assert main(["doctor", "thermal"]) == 1
    assert "Give the other folder too: camfuse doctor thermal OTHER." in capsys.readouterr().out
