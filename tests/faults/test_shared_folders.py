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
from camfuse_jax.batch import run
from camfuse_jax.cli import main
from camfuse_jax.images.write import write_picture
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
        process = _command(folder, "fuse", "ir", "vis", "-o", "o", stdout=full, stderr=subprocess.PIPE, text=True)
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


def test_a_name_too_long_is_one_line(folder, capsys):
    out = "n" * 256
    assert main(["fuse", "ir/a.png", "vis/a.png", "-o", f"{out}.png", "--weights", "w.safetensors"]) == 5
    assert "File name too long" in capsys.readouterr().err


def test_a_result_in_a_format_that_is_not_written_is_refused(folder, capsys):
    for out, message in (("x.gif", "No result is written as .gif"), ("x.png", "3 pairs")):
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
