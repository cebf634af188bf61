"""Image files in and out."""

from camfuse_jax.images.gray import (
    MAX_PIXELS,
    READABLE_SUFFIXES,
    decode_gray,
    luma,
    read_gray,
    read_shape,
    write_gray,
    write_rgb,
)

__all__ = [
    "MAX_PIXELS",
    "READABLE_SUFFIXES",
    "decode_gray",
    "luma",
    "read_gray",
    "read_shape",
    "write_gray",
    "write_rgb",
]
