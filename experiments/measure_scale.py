"""Times networks, start, videos and folders, counts programs, and measures memory of large images: see docs/bench.md.

`measure_scale.py networks 640x480`, or `start`, `video`, `folder IR VIS`, `large 4096x4096`, `sizes VIS`.
"""

import dataclasses
import functools
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Annotated

import numpy as np
import tyro

from camfuse_jax.system import runtime


@dataclasses.dataclass(frozen=True)
class Folder:
    """Fusing files against fusing the same pairs from memory: the ratio of both times, interleaved.

    Attributes:
        ir: Folder of infrared images.
        vis: Folder of visible images.
        count: Pairs to take; 0 means all.
        rounds: Times of each.
        weights: As for `load_params`.
    """

    ir: Annotated[pathlib.Path, tyro.conf.Positional]
    vis: Annotated[pathlib.Path, tyro.conf.Positional]
    count: int = 200
    rounds: int = 3
    weights: str = "fast"

    def run(self) -> None:
        """Prints seconds per pair of each and their ratio."""
        from camfuse_jax.batch.plan import FuseJob
        from camfuse_jax.batch.run import fuse_files
        from camfuse_jax.data.pairs import find_pairing
        from camfuse_jax.fusion.dispatch import plan_programs
        from camfuse_jax.fusion.params import load_params as load_params_
        from camfuse_jax.images.read import read_picture
        from camfuse_jax.pair.fuse import fuse_frame
        from camfuse_jax.pair.options import FrameSettings, FuseSettings
        from camfuse_jax.pair.prepare import prepare_pair

        pairs = find_pairing(self.ir, self.vis).pairs[: self.count or None]
        params = load_params_(self.weights)
        ready = [prepare_pair(read_picture(p.ir), read_picture(p.vis), FrameSettings()) for p in pairs]
        buckets = plan_programs(one.vis_unit.shape[:2] for one in ready)

        def pure() -> None:
            for one in ready:
                fuse_frame(params, one.ir_unit, one.vis_unit, buckets=buckets)

        def files() -> None:
            with tempfile.TemporaryDirectory() as out:
                job = FuseJob(pairs, pathlib.Path(out), FuseSettings(weights=self.weights))
                assert all(result.status == "fused" for result in fuse_files(job))

        compiling = _seconds(pure)
        times = {"pure": [], "files": []}
        for _ in range(self.rounds):
            times["pure"].append(_seconds(pure))
            times["files"].append(_seconds(files))
        spent = {name: statistics.median(found) / len(pairs) for name, found in times.items()}
        print(f"{len(pairs)} pairs, {len(buckets.programs)} programs; first pass {compiling:.1f} s")
        print(" ".join(f"{name}: {1000 * seconds:.1f} ms per pair" for name, seconds in spent.items()))
        ratios = [one / other for one, other in zip(times["files"], times["pure"], strict=True)]
        print(f"files / pure: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What fusing images of many sizes by a few programs costs: programs, and pixels computed for each image pixel.

    Attributes:
        vis: Folder of images.
    """

    vis: Annotated[pathlib.Path, tyro.conf.Positional]

    def run(self) -> None:
        """Prints both for a plan and for images as they come."""
        from camfuse_jax.fusion.dispatch import Buckets, plan_programs
        from camfuse_jax.images.read import picture_size

        sizes = [picture_size(path) for path in sorted(self.vis.iterdir()) if path.suffix.lower() in (".jpg", ".png")]
        print(f"{len(sizes)} images of {len(set(sizes))} sizes")
        for name, buckets in (("planned", plan_programs(sizes)), ("as they come", Buckets())):
            programs = [buckets.choose(*size) for size in sizes]
            ratio = sum(p.rows * p.cols for p in programs) / sum(rows * cols for rows, cols in sizes)
            print(f"{name}: {len(set(programs))} programs, {ratio:.3f} pixels per pixel")


@dataclasses.dataclass(frozen=True)
class Large:
    """Peak resident memory of a process that fuses one large gray pair, and what tiles change.

    Attributes:
        size: WIDTHxHEIGHT.
        max_memory: GiB that computing may take.
        compare: Also fuse it whole and print the largest difference (needs the memory).
        weights: As for `load_params`.
    """

    size: Annotated[str, tyro.conf.Positional]
    max_memory: float = 1.5
    compare: bool = False
    weights: str = "fast"

    def run(self) -> None:
        """Prints seconds and the peak."""
        from camfuse_jax import fuse, load_params

        width, height = (int(length) for length in self.size.split("x"))
        rng = np.random.default_rng(0)
        pair = []  # not drawn: drawing takes more memory than fusing
        for _ in range(2):
            low = rng.integers(0, 200, (height // 64 + 1, width // 64 + 1), np.uint8)
            image = low.repeat(64, axis=0).repeat(64, axis=1)[:height, :width]
            pair.append(image + rng.integers(0, 56, image.shape, np.uint8))
        begun = time.perf_counter()
        fused = np.asarray(fuse(load_params(self.weights), *pair, max_memory=int(self.max_memory * 2**30)))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{self.size}: {time.perf_counter() - begun:.1f} s, peak {peak:.2f} GiB")
        if self.compare:
            whole = np.asarray(fuse(load_params(self.weights), *pair, max_memory=2**45))
            apart = np.abs(fused.astype(int) - whole.astype(int))
            print(f"tiles against whole: at most {apart.max()} levels, {np.mean(apart > 0):.2e} of the pixels")


@dataclasses.dataclass(frozen=True)
class Networks:
    """The shallow network against the deep one, interleaved in one process: `fuse` of an 8-bit pair from memory.

    Attributes:
        size: WIDTHxHEIGHT.
        rounds: Calls of each.
    """

    size: Annotated[str, tyro.conf.Positional]
    rounds: int = 15

    def run(self) -> None:
        """Prints median wall and processor milliseconds of a call, and both over those of `fast`."""
        from camfuse_jax import fuse, load_params
        from camfuse_jax.fusion.params import with_rule

        pair = _drawn_pair(self.size)
        deep = load_params("tno")
        cases = {"fast": load_params("fast"), "tno": deep, "tno, eq5": with_rule(deep, "eq5")}
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
        for _ in range(self.rounds + 1):
            for name, params in cases.items():
                begun, worked = time.perf_counter(), time.process_time()
                np.asarray(fuse(params, *pair))
                times[name].append((time.perf_counter() - begun, time.process_time() - worked))
        print(f"{self.size}, {len(os.sched_getaffinity(0))} processors, median of {self.rounds}")
        first = None
        for name, found in times.items():
            wall, worked = (1000 * statistics.median(kind) for kind in zip(*found[1:], strict=True))
            first = first or (wall, worked)
            ratios = f"{wall / first[0]:.1f} and {worked / first[1]:.1f} times fast"
            print(f"{name}: {wall:.1f} ms wall, {worked:.1f} ms of the processors; {ratios}")


@dataclasses.dataclass(frozen=True)
class Start:
    """`camfuse fuse a.png b.png -o c.png` from the shell, with nothing compiled and with everything compiled before.

    Attributes:
        rounds: Runs of each.
        weights: As for `load_params`.
    """

    rounds: int = 5
    weights: str = "fast"

    def run(self) -> None:
        """Prints median seconds."""
        from camfuse_jax.images.write import write_picture

        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            for kind, image in zip(("a", "b"), _drawn_pair("640x480"), strict=True):
                write_picture(folder / f"{kind}.png", image)
            command = [sys.executable, "-m", "camfuse_jax", "fuse", "a.png", "b.png", "-o", "c.png", "--force"]
            command += ["--weights", self.weights]
            seconds: dict[str, list[float]] = {"nothing compiled": [], "compiled before": []}
            for number in range(self.rounds):
                own = {key: value for key, value in os.environ.items() if not key.startswith("JAX_")}
                cache = own | {"CAMFUSE_CACHE": str(folder / f"cache{number}")}
                run = functools.partial(subprocess.run, command, cwd=folder, env=cache, check=True)
                for found in seconds.values():
                    found.append(_seconds(run))
            for kind, found in seconds.items():
                print(f"{kind}: {statistics.median(found):.2f} s ({min(found):.2f} to {max(found):.2f})")


@dataclasses.dataclass(frozen=True)
class Video:
    """`camfuse fuse a.mp4 b.mp4 -o c.mp4` on two drawn videos: frames a second end to end, and memory.

    Attributes:
        size: WIDTHxHEIGHT.
        frames: Of each video.
        weights: As for `load_params`.
    """

    size: str = "640x480"
    frames: int = 1000
    weights: str = "fast"

    def run(self) -> None:
        """Prints the command's own rate, the rate with start and end, and the peak of its memory."""
        import av

        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            for kind, image in zip(("a", "b"), _drawn_pair(self.size), strict=True):
                with av.open(str(folder / f"{kind}.mp4"), "w") as container:
                    stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
                    stream.height, stream.width = image.shape
                    stream.pix_fmt = "yuv420p"
                    for number in range(self.frames):
                        frame = av.VideoFrame.from_ndarray(np.roll(image, number, axis=1), format="gray")
                        container.mux(stream.encode(frame))
                    container.mux(stream.encode())
            command = [sys.executable, "-m", "camfuse_jax", "fuse", "a.mp4", "b.mp4", "-o", "c.mp4"]
            command += ["--weights", self.weights]
            taken = _seconds(lambda: subprocess.run(command, cwd=folder, check=True))
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        print(f"{self.frames} frames of {self.size}: {self.frames / taken:.1f} frames/s, peak {peak:.2f} GiB")


def _drawn_pair(size: str) -> list[np.ndarray]:
    from demo_scene.scene import draw_pair

    width, height = (int(length) for length in size.split("x"))
    return list(draw_pair(1, height, width))


def _seconds(call) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


Command = (
    Annotated[Networks, tyro.conf.subcommand("networks")]
    | Annotated[Start, tyro.conf.subcommand("start")]
    | Annotated[Video, tyro.conf.subcommand("video")]
    | Annotated[Folder, tyro.conf.subcommand("folder")]
    | Annotated[Sizes, tyro.conf.subcommand("sizes")]
    | Annotated[Large, tyro.conf.subcommand("large")]
)

if __name__ == "__main__":
    runtime.configure()
    tyro.cli(Command, prog=sys.argv[0]).run()
