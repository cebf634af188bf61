"""--stage fuse on files: what is written, and what is refused."""

import numpy as np
from command_line import HEIGHT, WIDTH, refused
from PIL import Image
from small_nets import small_params

from camfuse_jax import fuse
from camfuse_jax.images.picture import luma
from camfuse_jax.images.write import write_picture


def _read(path):
    with Image.open(path) as image:
        return image.mode, np.asarray(image)


def _close(path, ir, vis):
    mode, found = _read(path)
    assert mode == "L"
    assert found.shape == ir.shape
    # Another process may round a level the other way.
    assert np.abs(found.astype(int) - np.asarray(fuse(small_params(), ir, vis)).astype(int)).max() <= 1


def test_two_files(run, tmp_path, weights, pair):
    write_picture(tmp_path / "a_ir.png", pair[0])
    write_picture(tmp_path / "a_vis.png", pair[1])
    arguments = ("--stage", "fuse", "--ir", "a_ir.png", "--vis", "a_vis.png", "--out", "o", "--weights", weights)
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = {"a_vis.png", "a_vis_ir_heat.png", "a_vis_vis_heat.png"}
    assert {path.name for path in (tmp_path / "o").iterdir()} == written
    assert all(f"o/{name}" in done.stdout for name in written)
    _close(tmp_path / "o" / "a_vis.png", *pair)
    for kind in ("ir", "vis"):
        mode, heat = _read(tmp_path / "o" / f"a_vis_{kind}_heat.png")
        assert (mode, heat.shape) == ("RGB", (HEIGHT, WIDTH, 3))


def test_folders_with_color_damage_and_a_wrong_size(run, tmp_path, weights, pair):
    ir, vis = pair
    color = np.stack([vis, vis[::-1], 255 - vis], axis=-1)
    for name in ("color", "damaged", "gray", "odd"):
        write_picture(tmp_path / "ir" / f"{name}.png", np.repeat(ir[..., None], 3, axis=-1))
        write_picture(tmp_path / "vis" / f"{name}.png", vis)
    write_picture(tmp_path / "vis" / "color.png", color)
    write_picture(tmp_path / "vis" / "odd.png", vis[:-3])
    damaged = tmp_path / "vis" / "damaged.png"
    damaged.write_bytes(damaged.read_bytes()[:200])
    done = run("--stage", "fuse", "--ir", "ir", "--vis", "vis", "--out", "o", "--weights", weights, cwd=tmp_path)
    refused(done, 1, "2 of 4 pairs", "damaged", "odd", f"{WIDTH} x {HEIGHT}", f"{WIDTH} x {HEIGHT - 3}")
    assert {path.name for path in (tmp_path / "o").iterdir()} == {"color.png", "gray.png"}
    _close(tmp_path / "o" / "gray.png", ir, vis)
    mode, fused = _read(tmp_path / "o" / "color.png")
    assert mode == "RGB"
    expected = np.asarray(fuse(small_params(), ir, luma(color))).astype(int)
    assert np.abs(luma(fused).astype(int) - expected).max() <= 2


def test_what_is_refused(run, tmp_path, weights, pair):
    write_picture(tmp_path / "ir.png", pair[0])
    write_picture(tmp_path / "small.png", pair[1][:9])
    both = ("--ir", "ir.png", "--vis", "small.png")
    for code, arguments, told in (
        (2, ("--ir", "ir.png"), ("Only one of --ir and --vis",)),
        (3, ("--ir", "ir.png", "--vis", "none.png", "--weights", weights), ("none.png does not exist",)),
        (3, (*both, "--weights", weights), (f"{WIDTH} x {HEIGHT}", f"{WIDTH} x 9")),
        (4, (*both, "--weights", "none.safetensors"), ("no weights at none.safetensors", "tno, roadscene")),
    ):
        refused(run("--stage", "fuse", *arguments, "--out", "o", cwd=tmp_path), code, *told)
    assert not (tmp_path / "o").exists()


def test_without_arguments_the_demo_pair_and_the_shipped_weights(run, tmp_path):
    done = run("--stage", "fuse", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = {"demo_ir.png", "demo_vis.png", "demo.png", "demo_ir_heat.png", "demo_vis_heat.png"}
    assert {path.name for path in (tmp_path / "fused").iterdir()} == names
    assert all(f"fused/{name}" in done.stdout for name in names)
    assert len(np.unique(_read(tmp_path / "fused" / "demo.png")[1])) > 100


def test_the_demo_result_may_be_a_file(run, tmp_path):
    done = run("--stage", "fuse", "--out", "o.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {"demo_ir.png", "demo_vis.png", "o.png"} <= {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert "fused: o.png" in done.stdout


def test_inputs_are_never_overwritten(run, tmp_path, weights, pair):
    for kind, image in zip(("ir", "vis"), pair, strict=True):
        write_picture(tmp_path / kind / "a.png", image)
    done = run("--stage", "fuse", "--ir", "ir", "--vis", "vis", "--out", "vis", "--weights", weights, cwd=tmp_path)
    refused(done, 2)
    np.testing.assert_array_equal(_read(tmp_path / "vis" / "a.png")[1], pair[1])
