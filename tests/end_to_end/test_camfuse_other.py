"""`camfuse` itself, `camfuse doctor` and `camfuse eval` through the real command."""

import json
import subprocess
import sys

import numpy as np
import pytest
from command_line import environment, refused
from PIL import Image
from small_nets import small_params

from camfuse_jax import save_params
from camfuse_jax.data.synthetic import synthetic_pair
from camfuse_jax.images.write import write_picture


def test_help_shows_an_example_each_and_loads_no_jax(tmp_path):
    code = (
        "import sys\nfrom camfuse_jax.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit as e: assert not e.code\n"
        "print([m for m in ('jax', 'scipy', 'matplotlib', 'cv2', 'starlette', 'uvicorn') if m in sys.modules])"
    )
    for command in ((), ("fuse",), ("doctor",), ("eval",), ("report",), ("export",), ("serve",)):
        run = [sys.executable, "-c", code, *command, "--help"]
        done = subprocess.run(run, env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "[]"
        assert f": camfuse {command[0] if command else 'fuse'} " in done.stdout.replace("usage: camfuse", "")


def test_doctor_names_what_is_wrong(camfuse, tmp_path):
    save_params(tmp_path / "small.safetensors", small_params())
    ir, vis = synthetic_pair(3, 96, 120)
    for name in ("good", "shallow", "small", "torn"):
        write_picture(tmp_path / "ir" / f"{name}.png", ir)
        write_picture(tmp_path / "vis" / f"{name}.png", vis)
    write_picture(tmp_path / "ir" / "shallow.png", ir.astype(np.uint16))
    write_picture(tmp_path / "vis" / "small.png", vis[:50])
    write_picture(tmp_path / "ir" / "alone.png", ir)
    write_picture(tmp_path / "ir" / "good.png", np.stack([ir] * 3, -1))
    (tmp_path / "vis" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = camfuse("doctor", "ir", "vis", "--weights", "small.safetensors", "--json", cwd=tmp_path)
    refused(done, 1, "to look at")
    report = json.loads(done.stdout)
    assert report["weights"]["tno"] == "sha256 as recorded"
    assert report["devices"]
    assert report["frame_ms"] > 0
    problems, notes = (" | ".join(report["images"][kind]) for kind in ("problems", "notes"))
    for text in ("alone.png has no partner", "small: sizes differ, ir 120 x 96, vis 120 x 50", "torn"):
        assert text in problems
    assert "ir: 8 bit in a 16-bit file: 1 of" in notes
    assert "ir: gray stored as RGB: 1 of" in notes


@pytest.mark.slow
def test_doctor_sees_real_pairs_swapped(camfuse, tmp_path, data_root):
    for kind, other in (("ir", "vis"), ("vis", "ir")):
        (tmp_path / kind).mkdir()
        for name in ("FLIR_00211", "FLIR_05914", "FLIR_06307"):
            source = data_root / "roadscene" / other / f"{name}.jpg"
            (tmp_path / kind / f"{name}.jpg").write_bytes(source.read_bytes())
    done = camfuse("doctor", "ir", "vis", "--json", cwd=tmp_path)
    refused(done, 1)
    assert "look swapped: 3 of 3" in " ".join(json.loads(done.stdout)["images"]["problems"])
    for path in tmp_path.glob("ir/*"):  # the visible images, in gray
        Image.open(path).convert("L").save(path)
    found = json.loads(camfuse("doctor", "ir", "vis", "--json", cwd=tmp_path).stdout)["images"]
    assert "swapped: 3 of 3" in " ".join([*found["problems"], *found["notes"]])
    assert "swapped" not in camfuse("doctor", "vis", "ir", cwd=tmp_path).stdout


@pytest.mark.slow
def test_eval_is_the_stage_of_the_same_name(camfuse, tmp_path):
    save_params(tmp_path / "small.safetensors", small_params())
    arguments = ("eval", "--dataset", "synthetic", "--workdir", "w", "--weights", "small.safetensors")
    done = camfuse(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(key in done.stdout for key in ("EN", "AG", "SCD", "SSIM", "VIF"))
    refused(camfuse("eval", "--dataset", "none", cwd=tmp_path), 3, "no data set 'none'")


@pytest.mark.slow
def test_report_is_the_stage_of_the_same_name(camfuse, tmp_path):
    save_params(tmp_path / "small.safetensors", small_params())
    for kind, image in zip(("ir", "vis"), synthetic_pair(3, 96, 120), strict=True):
        write_picture(tmp_path / kind / "a.png", image)
    done = camfuse("report", "ir", "vis", "-o", "page.html", "--weights", "small.safetensors", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "<!doctype html>" in (tmp_path / "page.html").read_text().lower()[:100]
    refused(camfuse("report", "ir", "nowhere", cwd=tmp_path), 3, "nowhere")


def test_export_says_what_it_needs(camfuse, tmp_path):
    refused(camfuse("export", "-o", "x.onnx", "--weights", "none.safetensors", cwd=tmp_path), 4, "none.safetensors")
