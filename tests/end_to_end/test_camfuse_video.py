"""`camfuse fuse` on generated videos, sequences and a file played as a camera, through the real command line."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile
from command_line import environment, refused
from small_nets import small_params

from camfuse_jax import fuse
from camfuse_jax.cli import main
from camfuse_jax.images.read import read_picture
from camfuse_jax.images.write import write_picture
from camfuse_jax.video.reader import open_reader

pytest.importorskip("av")
from moving import HEIGHT, WIDTH, read_video, sound_of, texture, tone_begins, write_video


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))  # main adds to it
    return tmp_path


@pytest.fixture
def videos(here):
    """Infrared at 10 and visible at 25 frames/s with sound, 1.1 s, every frame another."""
    write_video(here / "ir.mp4", [texture(index, seed=1) for index in range(12)], 10)
    tint = np.array([1.0, 0.9, 0.7])
    vis = [(texture(index, seed=2)[..., None] * tint).astype(np.uint8) for index in range(28)]
    return here, write_video(here / "vis.mp4", vis, 25, sound=0.0)


def _listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_two_videos_become_one_with_sound(camfuse, videos, weights, capsys):
    here, vis = videos
    arguments = ("fuse", "ir.mp4", "vis.mp4", "-o", "o.mp4", "--weights", str(weights))
    assert main([*arguments, "--dry-run"]) == 0
    assert "28 frames" in capsys.readouterr().out
    assert _listing(here) == ["ir.mp4", "vis.mp4"]

    done = camfuse(*arguments, "--json", cwd=here)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["video"]
    assert (told["ir_rate"], told["vis_rate"], told["frames"], told["alone"]) == (10, 25, 28, 0)
    assert told["size"] == [HEIGHT, WIDTH]
    assert told["reached"] > 0
    times, frames = read_video(here / "o.mp4")
    np.testing.assert_allclose(times, np.arange(28) / 25, atol=1e-4)
    assert frames.shape == (28, HEIGHT, WIDTH, 3)
    assert (frames[..., 0].astype(int) - frames[..., 2]).mean() > 5  # the visible tint
    assert sound_of(here / "o.mp4") == sound_of(vis)
    facts = open_reader(str(here / "o.mp4")).facts
    assert (facts.rate, facts.duration) == (25, pytest.approx(28 / 25, abs=0.01))
    assert _listing(here) == ["ir.mp4", "o.mp4", "vis.mp4"]


def test_nothing_is_replaced_and_sources_least_of_all(videos, weights, capsys):
    here, _ = videos
    (here / "o.mp4").write_bytes(b"mine")
    common = ["fuse", "ir.mp4", "vis.mp4", "--weights", str(weights)]
    assert main([*common, "-o", "o.mp4"]) == 2
    assert main([*common, "-o", "vis.mp4", "--force"]) == 2
    assert main([*common, "-o", "o.gif"]) == 2
    assert main([*common, "-o", "n.mp4", "--overlay"]) == 2
    assert main([*common, "-o", "n.mp4", "--offset", "5"]) == 3
    assert main([*common, "-o", "n.mp4", "--fps", "0"]) == 2
    assert main([*common, "-o", "o.mp4/n.mp4"]) == 5
    assert main(["fuse", "ir.mp4", "live:vis.mp4", "--weights", str(weights), "-o", "n.mp4"]) == 2
    told = capsys.readouterr().err
    assert all(text in told for text in ("--force", "one of the sources", "o.gif", "--overlay", "overlap"))
    assert (here / "o.mp4").read_bytes() == b"mine"
    assert _listing(here) == ["ir.mp4", "o.mp4", "vis.mp4"]
    assert main([*common, "-o", "o.mp4", "--force", "--seconds", "0.4", "--no-audio", "--offset", "0.2"]) == 0
    told = capsys.readouterr()
    assert "fused: o.mp4, 11 frames, 0.44 s, sound: none" in told.out
    assert "matched: nearest in time, at most 52.5 ms apart" in told.err
    assert "left out: 4 visible frames, no infrared frame near enough" in told.err
    assert len(read_video(here / "o.mp4")[0]) == 11
    with pytest.raises(IndexError):
        sound_of(here / "o.mp4")


def test_frames_are_matched_by_time(videos, weights, capsys):
    """Each result is nearest to the fusion of the right two frames, not of their neighbors."""
    here, _ = videos
    arguments = ["fuse", "ir.mp4", "vis.mp4", "--weights", str(weights), "--gray", "--offset", "0.2", "--json"]

    def told(*options):
        assert main([*arguments, *options]) == 0
        return json.loads(capsys.readouterr().out)["video"]

    assert told("-o", "o", "--dry-run")["planned"] == 24
    done = told("-o", "o")
    assert (done["frames"], done["alone"]) == (24, 4)
    assert (done["first"], done["last"]) == pytest.approx((0.16, 1.08))
    assert not [note for note in done["notes"] if "ends first" in note]
    assert told("-o", "p", "--seconds", "0.42")["last"] == pytest.approx(0.6)  # from where both show something
    ir, vis = (read_video(here / name)[1] for name in ("ir.mp4", "vis.mp4"))
    results = sorted((here / "o").iterdir())
    assert [path.name for path in results] == [f"frame_{index:06}.png" for index in range(1, len(results) + 1)]
    first = 4  # of the visible frames, at 0.16 s: within half an infrared frame of 0.2 s
    for number in range(0, len(results), 4):
        shown = read_picture(results[number]).samples.astype(int)
        due = first + number
        wanted = round((due / 25 - 0.2) * 10)

        def distance(i, v, shown=shown):
            luma = np.rint(vis[v] @ [0.299, 0.587, 0.114]).astype(np.uint8)
            return np.abs(np.asarray(fuse(small_params(), ir[i][..., 1], luma)).astype(int) - shown).mean()

        here_is = distance(wanted, due)
        assert here_is < 1
        others = [distance(i, due) for i in (wanted - 1, wanted + 1) if 0 <= i < 12]
        others += [distance(wanted, v) for v in (due - 1, due + 1) if v < 28]
        assert here_is < 0.5 * min(others)


@pytest.mark.parametrize(("suffix", "begin"), [(".mp4", 0.0), (".mkv", 0.0), (".mp4", 0.4)])
def test_sound_stays_in_step_where_the_beginning_is_cut(here, weights, suffix, begin):
    """The screen turns white as the tone begins, 0.8 s after the start, wherever the clock begins; 0.5 s are cut."""
    dark, bright = np.full((HEIGHT, WIDTH), 30, np.uint8), np.full((HEIGHT, WIDTH), 220, np.uint8)
    frames = [bright if index >= 20 else dark for index in range(40)]
    write_video(here / "vis.mp4", frames, 25, sound=begin + 0.8, begin=begin)
    write_video(here / "ir.mp4", [dark] * 30, 25)
    arguments = ["fuse", "ir.mp4", "vis.mp4", "--weights", str(weights), "--offset", "0.5"]
    assert main([*arguments, "-o", f"o{suffix}"]) == 0
    times, frames = read_video(here / f"o{suffix}")
    levels = frames.mean(axis=(1, 2, 3))
    flash = times[int(np.argmax(np.abs(np.diff(levels)))) + 1]
    assert times[0] == pytest.approx(0, abs=0.03)
    assert flash == pytest.approx(0.32, abs=0.03)  # the first pair is that at 0.48 s
    assert tone_begins(here / f"o{suffix}") == pytest.approx(flash, abs=0.03)


def test_tiffs_of_several_pages_are_videos(here, weights, capsys):
    ir = np.stack([20_000 + texture(index, seed=1).astype(np.uint16) * 9 for index in range(6)])
    vis = np.stack([texture(index, seed=2) for index in range(6)])
    tifffile.imwrite("ir.tif", ir, photometric="minisblack")
    tifffile.imwrite("vis.tif", vis, photometric="minisblack")
    arguments = ["fuse", "ir.tif", "vis.tif", "--fps", "10", "--weights", str(weights)]
    assert main([*arguments, "-o", "o.mp4", "--dry-run"]) == 0
    assert "6 frames" in capsys.readouterr().out
    assert main([*arguments, "-o", "o.mp4"]) == 0
    np.testing.assert_allclose(read_video(here / "o.mp4")[0], np.arange(6) / 10, atol=1e-4)
    assert main([*arguments, "-o", "o", "--video"]) == 0
    assert read_picture(here / "o" / "frame_000006.png").samples.dtype == np.uint16
    write_video(here / "vis.mp4", vis, 10)
    assert main(["fuse", "ir.tif", "vis.mp4", "--ir-fps", "10", "--weights", str(weights), "-o", "p.mp4"]) == 0
    capsys.readouterr()
    assert main(["fuse", "ir.tif", "vis.tif", "-o", "one.png", "--weights", str(weights)]) == 0
    assert "6 pages or frames; the first is used; --video takes all" in capsys.readouterr().err


def test_two_sequences_of_other_rates_with_constant_ranges(here, weights, capsys):
    for index in range(6):
        write_picture(here / "ir" / f"{index}.png", 20_000 + texture(index, seed=1).astype(np.uint16) * (index + 1))
        write_picture(here / "vis" / f"v{index}.png", texture(index, seed=2))
    options = ("--fps", "10", "--weights", str(weights))
    for ir_rate, count in (("5", 6), ("20", 4)):
        capsys.readouterr()
        assert main(["fuse", "ir", "vis", "-o", "o.mp4", "--force", "--ir-fps", ir_rate, *options, "--json"]) == 0
        done = json.loads(capsys.readouterr().out)["video"]
        assert (done["ir_rate"], done["vis_rate"]) == (float(ir_rate), 10)
        assert ("the infrared source ends first; what follows is left out" in done["notes"]) == (ir_rate == "20")
        times, _ = read_video(here / "o.mp4")
        np.testing.assert_allclose(times, np.arange(count) / 10, atol=1e-4)
    assert main(["fuse", "ir", "vis", "-o", "o", "--video", *options]) == 0
    assert read_picture(here / "o" / "frame_000006.png").samples.dtype == np.uint16
    write_picture(here / "vis" / "v3.png", texture(3, height=62))
    assert main(["fuse", "ir", "vis", "-o", "p.mp4", *options]) == 3
    assert not (here / "p.mp4").exists()


def test_a_phones_rotation_counts_as_it_is_shown(here, weights, capsys):
    """As in the case `video_rotation`: the right pair is fused, the wrong one refused, in a dry run too."""
    frames = [texture(index, seed=1) for index in range(8)]
    write_video(here / "ir.mp4", frames, 10)
    write_video(here / "phone.mp4", [np.ascontiguousarray(np.rot90(f)) for f in frames], 10, display=(-90,))
    write_video(here / "flag_only.mp4", frames, 10, display=(-90,))
    common = ["--weights", str(weights), "-o", "o", "--force", "--gray"]
    assert main(["fuse", "ir.mp4", "phone.mp4", *common, "--dry-run"]) == 0
    assert "8 frames" in capsys.readouterr().out
    assert main(["fuse", "ir.mp4", "phone.mp4", *common]) == 0
    first = read_picture(here / "o" / "frame_000001.png").samples
    luma = np.ascontiguousarray(read_video(here / "ir.mp4")[1][0, ..., 1])
    expected = np.asarray(fuse(small_params(), luma, luma))
    assert np.abs(first.astype(int) - expected).mean() < 2  # two pictures of one thing, both upright
    for extra in (["--dry-run"], []):
        assert main(["fuse", "ir.mp4", "flag_only.mp4", *common, *extra]) == 3
        assert "96 x 64 pixels but flag_only.mp4 has 64 x 96" in capsys.readouterr().err


def test_a_clock_that_begins_late_is_no_offset(here, weights):
    """A recording that was cut keeps its old times; both count from their first frame."""
    write_video(here / "ir.mkv", [texture(index, seed=1) for index in range(8)], 10, begin=7.0)
    write_video(here / "vis.mp4", [texture(index, seed=2) for index in range(8)], 10)
    assert main(["fuse", "ir.mkv", "vis.mp4", "-o", "o.mkv", "--weights", str(weights)]) == 0
    np.testing.assert_allclose(read_video(here / "o.mkv")[0], np.arange(8) / 10, atol=2e-3)


def test_the_dry_run_refuses_what_the_run_refuses(videos, weights, capsys):
    here, _ = videos
    write_video(here / "small.mp4", [texture(index, height=48) for index in range(12)], 10)
    write_video(
        here / "noise.mp4",
        [np.random.default_rng(i).integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8) for i in range(12)],
        10,
    )
    write_picture(here / "still.png", texture(0))
    for index in range(12):
        write_picture(here / "frames" / f"{index}.png", texture(index, height=HEIGHT if index != 3 else 48))
        write_picture(here / "others" / f"{index}.png", texture(index))
    (here / "file").write_bytes(b"")
    (here / "there.mp4").write_bytes(b"mine")
    wrong = {
        "sizes": ["ir.mp4", "small.mp4", "-o", "n.mp4"],
        "alignment": ["noise.mp4", "vis.mp4", "-o", "n.mp4", "--align", "translation"],
        "still": ["still.png", "vis.mp4", "-o", "n.mp4"],
        "overlap": ["ir.mp4", "vis.mp4", "-o", "n.mp4", "--offset", "9"],
        "folder": ["ir.mp4", "vis.mp4", "-o", "file/n.mp4"],
        "exists": ["ir.mp4", "vis.mp4", "-o", "there.mp4"],
        "range": ["ir.mp4", "vis.mp4", "-o", "n.mp4", "--ir-range", "fixed:300,400"],
        "a frame": ["frames", "others", "-o", "n.mp4"],
        "live": ["live:small.mp4", "live:vis.mp4", "-o", "n.mkv"],
    }
    for what, arguments in wrong.items():
        told = []
        for extra in ([], ["--dry-run"]):
            code = main(["fuse", *arguments, "--weights", str(weights), *extra])
            told.append((code, capsys.readouterr().err.strip().splitlines()[-1]))
        assert told[0] == told[1], what
        assert told[0][0] in (2, 3, 5), what
    assert not list(here.glob("n.*"))


def test_a_fused_stream_is_shown_and_only_shown(videos, weights, capsys, monkeypatch):
    here, _ = videos
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setenv("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    pytest.importorskip("pygame")
    before = _listing(here)
    arguments = ["fuse", "live:ir.mp4", "live:vis.mp4", "--weights", str(weights), "--show", "--seconds", "0.7"]
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["video"]
    assert told["out"] is None
    assert told["frames"] > 0
    assert 0 <= told["delay"] < 2
    assert _listing(here) == before
    assert main(["fuse", "ir.mp4", "vis.mp4", "--weights", str(weights), "--show", "-o", "o.mp4"]) == 0
    assert len(read_video(here / "o.mp4")[0]) == 28
    assert "frames/s" in capsys.readouterr().out


@pytest.mark.parametrize("which", ["ir.mp4", "vis.mp4"])
def test_a_damaged_file_is_refused_by_name(videos, weights, capsys, which):
    here, _ = videos
    content = (here / which).read_bytes()
    for kept in (0, 100, len(content) - 200):
        (here / which).write_bytes(content[:kept])
        assert main(["fuse", "ir.mp4", "vis.mp4", "-o", "o.mp4", "--weights", str(weights)]) == 3
        assert which in capsys.readouterr().err
    assert _listing(here) == ["ir.mp4", "vis.mp4"]


def test_a_static_scene_does_not_flicker(here):
    """With the shipped weights and rule: noise in every frame, then something hot and bright comes in."""
    rng = np.random.default_rng(0)
    still = [texture(0, seed=seed).astype(float) * 0.5 + 30 for seed in (1, 2)]
    for name, base in zip(("ir", "vis"), still, strict=True):
        for index in range(10):
            frame = base + rng.normal(0, 4, base.shape)
            if index >= 5:
                frame[:32, :32] = 250
            write_picture(here / name / f"{index}.png", np.clip(frame, 0, 255).astype(np.uint8))
    assert main(["fuse", "ir", "vis", "-o", "o", "--video"]) == 0
    lumas = np.stack([read_picture(path).samples.astype(float) for path in sorted((here / "o").iterdir())])
    far = lumas[:, :, 72:].mean(axis=(1, 2))
    assert np.abs(np.diff(far[:5])).max() < 0.5
    assert np.abs(np.diff(far[5:])).max() < 0.5
    assert abs(far[5] - far[4]) < 2.5


def test_a_live_source_ends_after_some_seconds(videos, weights):
    here, _ = videos
    arguments = ["fuse", "live:ir.mp4", "live:vis.mp4", "-o", "o.mkv", "--weights", str(weights), "--seconds", "0.5"]
    assert main(["fuse", "live:ir.mp4", "live:vis.mp4", "-o", "o.mkv", "--dry-run"]) == 0
    assert not (here / "o.mkv").exists()
    assert main(arguments) == 0
    times, frames = read_video(here / "o.mkv")
    assert 0 < len(frames) <= 14
    assert times[0] == 0
    assert times[-1] < 0.55


def _begun(command, here, cache):
    """The process, once it writes its result."""
    process = subprocess.Popen(
        [sys.executable, "-m", "camfuse_jax.cli", *command],
        cwd=here,
        env=environment(cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    limit = time.monotonic() + 120
    while not list(here.glob(".*.part*")) and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.02)
    return process


@pytest.mark.parametrize(("live", "code"), [("live:", 0), ("", 143)])
def test_interrupted(here, weights, tmp_path_factory, live, code):
    """A live source ends in a video that plays; files leave nothing."""
    for name, seed in (("ir.mp4", 1), ("vis.mp4", 2)):
        write_video(here / name, (texture(index % 60, seed=seed) for index in range(1500)), 25, options={"crf": "30"})
    command = ["fuse", f"{live}ir.mp4", f"{live}vis.mp4", "-o", "o.mp4", "--weights", str(weights)]
    process = _begun(command, here, tmp_path_factory.getbasetemp() / "jax-cache")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT if live else signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == code, told
    assert "Traceback" not in told
    assert _listing(here) == (["ir.mp4", "o.mp4", "vis.mp4"] if live else ["ir.mp4", "vis.mp4"])
    if live:
        times, _ = read_video(here / "o.mp4")
        assert len(times) >= 1


def test_without_the_library_the_extra_is_named(videos, weights, camfuse):
    here, _ = videos
    (here / "av.py").write_text("raise ImportError('not here')\n")
    done = camfuse("fuse", "ir.mp4", "vis.mp4", "-o", "o.mp4", "--weights", weights, cwd=here)
    refused(done, 2, "camfuse-jax[video]")


@pytest.mark.slow
def test_memory_is_flat(here, weights, tmp_path_factory):
    """Twelve times the frames, hardly more memory."""
    peaks = []
    for count in (50, 600):
        for name, seed in (("ir.mp4", 1), ("vis.mp4", 2)):
            write_video(here / name, (texture(index % 100, seed=seed) for index in range(count)), 25)
        command = ["fuse", "ir.mp4", "vis.mp4", "-o", f"o{count}.mp4", "--weights", str(weights), "--json"]
        process = subprocess.Popen(
            [sys.executable, "-m", "camfuse_jax.cli", *command],
            cwd=here,
            env=environment(tmp_path_factory.getbasetemp() / "jax-cache"),
            stdout=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        peaks.append(used.ru_maxrss / 1024)
    assert len(read_video(here / "o600.mp4")[0]) == 600
    assert peaks[1] - peaks[0] < 60, peaks
