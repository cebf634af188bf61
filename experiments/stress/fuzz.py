"""Thousands of malformed files, each of which must be used or refused by name, in time and without much memory.

To add a kind of file, write one function that returns a `Target` and list it in `TARGETS`. Videos, sequences of frames,
tables of pairs and calibrations go the whole way of a fuse command.
"""

import contextlib
import io
import pathlib
import random
import resource
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NamedTuple

import numpy as np

from camfuse_jax.batch.plan import FuseJob
from camfuse_jax.batch.run import fuse_files
from camfuse_jax.config import Config, NetConfig, from_json, to_json
from camfuse_jax.data.pairs import Pair
from camfuse_jax.data.splits import find_pairs, read_split
from camfuse_jax.data.tables import read_table
from camfuse_jax.errors import CamfuseError, InputError, UsageError
from camfuse_jax.fusion.fuse import fuse_arrays
from camfuse_jax.fusion.params import load_params, save_params
from camfuse_jax.images.read import read_gray
from camfuse_jax.images.write import write_picture
from camfuse_jax.pair.calibrate import read_homography
from camfuse_jax.pair.options import FrameSettings, FuseSettings, VideoOptions
from camfuse_jax.training import checkpoint, manifest
from camfuse_jax.training.checkpoint import StageCheckpoints
from camfuse_jax.training.progress import keep_until
from camfuse_jax.video.fuse import VideoJob, fuse_video
from stress import fixtures
from stress.fixtures import FRAMES, video_files
from stress.outcome import Outcome, mutate, resident_mebibytes


class Target(NamedTuple):
    """A kind of file.

    Attributes:
        seeds: Contents to mutate.
        use: Does with a content what the program does with such a file; raises a CamfuseError to refuse it.
        named: What the refusal must name.
    """

    seeds: list[bytes]
    use: Callable[[bytes], None]
    named: str


def images(folder: pathlib.Path) -> Target:
    """Image files, fused with an intact one as stage `fuse` does."""
    path, vis = folder / "mutated.png", fixtures.picture(1)

    def use(content: bytes) -> None:
        path.write_bytes(content)
        ir = read_gray(path)
        if ir.shape == vis.shape:  # else they would be refused as a pair; every other size would be compiled
            write_picture(folder / "fused.png", np.asarray(fuse_arrays(fixtures.params(), ir, vis)))

    return Target(fixtures.image_files(), use, str(path))


def weights(folder: pathlib.Path) -> Target:
    """Weights files."""
    path = folder / "mutated.safetensors"
    save_params(path, fixtures.params())

    def use(content: bytes) -> None:
        path.write_bytes(content)
        load_params(path)

    return Target([path.read_bytes()], use, str(path))


def configs(folder: pathlib.Path) -> Target:
    """Configs as JSON, those of weights and those of a stage's folder."""
    config = Config()

    def use(content: bytes) -> None:
        (folder / checkpoint.CONFIG_FILE).write_bytes(content)
        for kind in (Config, NetConfig):
            try:
                from_json(kind, content.decode(errors="replace"))
            except UsageError as error:
                if kind.__name__ not in str(error) and "must be" not in str(error).lower():
                    raise AssertionError(f"names neither the config nor the setting: {error}") from error
        StageCheckpoints(folder, {"net": {"margin": 4}}, writable=False).close()

    return Target([to_json(config).encode(), to_json(config.net).encode(), b'{"net": {"margin": 4}}'], use, str(folder))


def splits(folder: pathlib.Path) -> Target:
    """`splits.json` of a folder of pairs."""
    for kind in ("ir", "vis"):
        for name in "abcde":
            write_picture(folder / kind / f"{name}.png", fixtures.picture())

    def use(content: bytes) -> None:
        (folder / "splits.json").write_bytes(content)
        read_split(folder, "train", [pair.name for pair in find_pairs(folder)])

    seeds = [b'{"train": ["a", "b"], "test": ["c"], "all": ["a", "b", "c"]}', b'{"train": ["a"]}']
    return Target(seeds, use, str(folder))


def logs(folder: pathlib.Path) -> Target:
    """`metrics.jsonl`, of which a resumed run keeps the sound lines."""
    path = folder / "metrics.jsonl"

    def use(content: bytes) -> None:
        path.write_bytes(content)
        keep_until(path, 40)
        keep_until(path, 40)

    return Target([b"".join(b'{"step": %d, "loss": 0.5}\n' % step for step in range(10, 60, 10))], use, str(path))


def checkpoints(folder: pathlib.Path) -> Target:
    """The files of a step one after the other, with the manifest as it was: damage."""
    return _step(folder, forge=False)


def forged_checkpoints(folder: pathlib.Path) -> Target:
    """The same with a manifest that fits the changed files: ill will."""
    return _step(folder, forge=True)


def _step(folder: pathlib.Path, *, forge: bool) -> Target:
    config, whole = {"stage": "rehearsal"}, folder / "whole"
    with StageCheckpoints(whole, config) as saved:
        saved.save(2, fixtures.state(2))
        saved.save(4, fixtures.state(4))
    # Each seed begins with the file's number: a mutation stays with its file, or goes to a random other.
    names = sorted(p.relative_to(whole) for p in (whole / "4").rglob("*") if p.is_file() and p.name != manifest.NAME)
    if not forge:
        names.append(pathlib.Path("4") / manifest.NAME)
    seeds = [bytes([number]) + (whole / name).read_bytes() for number, name in enumerate(names)]
    used = folder / "used"

    def use(content: bytes) -> None:
        shutil.rmtree(used, ignore_errors=True)
        shutil.copytree(whole, used)
        number, changed = (content or b"\0")[0] % len(names), content[1:]
        (used / names[number]).write_bytes(changed)
        if forge:
            shutil.rmtree(used / "2")
            (used / "4" / manifest.NAME).unlink()
            manifest.write_manifest(used / "4", step=4, last=False, config=manifest.digest(config))
        with StageCheckpoints(used, config, writable=False) as opened:
            found = opened.restore(fixtures.state(0))
        expected = 4 if changed == (whole / names[number]).read_bytes() else 2
        if not forge and int(found.step) != expected:
            raise AssertionError(f"step {found.step} was loaded after damage to {names[number]}")

    return Target(seeds, use, str(used))


TARGETS: dict[str, Callable[[pathlib.Path], Target]] = {
    "images": images,
    "weights": weights,
    "configs": configs,
    "split files": splits,
    "logs": logs,
    "damaged checkpoints": checkpoints,
    "forged checkpoints": forged_checkpoints,
    "videos": lambda folder: Target(*videos(folder)),
    "frame sequences": lambda folder: Target(*sequences(folder)),
    "pairing tables": lambda folder: Target(*tables(folder)),
    "calibrations": lambda folder: Target(*calibrations(folder)),
}


SHAPE = (32, 48)
Parts = tuple[list[bytes], Callable[[bytes], None], str]


def _weights(folder: pathlib.Path) -> str:
    path = folder / "fixtures.safetensors"
    save_params(path, fixtures.params())
    return str(path)


def _frames(folder: pathlib.Path, seed: int, shape: tuple[int, int] = SHAPE) -> pathlib.Path:
    for number in range(FRAMES):
        write_picture(folder / f"frame_{number}.png", fixtures.picture(seed + number, shape))
    return folder


def videos(folder: pathlib.Path) -> Parts:
    """Video files of several containers and codecs, fused as infrared with an intact sequence into frames."""
    settings = FuseSettings(weights=_weights(folder), frame=_SETTINGS, force=True)
    vis, path, out = _frames(folder / "vis", 10), folder / "mutated.mp4", folder / "fused.mkv"

    def use(content: bytes) -> None:
        path.write_bytes(content)
        fuse_video(VideoJob(str(path), str(vis), out, settings, VideoOptions(fps=10.0)))

    return video_files(SHAPE), use, str(path)


def sequences(folder: pathlib.Path) -> Parts:
    """A sequence of which one frame is damaged."""
    settings = FuseSettings(weights=_weights(folder), frame=_SETTINGS, force=True)
    ir, vis = (_frames(folder / kind, seed, fixtures.SHAPE) for kind, seed in (("ir", 20), ("vis", 10)))
    path, out = ir / "frame_1.png", folder / "fused.mkv"
    seed = path.read_bytes()

    def use(content: bytes) -> None:
        path.write_bytes(content)
        fuse_video(VideoJob(str(ir), str(vis), out, settings, VideoOptions(fps=10.0)))

    return [seed, *fixtures.image_files()], use, str(ir)


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
    job = FuseJob(pairs, folder / "fused", FuseSettings(weights=weights, frame=settings, force=True))
    for result in fuse_files(job):
        if result.error is not None and (named not in str(result.error) or "\n" in str(result.error)):
            raise AssertionError(f"a pair is refused without its name, or in several lines: {result.error!r}")
        if result.error is None and not np.all([path.is_file() for path in result.outputs.values()]):
            raise InputError("A result was promised and is not there.")


SECONDS, MEBIBYTES = 5, 1024
_WALL = 60  # seconds; the five count this process's own work, others may share the machine


class _HangError(BaseException):
    """Not an Exception, so that nothing on the way takes it for a damaged file."""


def fuzz(*, count: int, seed: int, targets: tuple[str, ...] = tuple(TARGETS)) -> list[Outcome]:
    """Tries mutated files of every kind in this process.

    Args:
        count: Mutations of images; of each other kind a quarter of that.
        seed: Seed of the mutations.
        targets: Names of the kinds.

    Returns:
        One row per kind. A failure is any error but ours, one of ours that does not name the file, more than
        5 seconds, or more than 1 GiB of memory.
    """
    outcomes = []
    for name in targets:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            number = count if name == "images" else max(count // 4, 1)
            outcomes.append(_fuzz_one(name, TARGETS[name](pathlib.Path(folder)), number, random.Random(seed)))
    return outcomes


def _fuzz_one(name: str, target: Target, count: int, rng: random.Random) -> Outcome:
    outcome = Outcome(f"malformed {name}")
    _try(target, target.seeds[0])  # compiles
    before, held, slowest = _memory(), resident_mebibytes(), 0.0
    for number in range(count):
        seed = target.seeds[number % len(target.seeds)]
        # The seeds themselves first: some are valid in an unusual way, some are hostile as they are.
        content = seed if number < len(target.seeds) else mutate(seed, target.seeds, rng)
        told, seconds = _timed(target, content)
        if seconds > SECONDS:  # a picture of another size compiles a program, once: what takes as long again counts
            told, seconds = _timed(target, content)
        slowest = max(slowest, seconds)
        outcome.count("refused" if told == "refused" else "used", int(told in ("refused", "used")))
        outcome.check(told in ("refused", "used"), f"case {number}: {told}")
        if seconds > SECONDS:
            outcome.failures.append(f"case {number}: {seconds:.1f} s")
    # The most ever had does not grow where the process was larger before; what it holds now still does.
    grown = max(_memory() - before, resident_mebibytes() - held)
    if grown > MEBIBYTES:
        outcome.failures.append(f"memory grew by {grown:.0f} MiB")
    outcome.notes |= {"slowest s": round(slowest, 2), "most memory MiB": round(grown)}
    return outcome


def _timed(target: Target, content: bytes) -> tuple[str, float]:
    started = time.process_time()
    return _try(target, content), time.process_time() - started


def _try(target: Target, content: bytes) -> str:
    try:
        with _watchdog(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a decoder may doubt a file and still read it
            target.use(content)
    except CamfuseError as error:
        text = str(error)
        if target.named not in text:
            return f"refused without naming the file: {text[:200]}"
        return "refused" if "\n" not in text else f"refused in several lines: {text[:200]!r}"
    except _HangError:
        return "hangs"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "used"


@contextlib.contextmanager
def _watchdog() -> Iterator[None]:
    def bark(number: int, frame: FrameType | None) -> None:
        raise _HangError

    former = signal.signal(signal.SIGALRM, bark)
    signal.setitimer(signal.ITIMER_REAL, _WALL)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def _memory() -> float:
    """The most memory this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
