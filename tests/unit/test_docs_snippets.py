"""The Python in README and docs: it compiles, it imports what there is, and the loops for cameras run as printed."""

import ast
import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import environment

REPO = Path(__file__).resolve().parents[2]
PAGES = [REPO / "README.md", *sorted((REPO / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
SNIPPETS = [(page.name, code) for page in PAGES for code in BLOCK.findall(page.read_text(encoding="utf-8"))]


def _snippet(page, text):
    (code,) = [code for name, code in SNIPPETS if name == page and text in code]
    return code


@pytest.mark.parametrize(("page", "code"), SNIPPETS, ids=[f"{n}-{i}" for i, (n, _) in enumerate(SNIPPETS)])
def test_names_that_snippets_import_exist(page, code):
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "camfuse_jax":
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")


def _run(code, folder):
    command = [sys.executable, "-c", code]
    env = environment(folder / "cache")
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_five_lines_of_the_readme(tmp_path):
    demo = REPO / "camfuse_jax" / "demo"
    shutil.copy(demo / "ir.png", tmp_path / "thermal.png")
    shutil.copy(demo / "vis.png", tmp_path / "photo.png")
    code = _snippet("README.md", "load_params")
    assert len([line for line in code.splitlines() if line]) == 4
    assert _run(code + "print(fused.shape, fused.dtype)", tmp_path) == "(480, 640) uint8\n"


@pytest.mark.slow
def test_the_loop_over_two_videos(tmp_path):
    cv2 = pytest.importorskip("cv2")
    for name in ("thermal", "visible"):
        writer = cv2.VideoWriter(str(tmp_path / f"{name}.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
        if not writer.isOpened():
            pytest.skip("this OpenCV writes no video")
        for level in (40, 80):
            writer.write(np.full((48, 64, 3), level, np.uint8))
        writer.release()
    _run(_snippet("video.md", "VideoCapture"), tmp_path)
    assert cv2.imread(str(tmp_path / "last.png")).shape == (48, 64, 3)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="GStreamer is not installed")
def test_the_loop_over_gstreamer(tmp_path):
    lines = _run(_snippet("detectors.md", "gst-launch"), tmp_path).splitlines()
    assert len(lines) == 5
    assert all(line.startswith("(240, 320, 3) 0.") for line in lines)
