"""`camfuse calibrate` from drawn boards to a pair fused with the homography it found."""

import json

import numpy as np
import pytest
from scipy import ndimage

from camfuse_jax.cli import main
from camfuse_jax.images.read import read_picture
from camfuse_jax.images.write import write_picture
from camfuse_jax.pair.calibrate import read_homography
from camfuse_jax.pair.register import warp

pytest.importorskip("cv2")

TRUE = np.array([[1.9, 0.06, 14.0], [-0.05, 1.95, 9.0], [2e-5, -3e-5, 1]])  # infrared to visible


def _u8(unit):
    return np.rint(255 * np.clip(unit, 0, 1)).astype(np.uint8)


def _board_pair(x, y):
    """Visible and infrared image of a board of 7 x 5 squares; hot where it is dark."""
    squares = np.kron(np.add.outer(np.arange(5), np.arange(7)) % 2, np.ones((36, 36)))
    vis = np.full((480, 640), 0.9, np.float32)
    vis[y : y + 180, x : x + 252] = 0.1 + 0.8 * squares
    ir, inside = warp(ndimage.gaussian_filter(vis, 1.8), np.linalg.inv(TRUE), 240, 320)
    return _u8(ndimage.gaussian_filter(vis, 1)), _u8(1 - np.where(inside, ir, 0.9))


def test_from_boards_to_a_fused_pair(tmp_path, monkeypatch, capsys, weights):
    monkeypatch.chdir(tmp_path)
    for number, corner in enumerate(((60, 80), (240, 200))):
        vis, ir = _board_pair(*corner)
        write_picture(tmp_path / "ir" / f"{number}.png", ir)
        write_picture(tmp_path / "vis" / f"{number}.png", np.repeat(vis[..., None], 3, 2))
    for kind in ("ir", "vis"):
        write_picture(tmp_path / kind / "2.png", np.full((50, 50), 90, np.uint8))
    assert main(["calibrate", "ir", "vis", "--board", "6x4", "-o", "h.json", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["points"], told["board_not_found"]) == (48, ["2 (both)"])
    assert told["error_px"]["rms"] < 0.1
    np.testing.assert_allclose(read_homography(tmp_path / "h.json"), TRUE, atol=0.2)
    assert main(["calibrate", "ir", "vis", "--board", "6x4", "-o", "h.json"]) == 2
    assert main(["calibrate", "ir", "vis", "--board", "6x4", "-o", "h.json", "--force"]) == 0
    assert "root mean square" in capsys.readouterr().out
    command = ["fuse", "ir/0.png", "vis/0.png", "-o", "f.png", "--weights", str(weights), "--calibration", "h.json"]
    assert main(command) == 0
    assert read_picture(tmp_path / "f.png").size == (480, 640)
