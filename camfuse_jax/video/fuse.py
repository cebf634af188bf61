"""What a fuse command for moving pictures would do, and what it did."""

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from tqdm import tqdm

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.fusion.dispatch import Exact
from camfuse_jax.fusion.params import Params
from camfuse_jax.images.color import luma_unit, with_luma
from camfuse_jax.pair.fuse import fuse_frame, to_levels
from camfuse_jax.pair.options import FuseSettings
from camfuse_jax.system.signals import Stop, deferred, handled
from camfuse_jax.video.calibration import Settled, settle
from camfuse_jax.video.flicker import SteadyLight
from camfuse_jax.video.frame import Frame, Reader
from camfuse_jax.video.matching import Matching
from camfuse_jax.video.options import VideoOptions, is_stream
from camfuse_jax.video.reader import open_reader
from camfuse_jax.video.writer import VIDEO_SUFFIXES, AudioCopy, Writer, fits, open_writer


@dataclasses.dataclass
class VideoResult:
    """What is planned, or was done.

    Attributes:
        out: The result.
        ir_rate: Frames per second of the infrared source, 0 where not yet known.
        vis_rate: The same of the visible one, which is the result's.
        tolerance: Largest distance in time of two frames that are fused, in seconds.
        planned: Frames to expect, None where nobody knows.
        audio: Codec of the sound that is copied, None without.
        frames: Frames written.
        alone: Visible frames left out because no infrared frame was near enough.
        dropped: Visible frames of a live source that came while another was being fused.
        first: Time of the first frame in the visible source.
        last: Time of the last one.
        size: Height and width of the result.
        reached: Frames fused and written per second, from the second on.
        notes: What a user should know.
        details: Numbers of the video.
    """

    out: pathlib.Path
    ir_rate: float
    vis_rate: float
    tolerance: float
    planned: int | None = None
    audio: str | None = None
    frames: int = 0
    alone: int = 0
    dropped: int = 0
    first: float | None = None
    last: float | None = None
    size: tuple[int, int] | None = None
    reached: float | None = None
    notes: tuple[str, ...] = ()
    details: dict[str, str] = dataclasses.field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The same for `--json`."""
        told = dataclasses.asdict(self)
        return told | {"out": str(self.out), "notes": list(self.notes), "size": self.size and list(self.size)}


def plan(job: "VideoJob", ir: Reader, vis: Reader) -> VideoResult:
    """Checks a job and says what it would do; frames are counted by their times in a dry run only.

    Raises:
        UsageError: A live source beside a recorded one, or a result that exists or is one of the sources.
        InputError: The two never overlap, or sizes differ.
    """
    if ir.facts.live != vis.facts.live:
        raise UsageError("One source is live and the other is recorded.", "Give two of one kind.")
    if any(
        not is_stream(source) and pathlib.Path(source).resolve() == job.out.resolve() for source in (job.ir, job.vis)
    ):
        raise UsageError(f"{job.out} is one of the sources and would be overwritten.", "Choose another name.")
    open_writer(job.out, rate=25.0, force=job.settings.force)
    rates = ir.facts.rate, vis.facts.rate
    matching = Matching(*rates, offset=job.options.offset)
    result = VideoResult(job.out, *rates, 0.0 if vis.facts.live else matching.tolerance)
    if vis.facts.live:
        return result
    _check_sizes(job, ir, vis)
    begin, end = overlap(job, ir, vis)
    result.planned = None if end is None else round((end - begin) * vis.facts.rate)
    if job.settings.dry_run:
        last = float("inf") if end is None else end
        result.planned = matching.count(ir.times(), [time for time in vis.times() if time < last])
    copied = sound(job, vis)
    result.audio = vis.facts.audio if copied is not None else None
    if job.options.audio and vis.facts.audio and copied is None:
        result.notes += (f"sound ({vis.facts.audio}) is left out: {job.out.suffix or 'a folder'} cannot hold it",)
    return result


def overlap(job: "VideoJob", ir: Reader, vis: Reader) -> tuple[float, float | None]:
    """Begin and end of what both sources show and the job wants, in the visible source's time.

    Raises:
        InputError: There is nothing.
    """
    begin = max(0.0, job.options.offset)
    ends = [vis.facts.duration, None if ir.facts.duration is None else ir.facts.duration + job.options.offset]
    ends.append(None if job.options.seconds is None else begin + job.options.seconds)
    known = [end for end in ends if end is not None]
    if known and min(known) <= begin:
        raise InputError(
            f"{job.ir} and {job.vis} do not overlap in time with an offset of {job.options.offset:g} s.",
            "Check --offset.",
        )
    return begin, min(known) if None not in ends[:2] else None


def sound(job: "VideoJob", vis: Reader) -> AudioCopy | None:
    """The copy of the visible file's sound, None where there is none, none is wanted or the result cannot hold it."""
    wanted = job.options.audio and vis.facts.audio is not None and job.out.suffix.lower() in VIDEO_SUFFIXES
    if not wanted or not fits(vis.facts.audio, job.out):
        return None
    return AudioCopy(pathlib.Path(job.vis), origin=vis.origin)


def _check_sizes(job: "VideoJob", ir: Reader, vis: Reader) -> None:
    if ir.facts.size != vis.facts.size and job.settings.frame.fit == "error" and job.settings.frame.calibration is None:
        (ir_height, ir_width), (vis_height, vis_width) = ir.facts.size, vis.facts.size
        raise InputError(
            f"{job.ir} has {ir_width} x {ir_height} pixels but {job.vis} has {vis_width} x {vis_height}.",
            "Say which size to take with --fit ir or --fit vis, or give a --calibration.",
        )


# Stage `fuse` for moving pictures: two sources in, one fused video out, one frame in memory.


_BUCKETS = Exact()  # all frames have one size
_SAMPLES = 5  # pairs over the whole video from which ranges are found


@dataclasses.dataclass(frozen=True)
class VideoJob:
    """A fuse command for two videos, two folders of frames or two live sources.

    Attributes:
        ir: Infrared source, see `open_reader`.
        vis: Visible source.
        out: `.mp4` or `.mkv` file, or folder of PNG frames.
        settings: As for files.
        options: What is chosen about the video.
    """

    ir: str
    vis: str
    out: pathlib.Path
    settings: FuseSettings = dataclasses.field(default_factory=FuseSettings)
    options: VideoOptions = dataclasses.field(default_factory=VideoOptions)


def fuse_video(job: VideoJob) -> VideoResult:
    """Carries out a fuse command for moving pictures.

    Weights, ranges, polarity, color map and movement are the same for all frames, and brightness does not pump
    (`frames.SteadyLight`). The result appears under its name when it is whole. SIGINT and SIGTERM end live sources as
    `seconds` does; with files they raise.

    Raises:
        UsageError: Options exclude each other, the result exists, or a library is missing.
        InputError: A source cannot be read or is damaged, sizes differ, or the two never overlap.
        CheckpointError: The weights cannot be loaded.
        ResourceError: The result cannot be written.
        Stop: Interrupted; nothing is left of the result.
    """
    params = job.settings.params()
    # Class evidence is weighed anew in each frame, and noise in its small channels would make the choice flicker.
    params = params.replace(fusion=dataclasses.replace(params.fusion, evidence=0.0))
    if params.fusion.rule == "adaptive":
        raise UsageError("Rule adaptive has other weights for each frame: the video would flicker.", "Take another.")
    ir = open_reader(job.ir, rate=job.options.ir_fps or job.options.fps, limits=job.settings.limits)
    vis = open_reader(job.vis, rate=job.options.fps, limits=job.settings.limits)
    result = plan(job, ir, vis)
    if job.settings.dry_run:
        return result
    if vis.facts.live:
        return _live(job, params, ir, vis, result)
    with handled():
        begin, end = overlap(job, ir, vis)
        times = [begin] if end is None else list(begin + (end - begin) * (np.arange(_SAMPLES) + 0.5) / _SAMPLES)
        shown = zip(ir.near([t - job.options.offset for t in times]), vis.near(times), strict=True)
        settled = settle([(one.samples, other.samples) for one, other in shown], job.settings.frame)
        _loop(
            job,
            params,
            settled,
            ir,
            vis,
            result,
            until=None if job.options.seconds is None else begin + job.options.seconds,
        )
    return result


def _live(job: VideoJob, params: Params, ir: Reader, vis: Reader, result: VideoResult) -> VideoResult:
    """The same from sources that do not wait: the first pair settles what is constant and compiles the program."""
    vis.kept = 2  # the newest; the infrared reader keeps more, to find their partners in
    with handled(), contextlib.ExitStack() as cleanup:
        try:
            with deferred() as received:
                for reader in (ir, vis):
                    cleanup.callback(reader.close)
                    reader.stop = lambda: received() is not None
                    reader.start()
                first = [next(reader.frames(), None) for reader in (ir, vis)]
                if None in first and received() is None:
                    raise InputError("A live source ended before its first frame.", "Check the sources.")
                if None not in first:
                    settled = settle([(first[0].samples, first[1].samples)], job.settings.frame)
                    _fused(params, settled, *first, job.settings.frame.gray, None)
                    _loop_live(job, params, settled, ir, vis, result, received)
        except Stop:
            if not result.frames:
                raise
    result.dropped = vis.dropped
    return result


def _loop_live(job, params, settled, ir, vis, result: VideoResult, received: Callable[[], int | None]) -> None:
    until = None if job.options.seconds is None else time.monotonic() + job.options.seconds
    for reader in (ir, vis):
        reader.stop = lambda: received() is not None or (until is not None and time.monotonic() > until)
        reader.flush()
    result.ir_rate, result.vis_rate = ir.facts.rate, vis.facts.rate
    _loop(job, params, settled, ir, vis, result, until=until, interrupted=lambda: received() is not None)


def _loop(
    job: VideoJob,
    params: Params,
    settled: Settled,
    ir: Reader,
    vis: Reader,
    result: VideoResult,
    *,
    until: float | None,
    interrupted: Callable[[], bool] = lambda: False,
) -> None:
    """Matches, fuses and writes until a source ends, or a visible frame of the time `until` comes."""
    live = vis.facts.live
    matching = Matching(ir.facts.rate, vis.facts.rate, offset=job.options.offset, frames=1.0 if live else 0.5)
    steady = SteadyLight(vis.facts.rate)
    result.notes, result.details = (*result.notes, *settled.notes), settled.details
    writer = open_writer(job.out, rate=vis.facts.rate, force=job.settings.force, audio=sound(job, vis))
    with (
        writer,
        contextlib.closing(ir.frames()) as ir_frames,
        contextlib.closing(vis.frames()) as vis_frames,
        tqdm(total=result.planned, desc="fuse", unit="frame", disable=None) as bar,
    ):
        begun = 0.0
        for one, other in matching.pairs(ir_frames, vis_frames):
            if until is not None and other.time >= until:
                break
            _write(job, params, settled, steady, writer, one, other, result)
            bar.update()
            begun = begun or time.perf_counter()  # the first frame waited for the compiler
        spent = time.perf_counter() - begun
        result.alone = matching.alone
        if not result.frames and not interrupted():
            raise InputError(f"{job.ir} and {job.vis} have no frames that belong together.", "See --offset.")
    if matching.ir_ended:
        result.notes += ("the infrared source ends first; what follows is left out",)
    result.reached = (result.frames - 1) / spent if result.frames > 1 and spent > 0 else None


def _write(job, params, settled, steady, writer: Writer, ir: Frame, vis: Frame, result: VideoResult) -> None:
    fused, bits = _fused(params, settled, ir, vis, job.settings.frame.gray, steady)
    bits = 8 if job.out.suffix.lower() in VIDEO_SUFFIXES else bits
    writer.write(to_levels(fused, bits), vis.time)
    result.first = vis.time if result.first is None else result.first
    result.frames, result.last, result.size = result.frames + 1, vis.time, fused.shape[:2]


def _fused(params, settled: Settled, ir: Frame, vis: Frame, gray: bool, steady: SteadyLight | None):
    """One fused frame in [0, 1] and its depth."""
    ready = settled.ready(ir.samples, vis.samples)
    color = ready.vis_unit.ndim == 3
    luma = luma_unit(ready.vis_unit).astype(np.float32) if color else ready.vis_unit
    fused = fuse_frame(params, ready.ir_unit, luma, **ready.masks, buckets=_BUCKETS)
    if steady is not None:
        steadied = steady(ready.ir_unit, luma, fused)
        fused = steadied if ready.valid is None else np.where(ready.valid, steadied, fused)
    return (with_luma(ready.vis_unit, fused) if color and not gray else fused), ready.bits
