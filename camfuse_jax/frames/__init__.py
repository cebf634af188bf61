"""One pair of frames: made ready, checked, aligned and fused, as arrays."""

from camfuse_jax.frames.fuse_frame import fuse_frame, to_levels
from camfuse_jax.frames.prepare import FrameSettings, Prepared, prepare

__all__ = ["FrameSettings", "Prepared", "fuse_frame", "prepare", "to_levels"]
