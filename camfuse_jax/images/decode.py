"""From a file that Pillow opened to samples as they were stored: nothing stretched, no bit lost, alpha apart."""

from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from camfuse_jax.errors import InputError
from camfuse_jax.images.png16 import is_deep_colour, read_png16

ORIENTATION_TAG = 0x0112


class Decoded(NamedTuple):
    """Samples, alpha and what was noticed, before the orientation is applied.

    Attributes:
        samples: (h, w) or (h, w, 3); uint8, uint16 or float32.
        alpha: (h, w) of uint8 or uint16, or None.
        orientation: EXIF orientation that still has to be applied.
        notes: What a user should know.
        icc: Embedded colour profile.
    """

    samples: np.ndarray
    alpha: np.ndarray | None
    orientation: int
    notes: tuple[str, ...] = ()
    icc: bytes | None = None


def decode(image: Image.Image, file: BinaryIO, name: object) -> Decoded:
    """Decodes an image opened by `opening.decoded`.

    Args:
        image: The image.
        file: What it was opened from.
        name: What to call it in an error.

    Raises:
        InputError: The pixel format has no defined gray or colour value.
    """
    notes = ()
    if getattr(image, "n_frames", 1) > 1:
        notes = (f"{image.n_frames} pages or frames; the first is used",)
    if image.format == "PNG" and is_deep_colour(_content(file, 29)):
        image.load()  # checks what the own reader does not: check sums and the end of the file
        found = split_alpha(read_png16(_content(file)), image.getexif().get(ORIENTATION_TAG, 1))
    else:
        found = _plain(image, name)
    icc = image.info.get("icc_profile") if image.mode != "CMYK" else None  # a profile of inks says nothing about RGB
    return found._replace(notes=notes + found.notes, icc=icc)


def _content(file: BinaryIO, size: int = -1) -> bytes:
    """The file's first bytes; Pillow, which reads when it needs to, finds its place again."""
    place = file.tell()
    file.seek(0)
    content = file.read(size)
    file.seek(place)
    return content


def _plain(image: Image.Image, name: object) -> Decoded:
    """What Pillow reads without loss."""
    image.load()
    orientation = image.getexif().get(ORIENTATION_TAG, 1)  # a TIFF's was applied and removed by load
    notes: tuple[str, ...] = ()
    mode = image.mode
    if "transparency" in image.info and mode in ("1", "L", "RGB", "P"):
        image = image.convert("LA" if mode in ("1", "L") else "RGBA")
    elif mode == "P":
        image = image.convert("RGB")
    elif mode in ("PA", "RGBa", "La"):
        image = image.convert("LA" if mode == "La" else "RGBA")
    elif mode in ("RGBX", "YCbCr", "CMYK"):
        image = image.convert("RGB")
        notes = ("CMYK converted to RGB without its profile",) if mode == "CMYK" else ()
    elif mode == "1":
        image = image.convert("L")
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return Decoded(np.asarray(image).astype(np.uint16), None, orientation, notes)
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        raise InputError(
            f"{name} has pixel mode {image.mode}, which is not read.", "Convert it to 8 or 16 bit gray, or to RGB."
        )
    found = split_alpha(np.atleast_3d(np.asarray(image)), orientation, notes)
    if mode in ("P", "PA") and found.samples.ndim == 3 and _equal_channels(found.samples):
        return found._replace(samples=found.samples[..., 0])  # a palette of grays is a gray image
    return found


def split_alpha(channels: np.ndarray, orientation: int, notes: tuple[str, ...] = ()) -> Decoded:
    """Separates the alpha channel, the last of 2 or 4, from (h, w, 1 to 4)."""
    count = channels.shape[2]
    alpha = channels[..., -1].copy() if count in (2, 4) else None
    samples = channels[..., 0].copy() if count < 3 else channels[..., :3].copy()
    return Decoded(samples, alpha, orientation, notes)


def _equal_channels(rgb: np.ndarray) -> bool:
    return bool(np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 1], rgb[..., 2]))
