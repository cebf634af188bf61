"""Two sources of moving pictures in, one fused video out: planned, checked, then decoded, fused and encoded at once.

Threads run ahead and behind; memory stays flat.
"""

import contextlib
import dataclasses
import functools
import pathlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from tqdm import tqdm

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.fusion.dispatch import Exact
from camfuse_jax.fusion.params import Params
from camfuse_jax.images.color import with_luma
from camfuse_jax.pair.fuse import fuse_frame, to_levels, with_usual_look
from camfuse_jax.pair.options import FuseSettings, VideoOptions, is_stream
from camfuse_jax.pair.prepare import PreparedPair, check_sizes
from camfuse_jax.system.program import Stop, deferred, handled
from camfuse_jax.video.calibration import FlickerControl, VideoCalibration, calibrate_video, steady_params
from camfuse_jax.video.frames import Frame, Matching, Reader
from camfuse_jax.video.live import Window
from camfuse_jax.video.reader import FileReader, SequenceReader, open_reader, pair_by_number
from camfuse_jax.video.writer import CONTAINERS, AudioCopy, fits, open_writer

_BUCKETS = Exact()  # all frames have one size
_SAMPLES = 5  # pairs over the whole video from which ranges are found
_AHEAD = 2  # frames decoded, and pairs prepared, before they are needed
_SMOOTH = 0.95  # share of the past in the delay that is reported


@dataclasses.dataclass(frozen=True)
class VideoJob:
    """A fuse command for two videos, two folders of frames or two live sources.

    Attributes:
        ir: Infrared source, see `open_reader`.
        vis: Visible source.
        out: `.mp4` or `.mkv` file, or folder of PNG frames; None to write nothing, where the result is shown.
        settings: As for files.
        options: What is chosen about the video.
    """

    ir: str
    vis: str
    out: pathlib.Path | None
    settings: FuseSettings = dataclasses.field(default_factory=FuseSettings)
    options: VideoOptions = dataclasses.field(default_factory=VideoOptions)


@dataclasses.dataclass
class VideoResult:
    """What is planned, or was done.

    Attributes:
        out: The result; None where it was only shown.
        ir_rate: Frames per second of the infrared source, 0 where not yet known.
        vis_rate: The same of the visible one, which is the result's.
        tolerance: Largest distance in time of two frames that are fused, in seconds.
        planned: Frames to expect, None where nobody knows.
        audio: Codec of the sound that is copied, None without.
        frames: Frames fused.
        alone: Visible frames left out because no infrared frame was near enough.
        dropped: Visible frames of a live source that came while another was being fused.
        first: Time of the first frame in the visible source.
        last: Time of the last one.
        size: Height and width of the result.
        reached: Frames fused and written per second, from the second on.
        delay: Live: seconds from a visible frame's arrival until it is fused, recent average.
        notes: What a user should know.
        details: Numbers of the video.
    """

    out: pathlib.Path | None
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
    delay: float | None = None
    notes: tuple[str, ...] = ()
    details: dict[str, str] = dataclasses.field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The same for `--json`."""
        fields = dataclasses.asdict(self) | {"out": None if self.out is None else str(self.out)}
        return fields | {"notes": list(self.notes), "size": self.size and list(self.size)}


def fuse_video(job: VideoJob) -> VideoResult:
    """Carries out a fuse command for moving pictures, or in a dry run checks all that the command itself would.

    Weights, ranges, polarity, color map and movement are the same for all frames, and brightness does not pump
    (`FlickerControl`). The result appears under its name when it is whole. SIGINT and SIGTERM end live sources as
    `seconds` does; with files they raise.

    Raises:
        UsageError: Options exclude each other, the result exists, or a library is missing.
        InputError: A source cannot be read or is damaged, sizes differ, or the two never overlap.
        CheckpointError: The weights cannot be loaded.
        ResourceError: The result cannot be written.
        Stop: Interrupted; nothing is left of the result.
    """
    params = steady_params(job.settings.params())
    if job.out is None and not job.options.show:
        raise UsageError("There is neither a result to write nor --show.", "Give -o.")
    with handled("nothing was written"), contextlib.ExitStack() as stack:
        window = stack.enter_context(Window()) if job.options.show else None
        ir = open_reader(job.ir, rate=job.options.ir_fps or job.options.fps, limits=job.settings.limits)
        vis = open_reader(job.vis, rate=job.options.fps, limits=job.settings.limits)
        by_number = ir.facts.rate == vis.facts.rate and not job.options.offset
        note = pair_by_number(ir, vis) if by_number else ""
        result = _checked(job, ir, vis)
        result.notes += (note,) if note else ()
        run = _Run(job, params, ir, vis, result, window)
        run.live() if vis.facts.live else run.recorded()
    return result


def _checked(job: VideoJob, ir: Reader, vis: Reader) -> VideoResult:
    """What can be known before a frame is looked at: names, kinds, sizes, sound."""
    if ir.facts.live != vis.facts.live:
        raise UsageError("One source is live and the other is recorded.", "Give two of one kind.")
    _check_rates(job, ir, vis)
    if job.out is not None:
        files = [pathlib.Path(source) for source in (job.ir, job.vis) if not is_stream(source)]
        if job.out.resolve() in [path.resolve() for path in files]:
            raise UsageError(f"{job.out} is one of the sources and would be overwritten.", "Choose another name.")
        open_writer(job.out, rate=25.0, force=job.settings.force)
    rates = ir.facts.rate, vis.facts.rate
    matching = Matching(*rates, offset=job.options.offset)
    result = VideoResult(job.out, *rates, 0.0 if vis.facts.live else matching.tolerance)
    if vis.facts.live:
        return result
    assert ir.facts.size is not None and vis.facts.size is not None
    check_sizes(ir.facts.size, vis.facts.size, job.settings.frame, (job.ir, job.vis))
    begin, end = _overlap(job, ir, vis)
    result.planned = None if end is None else round((end - begin) * vis.facts.rate)
    copied, codec = _sound(job, vis), vis.facts.audio
    result.audio = codec if copied is not None else None
    if job.options.audio and job.out is not None and codec and copied is None:
        result.notes += (f"sound ({codec}) is left out: {job.out.suffix or 'a folder'} cannot hold it",)
    return result


def _check_rates(job: VideoJob, ir: Reader, vis: Reader) -> None:
    """Refuses a rate for sources that have their own."""
    of_ir, of_vis = (isinstance(reader, SequenceReader) for reader in (ir, vis))
    fps_counts = of_vis or (of_ir and job.options.ir_fps is None)
    for name, given, counts, source in (
        ("--fps", job.options.fps != VideoOptions.fps, fps_counts, job.vis),
        ("--ir-fps", job.options.ir_fps is not None, of_ir, job.ir),
    ):
        if given and not counts:
            raise UsageError(
                f"{name} is given, but {source} has its own times.",
                "Leave it out: it is for folders of frames and for TIFF files of several pages.",
            )


def _cut(begin: float, seconds: float | None) -> float | None:
    """Time of the first frame that is not wanted; less a microsecond, as sums of times are not exact."""
    return None if seconds is None else begin + seconds - 1e-6


def _overlap(job: VideoJob, ir: Reader, vis: Reader) -> tuple[float, float | None]:
    """Begin and end of what both sources show and the job wants, in the visible source's time."""
    begin = max(0.0, job.options.offset)
    ends = [vis.facts.duration, None if ir.facts.duration is None else ir.facts.duration + job.options.offset]
    ends.append(_cut(begin, job.options.seconds))
    known = [end for end in ends if end is not None]
    if known and min(known) <= begin:
        raise InputError(
            f"{job.ir} and {job.vis} do not overlap in time with an offset of {job.options.offset:g} s.",
            "Check --offset.",
        )
    return begin, min(known) if None not in ends[:2] else None


def _sound(job: VideoJob, vis: Reader) -> AudioCopy | None:
    """The copy of the visible file's sound, None where there is none, none is wanted or the result cannot hold it."""
    codec = vis.facts.audio if job.options.audio else None
    if codec is None or not isinstance(vis, FileReader) or job.out is None:
        return None
    holds = job.out.suffix.lower() in CONTAINERS and fits(codec, job.out)
    return AudioCopy(pathlib.Path(job.vis), origin=vis.origin) if holds else None


class _Run:
    """One fuse command on its way."""

    def __init__(self, job: VideoJob, params: Params, ir: Any, vis: Any, result: VideoResult, window: Window | None):
        self._job, self._params, self._ir, self._vis = job, params, ir, vis
        self._result, self._window = result, window
        self._calibration: VideoCalibration

    def recorded(self) -> None:
        """Files and folders of frames: all is decided from a few frames spread over both."""
        job, result, offset = self._job, self._result, self._job.options.offset
        begin, end = _overlap(job, self._ir, self._vis)
        times = [begin] if end is None else list(begin + (end - begin) * (np.arange(_SAMPLES) + 0.5) / _SAMPLES)
        pairs = zip(self._ir.near([t - offset for t in times]), self._vis.near(times), strict=True)
        self._calibrate(list(pairs))
        if job.settings.dry_run:
            matching = Matching(result.ir_rate, result.vis_rate, offset=offset)
            last = float("inf") if end is None else end
            for reader, shift in ((self._ir, offset), (self._vis, 0.0)):
                if isinstance(reader, SequenceReader):
                    reader.check_sizes(last - shift)
            result.planned = matching.count(self._ir.times(), [time for time in self._vis.times() if time < last])
            if not result.planned:
                raise self._nothing_matched()
            return
        self._loop(until=_cut(begin, job.options.seconds))

    def live(self) -> None:
        """Sources that do not wait: the first pair decides what is constant, and compiles the program."""
        self._vis.kept = 1  # the newest; the infrared reader keeps more, to find their partners in
        readers = (self._ir, self._vis)
        with contextlib.ExitStack() as cleanup:
            try:
                with deferred() as received:
                    for reader in readers:
                        cleanup.callback(reader.close)
                        reader.stop = lambda: received() is not None
                        reader.start()
                    ir, vis = (next(reader.frames(), None) for reader in readers)
                    if (ir is None or vis is None) and received() is None:
                        raise InputError("A live source ended before its first frame.", "Check the sources.")
                    if ir is not None and vis is not None:
                        self._calibrate([(ir, vis)])
                        if not self._job.settings.dry_run:
                            self._loop_live(ir, vis, received)
            except Stop:
                if not self._result.frames:
                    raise
        self._result.dropped = self._vis.dropped

    def _loop_live(self, ir: Frame, vis: Frame, received: Callable[[], int | None]) -> None:
        ready = self._calibration.prepare(ir, vis)
        flicker = FlickerControl(self._params, 25, _BUCKETS)
        self._fused(ready, flicker)
        seconds = self._job.options.seconds
        until = None if seconds is None else time.monotonic() + seconds
        for reader in (self._ir, self._vis):
            reader.stop = lambda: received() is not None or (until is not None and time.monotonic() > until)
            reader.flush()
        self._result.ir_rate, self._result.vis_rate = self._ir.facts.rate, self._vis.facts.rate
        self._loop(until=until, interrupted=lambda: received() is not None)

    def _calibrate(self, pairs: list[tuple[Frame, Frame]]) -> None:
        self._calibration = calibrate_video(pairs, self._job.settings.frame)
        self._result.notes = (*self._result.notes, *self._calibration.notes)
        self._result.details = self._calibration.details
        if self._job.settings.look is None:
            colored = self._calibration.colored and not self._job.settings.frame.gray
            self._params = with_usual_look(self._params, colored=colored)

    def _loop(self, *, until: float | None, interrupted: Callable[[], bool] = lambda: False) -> None:
        """Matches, fuses and writes until a source ends, or a visible frame of the time `until` comes."""
        job, result, live = self._job, self._result, self._vis.facts.live
        rates, waiting = (self._ir.facts.rate, self._vis.facts.rate), 0 if live else _AHEAD
        matching = Matching(*rates, offset=job.options.offset, frames=1.0 if live else 0.5)
        flicker = FlickerControl(self._params, rates[1], _BUCKETS)
        with contextlib.ExitStack() as stack:
            sink = stack.enter_context(self._sink())
            frames = (
                stack.enter_context(contextlib.closing(ahead(r.frames(), waiting))) for r in (self._ir, self._vis)
            )
            prepared = ahead(self._prepared(matching.pairs(*frames), until), waiting)
            stack.enter_context(contextlib.closing(prepared))
            bar = stack.enter_context(tqdm(total=result.planned, desc="fuse", unit="frame", disable=None))
            begun = 0.0
            for arrived, ready in prepared:
                if not self._emit(sink, arrived, ready, self._fused(ready, flicker)):
                    break
                bar.update()
                begun = begun or time.perf_counter()  # the first frame waited for the compiler
            result.alone = matching.alone
            if not result.frames and not interrupted():
                raise self._nothing_matched()
        spent = time.perf_counter() - begun
        if matching.ir_ended:
            result.notes += ("the infrared source ends first; what follows is left out",)
        result.reached = (result.frames - 1) / spent if result.frames > 1 and spent > 0 else None

    def _nothing_matched(self) -> InputError:
        return InputError(f"{self._job.ir} and {self._job.vis} have no frames that belong together.", "See --offset.")

    def _prepared(
        self, pairs: Iterator[tuple[Frame, Frame]], until: float | None
    ) -> Generator[tuple[float, PreparedPair], None, None]:
        for ir, vis in pairs:
            if until is not None and vis.time >= until:
                return
            yield vis.time, self._calibration.prepare(ir, vis)

    def _fused(self, ready: PreparedPair, flicker: FlickerControl) -> np.ndarray:
        """Fused luma."""
        context = flicker(ready)
        return fuse_frame(self._params, ready.ir_unit, ready.luma, **ready.masks, buckets=_BUCKETS, context=context)

    def _levels(self, ready: PreparedPair, luma: np.ndarray) -> np.ndarray:
        """The frame as it is written: colored, at its depth."""
        colored = ready.vis_unit.ndim == 3 and not self._job.settings.frame.gray
        deep = self._job.out is not None and self._job.out.suffix.lower() not in CONTAINERS
        return to_levels(with_luma(ready.vis_unit, luma) if colored else luma, ready.bits if deep else 8)

    def _emit(self, sink: Callable[..., None], arrived: float, ready: PreparedPair, luma: np.ndarray) -> bool:
        """Hands one frame to the window and the writer; false where the user has closed the window."""
        result, live, going = self._result, self._vis.facts.live, True
        result.first = arrived if result.first is None else result.first
        result.frames, result.last, result.size = result.frames + 1, arrived, luma.shape
        make = functools.partial(self._levels, ready, luma)  # in the writer's thread, where nothing is shown
        if self._window is not None:
            levels = make()
            shown = levels if levels.dtype == np.uint8 else (levels >> 8).astype(np.uint8)
            going, make = self._window.show(shown, arrived if live else None), lambda: levels
        if live:
            delay = time.monotonic() - arrived
            result.delay = delay if result.delay is None else _SMOOTH * result.delay + (1 - _SMOOTH) * delay
        sink(make, arrived)
        return going

    @contextlib.contextmanager
    def _sink(self) -> Iterator[Callable[..., None]]:
        """Takes a function that makes a frame's levels, and its time; both are worked off in another thread."""
        job, live, rate = self._job, self._vis.facts.live, self._vis.facts.rate
        if job.out is None:
            yield lambda make, time: None
            return
        audio = None if live else _sound(job, self._vis)
        writer = open_writer(job.out, rate=rate, force=job.settings.force, audio=audio, live=live)
        with writer, Behind(lambda make, time: writer.write(make(), time)) as sink:
            yield sink


_Item = TypeVar("_Item")
_END: Any = object()


def ahead(items: Generator[_Item, None, None], waiting: int) -> Generator[_Item, None, None]:
    """The items, made in a thread of their own while the caller works; closing it closes `items`.

    Args:
        items: A generator; its errors are raised here.
        waiting: Most items that are made before they are taken; 0 for one after the other, without a thread.
    """
    with contextlib.closing(items):
        if not waiting:
            yield from items
            return
        pool = ThreadPoolExecutor(1)
        try:
            made = deque(pool.submit(next, items, _END) for _ in range(waiting))
            while (item := made.popleft().result()) is not _END:
                made.append(pool.submit(next, items, _END))
                yield item
        finally:
            pool.shutdown(wait=True, cancel_futures=True)  # before `items` is closed: it must not be running


class Behind:
    """Calls a function in a thread of its own, in order, while the caller goes on; a context manager.

    Leaving the block waits for what is left, and leaves it out after an error.

    Args:
        function: Its errors are raised at one of the next calls, or when the block is left.
        waiting: Calls that may wait; more make the caller wait.
    """

    def __init__(self, function: Callable[..., None], waiting: int = 2):
        self._function, self._waiting = function, waiting
        self._calls: deque[Future] = deque()
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        return self

    def __call__(self, *arguments: Any) -> None:
        """Queues a call."""
        while len(self._calls) >= self._waiting:
            self._calls.popleft().result()
        self._calls.append(self._pool.submit(self._function, *arguments))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        try:
            while self._calls and kind is None:
                self._calls.popleft().result()
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)
