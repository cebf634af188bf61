"""Readers and writers of files."""

import re
import struct
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from camfuse_jax.errors import InputError, ResourceError, UsageError
from camfuse_jax.images.bounds import Limits
from camfuse_jax.images.write import write_picture
from camfuse_jax.pair.options import VideoOptions, is_moving
from camfuse_jax.video.frames import Matching, turn_upright
from camfuse_jax.video.reader import open_reader, pair_by_number
from camfuse_jax.video.writer import open_writer

pytest.importorskip("av")
from moving import read_video, texture, write_video


def test_a_file_gives_frames_with_times(tmp_path):
    frames = [texture(index) for index in range(8)]
    reader = open_reader(str(write_video(tmp_path / "a.mp4", frames, 20)))
    assert (reader.facts.rate, reader.facts.size, reader.facts.duration) == (20.0, (64, 96), 0.4)
    found = list(reader.frames())
    np.testing.assert_allclose([frame.time for frame in found], np.arange(8) / 20, atol=1e-6)
    np.testing.assert_allclose(reader.times(), np.arange(8) / 20, atol=1e-6)
    for frame, original in zip(found, frames, strict=True):
        assert np.abs(frame.samples[..., 1].astype(int) - original).mean() < 3
    assert [frame.time for frame in reader.near([0.1, 9.0])] == pytest.approx([0.1, 0.35])


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_frames_come_upright_and_so_does_the_size(tmp_path, turn, mirrored):
    """As a player shows them: turned counterclockwise by the recorder's angle, then mirrored."""
    shown = texture(0, height=64, width=96).astype(float)
    shown[:32] *= 0.5  # upper half dark, right side darker still: no turn looks like another
    shown[:, 48:] *= 0.6
    stored = np.rot90(np.fliplr(shown) if mirrored else shown, -turn // 90).astype(np.uint8)
    path = write_video(tmp_path / "a.mp4", [np.ascontiguousarray(stored)] * 3, 10, display=(turn, mirrored))
    reader = open_reader(str(path))
    assert reader.facts.size == (64, 96)
    frames = [*reader.frames(), *reader.near([0.1])]
    assert all(np.abs(frame.samples[..., 1] - shown).mean() < 3 for frame in frames)


def test_a_display_matrix_between_two_turns_is_the_nearer():
    image = np.arange(6).reshape(2, 3)
    one = 1 << 16
    for matrix, wanted in (
        ((one, 0, 0, 0, one, 0), image),
        ((one, one // 3, 0, -one // 3, one, 0), image),
        ((one // 3, one, 0, -one, one // 3, 0), np.rot90(image, 3)),
        ((0, 0, 0, 0, 0, 0), image),
    ):
        np.testing.assert_array_equal(turn_upright(image, matrix), wanted)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".mov"])
def test_times_count_from_the_first_frame_wherever_the_clock_begins(tmp_path, suffix):
    frames = [np.full((64, 96), 20 + 20 * index, np.uint8) for index in range(10)]
    reader = open_reader(str(write_video(tmp_path / f"a{suffix}", frames, 10, begin=5.0)))
    assert reader.facts.duration == pytest.approx(1.0, abs=0.02)
    assert reader.origin == pytest.approx(5.0, abs=0.02)
    expected = np.arange(10) / 10
    np.testing.assert_allclose([frame.time for frame in reader.frames()], expected, atol=1e-3)
    np.testing.assert_allclose(reader.times(), expected, atol=1e-3)
    (near,) = reader.near([0.55])
    assert near.time == pytest.approx(0.6, abs=1e-3)
    assert abs(near.samples.mean() - 140) < 3


@pytest.mark.parametrize("name", ["12:30:05.mp4", "http:a.mp4", "file:a.mp4"])
def test_colons_in_names_are_no_protocols(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "plain.mp4", [texture(0)] * 2, 10)
    (tmp_path / "plain.mp4").rename(tmp_path / name)
    assert len(list(open_reader(name).frames())) == 2
    out = tmp_path / f"{name}.mkv"
    with open_writer(out.relative_to(tmp_path), rate=10, force=False) as writer:
        writer.write(texture(0), 0.0)
    assert len(read_video(out)[0]) == 1


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tif", "a.mp4"])
def test_a_still_image_is_named(tmp_path, name):
    """Whatever its name says."""
    kind = {".jpg": "JPEG", ".bmp": "BMP", ".tif": "TIFF"}.get(name[-4:], "PNG")
    Image.fromarray(texture(0)).save(tmp_path / name, format=kind)
    with pytest.raises(InputError, match=rf"{name} is a still image"):
        open_reader(str(tmp_path / name))


def test_what_moves_is_known_by_its_name():
    moving = ("a.mp4", "b.MOV", "c.m4v", "d.mkv", "rtsp://camera/1", "rtsps://camera/1", "http://camera", "device:0")
    assert [name for name in (*moving, "a.png", "folder", "mp4") if is_moving(name)] == list(moving)


@pytest.mark.parametrize(
    "number", [{"offset": -2e6}, {"offset": 2e6}, {"fps": 0.0}, {"ir_fps": -1.0}, {"seconds": 0.0}]
)
def test_numbers_out_of_range_are_refused_by_name(number):
    with pytest.raises(UsageError, match=f"--{next(iter(number)).replace('_', '-')} must be"):
        VideoOptions(**number)


def test_cameras_have_numbers(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for source in ("live:97", "device:97", "device:/dev/video97"):
        reader = open_reader(source)
        assert reader.facts.live
        if sys.platform == "linux":
            with pytest.raises(InputError, match=r"/dev/video97 cannot be read"):
                next(reader.frames())
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(UsageError, match="video=NAME"):
        open_reader("live:0")
    monkeypatch.setattr(sys, "platform", "plan9")
    with pytest.raises(UsageError, match="not known on plan9"):
        open_reader("live:0")


def test_deep_gray_keeps_its_depth(tmp_path):
    deep = np.arange(64 * 96, dtype=np.uint16).reshape(64, 96) * 7
    path = write_video(tmp_path / "a.mkv", [deep], 10, codec="ffv1", pix_fmt="gray16le", options={})
    (frame,) = open_reader(str(path)).frames()
    np.testing.assert_array_equal(frame.samples, deep)


def test_a_folder_is_ordered_by_number(tmp_path):
    for index in (1, 2, 10):
        write_picture(tmp_path / f"frame_{index}.png", np.full((4, 4), index, np.uint8))
    reader = open_reader(str(tmp_path), rate=4)
    assert [(frame.time, int(frame.samples[0, 0])) for frame in reader.frames()] == [(0, 1), (0.25, 2), (0.5, 10)]
    assert [int(frame.samples[0, 0]) for frame in reader.near([0.0, 0.6, 9.0])] == [1, 10, 10]
    write_picture(tmp_path / "frame_11.png", np.zeros((5, 4), np.uint8))
    with pytest.raises(InputError, match=r"frame_11\.png"):
        list(open_reader(str(tmp_path)).frames())


def _folders(tmp_path, ir, vis, **options):
    """Readers of two folders with frames of these numbers, each of that level, and the note on their numbers."""
    for kind, numbers in (("ir", ir), ("vis", vis)):
        for number in numbers:
            write_picture(tmp_path / kind / f"frame_{number}.png", np.full((4, 4), number, np.uint8))
    readers = [open_reader(str(tmp_path / kind), rate=10) for kind in ("ir", "vis")]
    return readers, pair_by_number(*readers)


@pytest.mark.parametrize(
    ("ir", "vis", "pairs", "told"),
    [
        ([0, 1, 3, 4], [0, 1, 2, 3, 4], [(0, 0), (1, 1), (3, 3), (4, 4)], "0 infrared, 1 visible .*vis/frame_2.png"),
        ([1, 2, 3, 4], [2, 3, 4], [(2, 2), (3, 3), (4, 4)], "1 infrared, 0 visible .*ir/frame_1.png"),
        ([10, 20, 40], [10, 30, 40], [(10, 10), (40, 40)], "1 infrared, 1 visible .*ir/frame_20.png"),
        ([0, 1, 2], [1, 2, 3], [(0, 1), (1, 2), (2, 3)], "in the order .*ir/frame_0.png with .*vis/frame_1.png"),
        ([1, 2], [101, 102, 103], [(1, 101), (2, 102)], "in the order .*ir/frame_1.png with .*vis/frame_101.png"),
        ([1, 2, 3], [1, 2, 3, 4], [(1, 1), (2, 2), (3, 3)], "^$"),
    ],
)
def test_frames_of_two_folders_belong_together_by_number(tmp_path, ir, vis, pairs, told):
    readers, note = _folders(tmp_path, ir, vis)
    matched = Matching(10, 10).pairs(*(reader.frames() for reader in readers))
    assert [tuple(int(frame.samples[0, 0]) for frame in pair) for pair in matched] == pairs
    assert re.search(told, note)
    ends = [frame.time + 0.1 for frame in (list(reader.frames())[-1] for reader in readers)]
    assert [reader.facts.duration for reader in readers] == pytest.approx(ends)


def test_the_headers_of_a_sequence_are_enough_to_find_another_size(tmp_path):
    readers, _ = _folders(tmp_path, range(12), range(12))
    write_picture(tmp_path / "ir" / "frame_3.png", np.zeros((4, 6), np.uint8))
    readers[0].check_sizes(0.3)  # frames before
    readers[1].check_sizes(9.0)
    with pytest.raises(InputError, match=r"frame_3\.png has 6 x 4 pixels, the first 4 x 4"):
        readers[0].check_sizes(9.0)
    stack = np.zeros((3, 40, 56), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    open_reader(str(tmp_path / "a.tif")).check_sizes(9.0)


def _pages(stack):
    return [(frame.time, frame.samples) for frame in stack.frames()]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bigtiff": True},
        {"byteorder": ">", "rowsperstrip": 5},
        {"compression": "zlib", "tile": (16, 16)},
        {"imagej": True, "dtype": np.uint8},
    ],
    ids=["plain", "big", "strips", "tiles", "ImageJ"],
)
@pytest.mark.parametrize("color", [False, True])
def test_the_pages_of_a_tiff_are_frames(tmp_path, options, color):
    shape = (4, 40, 56, 3) if color else (4, 40, 56)
    samples = np.random.default_rng(0).integers(0, 60_000, shape).astype(np.uint16)
    samples = samples.astype(options.get("dtype", np.uint16))
    kind = {} if "imagej" in options else {"photometric": "rgb" if color else "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", samples, **options, **kind)
    reader = open_reader(str(tmp_path / "a.tif"), rate=4)
    assert (reader.facts.size, reader.facts.duration, reader.times()) == ((40, 56), 1, [0, 0.25, 0.5, 0.75])
    times, frames = zip(*_pages(reader), strict=True)
    assert list(times) == reader.times()
    np.testing.assert_array_equal(frames, samples)
    np.testing.assert_array_equal(reader.near([0.6])[0].samples, samples[2])


def test_smaller_copies_in_a_tiff_are_no_frames(tmp_path):
    samples = np.random.default_rng(0).random((3, 40, 56), np.float32)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in samples:
            writer.write(page, contiguous=False)
            writer.write(page[::2, ::2], subfiletype=1, contiguous=False)
    np.testing.assert_array_equal([frame for _, frame in _pages(open_reader(str(tmp_path / "a.tif")))], samples)


def test_a_page_that_differs_or_is_damaged_is_named(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(np.zeros((4, 5), np.uint8), contiguous=False)
        writer.write(np.zeros((4, 6), np.uint8), contiguous=False)
    with pytest.raises(InputError, match=r"a\.tif page 2 has 6 x 4 pixels, the first 5 x 4"):
        list(open_reader(str(path)).frames())
    tifffile.imwrite(
        path,
        np.random.default_rng(0).integers(0, 255, (3, 40, 56)).astype(np.uint8),
        compression="zlib",
        photometric="minisblack",
    )
    with tifffile.TiffFile(path) as tiff:
        at, length = tiff.pages[1].dataoffsets[0], tiff.pages[1].databytecounts[0]
    content = bytearray(path.read_bytes())
    content[at : at + length] = bytes(length)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.tif page 2 cannot be decoded"):
        list(open_reader(str(path)).frames())


def test_pages_that_claim_more_than_the_file_holds_are_refused(tmp_path):
    """Each page is made of the bytes that it points to: 2,000 strips that are all of the file would be 2,000 files."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((2, 2000, 100), np.uint8), rowsperstrip=1, photometric="minisblack")
    with tifffile.TiffFile(path) as tiff:
        offsets, counts = (tiff.pages[1].tags[code] for code in (273, 279))
    content = bytearray(path.read_bytes())
    form = {3: "<2000H", 4: "<2000I"}
    struct.pack_into(form[counts.dtype], content, counts.valueoffset, *[min(len(content), 65_535)] * 2000)
    struct.pack_into(form[offsets.dtype], content, offsets.valueoffset, *[8] * 2000)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.tif has a page that claims more than the file holds"):
        list(open_reader(str(path)).frames())


def test_a_folder_of_temperature_tables_is_a_sequence(tmp_path):
    for index in range(3):
        np.save(tmp_path / f"{index}.npy", np.full((4, 4), 20.0 + index, np.float32) + np.eye(4, dtype=np.float32))
    assert [frame.samples[0, 1] for frame in open_reader(str(tmp_path)).frames()] == [20, 21, 22]
    np.save(tmp_path / "0.npy", np.where(np.eye(4, dtype=bool), np.nan, 20))
    np.testing.assert_array_equal(next(open_reader(str(tmp_path)).frames()).valid, ~np.eye(4, dtype=bool))
    write_picture(tmp_path / "a.png", np.arange(16, dtype=np.uint8).reshape(4, 4))
    assert len(list(open_reader(str(tmp_path)).frames())) == 1  # tables beside images say something about them


def test_a_makers_own_sequence_is_named(tmp_path):
    (tmp_path / "flight.seq").write_bytes(b"FFF\0" + bytes(999))
    with pytest.raises(InputError, match=r"flight\.seq is a FLIR sequence .* Export its frames"):
        open_reader(str(tmp_path / "flight.seq"))


@pytest.mark.parametrize("content", [b"", b"no video at all" * 99])
def test_what_is_no_video_is_refused_by_name(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.mp4"):
        open_reader(str(tmp_path / "a.mp4"))


@pytest.mark.parametrize("index_first", [True, False])
def test_a_file_that_lost_its_end_is_refused(tmp_path, index_first):
    """With its index at the end it cannot be opened at all; with the index first it ends too early."""
    frames = [np.random.default_rng(index).integers(0, 256, (64, 96), dtype=np.uint8) for index in range(20)]
    path = write_video(tmp_path / "a.mp4", frames, 10, container={"movflags": "faststart"} if index_first else None)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(InputError, match=r"a\.mp4"):
        list(open_reader(str(path)).frames())


def test_a_file_that_ends_between_two_frames_is_refused(tmp_path):
    """Nothing is damaged there, so that only its length says that frames are absent."""
    import av

    path = write_video(tmp_path / "a.mp4", [texture(i) for i in range(20)], 10, container={"movflags": "faststart"})
    with av.open(str(path)) as container:
        places = sorted(packet.pos for packet in container.demux(video=0) if packet.size)
    path.write_bytes(path.read_bytes()[: places[12]])
    with pytest.raises(InputError, match=r"a\.mp4 is cut off: its last frame is at .* should last 2\.00 s"):
        list(open_reader(str(path)).frames())


def test_frames_that_change_their_size_are_refused(tmp_path):
    parts = [
        write_video(tmp_path / f"{height}.ts", [texture(0, height=height)] * 3, 10).read_bytes() for height in (64, 48)
    ]
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    with pytest.raises(InputError, match=r"a\.ts: the frame at .* has another size than the first"):
        list(open_reader(str(tmp_path / "a.ts")).frames())


@pytest.mark.parametrize("prefix", ["", "live:"])
def test_frames_over_the_limit_are_refused(tmp_path, prefix):
    source = f"{prefix}{write_video(tmp_path / 'a.mp4', [texture(0)] * 2, 10)}"
    with pytest.raises(InputError, match=r"has frames of 96 x 64.*--max-megapixels"):
        next(open_reader(source, limits=Limits(max_pixels=96 * 64 - 1)).frames())
    assert next(open_reader(source, limits=Limits(max_pixels=96 * 64)).frames()).samples.shape == (64, 96, 3)


def test_damage_in_the_middle_is_told_with_its_place(tmp_path):
    frames = [np.random.default_rng(index).integers(0, 256, (64, 96), dtype=np.uint8) for index in range(20)]
    content = bytearray(write_video(tmp_path / "a.mp4", frames, 10).read_bytes())
    middle = content.index(b"mdat") + len(content) // 2
    content[middle : middle + 3000] = bytes(byte ^ 0x5A for byte in content[middle : middle + 3000])
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.mp4.* \d\.\d\d s"):
        list(open_reader(str(tmp_path / "a.mp4")).frames())


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.mp4").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError, match=r"camfuse-jax\[video\]"):
        open_reader(str(tmp_path / "a.mp4"))


def test_a_written_video_has_the_frames_times_and_colors_given(tmp_path):
    color = np.zeros((41, 53, 3), np.uint8)
    color[...] = (200, 120, 40)
    with open_writer(tmp_path / "o" / "a.mp4", rate=10, force=False) as writer:
        for time in (5.0, 5.1, 5.4):
            writer.write(color, time)
    times, frames = read_video(tmp_path / "o" / "a.mp4")
    assert times == pytest.approx([0, 0.1, 0.4], abs=1e-3)
    assert frames.shape == (3, 42, 54, 3)  # 4:2:0 needs even sides
    assert np.abs(frames.astype(int) - (200, 120, 40)).max() <= 4
    with open_writer(tmp_path / "g.mp4", rate=10, force=False) as writer:
        writer.write(np.arange(256, dtype=np.uint8).reshape(16, 16), 0.0)
    assert np.abs(read_video(tmp_path / "g.mp4")[1][0, ..., 0].astype(int) - np.arange(256).reshape(16, 16)).mean() < 3


@pytest.mark.parametrize(("suffix", "container"), [(".mp4", "mp4"), (".mkv", "matroska")])
def test_a_written_video_says_its_rate_and_length(tmp_path, suffix, container):
    import av

    path = tmp_path / f"a{suffix}"
    with open_writer(path, rate=10, force=False) as writer:
        for index in range(6):
            writer.write(texture(index), index / 10)
    facts = open_reader(str(path)).facts
    assert (facts.rate, facts.duration) == (pytest.approx(10), pytest.approx(0.6, abs=0.01))
    with av.open(str(path)) as file:
        assert container in file.format.name


@pytest.mark.parametrize("name", ["a.mp4", "folder"])
def test_a_failed_run_leaves_the_old_result_and_nothing_else(tmp_path, name):
    image = np.full((16, 16), 100, np.uint8)
    with open_writer(tmp_path / name, rate=10, force=False) as writer:
        writer.write(image, 0.0)

    def listing():
        return sorted((str(path), path.is_file() and path.read_bytes()) for path in tmp_path.rglob("*"))

    before = listing()
    with pytest.raises(UsageError, match="--force"):
        open_writer(tmp_path / name, rate=10, force=False)
    with pytest.raises(ZeroDivisionError), open_writer(tmp_path / name, rate=10, force=True) as writer:
        writer.write(image + 50, 0.0)
        raise ZeroDivisionError
    assert listing() == before
    with open_writer(tmp_path / name, rate=10, force=True) as writer:
        writer.write(image + 50, 0.0)
    assert listing() != before
    assert len(listing()) == len(before)


@pytest.mark.parametrize("name", ["a.mkv", "folder"])
def test_a_result_that_appears_meanwhile_stays(tmp_path, name):
    with pytest.raises(UsageError, match="exists by now"), open_writer(tmp_path / name, rate=10, force=False) as writer:
        writer.write(texture(0), 0.0)
        mine = tmp_path / name if name == "a.mkv" else tmp_path / name / "frame_000009.png"
        mine.parent.mkdir(exist_ok=True)
        mine.write_bytes(b"mine")
    assert mine.read_bytes() == b"mine"
    assert [path for path in tmp_path.iterdir() if path.name != name] == []


def test_where_nothing_can_be_written_is_told_before_anything_is_read(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ResourceError, match="is no folder"):
        open_writer(tmp_path / "file" / "a.mp4", rate=10, force=False)


@pytest.mark.parametrize("name", ["notes.txt", "photo.png", "frame_times.csv"])
def test_a_folder_with_other_files_is_never_replaced(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match="other"):
        open_writer(tmp_path, rate=10, force=True)
