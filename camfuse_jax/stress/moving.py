"""Small videos of several containers and codecs."""

import io
from typing import Any

import numpy as np

from camfuse_jax.stress import small
from camfuse_jax.video.library import load_av

FRAMES, RATE = 5, 10
# Container, codec, pixel format.
_KINDS = (
    ("mp4", "libx264", "yuv420p"),
    ("matroska", "libx264", "yuv420p"),
    ("matroska", "ffv1", "gray16le"),
    ("avi", "mjpeg", "yuvj420p"),
    ("mpegts", "mpeg2video", "yuv420p"),
)


def video_files(shape: tuple[int, int]) -> list[bytes]:
    """One file of each kind, with sound in the first.

    Args:
        shape: Height and width, even.
    """
    return [_file(*kind, shape=shape, sound=number == 0) for number, kind in enumerate(_KINDS)]


def _file(container: str, codec: str, pix_fmt: str, *, shape: tuple[int, int], sound: bool) -> bytes:
    av = load_av()
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codec, rate=RATE)
        stream.pix_fmt, (stream.height, stream.width) = pix_fmt, shape
        audio: Any = file.add_stream("aac", rate=8000, layout="mono") if sound else None
        for number in range(FRAMES):
            image = small.picture(number, shape)
            deep = pix_fmt == "gray16le"
            samples = image.astype(np.uint16) * 257 if deep else image
            file.mux(stream.encode(av.VideoFrame.from_ndarray(samples, format="gray16le" if deep else "gray")))
        file.mux(stream.encode(None))
        if audio is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.sample_rate, silence.pts = 8000, 0
            file.mux(audio.encode(silence))
            file.mux(audio.encode(None))
    return buffer.getvalue()
