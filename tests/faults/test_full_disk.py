"""A disk that takes no more, at every size: refused in one line, nothing of the libraries' own noise, steps whole."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import camfuse_jax

# Steps of many arrays, as training has them: their writes run side by side, and all but the first to fail are late.
PROGRAM = """
import resource, sys
import numpy as np
from camfuse_jax.errors import ResourceError
from camfuse_jax.training.checkpoint import StageCheckpoints

def state(step):
    rng = np.random.default_rng(step)
    return {f"layer{i}": rng.normal(size=400).astype(np.float32) for i in range(60)}

folder, limits = sys.argv[1], [int(text) for text in sys.argv[2:]]
with StageCheckpoints(__import__("pathlib").Path(folder), {"stage": "x"}) as checkpoints:
    checkpoints.save(1, state(1))
    for number, limit in enumerate(limits, start=2):
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            checkpoints.save(number, state(number))
            print("saved")
        except ResourceError as error:
            print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
with StageCheckpoints(__import__("pathlib").Path(folder), {"stage": "x"}) as checkpoints:
    kept = checkpoints.restore(state(0))
    good = all(np.array_equal(kept[name], array) for name, array in state(checkpoints.latest).items())
    print("kept", checkpoints.latest, good)
"""


def _save(folder, *limits):
    environment = {**os.environ, "PYTHONPATH": str(Path(camfuse_jax.__file__).parents[1]), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", PROGRAM, str(folder), *map(str, limits)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_files_that_may_not_grow(tmp_path):
    """The system's largest size of a file: what a full disk is, for anybody who may not mount a small one."""
    *told, kept = _save(tmp_path / "ae", 4096, 12_000, 40_000, 90_000, 98_000)
    for number, line in enumerate(told, start=2):
        where = f"Step {number} could not be saved in {tmp_path / 'ae'}: File too large."
        assert line == f"{where} Earlier steps are whole: 1."
    assert kept == "kept 1 True"
    assert sorted(path.name for path in (tmp_path / "ae").iterdir()) == [".lock", "1", "config.json"]


@pytest.mark.slow
def test_disks_of_many_sizes(tmp_path):
    told = set()
    for kibibytes in (700, 780, 900, 1000, 1500):
        disk = tmp_path / "disk"
        disk.mkdir(exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(disk)]
        if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("only root may mount a small disk")
        try:
            *lines, kept = _save(disk / "ae", 0, 0, 0)
            assert kept == f"kept {1 + lines.count('saved')} True"
            assert not [path for path in (disk / "ae").iterdir() if path.name.startswith((".saving", ".removing"))]
            told |= {line.split(" in ")[0] for line in lines}
        finally:
            subprocess.run(["umount", str(disk)], check=True)
    assert "saved" in told
    assert "Step 2 could not be saved" in told
