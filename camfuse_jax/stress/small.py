"""Weights, images and training states that are small enough to be tried by the thousand."""

import functools
import io
import struct
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
from PIL import Image

from camfuse_jax.config import NetConfig
from camfuse_jax.fusion import Params
from camfuse_jax.nets import init_autoencoder, init_classifier
from camfuse_jax.training import TrainState

NET = NetConfig(
    encoder_widths=(4, 4, 4, 4, 4), decoder_widths=(4, 4, 4, 4), margin=4, init="he", branches=1, strides=(1, 2)
)
SHAPE = (20, 24)


@functools.cache
def params() -> Params:
    """Networks at their random start, with a head that is not zero."""
    autoencoder = jax.tree.map(np.asarray, init_autoencoder(NET, seed=0))
    classifier = jax.tree.map(np.asarray, init_classifier(NET, seed=0))
    classifier["head"]["kernel"] = np.random.default_rng(0).normal(size=classifier["head"]["kernel"].shape)
    classifier["head"]["kernel"] = classifier["head"]["kernel"].astype(np.float32)
    return Params(autoencoder["encoder"], autoencoder["decoder"], classifier, net=NET)


def state(step: int) -> TrainState:
    """A training state whose values depend on the step."""
    rng = np.random.default_rng(step)
    weights = {"conv": {"kernel": rng.normal(size=(8, 8)).astype(np.float32), "bias": np.ones(8, np.float32)}}
    return jax.tree.map(np.asarray, TrainState(jnp.int32(step), weights, optax.adam(1e-3).init(weights)))


def picture(seed: int = 0, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Noise over a ramp, uint8."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 200, shape[1])[None, :]
    return (ramp + rng.uniform(0, 55, shape)).astype(np.uint8)


def _file(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def huge_png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that declares any size."""
    data = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")):
        data += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return data


def image_files() -> list[bytes]:
    """Files of every kind that is read, and of some that are not."""
    gray = Image.fromarray(picture())
    deep = Image.fromarray(picture().astype(np.uint16) * 257)
    rgb = Image.merge("RGB", [gray, gray.rotate(180), gray])
    palette = rgb.quantize(16)
    turned = Image.Exif()
    turned[0x0112] = 6
    return [
        *(_file(image, "PNG") for image in (gray, deep, rgb, gray.convert("1"), gray.convert("LA"), palette)),
        _file(rgb.convert("RGBA"), "PNG"),
        _file(palette, "PNG", transparency=3),
        _file(gray, "PNG", save_all=True, append_images=[gray.rotate(90)]),
        *(_file(image, "JPEG") for image in (gray, rgb, rgb.convert("CMYK"))),
        _file(rgb, "JPEG", exif=turned, progressive=True),
        *(_file(image, "BMP") for image in (gray, rgb, gray.convert("1"))),
        *(_file(image, "TIFF") for image in (gray, deep, rgb, gray.convert("F"), gray.convert("I"))),
        *(_file(rgb, "TIFF", compression=name) for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")),
        _file(gray, "TIFF", save_all=True, append_images=[gray], exif=turned),
        _file(gray, "GIF"),
        huge_png(50_000, 50_000),
        huge_png(2**31 - 1, 1),
    ]
