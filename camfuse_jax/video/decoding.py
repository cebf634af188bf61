"""Decoded frames of FFmpeg as arrays, upright and at their own depth."""

from typing import Any

import numpy as np
from jaxtyping import UInt


def samples_of(frame: Any) -> UInt[np.ndarray, "h w *c"]:
    """Samples of a PyAV frame: deep gray as uint16 over the whole range, everything else as 8-bit RGB.

    Gray of 8 bits becomes RGB of equal channels too: FFmpeg then applies the stream's range (16 to 235, or full).
    A recorder's rotation mark is applied in steps of 90 degrees.
    """
    deep = frame.format.is_luma if hasattr(frame.format, "is_luma") else frame.format.name.startswith("gray")
    deep = deep and frame.format.components[0].bits > 8
    samples = frame.to_ndarray(format="gray16le" if deep else "rgb24")
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(samples, turns)) if turns else samples
