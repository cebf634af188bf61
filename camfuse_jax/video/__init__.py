"""Moving pictures in and out: files, folders of frames, cameras and network streams behind one reader."""

from camfuse_jax.video.frame import Facts, Frame, Reader
from camfuse_jax.video.matching import Matching
from camfuse_jax.video.opening import is_moving, is_stream, open_reader
from camfuse_jax.video.writing import VIDEO_SUFFIXES, open_writer

__all__ = [
    "VIDEO_SUFFIXES",
    "Facts",
    "Frame",
    "Matching",
    "Reader",
    "is_moving",
    "is_stream",
    "open_reader",
    "open_writer",
]
