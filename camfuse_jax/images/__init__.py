"""Image files in and out."""

from camfuse_jax.images.gray import decode_gray, luma, read_gray, read_shape, write_gray, write_rgb
from camfuse_jax.images.opening import MAX_PIXELS, READABLE_SUFFIXES, Limits
from camfuse_jax.images.picture import Picture, picture_size, read_picture, read_picture_file
from camfuse_jax.images.write import picture_bytes, read_stamp, write_picture

__all__ = [
    "MAX_PIXELS",
    "READABLE_SUFFIXES",
    "Limits",
    "Picture",
    "decode_gray",
    "luma",
    "picture_bytes",
    "picture_size",
    "read_gray",
    "read_picture",
    "read_picture_file",
    "read_shape",
    "read_stamp",
    "write_gray",
    "write_picture",
    "write_rgb",
]
