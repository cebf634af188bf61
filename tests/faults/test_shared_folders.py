"""One bad file, changing sources, several runs in one folder, signals, odd terminals: nothing lies, nothing hangs."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from command_line import environment
from small_nets import small_params

from camfuse_jax import save_params
from camfuse_jax.batch import plan, run
from camfuse_jax.cli import main
from camfuse_jax.fusion.fuse import explain
from camfuse_jax.fusion.params import balanced
from camfuse_jax.images.read import read_picture
from camfuse_jax.images.write import write_picture
from camfuse_jax.pair.fuse import fuse_frame, to_levels
from camfuse_jax.report import pictures
from camfuse_jax.report.pictures import overlay
from camfuse_jax.system import files

GRAY = np.random.default_rng(0).integers(0, 256, (20, 24), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three pairs and weights, in the current folder."""
    save_params(tmp_path / "w.safetensors", small_params())
    for name in ("a", "b", "c"):
        write_picture(tmp_path / "ir" / f"{name}.png", GRAY)
        write_picture(tmp_path / "vis" / f"{name}.png", GRAY[::-1].copy())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _fuse(*options):
    return main(["fuse", "ir", "vis", "-o", "o", "--weights", "w.safetensors", *options])


def _results(folder):
    return sorted(path.name for path in (folder / "o").iterdir())


def test_memory_and_vanished_files_are_errors_of_their_pair(folder, monkeypatch, capsys):
    real = run.read_picture

    def read(path, limits):
        if path.stem == "a":
            raise MemoryError
        if path.stem == "b":
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return real(path, limits)

    monkeypatch.setattr(run, "read_picture", read)
    assert _fuse() == 1
    error = capsys.readouterr().err
    assert "Memory does not suffice for ir/a.png and vis/a.png" in error
    assert "ir/b.png" in error
    assert _results(folder) == ["c.png"]


def test_a_link_to_itself_is_named_and_the_rest_is_fused(folder, capsys):
    (folder / "ir" / "loop.png").symlink_to("loop.png")
    write_picture(folder / "vis" / "loop.png", GRAY)
    assert _fuse() == 1
    assert "ir/loop.png" in capsys.readouterr().err
    assert _results(folder) == ["a.png", "b.png", "c.png"]


def test_a_result_says_of_which_bytes_it_was_made(folder, monkeypatch, capsys):
    """The source is replaced after it was read: the next run must not take the result for the new source's."""
    real = run.prepare_pair

    def prepare(ir, vis, settings):
        write_picture(folder / "ir" / "b.png", 255 - GRAY)
        return real(ir, vis, settings)

    (folder / "vis" / "a.png").unlink()
    (folder / "vis" / "c.png").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(run, "prepare_pair", prepare)
        _fuse()
    assert _results(folder) == ["b.png"]
    capsys.readouterr()
    assert _fuse() != 0
    assert "made otherwise" in capsys.readouterr().err


@pytest.mark.parametrize("options", [(), ("--force",)])
def test_a_file_written_while_the_run_was_going_on_is_not_replaced(folder, monkeypatch, capsys, options):
    real = run.fuse_frame
    if options:
        write_picture(folder / "o" / "b.png", GRAY)  # there before: --force may replace this one

    def fuse(*arguments, **settings):
        (folder / "o").mkdir(exist_ok=True)
        (folder / "o" / "b.png").write_bytes(b"precious")
        return real(*arguments, **settings)

    monkeypatch.setattr(run, "fuse_frame", fuse)
    assert _fuse("--overlay", *options) == 1
    assert "o/b.png exists and was made otherwise" in capsys.readouterr().err
    assert (folder / "o" / "b.png").read_bytes() == b"precious"
    assert not (folder / "o" / "b_ir_heat.png").exists()
    assert (folder / "o" / "c.png").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--look", "0.5"),
        ("--rule", "max"),
        ("--ir-gain", "2"),
        ("--vis-gain", "2"),
        ("--gray",),
        ("--weights", "other.safetensors"),
    ],
    ids=" ".join,
)
def test_results_of_other_settings_are_not_taken_for_these(folder, capsys, options):
    """Asked by a dry run, which looks at what is there as a run does."""
    save_params(folder / "other.safetensors", small_params(seed=1))
    for name in ("b", "c"):
        (folder / "ir" / f"{name}.png").unlink()
        (folder / "vis" / f"{name}.png").unlink()
    rule = ("--rule", "spatial") if "--look" in options else ()  # the only one with a look
    assert _fuse(*rule) == 0
    assert _fuse(*rule, "--dry-run") == 0
    assert "there already" in capsys.readouterr().out
    assert _fuse(*rule, "--dry-run", *options) == 2
    assert "made otherwise" in capsys.readouterr().err


def test_results_of_another_version_are_made_anew_and_those_of_copied_weights_are_not(folder, monkeypatch, capsys):
    assert _fuse() == 0
    (folder / "w.safetensors").rename(folder / "same.safetensors")
    assert _fuse("--weights", "same.safetensors", "--dry-run") == 0
    assert "there already" in capsys.readouterr().out
    monkeypatch.setattr(plan, "package_version", lambda: "another")
    assert _fuse("--weights", "same.safetensors", "--dry-run") == 2


def test_what_is_asked_for_later_is_added(folder, capsys):
    """Each heat map is of the image that it is named for, under the class of that image."""
    assert _fuse() == 0
    kept = (folder / "o" / "a.png").stat().st_mtime_ns
    assert _fuse("--overlay") == 0
    assert (folder / "o" / "a.png").stat().st_mtime_ns == kept
    images = [np.float32(read_picture(folder / kind / "a.png").samples / 255) for kind in ("ir", "vis")]
    explanation = explain(small_params(), *images)
    for kind, image, heat in zip(("ir", "vis"), images, (explanation.ir_cam, explanation.vis_cam), strict=True):
        expected = overlay(to_levels(image, 8), heat[0]).astype(int)
        assert np.abs(read_picture(folder / "o" / f"a_{kind}_heat.png").samples - expected).max() <= 3


def test_each_piece_of_a_preview_is_what_its_label_says(folder, monkeypatch):
    drawn = []
    real = pictures.balance_grid
    monkeypatch.setattr(pictures, "balance_grid", lambda tiles: drawn.append(dict(tiles)) or real(tiles))
    assert main(["fuse", "ir/a.png", "vis/a.png", "--preview", "-o", "o", "--weights", "w.safetensors"]) == 0
    (tiles,) = drawn
    np.testing.assert_array_equal(tiles["ir"], GRAY)
    np.testing.assert_array_equal(tiles["vis"], GRAY[::-1])
    images = [np.float32(tiles[kind] / 255) for kind in ("ir", "vis")]
    for ir_gain, vis_gain in run.BALANCES:
        tile = tiles[f"--ir-gain {ir_gain:g} --vis-gain {vis_gain:g}"].astype(int)
        params = balanced(small_params(), ir_gain=ir_gain, vis_gain=vis_gain)
        assert np.abs(tile - to_levels(fuse_frame(params, *images), 8)).max() <= 1


def test_of_two_runs_with_other_settings_one_reports_that_it_came_late(folder, monkeypatch, capsys):
    """The other run writes its results while this one computes; in the end no result is said to be both's."""
    real = run.fuse_frame

    def fuse(*arguments, **settings):
        with monkeypatch.context() as patch:
            patch.setattr(run, "fuse_frame", real)
            if not (folder / "o").exists():
                assert _fuse("--ir-gain", "4") == 0
        return real(*arguments, **settings)

    monkeypatch.setattr(run, "fuse_frame", fuse)
    assert _fuse("--ir-gain", "0.25") == 2
    assert "3 of 3 pairs failed" in capsys.readouterr().err
    monkeypatch.setattr(run, "fuse_frame", real)
    assert _fuse("--ir-gain", "4") == 0
    assert "skipped: 3 of 3" in capsys.readouterr().out


def test_the_next_run_removes_what_dead_ones_left(folder):
    (folder / "o").mkdir()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine = files.partial_name(folder / "o")
    left = mine.with_name(mine.name.replace(f"{os.getpid():08x}", f"{dead.pid:08x}"))
    for path in (mine, left, folder / "o" / ".users.part"):
        path.touch()
    assert _fuse() == 0
    assert _results(folder) == sorted([".users.part", mine.name, "a.png", "b.png", "c.png"])


def test_control_characters_of_a_name_are_shown_not_sent(folder, capsys):
    name = "x\x1b]0;owned\x07\u202e.png"
    for kind in ("ir", "vis"):
        write_picture(folder / kind / name, GRAY)
    assert _fuse() == 0
    written = "".join(capsys.readouterr())
    assert "\\x1b]0;owned\\x07\\u202e.png" in written
    assert not set("\x1b\x07\u202e") & set(written)


def _command(folder, *arguments, code="", **options):
    program = f"import sys\n{code}\nfrom camfuse_jax.cli import main\nsys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, *arguments, "--weights", "w.safetensors"]
    return subprocess.Popen(command, cwd=folder, env=environment(folder / "cache") | options.pop("env", {}), **options)


def test_an_encoding_that_knows_no_such_letter_is_no_end(folder):
    for kind in ("ir", "vis"):
        write_picture(folder / kind / "夜.png", GRAY)
    process = _command(
        *(folder, "fuse", "ir", "vis", "-o", "o"), env={"PYTHONIOENCODING": "ascii:strict"}, stdout=subprocess.PIPE
    )
    assert b"\\u591c.png" in process.communicate(timeout=300)[0]
    assert process.returncode == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_output_that_cannot_be_written_is_one_line(folder):
    with open("/dev/full", "w") as full:
        buffered = {"env": {"PYTHONUNBUFFERED": ""}, "stderr": subprocess.PIPE, "text": True}
        process = _command(folder, "fuse", "ir", "vis", "-o", "o", stdout=full, **buffered)
        error = process.communicate(timeout=300)[1]
    assert process.returncode == 5, error
    assert "error: No space left on device." in error
    assert "Traceback" not in error


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_read_that_hangs_within_five_seconds(folder, number, code):
    hang = """
import time
from camfuse_jax.batch import run
def read(*_):
    print("reading", flush=True)
    time.sleep(60)
run.read_picture = read
"""
    process = _command(
        *(folder, "fuse", "ir", "vis", "-o", "o"), code=hang, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "reading\n"
    begun = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == code
    assert time.monotonic() - begun < 6


def test_output_that_nobody_reads_ends_the_command_as_shells_have_it(folder):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        process = subprocess.run(
            [sys.executable, "-m", "camfuse_jax.cli", "docs", "cameras"],
            env=environment(folder / "cache"),
            stdout=closed,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (process.returncode, process.stderr) == (141, b"")


def test_a_name_too_long_is_one_line(folder, capsys):
    out = "n" * 256
    assert main(["fuse", "ir/a.png", "vis/a.png", "-o", f"{out}.png", "--weights", "w.safetensors"]) == 5
    assert "File name too long" in capsys.readouterr().err


def test_a_result_in_a_format_that_is_not_written_is_refused(folder, capsys):
    endings = (".gif", ".jxl", ".ppm", ".tga", ".txt", ".webm")
    others = [(f"x{end}", f"No result is written as {end}") for end in endings]
    for out, message in (*others, ("x.png", "3 pairs")):
        assert main(["fuse", "ir", "vis", "-o", out, "--weights", "w.safetensors"]) == 2
        assert message in capsys.readouterr().err
        assert not (folder / out).exists()


def test_the_depth_of_a_folder_is_decided_once(folder, capsys):
    """Alone, the dark 16-bit file would be taken for one of 8 bits."""
    for name, scale in (("a", 90), ("b", 1), ("c", 90)):
        write_picture(folder / "ir" / f"{name}.png", GRAY.astype(np.uint16) * scale)
    assert _fuse() == 0
    notes = capsys.readouterr().err
    assert "files of several depths" in notes
    assert "8 bit in a 16-bit file" not in notes
    assert _fuse() == 0
    assert "skipped: 3 of 3" in capsys.readouterr().out


def test_a_deeper_file_in_the_middle_of_a_long_folder_counts(folder, capsys):
    """Twenty pairs of 12 bits but for one of 14: whatever sample is drawn, the series has one brightness."""
    for index in range(20):
        image = GRAY.astype(np.uint16) * 16
        image[0, 0] = 16_000 if index == 1 else 0
        write_picture(folder / "i" / f"{index:02}.png", image)
        write_picture(folder / "v" / f"{index:02}.png", GRAY)
    common = ("--weights", "w.safetensors", "--ir-range", "full")
    assert main(["fuse", "i", "v", "-o", "r", *common]) == 0
    assert "14 bit with white at 16383 taken for the whole folder" in capsys.readouterr().err
    means = [read_picture(path).samples.mean() for path in sorted((folder / "r").iterdir())]
    assert len(means) == 20
    assert np.ptp(means) < 0.01 * means[0]


def test_force_replaces_the_valid_map_too(folder, capsys):
    framed = np.pad(np.random.default_rng(1).integers(1, 256, (40, 48), dtype=np.uint8), 12)
    write_picture(folder / "i.png", framed)
    write_picture(folder / "v.png", np.random.default_rng(2).integers(0, 256, framed.shape, dtype=np.uint8))
    command = ["fuse", "i.png", "v.png", "-o", "f.png", "--weights", "w.safetensors"]
    assert main(command) == 0
    (folder / "f_valid.png").write_bytes(b"old")
    assert main([*command, "--rule", "max", "--force"]) == 0, capsys.readouterr().err
    assert read_picture(folder / "f_valid.png").samples.max() == 255


def test_a_valid_map_does_not_replace_another_pairs_result(folder, capsys):
    framed = np.pad(np.maximum(GRAY, 40), 6)
    for kind in ("i", "v"):
        write_picture(folder / kind / "a.png", framed)
        write_picture(folder / kind / "a_valid.png", GRAY)
    (folder / "r").mkdir()
    (folder / "r" / "a_valid.png").write_bytes(b"old")
    assert main(["fuse", "i", "v", "-o", "r", "--weights", "w.safetensors", "--force"]) == 1
    assert "r/a_valid.png exists and was made otherwise" in capsys.readouterr().err
    assert read_picture(folder / "r" / "a_valid.png").size == GRAY.shape


def test_swapped_sides_are_noticed_once_for_the_run(folder, capsys):
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        write_picture(folder / "ir" / f"{name}.png", rng.integers(0, 256, (*GRAY.shape, 3), dtype=np.uint8))
    assert _fuse() == 0
    note = "note: infrared is in color and visible is gray: are they swapped? (a, b, c)"
    assert capsys.readouterr().err.splitlines().count(note) == 1
    assert main(["fuse", "vis", "ir", "-o", "r", "--weights", "w.safetensors"]) == 0
    assert "swapped" not in capsys.readouterr().err


def test_one_mistake_of_many_pairs_is_said_once(folder, capsys):
    assert _fuse() == 0
    (folder / "ir" / "alone.png").write_bytes((folder / "ir" / "a.png").read_bytes())
    capsys.readouterr()
    assert _fuse("--gray") == 2
    error = capsys.readouterr().err
    assert error.count("made otherwise") == 1
    assert "a, b, c: o/a.png exists" in error
    assert "1 file pairs with nothing" not in error  # nothing was done
    write_picture(folder / "ir" / "d.png", GRAY)
    write_picture(folder / "vis" / "d.png", GRAY)
    assert _fuse("--gray") == 1
    assert "1 file pairs with nothing." in capsys.readouterr().err


def test_one_image_given_twice_is_noticed(folder, capsys):
    assert main(["fuse", "ir/a.png", "ir/a.png", "-o", "x.png", "--weights", "w.safetensors"]) == 0
    assert "one image, given twice?" in capsys.readouterr().err


def test_a_wrong_command_and_the_value_of_an_option(folder, capsys):
    assert main(["fuze", "ir", "vis"]) == 2
    assert "Did you mean `camfuse fuse`?" in capsys.readouterr().err
    assert main(["ir", "vis", "-o", "o"]) == 2
    assert "Did you mean `camfuse fuse ir vis -o o`?" in capsys.readouterr().err
    assert main(["fuse", "ir", "vis", "--json", "--ir-range", "odd"]) == 2
    assert '"exit_code": 2' in capsys.readouterr().out
