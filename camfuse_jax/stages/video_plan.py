"""What a fuse command for moving pictures would do, and what it did."""

import dataclasses
import pathlib
from typing import TYPE_CHECKING, Any

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.video import VIDEO_SUFFIXES, Matching, Reader, is_stream, open_writer
from camfuse_jax.video.audio import AudioCopy, fits

if TYPE_CHECKING:
    from camfuse_jax.stages.fuse_video import VideoJob


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
    open_writer(job.out, rate=25.0, force=job.force)
    rates = ir.facts.rate, vis.facts.rate
    matching = Matching(*rates, offset=job.offset)
    result = VideoResult(job.out, *rates, 0.0 if vis.facts.live else matching.tolerance)
    if vis.facts.live:
        return result
    _check_sizes(job, ir, vis)
    begin, end = overlap(job, ir, vis)
    result.planned = None if end is None else round((end - begin) * vis.facts.rate)
    if job.dry_run:
        last = float("inf") if end is None else end
        result.planned = matching.count(ir.times(), [time for time in vis.times() if time < last])
    copied = sound(job, vis)
    result.audio = vis.facts.audio if copied is not None else None
    if job.audio and vis.facts.audio and copied is None:
        result.notes += (f"sound ({vis.facts.audio}) is left out: {job.out.suffix or 'a folder'} cannot hold it",)
    return result


def check_numbers(job: "VideoJob") -> None:
    """Checks what was given as a number, before anything is opened.

    Raises:
        UsageError: A rate or length that cannot be.
    """
    for name, value in (("--fps", job.fps), ("--ir-fps", job.ir_fps), ("--seconds", job.seconds)):
        if value is not None and not 0 < value < 1e6:
            raise UsageError(f"{name} {value:g} cannot be.", "Give a number above 0.")
    if not abs(job.offset) < 1e6:
        raise UsageError(f"--offset {job.offset:g} cannot be.", "Give seconds.")


def overlap(job: "VideoJob", ir: Reader, vis: Reader) -> tuple[float, float | None]:
    """Begin and end of what both sources show and the job wants, in the visible source's time.

    Raises:
        InputError: There is nothing.
    """
    begin = max(0.0, job.offset)
    ends = [vis.facts.duration, None if ir.facts.duration is None else ir.facts.duration + job.offset]
    ends.append(None if job.seconds is None else begin + job.seconds)
    known = [end for end in ends if end is not None]
    if known and min(known) <= begin:
        raise InputError(
            f"{job.ir} and {job.vis} do not overlap in time with an offset of {job.offset:g} s.", "Check --offset."
        )
    return begin, min(known) if None not in ends[:2] else None


def sound(job: "VideoJob", vis: Reader) -> AudioCopy | None:
    """The copy of the visible file's sound, None where there is none, none is wanted or the result cannot hold it."""
    wanted = job.audio and vis.facts.audio is not None and job.out.suffix.lower() in VIDEO_SUFFIXES
    if not wanted or not fits(vis.facts.audio, job.out):
        return None
    return AudioCopy(pathlib.Path(job.vis), origin=vis.origin)


def _check_sizes(job: "VideoJob", ir: Reader, vis: Reader) -> None:
    if ir.facts.size != vis.facts.size and job.frame.fit == "error" and job.frame.calibration is None:
        (ir_height, ir_width), (vis_height, vis_width) = ir.facts.size, vis.facts.size
        raise InputError(
            f"{job.ir} has {ir_width} x {ir_height} pixels but {job.vis} has {vis_width} x {vis_height}.",
            "Say which size to take with --fit ir or --fit vis, or give a --calibration.",
        )
