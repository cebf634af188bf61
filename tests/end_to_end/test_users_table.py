"""Rows of docs/users.md that no other test shows through the real command line."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from command_line import environment, refused
from wheels import build_wheel

from camfuse_jax.data.synthetic import synthetic_pair
from camfuse_jax.images.read import read_picture
from camfuse_jax.images.write import write_picture

SIZES = ((1, 1), (1, 7), (9, 1), (2, 3), (17, 33))


def test_any_names_by_pattern_and_by_table(camfuse, tmp_path, weights):
    for name in ("a b", "ü"):
        for kind, image in zip(("cam0", "cam1"), synthetic_pair(3, 24, 30), strict=True):
            write_picture(tmp_path / "in" / f"{kind}-{name}.png", image)
    (tmp_path / "in" / "pairs.csv").write_text("ir,vis,name\ncam0-ü.png,cam1-a b.png,mixed\nabsent.png,cam1-ü.png,\n")
    common = ("--weights", weights, "--dry-run", "--json")
    done = camfuse("fuse", "in", "--pattern", "cam0-{name}", "cam1-{name}", *common, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [entry["name"] for entry in json.loads(done.stdout)["pairs"]] == ["a b", "ü"]
    done = camfuse("fuse", "--csv", "in/pairs.csv", *common, cwd=tmp_path)
    refused(done, 1, "1 file pairs with nothing")
    report = json.loads(done.stdout)
    assert [(entry["name"], entry["ir"]) for entry in report["pairs"]] == [("mixed", "in/cam0-ü.png")]
    assert "absent.png absent" in report["unpaired"][0]
    assert not (tmp_path / "fused").exists()


def test_odd_sizes_come_out_as_they_came_in(camfuse, tmp_path, weights):
    ir, vis = synthetic_pair(3, 17, 33)
    for height, width in SIZES:
        write_picture(tmp_path / "ir" / f"{height}x{width}.png", np.ascontiguousarray(ir[:height, :width]))
        color = np.stack([vis, vis // 2, 255 - vis], -1)[:height, :width]
        write_picture(tmp_path / "vis" / f"{height}x{width}.png", np.ascontiguousarray(color))
    done = camfuse("fuse", "ir", "vis", "-o", "o", "--weights", weights, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for height, width in SIZES:
        result = read_picture(tmp_path / "o" / f"{height}x{width}.png")
        assert result.size == (height, width)
        assert result.is_color


def test_other_sizes_and_a_shift_are_told(camfuse, tmp_path, weights):
    """Other sizes: refused, or made the size that is asked for. A pair 14 pixels apart: named, and fused as it is."""
    _, vis = synthetic_pair(5, 120, 160)
    write_picture(tmp_path / "vis" / "far.png", vis)
    write_picture(tmp_path / "ir" / "far.png", np.roll(vis, (6, 14), (0, 1)))
    write_picture(tmp_path / "vis" / "large.png", vis)
    write_picture(tmp_path / "ir" / "large.png", np.ascontiguousarray(vis[::2, ::2]))
    common = ("fuse", "ir", "vis", "--weights", weights, "--json")
    refused(camfuse(*common, "-o", "e", cwd=tmp_path), 1, "80 x 60", "160 x 120", "--fit")
    for fit, size in (("ir", (60, 80)), ("vis", (120, 160))):
        done = camfuse(*common, "-o", f"to_{fit}", "--fit", fit, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert read_picture(tmp_path / f"to_{fit}" / "large.png").size == size
        notes = {entry["name"]: " | ".join(entry["notes"]) for entry in json.loads(done.stdout)["pairs"]}
        assert f"sizes differ: resampled to that of {fit}" in notes["large"]
        assert "looks misregistered" in notes["far"]
        assert "looks misregistered" not in notes["large"]


@pytest.mark.slow
def test_a_real_pair_in_every_form(camfuse, tmp_path, data_root, weights):
    """A piece of a RoadScene pair as other cameras would store it: the same scene, so nearly the same result."""
    name = "FLIR_00211.jpg"
    ir, vis = (read_picture(data_root / "roadscene" / kind / name).samples for kind in ("ir", "vis"))
    ir = ir if ir.ndim == 2 else ir[..., 0]
    ir, vis = (np.ascontiguousarray(image[100:196, 200:328]) for image in (ir, vis))
    irs = dict.fromkeys(("gray", "plain", "small"), ir)
    irs |= {"deep": ir.astype(np.uint16) * 257, "threefold": np.stack([ir] * 3, -1)}
    irs["small"] = np.ascontiguousarray(ir[::2, ::2])
    for kind, image in irs.items():
        write_picture(tmp_path / "in" / f"{kind}_thermal.{'tif' if kind == 'deep' else 'png'}", image)
        write_picture(tmp_path / "in" / f"{kind}_rgb.png", vis[..., 1] if kind == "gray" else vis)
    done = camfuse("fuse", "in", "-o", "o", "--weights", weights, "--fit", "vis", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    results = {kind: read_picture(tmp_path / "o" / f"{kind}.png").samples.astype(int) for kind in irs}
    assert all(image.shape == vis.shape for kind, image in results.items() if kind != "gray")
    assert results["gray"].shape == vis.shape[:2]
    np.testing.assert_array_equal(results["threefold"], results["plain"])
    assert np.abs(results["deep"] - results["plain"]).max() <= 1
    notes = {entry["name"]: " | ".join(entry["notes"]) for entry in json.loads(done.stdout)["pairs"]}
    assert "gray stored as RGB" in notes["threefold"]
    assert "8 bit spread over a 16-bit file" in notes["deep"]
    assert "resampled to that of vis" in notes["small"]


@pytest.mark.slow
def test_the_wheel_works_from_another_folder(tmp_path, weights):
    """What `pip install` brings: weights, demo, page templates, license; run offline from a folder that is not ours."""
    wheel = build_wheel(tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    (info,) = {Path(name).parts[0] for name in names if ".dist-info/" in name}
    assert f"{info}/licenses/LICENSE" in names
    metadata = (tmp_path / "site" / info / "METADATA").read_text()
    assert "Requires-Python: >=3.11" in metadata
    assert "camfuse = camfuse_jax.cli:main" in (tmp_path / "site" / info / "entry_points.txt").read_text()
    (tmp_path / "elsewhere").mkdir()
    run = [sys.executable, "-m", "camfuse_jax.cli", "fuse", "--weights", str(weights)]
    env = {**environment(tmp_path / "cache"), "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(run, cwd=tmp_path / "elsewhere", env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "elsewhere" / "fused" / "demo.png").is_file()
    done = subprocess.run([*run[:3], "docs"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "cameras" in done.stdout
