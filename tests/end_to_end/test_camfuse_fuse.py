"""`camfuse fuse` on what cameras write: each kind of file, pairing, resume, alignment, through the real command."""

import json

import numpy as np
import pytest
from command_line import HEIGHT, WIDTH, refused
from PIL import Image
from small_nets import small_params

from camfuse_jax import fuse
from camfuse_jax.data.synthetic import synthetic_pair
from camfuse_jax.images.color import luma_unit
from camfuse_jax.images.read import read_picture
from camfuse_jax.images.write import write_picture

KINDS = ("alpha", "color", "deep", "gray", "jet", "odd", "threefold", "tiff")


@pytest.fixture(scope="module")
def color(pair):
    vis = pair[1]
    return np.stack([vis, vis // 2 + 60, 255 - vis], axis=-1)


@pytest.fixture
def folder(tmp_path, pair, color):
    """One folder with a pair of each kind, an orphan, a damaged file and a pair of two sizes."""
    import matplotlib

    ir, vis = pair
    root = tmp_path / "in"
    irs = dict.fromkeys(KINDS, ir) | {"deep": ir.astype(np.uint16) * 16, "threefold": np.stack([ir] * 3, -1)}
    irs["jet"] = np.rint(matplotlib.colormaps["jet"](ir)[..., :3] * 255).astype(np.uint8)
    viss = dict.fromkeys(KINDS, vis) | {"color": color, "alpha": color, "odd": vis[:-3]}
    for kind in KINDS:
        suffix = ".tif" if kind == "tiff" else ".png"
        write_picture(root / f"ir_{kind}{suffix}", irs[kind])
        write_picture(root / f"vis_{kind}.png", viss[kind], alpha=vis if kind == "alpha" else None, icc=b"profile" * 9)
    write_picture(root / "ir_orphan.png", ir)
    for name in ("ir_damaged.png", "vis_damaged.png"):
        write_picture(root / name, ir)
    (root / "vis_damaged.png").write_bytes((root / "vis_damaged.png").read_bytes()[:300])
    return root


def _close(path, ir, vis, limit=1):
    expected = np.asarray(fuse(small_params(), ir, vis)).astype(int)
    assert np.abs(read_picture(path).samples.astype(int) - expected).max() <= limit


def test_every_kind_of_file_in_one_folder_then_again(camfuse, tmp_path, folder, weights, pair, color):
    arguments = ("fuse", "in", "-o", "o", "--weights", weights, "--json")
    dry = camfuse(*arguments, "--dry-run", cwd=tmp_path)
    assert dry.returncode == 1
    assert not (tmp_path / "o").exists()
    planned = json.loads(dry.stdout)
    assert [entry["status"] for entry in planned["pairs"] if entry["name"] == "odd"] == ["failed"]

    done = camfuse(*arguments, cwd=tmp_path)
    refused(done, 1, "2 of 9 pairs failed", "damaged", f"{WIDTH} x {HEIGHT - 3}", "1 file pairs with nothing")
    report = json.loads(done.stdout)
    assert report["exit_code"] == 1
    assert report["unpaired"] == ["in/ir_orphan.png has no partner"]
    states = {entry["name"]: entry["status"] for entry in report["pairs"]}
    assert states == dict.fromkeys(KINDS, "fused") | {"odd": "failed", "damaged": "failed"}
    assert {path.stem for path in (tmp_path / "o").iterdir()} == set(KINDS) - {"odd"}
    _check_results(tmp_path / "o", *pair, color, {entry["name"]: entry["notes"] for entry in report["pairs"]})

    kept = (tmp_path / "o" / "gray.png").stat().st_mtime_ns
    (tmp_path / "o" / "jet.png").unlink()
    again = json.loads(camfuse(*arguments, cwd=tmp_path).stdout)
    assert again["counts"] == {"planned": 0, "fused": 1, "skipped": 6, "failed": 2, "unpaired": 1}
    assert (tmp_path / "o" / "gray.png").stat().st_mtime_ns == kept

    other = camfuse(*arguments, "--gray", cwd=tmp_path)
    refused(other, 3, "--force")
    other = camfuse(*arguments, "--rule", "max", cwd=tmp_path)
    refused(other, 3, "--force")
    assert (tmp_path / "o" / "gray.png").stat().st_mtime_ns == kept


def _check_results(out, ir, vis, color, notes):
    for name in ("gray", "threefold", "tiff"):
        _close(out / f"{name}.png", ir, vis)
    assert "ir: gray stored as RGB" in notes["threefold"]
    assert any("'jet'" in note for note in notes["jet"])
    _close(out / "jet.png", ir, vis, 3)
    for name in ("color", "alpha"):
        result = read_picture(out / f"{name}.png")
        assert result.is_color
        assert result.icc == b"profile" * 9
        luma = np.asarray(fuse(small_params(), ir / np.float32(255), luma_unit(color / 255).astype(np.float32)))
        assert np.abs(luma_unit(result.samples / 255) - luma.clip(0, 1)).max() < 2 / 255
    np.testing.assert_array_equal(read_picture(out / "alpha.png").alpha, vis)
    assert "ir: 12 bit in a 16-bit file" in notes["deep"]
    deep = read_picture(out / "deep.png")
    assert deep.samples.dtype == np.uint16
    assert len(np.unique(deep.samples)) > 256


def test_depth_range_polarity_and_format_by_option(camfuse, tmp_path, weights, pair):
    """Radiometric counts, 14 of 16 bits in use and black-hot, to an 8-bit JPEG with heat maps and a preview."""
    ir, vis = pair
    write_picture(tmp_path / "counts.tif", 30_000 - ir.astype(np.uint16) * 4)
    write_picture(tmp_path / "v.png", vis)
    options = ("--ir-range", "fixed:28980,30000", "--ir-polarity", "black", "--bits", "8", "--overlay", "--preview")
    done = camfuse("fuse", "counts.tif", "v.png", "-o", "r/f.jpg", "--weights", weights, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = {"f.jpg", "f_ir_heat.png", "f_vis_heat.png", "f_preview.png"}
    assert {path.name for path in (tmp_path / "r").iterdir()} == names
    assert all(f"r/{name}" in done.stdout for name in names)
    expected = np.asarray(fuse(small_params(), ir, vis)).astype(int)
    assert np.abs(read_picture(tmp_path / "r" / "f.jpg").samples - expected).mean() < 2
    with Image.open(tmp_path / "r" / "f_preview.png") as preview:
        assert preview.width > 3 * WIDTH
        assert preview.height > 3 * HEIGHT


def test_alignment_calibration_and_size(camfuse, tmp_path, weights):
    pytest.importorskip("cv2")
    ir, vis = synthetic_pair(5, 120, 160)
    write_picture(tmp_path / "vis" / "a.png", vis)
    write_picture(tmp_path / "ir" / "a.png", np.roll(vis, (4, 7), (0, 1)))
    common = ("fuse", "ir", "vis", "--weights", weights)
    done = camfuse(*common, "-o", "o", "--align", "translation", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["pairs"][0]
    assert "confidence" in told["details"]["alignment"]
    valid = read_picture(tmp_path / "o" / "a_valid.png").samples
    assert 0.85 < np.mean(valid == 255) < 0.97
    assert set(np.unique(valid)) == {0, 255}

    write_picture(tmp_path / "ir" / "a.png", np.ascontiguousarray(ir[:60, :80]))
    (tmp_path / "h.txt").write_text("2 0 0.5\n0 2 0.5\n0 0 1\n")
    done = camfuse(*common, "-o", "c", "--calibration", "h.txt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_picture(tmp_path / "c" / "a.png").size == (120, 160)
    refused(camfuse(*common, "-o", "e", cwd=tmp_path), 3, "80 x 60", "--fit")
    write_picture(tmp_path / "ir" / "a.png", np.random.default_rng(0).integers(0, 256, (120, 160), dtype=np.uint8))
    refused(camfuse(*common, "-o", "e", "--align", "ecc", cwd=tmp_path), 3, "not trusted", "--calibration")
    assert not (tmp_path / "e").exists()


def test_another_backend_gives_the_same_image(camfuse, tmp_path, weights, pair):
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed: pip install '.[export]'")
    for name, image in zip(("ir.png", "vis.png"), pair, strict=True):
        write_picture(tmp_path / name, image)
    images = {}
    for backend in ("jax", "onnxruntime"):
        out = tmp_path / f"{backend}.png"
        sources = (tmp_path / "ir.png", tmp_path / "vis.png", "--weights", weights, "-o", out)
        done = camfuse("fuse", *sources, "--backend", backend, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        images[backend] = np.asarray(Image.open(out), int)
    assert np.max(np.abs(images["jax"] - images["onnxruntime"])) <= 1


@pytest.mark.slow
def test_a_real_pair_in_color(camfuse, tmp_path, data_root):
    name = "FLIR_00211.jpg"
    paths = [data_root / "roadscene" / kind / name for kind in ("ir", "vis")]
    done = camfuse("fuse", *paths, "-o", "f.png", "--weights", "roadscene", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "misregistered" not in done.stderr
    fused, vis = read_picture(tmp_path / "f.png"), read_picture(paths[1])
    assert fused.samples.shape == vis.samples.shape
    # Hue stays: what is left of each pixel's chroma points where it pointed, up to rounding.
    before, after = (p.samples / 255 - luma_unit(p.samples / 255)[..., None] for p in (vis, fused))
    along = np.sum(before * after, -1) / np.maximum(np.linalg.norm(before, axis=-1), 1e-6)
    assert np.linalg.norm(np.cross(before, after), axis=-1).max() < 0.01
    assert along.min() > -0.01
