"""Which look a result has: natural where it is in color, the weights' own in gray, and what is asked for."""

import numpy as np
import pytest
from small_nets import small_params

from camfuse_jax.cli import main
from camfuse_jax.config import FusionConfig
from camfuse_jax.fusion.params import load_params, save_params, with_look
from camfuse_jax.images.color import shows_color
from camfuse_jax.images.read import read_picture
from camfuse_jax.images.write import write_picture
from camfuse_jax.pair.fuse import fuse_frame, to_levels, with_usual_look
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.video.calibration import calibrate_video
from camfuse_jax.video.frames import Frame


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with weights, an infrared image, and a visible one in color, in gray, and in gray of three channels."""
    folder, rng = tmp_path_factory.mktemp("look"), np.random.default_rng(0)
    save_params(folder / "w.safetensors", small_params(fusion=FusionConfig()))
    ir, gray = (rng.integers(0, 256, (12, 15), dtype=np.uint8).repeat(4, 0).repeat(4, 1) for _ in range(2))
    color = np.clip(gray[..., None] + np.array([-40.0, 0.0, 30.0]), 0, 255).astype(np.uint8)
    for name, image in {"ir": ir, "color": color, "gray": gray, "equal": np.stack([gray] * 3, axis=-1)}.items():
        write_picture(folder / f"{name}.png", image)
    return folder


@pytest.mark.parametrize(
    ("vis", "options", "look"),
    [
        ("color", (), 0.0),
        ("color", ("--look", "natural"), 0.0),
        ("color", ("--look", "contrast"), 1.0),
        ("color", ("--look", "0.25"), 0.25),
        ("color", ("--gray",), 1.0),
        ("gray", (), 1.0),
        ("gray", ("--look", "natural"), 0.0),
        ("equal", (), 1.0),
    ],
)
def test_the_command(place, monkeypatch, tmp_path, vis, options, look):
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.chdir(place)
    out = str(tmp_path / "f.png")
    assert main(["fuse", "ir.png", f"{vis}.png", "-o", out, "--weights", "w.safetensors", *options]) == 0
    params = with_look(load_params(place / "w.safetensors"), look)
    images = [np.float32(read_picture(place / f"{name}.png").samples / 255) for name in ("ir", vis)]
    expected = to_levels(fuse_frame(params, *images, gray="--gray" in options), 8)
    np.testing.assert_allclose(read_picture(out).samples.astype(int), expected.astype(int), atol=1)
    other = fuse_frame(with_look(params, 1 - look), *images, gray="--gray" in options)
    assert np.abs(to_levels(other, 8).astype(int) - expected).max() > 4


def test_a_video_in_color_is_natural(place, monkeypatch, tmp_path):
    monkeypatch.setenv("XLA_FLAGS", "")
    sources = [read_picture(place / f"{name}.png").samples for name in ("ir", "color")]
    for kind, image in zip(("ir", "vis"), sources, strict=True):
        write_picture(tmp_path / kind / "1.png", image)
    images = [np.float32(image / 255) for image in sources]
    params = load_params(place / "w.safetensors")
    natural, contrast = (to_levels(fuse_frame(with_look(params, look), *images), 8).astype(int) for look in (0, 1))
    for options, near, far in (((), natural, contrast), (("--look", "contrast"), contrast, natural)):
        command = ["fuse", str(tmp_path / "ir"), str(tmp_path / "vis"), "--video", "-o", str(tmp_path / "o"), "--force"]
        assert main([*command, "--weights", str(place / "w.safetensors"), *options]) == 0
        found = read_picture(tmp_path / "o" / "frame_000001.png").samples.astype(int)
        assert np.abs(found - near).mean() < 0.5 * np.abs(found - far).mean()


def test_a_wrong_look_is_named(place, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(place)
    arguments = ["fuse", "ir.png", "gray.png", "-o", str(tmp_path / "f.png"), "--weights", "w.safetensors", "--look"]
    for wrong in ("2", "nan", "vivid"):
        assert main([*arguments, wrong]) == 2
        told = f"--look {wrong} is no look. Give natural, contrast, or a number from 0 (natural) to 1 (contrast)."
        assert told in capsys.readouterr().err
    assert main([*arguments, "0.5", "--rule", "max"]) == 2
    assert "Rule max has no --look" in capsys.readouterr().err


def test_other_rules_have_no_look():
    params = small_params(fusion=FusionConfig(rule="eq5"))
    assert with_usual_look(params, colored=True) is params


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_what_counts_as_color(kind):
    top = 1 if kind == np.float32 else np.iinfo(kind).max
    gray = np.full((64, 64, 3), 0.5 * top).astype(kind)
    assert not shows_color(gray)
    for amount, expected in ((6 / 255, False), (12 / 255, True)):
        colored = gray.copy()
        colored[:16, :16, 0] += kind(amount * top)
        assert shows_color(colored) == expected
    large = np.tile(gray, (4, 4, 1))
    large[:4, :4, 0] = top  # one of 4,096 looked at: a hot pixel, not a color image
    assert not shows_color(large)


def test_a_video_has_one_look():
    rng = np.random.default_rng(1)
    gray = np.stack([rng.integers(0, 256, (32, 40), dtype=np.uint8)] * 3, axis=-1)
    color = gray // np.array([1, 2, 1], np.uint8)

    def pairs(*visible):
        return [(Frame(float(i), gray), Frame(float(i), vis)) for i, vis in enumerate(visible)]

    assert not calibrate_video(pairs(gray, gray, gray), FrameSettings()).colored
    assert calibrate_video(pairs(gray, gray, color), FrameSettings()).colored
    deep = [(Frame(0.0, gray), Frame(0.0, color.astype(np.float32) * 200))]  # a TIFF sequence, as stored
    assert calibrate_video(deep, FrameSettings()).colored
