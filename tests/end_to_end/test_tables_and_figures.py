"""Stages table and figures through the real command, on small drawn pairs and narrow networks."""

import csv
import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from command_line import RUN, environment, refused
from paper import command
from small_nets import small_params

from camfuse_jax import fuse
from camfuse_jax.fusion.params import save_params, with_look, with_rule
from camfuse_jax.images.read import read_gray
from camfuse_jax.images.write import write_picture
from camfuse_jax.metrics.registry import PICTURE_METRICS
from camfuse_jax.metrics.table import BASELINES
from camfuse_jax.stages import run_stages

NAMES = ("a", "b")
COMMON = ("--dataset", "tno", "--data", "data", "--weights", "small.safetensors", "--workdir", "w")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with data/tno of two pairs, one other method's images under peers, weights and a training log."""
    folder = tmp_path_factory.mktemp("place")
    rng = np.random.default_rng(7)
    for name in NAMES:
        for kind in ("ir", "vis"):
            image = rng.integers(0, 256, (44, 60), dtype=np.uint8)
            write_picture(folder / "data" / "tno" / kind / f"{name}.png", image)
        write_picture(folder / "peers" / "Theirs" / "tno" / f"{name}.png", image)
    (folder / "data" / "tno" / "splits.json").write_text(json.dumps({"train": [], "test": list(NAMES)}))
    save_params(folder / "small.safetensors", small_params())
    (folder / "w" / "ae").mkdir(parents=True)
    (folder / "w" / "ae" / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\n{"st')
    return folder


def _call(run, place, stage, *options):
    return run("--stage", stage, *COMMON, *options, cwd=place)


def test_table(run, place, monkeypatch):
    monkeypatch.setenv("CAMFUSE_PEERS", str(place / "peers"))
    done = _call(run, place, "table", "--metrics", "all", "--out", "t")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == (place / "t" / "table1.md").read_text().strip()
    assert "| published | Wan et al. (the paper) | 7.3272 |" in done.stdout
    rows = list(csv.DictReader((place / "t" / "table1.csv").read_text().splitlines()))
    assert [row["method"] for row in rows if row["row"] == "measured"] == ["Theirs"]
    assert list(rows[0])[2:-3] == ["EN", "AG", "SCD", "SSIM", "VIF", "Qabf", "MI", "NOISE", *PICTURE_METRICS]
    assert json.loads((place / "t" / "table1.json").read_text())["weights"] == "small.safetensors"
    assert r"\toprule" in (place / "t" / "table1.tex").read_text()
    assert len((place / "t" / "scores" / "Theirs.csv").read_text().splitlines()) == 1 + len(NAMES)
    assert read_gray(place / "t" / "camfuse" / "a.png").shape == (44, 60)


@pytest.mark.parametrize("stage", ["eval", "table"])
def test_rule_and_settings_of_the_command_line_are_used(place, monkeypatch, stage):
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.delenv("CAMFUSE_PEERS", raising=False)
    monkeypatch.chdir(place)
    images = [read_gray(place / "data" / "tno" / kind / "a.png") for kind in ("ir", "vis")]
    small = small_params()
    wanted = {
        ("--rule", "spatial", "--fusion.spatial.look", "0.25"): with_look(with_rule(small, "spatial"), 0.25),
        ("--rule", "l1", "--fusion.gain", "1.5"): small.replace(
            fusion=dataclasses.replace(small.fusion, rule="l1", gain=1.5)
        ),
    }
    for options, params in wanted.items():
        out = place / stage / options[-1]
        assert run_stages(["--stage", stage, *COMMON, *options, "--out", str(out)], extra={"table": command.table}) == 0
        levels = [np.asarray(fuse(p, *images)).astype(int) for p in (params, small)]
        # A folder has a program of its own size, which may round one level to the other side.
        np.testing.assert_allclose(read_gray(out / "camfuse" / "a.png"), levels[0], atol=1)
        assert abs(levels[1] - levels[0]).max() > 2


@pytest.mark.slow
def test_device_counts_change_no_digit(place, tmp_path):
    found = []
    for count in (1, 3):
        flags = f"--xla_force_host_platform_device_count={count}"
        common = ("--stage", "table", "--dataset", "tno", "--data", "data", "--weights", "small.safetensors")
        others = ("--fused", "Theirs=peers/Theirs/tno", "--out", f"devices{count}")
        done = subprocess.run(
            [sys.executable, str(RUN), *common, *others],
            cwd=place,
            env={**environment(tmp_path), "XLA_FLAGS": flags},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found.append({path.name: path.read_bytes() for path in (place / f"devices{count}" / "scores").glob("*.csv")})
    assert set(found[0]) == {f"{name}.csv" for name in ("camfuse", "Theirs", *BASELINES)}
    assert found[0] == found[1]


def test_figures(run, place, monkeypatch):
    monkeypatch.delenv("CAMFUSE_PEERS", raising=False)
    zooms = ("--zoom", "0,0,20,15", "--zoom", "40,29,20,15")
    others = ("--fused", f"Theirs={place / 'peers' / 'Theirs' / 'tno'}")
    done = _call(run, place, "figures", "--image", "b", *zooms, *others, "--sheet", "--out", "f")
    assert done.returncode == 0, done.stderr
    expected = {"fig1_heatmaps-b", "fig4_comparison-b", "channel_weights", "training_curves", "sheet"}
    for ending in (".png", ".pdf"):
        assert {path.stem for path in (place / "f").glob(f"*{ending}")} == expected
    assert "zoom 0,0,20,15 40,29,20,15" in done.stdout


@pytest.mark.parametrize(
    ("stage", "options", "code", "told"),
    [
        ("table", ("--dataset", "synthetic"), 2, "no table of synthetic"),
        ("table", ("--fused", "x=none"), 3, "none does not exist"),
        ("table", ("--fused", "x=a", "--fused", "x=b"), 2, "Two folders are named x"),
        ("figures", ("--zoom", "1,2,3"), 2, "--zoom 1,2,3 is not a box"),
        ("figures", ("--zoom", "50,0,20,15"), 2, "60 wide and 44 high"),
        ("figures", ("--zoom", "0,0,9,9") * 3, 2, "At most 2"),
        ("figures", ("--rule", "l1"), 2, "--rule takes no part in stage figures"),
        ("figures", ("--fusion.gain", "2"), 2, "--fusion takes no part in stage figures"),
        ("table", ("--limit", "3"), 2, "--limit takes no part in stage table. It does in report."),
        ("table", ("--sheet",), 2, "--sheet takes no part in stage table"),
        ("figures", ("--metrics", "all"), 2, "--metrics takes no part in stage figures"),
        ("figures", ("--image", "c"), 2, "Its test pairs are: a, b"),
        ("figures", ("--fused", "Empty=w"), 3, "Empty has no image a"),
        ("figures", ("--fused", "Wrong=wrong"), 3, "10 x 10, its sources 44 x 60"),
        ("figures", ("--out", "small.safetensors/f"), 5, "small.safetensors"),
    ],
    ids=lambda value: " ".join(map(str, value))[:30] if isinstance(value, tuple) else None,
)
def test_mistakes_end_with_a_line(place, monkeypatch, capsys, stage, options, code, told):
    monkeypatch.setenv("XLA_FLAGS", "")  # `main` sets it for its process; here it is put back
    monkeypatch.delenv("CAMFUSE_PEERS", raising=False)
    monkeypatch.chdir(place)
    for name in NAMES:
        write_picture(place / "wrong" / f"{name}.png", np.zeros((10, 10), np.uint8))
    stages = {"table": command.table, "figures": command.figures}
    assert run_stages(["--stage", stage, *COMMON, *options], extra=stages) == code
    assert told in capsys.readouterr().err


def test_a_wrong_folder_of_peers_is_named(run, place, monkeypatch):
    monkeypatch.setenv("CAMFUSE_PEERS", str(place / "nowhere"))
    refused(_call(run, place, "table"), 3, "CAMFUSE_PEERS", "nowhere")
