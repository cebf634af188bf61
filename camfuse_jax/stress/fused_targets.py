"""What is fuzzed by the whole way of a fuse command: videos, sequences of frames, tables of pairs, calibrations."""

import pathlib
from collections.abc import Callable

import numpy as np

from camfuse_jax.data.folders import Pair
from camfuse_jax.data.pairing import read_table
from camfuse_jax.errors import InputError
from camfuse_jax.frames import FrameSettings
from camfuse_jax.frames.warp import read_homography
from camfuse_jax.fusion import save_params
from camfuse_jax.images import write_gray
from camfuse_jax.stages.fuse_pairs import fuse_pairs
from camfuse_jax.stages.fuse_plan import FuseJob
from camfuse_jax.stages.fuse_video import VideoJob, fuse_video
from camfuse_jax.stress import small
from camfuse_jax.stress.moving import FRAMES, video_files

SHAPE = (32, 48)
Parts = tuple[list[bytes], Callable[[bytes], None], str]


def _weights(folder: pathlib.Path) -> str:
    path = folder / "small.safetensors"
    save_params(path, small.params())
    return str(path)


def _frames(folder: pathlib.Path, seed: int) -> pathlib.Path:
    for number in range(FRAMES):
        write_gray(folder / f"frame_{number}.png", small.picture(seed + number, SHAPE))
    return folder


def videos(folder: pathlib.Path) -> Parts:
    """Video files of several containers and codecs, fused as infrared with an intact sequence into frames."""
    weights, vis, path = _weights(folder), _frames(folder / "vis", 10), folder / "mutated.mp4"
    out = folder / "fused.mkv"

    def use(content: bytes) -> None:
        path.write_bytes(content)
        job = VideoJob(str(path), str(vis), out, weights=weights, fps=10.0, frame=_SETTINGS, force=True)
        fuse_video(job)

    return video_files(SHAPE), use, str(path)


def sequences(folder: pathlib.Path) -> Parts:
    """A sequence of which one frame is damaged."""
    weights, vis, ir = _weights(folder), _frames(folder / "vis", 10), _frames(folder / "ir", 20)
    path, out = ir / "frame_1.png", folder / "fused.mkv"
    seed = path.read_bytes()

    def use(content: bytes) -> None:
        path.write_bytes(content)
        fuse_video(VideoJob(str(ir), str(vis), out, weights=weights, fps=10.0, frame=_SETTINGS, force=True))

    return [seed, *small.image_files()], use, str(ir)


def tables(folder: pathlib.Path) -> Parts:
    """Tables of pairs: each pair of a table that is read must be fused, or refused with its file's or result's name."""
    weights, path = _weights(folder), folder / "pairs.csv"
    ir, vis = _frames(folder / "ir", 20), _frames(folder / "vis", 10)
    rows = [f"{ir.name}/frame_{i}.png,{vis.name}/frame_{i}.png" for i in range(FRAMES)]

    def use(content: bytes) -> None:
        path.write_bytes(content)
        pairing = read_table(path)
        if any("\n" in problem for problem in pairing.problems):
            raise AssertionError(f"a problem takes several lines: {pairing.problems}")
        if pairing.pairs:
            _fuse(pairing.pairs, folder, weights, _SETTINGS, str(folder))

    named = [f"{row},night {i}" for i, row in enumerate(rows)]
    seeds = ["\n".join(("ir,vis", *rows)), "\r\n".join(("\ufeffir, vis, name", *named)), 'ir,vis\n"a","b"\n']
    return [seed.encode() for seed in seeds], use, str(path)


def calibrations(folder: pathlib.Path) -> Parts:
    """Homographies as JSON and as text, and a pair that is fused with them."""
    weights, paths = _weights(folder), [folder / "mutated.json", folder / "mutated.txt"]
    ir, vis = _frames(folder / "ir", 20), _frames(folder / "vis", 10)
    pair = Pair("frame", ir / "frame_0.png", vis / "frame_0.png")

    def use(content: bytes) -> None:
        path = paths[content.lstrip()[:1] not in (b"[", b"{")]
        path.write_bytes(content)
        matrix = tuple(map(tuple, read_homography(path).tolist()))
        settings = FrameSettings(calibration=matrix, check=False)
        _fuse((pair,), folder, weights, settings, str(folder))

    matrix = [[1.01, 0.02, -1.5], [-0.01, 0.99, 2.25], [1e-5, -2e-5, 1.0]]
    text = "\n".join(" ".join(map(str, row)) for row in matrix)
    seeds = [f"{matrix}", f'{{"homography": {matrix}}}', text, text.replace(" ", ", ")]
    return [seed.encode() for seed in seeds], use, str(folder / "mutated.")


_SETTINGS = FrameSettings(check=False)


def _fuse(pairs: tuple[Pair, ...], folder: pathlib.Path, weights: str, settings: FrameSettings, named: str) -> None:
    """Fuses pairs; those that are refused must say which they are, in one line."""
    for result in fuse_pairs(FuseJob(pairs, folder / "fused", weights=weights, frame=settings, force=True)):
        if result.error is not None and (named not in str(result.error) or "\n" in str(result.error)):
            raise AssertionError(f"a pair is refused without its name, or in several lines: {result.error!r}")
        if result.error is None and not np.all([path.is_file() for path in result.outputs.values()]):
            raise InputError("A result was promised and is not there.")
