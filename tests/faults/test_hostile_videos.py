"""Videos whose names and kinds are not what FFmpeg expects: found by `python -m stress --what fuzz`."""

import numpy as np
import pytest

from camfuse_jax.errors import InputError

av = pytest.importorskip("av")

from small_nets import small_params  # noqa: E402
from stress.fixtures import FRAMES, video_files  # noqa: E402

from camfuse_jax.fusion.params import save_params  # noqa: E402
from camfuse_jax.pair.options import FuseSettings  # noqa: E402
from camfuse_jax.video.fuse import VideoJob, fuse_video  # noqa: E402
from camfuse_jax.video.reader import FileReader  # noqa: E402


def test_a_title_that_is_no_text(tmp_path):
    path = tmp_path / "title.mkv"
    with av.open(str(path), "w") as file:
        file.metadata["title"] = "t" * 40
        stream = file.add_stream("ffv1", rate=10)
        stream.pix_fmt, stream.height, stream.width = "gray", 16, 16
        for _ in range(3):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16), np.uint8), format="gray")))
        file.mux(stream.encode(None))
    content = path.read_bytes()
    assert b"t" * 40 in content
    path.write_bytes(content.replace(b"t" * 40, b"\xff" * 40))
    assert len(list(FileReader(path, max_pixels=1000).frames())) == 3


def test_a_kind_that_nobody_knows(tmp_path):
    path = tmp_path / "kind.avi"
    content = video_files((32, 48))[3]
    assert b"MJPG" in content
    path.write_bytes(content)
    assert len(list(FileReader(path, max_pixels=10_000).frames())) == FRAMES
    path.write_bytes(content.replace(b"MJPG", b"ZZZZ"))
    with pytest.raises(InputError, match="unknown kind") as caught:
        FileReader(path, max_pixels=10_000)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_of_a_kind_that_nobody_knows_is_left_out(tmp_path, suffix):
    content = video_files((32, 48))[0]
    told = bytes([0x04, 0x80, 0x80, 0x80, 0x17])  # descriptor of the decoder; the kind of sound follows, 0x40 is AAC
    assert b"mp4a" in content
    assert told + b"\x40" in content
    for kind in ("ir", "vis"):
        odd = content.replace(b"mp4a", b"zzzz").replace(told + b"\x40", told + b"\xfe")
        (tmp_path / f"{kind}.mp4").write_bytes(odd)
    save_params(tmp_path / "small.safetensors", small_params())
    sources = (str(tmp_path / f"{kind}.mp4") for kind in ("ir", "vis"))
    settings = FuseSettings(weights=str(tmp_path / "small.safetensors"))
    result = fuse_video(VideoJob(*sources, tmp_path / f"fused{suffix}", settings))
    assert result.frames == FRAMES
    assert any("sound (unknown) is left out" in note for note in result.notes)
    with av.open(str(tmp_path / f"fused{suffix}")) as file:
        assert not file.streams.audio
