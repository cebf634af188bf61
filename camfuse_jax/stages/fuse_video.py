"""Stage `fuse` for moving pictures: two sources in, one fused video out, one frame in memory."""

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Callable

import numpy as np
from tqdm import tqdm

from camfuse_jax import fusion
from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.frames import Settled, SteadyLight, fuse_frame, settle, to_levels
from camfuse_jax.images.colour import luma_unit, with_luma
from camfuse_jax.safety.signals import Stop, deferred, handled
from camfuse_jax.stages.fuse_settings import FuseSettings
from camfuse_jax.stages.video_plan import VideoResult, check_numbers, overlap, plan, sound
from camfuse_jax.video import VIDEO_SUFFIXES, Frame, Matching, Reader, open_reader, open_writer
from camfuse_jax.video.writing import Writer

_BUCKETS = fusion.Exact()  # all frames have one size
_SAMPLES = 5  # pairs over the whole video from which ranges are found


@dataclasses.dataclass(frozen=True)
class VideoJob(FuseSettings):
    """A fuse command for two videos, two sequences or two live sources.

    Attributes:
        ir: Infrared source, see `video.open_reader`.
        vis: Visible source.
        out: `.mp4` or `.mkv` file, or folder of PNG frames.
        offset: Seconds added to infrared times.
        fps: Frames per second of a visible folder of frames.
        ir_fps: The same of an infrared one; None for `fps`.
        seconds: Length after which to end; None for all.
        audio: Keep the visible file's sound.
    """

    ir: str
    vis: str
    out: pathlib.Path
    offset: float = 0.0
    fps: float = 25.0
    ir_fps: float | None = None
    seconds: float | None = None
    audio: bool = True


def fuse_video(job: VideoJob) -> VideoResult:
    """Carries out a fuse command for moving pictures.

    Weights, ranges, polarity, colour map and movement are the same for all frames, and brightness does not pump
    (`frames.SteadyLight`). The result appears under its name when it is whole. SIGINT and SIGTERM end live sources as
    `seconds` does; with files they raise.

    Raises:
        UsageError: Options exclude each other, the result exists, or a library is missing.
        InputError: A source cannot be read or is damaged, sizes differ, or the two never overlap.
        CheckpointError: The weights cannot be loaded.
        ResourceError: The result cannot be written.
        Stop: Interrupted; nothing is left of the result.
    """
    check_numbers(job)
    params = job.params()
    # Class evidence is weighed anew in each frame, and noise in its small channels would make the choice flicker.
    params = params.replace(fusion=dataclasses.replace(params.fusion, evidence=0.0))
    if params.fusion.rule == "adaptive":
        raise UsageError("Rule adaptive has other weights for each frame: the video would flicker.", "Take another.")
    ir = open_reader(job.ir, rate=job.ir_fps or job.fps, limits=job.limits)
    vis = open_reader(job.vis, rate=job.fps, limits=job.limits)
    result = plan(job, ir, vis)
    if job.dry_run:
        return result
    if vis.facts.live:
        return _live(job, params, ir, vis, result)
    with handled():
        begin, end = overlap(job, ir, vis)
        times = [begin] if end is None else list(begin + (end - begin) * (np.arange(_SAMPLES) + 0.5) / _SAMPLES)
        shown = zip(ir.near([t - job.offset for t in times]), vis.near(times), strict=True)
        settled = settle([(one.samples, other.samples) for one, other in shown], job.frame)
        _loop(job, params, settled, ir, vis, result, until=None if job.seconds is None else begin + job.seconds)
    return result


def _live(job: VideoJob, params: fusion.Params, ir: Reader, vis: Reader, result: VideoResult) -> VideoResult:
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
                    settled = settle([(first[0].samples, first[1].samples)], job.frame)
                    _fused(params, settled, *first, job.frame.gray, None)
                    _loop_live(job, params, settled, ir, vis, result, received)
        except Stop:
            if not result.frames:
                raise
    result.dropped = vis.dropped
    return result


def _loop_live(job, params, settled, ir, vis, result: VideoResult, received: Callable[[], int | None]) -> None:
    until = None if job.seconds is None else time.monotonic() + job.seconds
    for reader in (ir, vis):
        reader.stop = lambda: received() is not None or (until is not None and time.monotonic() > until)
        reader.flush()
    result.ir_rate, result.vis_rate = ir.facts.rate, vis.facts.rate
    _loop(job, params, settled, ir, vis, result, until=until, interrupted=lambda: received() is not None)


def _loop(
    job: VideoJob,
    params: fusion.Params,
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
    matching = Matching(ir.facts.rate, vis.facts.rate, offset=job.offset, frames=1.0 if live else 0.5)
    steady = SteadyLight(vis.facts.rate)
    result.notes, result.details = (*result.notes, *settled.notes), settled.details
    writer = open_writer(job.out, rate=vis.facts.rate, force=job.force, audio=sound(job, vis))
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
    fused, bits = _fused(params, settled, ir, vis, job.frame.gray, steady)
    bits = 8 if job.out.suffix.lower() in VIDEO_SUFFIXES else bits
    writer.write(to_levels(fused, bits), vis.time)
    result.first = vis.time if result.first is None else result.first
    result.frames, result.last, result.size = result.frames + 1, vis.time, fused.shape[:2]


def _fused(params, settled: Settled, ir: Frame, vis: Frame, gray: bool, steady: SteadyLight | None):
    """One fused frame in [0, 1] and its depth."""
    ready = settled.ready(ir.samples, vis.samples)
    colour = ready.vis_unit.ndim == 3
    luma = luma_unit(ready.vis_unit).astype(np.float32) if colour else ready.vis_unit
    fused = fuse_frame(params, ready.ir_unit, luma, valid=ready.valid, buckets=_BUCKETS)
    if steady is not None:
        steadied = steady(ready.ir_unit, luma, fused)
        fused = steadied if ready.valid is None else np.where(ready.valid, steadied, fused)
    return (with_luma(ready.vis_unit, fused) if colour and not gray else fused), ready.bits
