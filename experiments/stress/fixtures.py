"""Weights, images, videos and training states that are small enough to be tried by the thousand."""

import functools
import io
import multiprocessing
import os
import pathlib
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from PIL import Image

from camfuse_jax.config import NetConfig
from camfuse_jax.data.synthetic import write_synthetic_dataset
from camfuse_jax.fusion.params import Params
from camfuse_jax.nets.build import init_autoencoder, init_classifier
from camfuse_jax.training.step import TrainState
from camfuse_jax.video.frames import load_av

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
    return [_file_moving(*kind, shape=shape, sound=number == 0) for number, kind in enumerate(_KINDS)]


def _file_moving(container: str, codec: str, pix_fmt: str, *, shape: tuple[int, int], sound: bool) -> bytes:
    av = load_av()
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codec, rate=RATE)
        stream.pix_fmt, (stream.height, stream.width) = pix_fmt, shape
        audio: Any = file.add_stream("aac", rate=8000, layout="mono") if sound else None
        for number in range(FRAMES):
            image = picture(number, shape)
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


PAIRS, SIDE = 4, 64
SETTINGS = (
    *("--preset", "tiny", "--net.init", "he", "--net.margin", "0", "--net.branches", "1", "--net.strides", "1", "2"),
    *("--net.encoder-widths", "4", "4", "4", "4", "4", "--net.decoder-widths", "4", "4", "4", "4"),
    *("--ae.batch-size", "4", "--ae.crop", "16", "--ae.steps-per-epoch", "40", "--ae.checkpoint-every", "4"),
    *("--cls.batch-size", "8", "--cls.crop", "16", "--cls.epochs", "40", "--cls.steps-per-epoch", "1"),
    *("--cls.checkpoint-every", "4", "--cls.distance-from-epoch", "4", "--ae.log-every", "3", "--cls.log-every", "3"),
)
DATASET = "pairs"
SAVES = 20
"""Checkpoints that both stages write together."""


@functools.cache
def _server() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["camfuse_jax.stages", "camfuse_jax.training.classifier"])
    return context


def make_data(folder: pathlib.Path) -> pathlib.Path:
    """Draws the pairs that are trained on and returns their folder."""
    write_synthetic_dataset(folder / DATASET, pairs=PAIRS, seed=0, height=SIDE, width=SIDE)
    return folder / DATASET


def start(
    workdir: pathlib.Path, data: pathlib.Path, *, before: Callable[[], None] | None = None, stages: Sequence[str] = ()
) -> ForkServerProcess:
    """Starts both stages on the narrowest networks, in a process of its own; their output goes to `WORKDIR.log`.

    The process is forked from a server that has imported everything but has not started JAX, and shares compiled
    programs with the others, so that it costs a second or two instead of ten.

    Args:
        workdir: Where they train.
        data: Folder from `make_data`; compiled programs are kept beside it.
        before: Called in the new process first.
        stages: Other stages than both.
    """
    process = _server().Process(target=_work, args=(workdir, data, before, tuple(stages) or ("ae", "cls")))
    process.start()
    return process


def _work(workdir: pathlib.Path, data: pathlib.Path, before: Callable[[], None] | None, stages: Sequence[str]) -> None:
    log = os.open(f"{workdir}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    # After the fork: the flags are read when JAX starts.
    os.environ.pop("XLA_FLAGS", None)
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    from camfuse_jax.stages import run_stages as main

    jax.config.update("jax_compilation_cache_dir", str(data.parent / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    if before is not None:
        before()
    for stage in stages:
        code = main(["--stage", stage, "--dataset", str(data), "--workdir", str(workdir), *SETTINGS])
        if code:
            sys.stdout.flush()
            os._exit(code)
    os._exit(0)


def stage_folders(workdir: pathlib.Path) -> list[pathlib.Path]:
    """Folders of both stages' checkpoints."""
    return [workdir / "ae", workdir / f"cls-{DATASET}"]


def weights(workdir: pathlib.Path) -> bytes:
    """The file that a finished run leaves: the weights of all three networks."""
    return (workdir / f"cls-{DATASET}" / "params.safetensors").read_bytes()


def finish(process: ForkServerProcess, *, seconds: float = 600.0) -> int:
    """Waits for a process and returns its exit code, negative for a signal.

    Raises:
        TimeoutError: If it does not end in time; it is killed.
    """
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError(f"training did not end within {seconds:.0f} seconds")
    return process.exitcode


def kill_after(process: ForkServerProcess, seconds: float) -> int:
    """Sends SIGKILL after some time, unless the process has ended; returns its exit code."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    code = finish(process)
    timer.cancel()
    return code


def timed(process: ForkServerProcess) -> float:
    """Seconds until a process ends.

    Raises:
        RuntimeError: If it fails.
    """
    started = time.monotonic()
    code = finish(process)
    if code:
        raise RuntimeError(f"uninterrupted training ended with exit code {code}")
    return time.monotonic() - started
