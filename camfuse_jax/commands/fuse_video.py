"""The part of `camfuse fuse` that is for moving pictures."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camfuse_jax.errors import UsageError

if TYPE_CHECKING:
    from camfuse_jax.commands.fuse import Fuse
    from camfuse_jax.stages.video_plan import VideoResult

VIDEO_OPTIONS = ("offset", "fps", "ir_fps", "seconds", "audio")
_NOT_HERE = ("csv", "pattern", "overlay", "preview")


def is_video(command: "Fuse") -> bool:
    """Whether a fuse command is about moving pictures: by --video, the result's ending or the sources' names."""
    from camfuse_jax.video import VIDEO_SUFFIXES, is_moving

    sources = [source for source in (command.ir, command.vis) if source is not None]
    return command.video or command.out.suffix.lower() in VIDEO_SUFFIXES or any(map(is_moving, sources))


def run_video(command: "Fuse", settings: dict[str, Any]) -> dict[str, Any]:
    """Fuses moving pictures, says what was done, and returns the report.

    Args:
        command: What was asked for.
        settings: Fields of `FuseSettings`.

    Raises:
        CamfuseError: By kind.
    """
    from camfuse_jax.runtime import package_version
    from camfuse_jax.stages.fuse_video import VideoJob, fuse_video

    given = [name for name in _NOT_HERE if getattr(command, name)]
    if given or command.format != "png" or command.ir is None or command.vis is None:
        wrong = f"--{given[0]} is" if given else "--format is" if command.format != "png" else "IR or VIS is missing;"
        raise UsageError(f"{wrong} not for videos." if not wrong.endswith(";") else f"{wrong[:-1]}.", "See --help.")
    if command.out.suffix and command.out.suffix.lower() not in (".mp4", ".mkv") and not command.out.is_dir():
        raise UsageError(f"{command.out} is no .mp4, .mkv or folder.", "End it in .mp4, or give a folder's name.")
    own = {name: getattr(command, name) for name in VIDEO_OPTIONS}
    result = fuse_video(VideoJob(command.ir, command.vis, Path(command.out), **own, **settings))
    if not command.json:
        _tell(command, result)
    return {"version": package_version(), "weights": command.weights, "video": result.as_json()}


def _tell(command: "Fuse", result: "VideoResult") -> None:
    for name, source, rate in (("ir", command.ir, result.ir_rate), ("vis", command.vis, result.vis_rate)):
        print(f"{name} source: {source}" + (f", {rate:g} frames/s" if rate else ""))
    if command.dry_run:
        count = "until it is stopped" if result.planned is None else f"{result.planned} frames"
        print(f"would write: {result.out}, {count}, sound: {result.audio or 'none'}")
    else:
        lasts = result.last - result.first + 1 / (result.vis_rate or 25)
        print(f"fused: {result.out}, {result.frames} frames, {lasts:.2f} s, sound: {result.audio or 'none'}")
    if result.reached is not None:
        print(f"reached: {result.reached:.1f} frames/s")
    if result.tolerance:
        print(f"matched: nearest in time, at most {1000 * result.tolerance:.1f} ms apart", file=sys.stderr)
    for count, why in ((result.alone, "no infrared frame near enough"), (result.dropped, "came while fusing")):
        if count:
            print(f"left out: {count} visible frames, {why}", file=sys.stderr)
    for what, value in result.details.items():
        print(f"{what}: {value}", file=sys.stderr)
    for note in result.notes:
        print(f"note: {note}", file=sys.stderr)
