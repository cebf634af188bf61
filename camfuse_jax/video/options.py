"""What a user can choose about moving pictures, beside what is chosen about every pair."""

import dataclasses

from camfuse_jax.errors import UsageError


@dataclasses.dataclass(frozen=True)
class VideoOptions:
    """Options of `camfuse fuse` for videos, folders of frames and live sources.

    Attributes:
        offset: Videos: seconds added to infrared times.
        fps: Videos: frames per second of folders of frames.
        ir_fps: Videos: the same for the infrared folder alone.
        seconds: Videos: length after which to end; live sources end at Ctrl-C too.
        audio: Videos: keep the visible file's sound.
        show: Videos: show the fused stream in a window, with its rate and delay (needs the extra live).

    Raises:
        UsageError: A number is out of its range.
    """

    offset: float = 0.0
    fps: float = 25.0
    ir_fps: float | None = None
    seconds: float | None = None
    audio: bool = True
    show: bool = False

    def __post_init__(self) -> None:
        for name, value in (("--fps", self.fps), ("--ir-fps", self.ir_fps), ("--seconds", self.seconds)):
            if value is not None and not 0 < value < 1e6:
                raise UsageError(f"{name} must be positive and below 1e6, got {value:g}.")
        if not abs(self.offset) < 1e6:
            raise UsageError(f"--offset must be a number of seconds below 1e6, got {self.offset:g}.")
