"""One pair of frames: made ready, checked, aligned and fused, as arrays."""

from camfuse_jax.frames.fuse_frame import fuse_frame, to_levels
from camfuse_jax.frames.prepare import FrameSettings, Prepared, prepare
from camfuse_jax.frames.settled import Settled, settle
from camfuse_jax.frames.steady import SteadyLight

__all__ = [
    "FrameSettings",
    "Prepared",
    "Settled",
    "SteadyLight",
    "fuse_frame",
    "prepare",
    "settle",
    "to_levels",
]
