"""Homographies measured on boards drawn here, whose true one is known, and on tables of points."""

import json

import numpy as np
import pytest
from scipy import ndimage

from camfuse_jax.cli import main
from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.images.write import write_picture
from camfuse_jax.pair import calibrate
from camfuse_jax.pair.calibrate import (
    Board,
    Measured,
    find_board,
    measure_homography,
    parse_board,
    read_homography,
    read_points,
    same_order,
)
from camfuse_jax.pair.register import warp

pytest.importorskip("cv2")

TRUE = np.array([[1.9, 0.06, 14.0], [-0.05, 1.95, 9.0], [2e-5, -3e-5, 1]])  # infrared to visible


def _board(x, y, *, cell=36, cols=7, rows=5, size=(480, 640)):
    """A visible image, (h, w) in [0, 1], of a chessboard of cols x rows squares with its corner at (x, y)."""
    squares = np.add.outer(np.arange(rows), np.arange(cols)) % 2
    image = np.full(size, 0.9, np.float32)
    large = np.kron(squares, np.ones((cell, cell)))
    image[y : y + rows * cell, x : x + cols * cell] = 0.1 + 0.8 * large
    return ndimage.gaussian_filter(image, 1.0)


def _seen_by_ir(vis, *, inverted=True, size=(240, 320)):
    moved, inside = warp(ndimage.gaussian_filter(vis, 1.5), np.linalg.inv(TRUE), *size)  # as its pixels average
    moved = np.where(inside, moved, 0.9)
    return (1 - moved if inverted else moved).astype(np.float32)


def _u8(unit):
    return np.rint(255 * np.clip(unit, 0, 1)).astype(np.uint8)


def _mapped(points, homography=TRUE):
    x, y, z = homography @ np.vstack([points.T, np.ones(len(points))])
    return np.stack([x / z, y / z], -1)


@pytest.mark.parametrize("inverted", [True, False])
def test_a_board_in_both_images_gives_the_true_homography(inverted):
    board, pairs = Board("chess", 6, 4), []
    for x, y in ((60, 80), (240, 200), (120, 250)):
        vis = _board(x, y)
        found = find_board(_u8(_seen_by_ir(vis, inverted=inverted)), board), find_board(_u8(vis), board)
        assert all(points is not None for points in found)
        pairs.append((same_order(*found, board), found[1]))
    measured = measure_homography(pairs)
    corners = np.array([[0, 0], [319, 0], [0, 239], [319, 239.0]])
    assert np.hypot(*(_mapped(corners, measured.homography) - _mapped(corners)).T).max() < 0.3
    assert measured.rms < 0.1
    assert len(measured.held_out) == 3
    assert max(measured.held_out) < 0.3
    assert measured.used.all()


def test_an_image_without_the_board_gives_nothing():
    assert find_board(_u8(_board(60, 80)), Board("chess", 9, 6)) is None
    assert find_board(np.zeros((100, 100), np.uint8), Board("circles", 4, 3)) is None


def test_circles_are_found_bright_or_dark():
    image = np.full((240, 320), 230, np.uint8)
    ys, xs = np.mgrid[:240, :320]
    for row in range(3):
        for col in range(5):
            image[np.hypot(xs - 60 - 45 * col, ys - 60 - 45 * row) < 12] = 20
    for levels in (image, 255 - image):
        points = find_board(levels, parse_board("circles:5x3"))
        assert points.shape == (15, 2)
        assert {tuple(np.rint(point).astype(int)) for point in points} >= {(60, 60), (240, 150)}


def test_the_order_of_a_turned_board_is_that_of_the_other_image():
    grid = np.stack(np.meshgrid(np.arange(6.0), np.arange(4.0)), -1)
    vis = grid.reshape(-1, 2) * 30 + 100
    for other in (grid[::-1, ::-1], grid[:, ::-1], grid[::-1], grid):
        ir = other.reshape(-1, 2) * 15 + 7
        np.testing.assert_allclose(same_order(ir, vis, Board("chess", 6, 4)), grid.reshape(-1, 2) * 15 + 7)
    square = np.stack(np.meshgrid(np.arange(4.0), np.arange(4.0)), -1)
    turned = np.rot90(square).reshape(-1, 2)
    np.testing.assert_allclose(same_order(turned, square.reshape(-1, 2), Board("chess", 4, 4)), square.reshape(-1, 2))


def test_points_far_off_do_not_take_part():
    rng = np.random.default_rng(0)
    ir = rng.random((40, 2)) * (320, 240)
    vis = _mapped(ir) + rng.normal(0, 0.3, ir.shape)
    vis[:6] += 40
    measured = measure_homography([(ir, vis)])
    np.testing.assert_array_equal(measured.used, np.arange(40) >= 6)
    assert 0.2 < measured.rms < 0.7
    assert measured.held_out == ()
    assert measured.as_json()["points_used"] == 34
    assert measured.as_json()["error_px"]["largest_used"] < 3
    # Root mean square, not mean: from the errors themselves.
    expected = np.hypot(*(_mapped(ir[6:], measured.homography) - vis[6:]).T)
    assert measured.rms == pytest.approx(np.sqrt(np.mean(expected**2)))


def test_a_pair_that_disagrees_is_seen_where_it_is_held_out():
    rng = np.random.default_rng(1)
    pairs = [(ir, _mapped(ir)) for ir in (rng.random((3, 20, 2)) * (320, 240))]
    pairs[1] = pairs[1][0], pairs[1][1] + 2.0
    held_out = measure_homography(pairs).held_out
    assert held_out[1] == pytest.approx(2 * np.sqrt(2), abs=0.1)


@pytest.mark.parametrize("points", [[[0, 0], [1, 1], [2, 0]], [[0, 0], [1, 1], [2, 2], [3, 3], [4, 4]]])
def test_too_few_points_are_refused(points):
    points = np.array(points, float)
    with pytest.raises(InputError, match="four points"):
        measure_homography([(points, 2 * points)])


@pytest.mark.parametrize("text", ["", "9", "9x", "1x6", "hexagons:4x4", "9x6x3", "-9x6"])
def test_what_is_no_board_is_refused(text):
    with pytest.raises(UsageError, match="--board"):
        parse_board(text)
    assert parse_board("9x6") == Board("chess", 9, 6)


@pytest.mark.parametrize(
    "table",
    [
        "ir_x,ir_y,vis_x,vis_y\n1,2,3.5,4\n",
        "name;VIS X;VIS Y;IR X;IR Y\na;3,5;4;1;2\n\n;;;;\n",
        "\ufeffir_x\tir_y\tvis_x\tvis_y\n1\t2\t3.5\t4\n",
    ],
)
def test_tables_of_points(tmp_path, table):
    (tmp_path / "p.csv").write_text(table)
    ir, vis = read_points(tmp_path / "p.csv")
    np.testing.assert_array_equal(ir, [[1, 2]])
    np.testing.assert_array_equal(vis, [[3.5, 4]])


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("", "none"),
        ("x,y\n1,2\n", "lacks ir_x, ir_y, vis_x, vis_y; its columns are x, y"),
        ("ir_x,ir_y,vis_x,vis_y\n1,2,3,4\n1,2,3\n", "line 3"),
        ("ir_x,ir_y,vis_x,vis_y\n1,2,nan,4\n", "line 2"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, table, told):
    (tmp_path / "p.csv").write_text(table)
    with pytest.raises(InputError, match=told):
        read_points(tmp_path / "p.csv")


def test_which_image_lacks_the_board_is_said(tmp_path, monkeypatch, capsys):
    """Images that show it are 40 rows high here; files are named by a pattern."""
    monkeypatch.chdir(tmp_path)
    grid = np.stack(np.meshgrid(np.arange(3.0), np.arange(2.0)), -1).reshape(-1, 2)
    found = {60: 7 * grid[::-1], 70: 7 * grid}  # by width: in the infrared image from its other end

    def find_board(image, board):
        return found[image.shape[1]] if len(image) == 40 else None

    monkeypatch.setattr(calibrate, "find_board", find_board)
    for name, heights in {"a": (50, 40), "b": (40, 50), "c": (50, 50), "d": (40, 40)}.items():
        for kind, height, width in zip("xy", heights, found, strict=True):
            write_picture(tmp_path / "in" / f"{name}_{kind}.png", np.zeros((height, width), np.uint8))
    command = ["calibrate", "in", "--pattern", "{name}_x", "{name}_y", "--board", "3x2", "--json"]
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["board_not_found"] == ["a (infrared)", "b (visible)", "c (both)"]
    assert told["pairs"] == ["d"]
    np.testing.assert_allclose(told["homography"], np.eye(3), atol=1e-6)


def test_a_poor_fit_and_points_left_out_are_noted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.csv").write_text("ir_x,ir_y,vis_x,vis_y\n1,2,3,4\n")
    for worst, noted in ((1.9, False), (2.1, True)):
        measured = Measured(np.eye(3), np.array([worst, worst, 9.0]), np.array([True, True, False]), ())
        monkeypatch.setattr(calibrate, "measure_homography", lambda found, measured=measured: measured)
        assert main(["calibrate", "--points", "p.csv", "--force"]) == 0
        told = capsys.readouterr().err
        assert "note: 1 of 3 points lie too far off to be used" in told
        assert ("note: more than 2 px are seen as double edges" in told) == noted


def test_what_the_command_refuses(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    points = np.random.default_rng(0).random((8, 2)) * 100
    rows = [f"{a},{b},{c},{d}" for (a, b), (c, d) in zip(points, _mapped(points), strict=True)]
    (tmp_path / "p.csv").write_text("\n".join(["ir_x,ir_y,vis_x,vis_y", *rows]))
    assert main(["calibrate", "--points", "p.csv"]) == 0
    np.testing.assert_allclose(read_homography(tmp_path / "homography.json"), TRUE, atol=1e-3)
    for kind in ("ir", "vis"):
        write_picture(tmp_path / kind / "a.png", np.full((50, 60), 90, np.uint8))
    assert main(["calibrate"]) == 2
    assert main(["calibrate", "ir", "vis", "-o", "n.json"]) == 2
    assert main(["calibrate", "ir", "vis", "--points", "p.csv", "-o", "n.json"]) == 2
    assert main(["calibrate", "ir", "vis", "--board", "9x6", "-o", "n.json"]) == 3
    told = capsys.readouterr().err
    assert all(text in told for text in ("--board is missing", "either images of a board or --points", "none of 1"))
    assert not (tmp_path / "n.json").exists()


@pytest.mark.parametrize("name", ["h.json", "h.txt"])
@pytest.mark.parametrize("form", ["words", "rows", "list", "object"])
def test_a_homography_is_known_by_its_content(tmp_path, name, form):
    nine = [repr(float(value)) for value in TRUE.ravel()]
    text = {
        "words": ", ".join(nine[:3]) + "\n" + " ".join(nine[3:]),
        "rows": json.dumps(TRUE.tolist()),
        "list": "[" + ", ".join(nine) + "]",
        "object": json.dumps({"homography": TRUE.tolist()}),
    }[form]
    (tmp_path / name).write_text(text)
    np.testing.assert_allclose(read_homography(tmp_path / name), TRUE)
