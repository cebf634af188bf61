"""The recipe for Ray Data: its batches give what `camfuse fuse` gives; with Ray itself where that is installed."""

import json
import subprocess
import sys

import numpy as np
import pytest
import ray_fuse
from command_line import RUN, environment
from small_nets import small_params

from camfuse_jax import save_params
from camfuse_jax.data.synthetic import synthetic_pair
from camfuse_jax.images.read import read_picture
from camfuse_jax.images.write import picture_bytes, write_picture
from camfuse_jax.pair.fuse import fuse_frame, to_levels
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.pair.prepare import prepare_pair


def _row(name, seed, height=24, width=30, depth=np.uint8):
    ir, vis = synthetic_pair(seed, height, width)
    vis = vis.astype(depth) * (1 if depth == np.uint8 else 257)
    color = np.stack([vis, vis // 2, np.iinfo(depth).max - vis], -1)
    return {"name": name, "ir": picture_bytes(ir), "vis": picture_bytes(color, alpha=vis, icc=b"profile" * 9)}


def _expected(row):
    """What one pair gives by itself."""
    ir, vis = (read_picture(row[kind], name=kind) for kind in ("ir", "vis"))
    ready = prepare_pair(ir, vis, FrameSettings())
    return to_levels(fuse_frame(small_params(), ready.ir_unit, ready.vis_unit), ready.bits)


def test_a_batch_of_two_sizes_and_a_damaged_file_in_one_call():
    rows = [_row("a", 1), _row("b", 2, 20, 44), _row("c", 3, depth=np.uint16), _row("d", 4), _row("e", 5)]
    rows[3]["vis"] = rows[3]["vis"][:100]
    done = ray_fuse.fuse_rows(small_params(), rows, FrameSettings())
    assert [one["name"] for one in done] == list("abcde")
    assert done[3]["png"] is None
    assert done[3]["error"].startswith("vis/d is not a whole")
    for place in (0, 1, 2, 4):
        assert done[place]["error"] == ""
        result = read_picture(done[place]["png"], name="result")
        expected = _expected(rows[place])
        assert result.samples.dtype == expected.dtype
        # Batches of other sizes are other programs, which may round a level the other way.
        assert np.abs(result.samples.astype(int) - expected).max() <= np.iinfo(expected.dtype).max // 255
        assert result.icc == b"profile" * 9
        assert result.alpha is not None


@pytest.mark.slow
def test_two_workers_fuse_a_folder_and_go_on(tmp_path):
    pytest.importorskip("ray.data", reason="Ray Data is not installed")
    save_params(tmp_path / "small.safetensors", small_params())
    names = [f"{i}" for i in range(6)]
    for i, name in enumerate(names):
        for kind, image in zip(("ir", "vis"), synthetic_pair(i, 24, 30), strict=True):
            write_picture(tmp_path / "pairs" / kind / f"{name}.png", image)
    write_picture(tmp_path / "pairs" / "ir" / "alone.png", image)
    (tmp_path / "pairs" / "vis" / "5.png").write_bytes(b"no image")
    arguments = ("pairs", "out", "--weights", str(tmp_path / "small.safetensors"), "--workers", "2", "--batch", "2")
    command = [sys.executable, str(RUN.with_name("ray_fuse.py")), *arguments]
    counts = []
    for _ in range(2):
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(tmp_path / "cache"), capture_output=True, text=True, check=False
        )
        assert done.returncode == 1, done.stderr
        report = json.loads(done.stdout[done.stdout.index("{\n") :])
        assert report["alone"] == ["alone"]
        assert list(report["failed"]) == ["5"]
        counts.append((report["there"], report["fused"]))
        (tmp_path / "out" / "0.png").unlink()
    assert counts == [(0, 5), (4, 1)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1.png", "2.png", "3.png", "4.png"]
    assert read_picture(tmp_path / "out" / "1.png").size == (24, 30)
