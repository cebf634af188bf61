"""Damaged, forged and forbidden files: named, never a traceback, never half a result."""

import struct
import zlib

import hostile_images
import numpy as np
import pytest
import tifffile
from PIL import Image
from small_nets import small_params

from camfuse_jax import save_params
from camfuse_jax.batch import run
from camfuse_jax.cli import main
from camfuse_jax.errors import CamfuseError
from camfuse_jax.images.picture import GeoTag, Metadata
from camfuse_jax.images.read import read_picture
from camfuse_jax.images.write import write_picture

GRAY = np.random.default_rng(0).integers(0, 256, (20, 24), dtype=np.uint8)


@pytest.fixture
def place(tmp_path, monkeypatch):
    save_params(tmp_path / "w.safetensors", small_params())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _fuse(*arguments):
    return main(["fuse", *map(str, arguments), "--weights", "w.safetensors"])


def _huge(path, depth):
    header = b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, depth, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 9) + b"IDAT" + bytes(13))


@pytest.mark.parametrize("depth", [8, 16])
def test_a_huge_declared_size_is_refused_before_memory_is_spent(place, capsys, depth):
    import tracemalloc

    _huge(place / "huge.png", depth)
    write_picture(place / "v.png", GRAY)
    tracemalloc.start()
    with pytest.raises(CamfuseError, match=r"huge\.png is too large"):
        read_picture(place / "huge.png")
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()
    assert _fuse("huge.png", "v.png") == 3
    told = capsys.readouterr()
    assert "huge.png" in told.err
    assert "--max-megapixels" in told.err
    assert not (place / "fused").exists()


@pytest.mark.parametrize("kind", ["a.png", "deep.png", "a.tif", "deep.tif", "float.tif", "a.jpg", "a.bmp"])
def test_any_damage_is_read_or_refused_by_name(tmp_path, kind):
    path, rng = tmp_path / kind, np.random.default_rng(1)
    rgb = rng.integers(0, 256, (9, 8, 3), dtype=np.uint8)
    if kind == "float.tif":
        tifffile.imwrite(path, rgb[..., 0].astype(np.float32))
    elif kind == "a.bmp":
        Image.fromarray(rgb).save(path)
    else:
        write_picture(path, rgb.astype(np.uint16) * 257 if "deep" in kind else rgb)
    whole = path.read_bytes()
    refused = 0
    for trial in range(400):
        damaged = bytearray(whole)
        if trial % 3:
            damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        else:
            del damaged[rng.integers(len(whole)) :]
        path.write_bytes(damaged)
        try:
            read_picture(path)
        except CamfuseError as error:
            refused += 1
            assert kind in str(error)
    assert refused > 60


def test_hostile_files_fail_alone(place, capsys):
    """One bad file ended the folder, or never let it end."""
    names = ["loop.tif", "samples.tif", "chunks.png", "scans.jpg", "size.webp"]
    for name, content in hostile_images.refused().items():
        if name in names:
            (place / "ir").mkdir(exist_ok=True)
            (place / "ir" / name).write_bytes(content)
            write_picture(place / "vis" / f"{name.split('.')[0]}.png", hostile_images.GRAY)
    (place / "ir" / "self.png").symlink_to("self.png")
    write_picture(place / "vis" / "self.png", hostile_images.GRAY)
    for good in ("a", "z"):
        write_picture(place / "ir" / f"{good}.png", hostile_images.GRAY)
        write_picture(place / "vis" / f"{good}.png", 255 - hostile_images.GRAY)
    assert _fuse("ir", "vis", "-o", "o") == 1
    told = capsys.readouterr().err
    assert sorted(path.name for path in (place / "o").glob("*.png")) == ["a.png", "z.png"]
    assert all(name in told for name in (*names, "self"))


def test_files_that_are_no_images(place, capsys):
    write_picture(place / "v.png", GRAY)
    (place / "text.png").write_text("not an image")
    (place / "empty.png").touch()
    (place / "gif.png").write_bytes(b"GIF89a" + bytes(40))
    for name, code in (("text.png", 3), ("empty.png", 3), ("gif.png", 3), ("none.png", 3)):
        assert _fuse(name, "v.png") == code
        assert name in capsys.readouterr().err
    assert _fuse("v.png") == 2
    assert _fuse("v.png", "v.png", "-o", "v.png") == 2
    assert _fuse("v.png", "v.png", "--ir-range", "best") == 2
    assert _fuse("v.png", "v.png", "--ir-gain", "-1") == 2
    for unit in ("megapixels", "megabytes"):
        assert _fuse("v.png", "v.png", f"--max-{unit}", "0.0001") == 3
        assert f"raise --max-{unit}" in capsys.readouterr().err.lower()
    assert _fuse("v.png", "v.png", "--max-memory", "0") == 2
    assert main(["fuse", "v.png", "v.png", "--weights", "none"]) == 4
    assert not (place / "fused").exists()
    assert read_picture(place / "v.png").size == GRAY.shape


def test_what_the_visible_file_says_goes_with_the_result(place, capsys):
    exif = Image.Exif()
    exif[272], exif[306] = "T640", "2024:05:01 10:20:30"
    metadata = Metadata(exif.tobytes(), (GeoTag(33550, 12, 3, (0.5, 0.5, 0.0)),))
    write_picture(place / "i.png", GRAY)
    write_picture(place / "v.tif", np.stack([GRAY] * 3, -1), alpha=255 - GRAY, icc=b"profile" * 9, metadata=metadata)
    for form, suffix in (("tiff", ".tif"), ("png", ".png")):
        assert _fuse("i.png", "v.tif", "-o", "o", "--format", form) == 0
        assert ("only TIFF holds GeoTIFF tags" in capsys.readouterr().err) == (form == "png")
        result = read_picture(place / "o" / f"v{suffix}")
        np.testing.assert_array_equal(result.alpha, 255 - GRAY)
        assert result.icc == b"profile" * 9
        block = Image.Exif()
        block.load(result.metadata.exif)
        assert (block[272], block[306]) == ("T640", "2024:05:01 10:20:30")
        assert [tag.value for tag in result.metadata.geo] == ([(0.5, 0.5, 0.0)] if form == "tiff" else [])


def test_the_memory_that_is_asked_for_is_handed_on_in_bytes(place, monkeypatch):
    asked, real = [], run.fuse_frame
    monkeypatch.setattr(run, "fuse_frame", lambda *given, **how: asked.append(how["max_memory"]) or real(*given, **how))
    write_picture(place / "v.png", GRAY)
    assert _fuse("v.png", "v.png", "-o", "o", "--max-memory", "0.5") == 0
    assert asked == [2**29]


def test_a_place_that_cannot_be_written_stops_with_5(place, capsys):
    write_picture(place / "i.png", GRAY)
    write_picture(place / "v.png", GRAY)
    (place / "file").touch()
    assert _fuse("i.png", "v.png", "-o", "file/o") == 5
    assert "file/o" in capsys.readouterr().err


def test_an_interrupted_run_does_only_what_is_missing(place, capsys, monkeypatch):
    for name in ("a", "b", "c"):
        write_picture(place / "ir" / f"{name}.png", GRAY)
        write_picture(place / "vis" / f"{name}.png", GRAY[::-1].copy())
    real, calls = run.fuse_frame, []

    def once(*arguments, **options):
        if calls:
            raise KeyboardInterrupt
        calls.append(1)
        return real(*arguments, **options)

    monkeypatch.setattr(run, "fuse_frame", once)
    assert _fuse("ir", "vis", "-o", "o") == 130
    assert [path.name for path in (place / "o").iterdir()] == ["a.png"]
    first = (place / "o" / "a.png").stat().st_mtime_ns
    monkeypatch.setattr(run, "fuse_frame", real)
    assert _fuse("ir", "vis", "-o", "o") == 0
    assert "skipped: 1 of 3" in capsys.readouterr().out
    assert (place / "o" / "a.png").stat().st_mtime_ns == first
    write_picture(place / "ir" / "a.png", 255 - GRAY)  # another source: the old result is no longer its
    assert _fuse("ir", "vis", "-o", "o") == 1
    assert "made otherwise" in capsys.readouterr().err
    assert _fuse("ir", "vis", "-o", "o", "--force") == 0


def test_names_with_spaces_and_unicode_and_results_that_collide(place, capsys):
    write_picture(place / "тепло 1_ir.png", GRAY)
    write_picture(place / "тепло 1_vis.png", GRAY)
    assert _fuse(".", "-o", "o ü") == 0
    assert (place / "o ü" / "тепло 1.png").exists()
    for name in ("a", "a_ir_heat"):
        write_picture(place / "i" / f"{name}.png", GRAY)
        write_picture(place / "v" / f"{name}.png", GRAY)
    assert _fuse("i", "v", "--overlay") == 2
    assert "a_ir_heat" in capsys.readouterr().err
