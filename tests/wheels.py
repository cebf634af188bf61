"""Builds the wheel that users would install, without asking an index."""

import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]


def build_wheel(folder: Path) -> Path:
    pytest.importorskip("hatchling", reason="builds the wheel without asking an index")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    command = [*build, "-w", str(folder / "dist"), str(REPO)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = (folder / "dist").glob("camfuse_jax-*-py3-none-any.whl")
    return wheel
