"""What a user can choose about a pair, moving pictures, and fusing: declared once, handed on as it is."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from camfuse_jax.config import LOOKS, Backend, NamedRule
from camfuse_jax.errors import UsageError
from camfuse_jax.images.bounds import Limits
from camfuse_jax.images.ranges import RangePolicy

if TYPE_CHECKING:
    from camfuse_jax.fusion.params import Params

Row = tuple[float, float, float]
AlignMethod = Literal["none", "translation", "ecc", "homography"]
Look = Literal["natural", "contrast"] | float | None


@dataclasses.dataclass(frozen=True)
class FrameSettings:
    """How a pair is prepared and what the result looks like; the names are those of the options of `camfuse fuse`.

    Attributes:
        ir_range: Infrared values that become black and white: auto, full, minmax, percentile[:LO,HI], fixed:LO,HI.
        vis_range: The same for the visible image.
        ir_polarity: white: bright is hot; black: inverted; auto: inverted on strong evidence only.
        fit: Sizes that differ: refuse the pair, or take the size of one.
        align: Move the infrared image onto the visible one; refused where it is not trusted (needs the extra align).
        calibration: 3 x 3 homography from infrared to visible pixels, applied before anything else.
        gray: Give the fused luma without color.
        bits: Depth of the result; auto is 16 where a source carries more than 8.
        check: Warn of pairs that look misregistered.

    Raises:
        UsageError: Settings exclude each other.
    """

    ir_range: RangePolicy = dataclasses.field(default_factory=RangePolicy)
    vis_range: RangePolicy = dataclasses.field(default_factory=lambda: RangePolicy("full"))
    ir_polarity: Literal["white", "black", "auto"] = "white"
    fit: Literal["error", "ir", "vis"] = "error"
    align: AlignMethod = "none"
    calibration: tuple[Row, Row, Row] | None = None
    gray: bool = False
    bits: Literal["auto", "8", "16"] = "auto"
    check: bool = True

    def __post_init__(self) -> None:
        if self.fit == "ir" and self.moves:
            raise UsageError(
                "--fit ir with --align or --calibration: these move the infrared image onto the visible one.",
                "Use --fit vis.",
            )

    @property
    def moves(self) -> bool:
        """Whether the infrared image is moved onto the visible one."""
        return self.align != "none" or self.calibration is not None


@dataclasses.dataclass(frozen=True, kw_only=True)
class FuseSettings:
    """What fusing files and fusing videos have in common.

    Attributes:
        weights: fast, tno, roadscene, paper-tno, paper-roadscene, or a .safetensors file.
        rule: Fusion rule instead of the one that the weights bring (docs/method.md).
        frame: How each pair is treated.
        ir_gain: Balance: factor on the infrared channel weights; only the ratio to --vis-gain counts.
        vis_gain: Balance: factor on the visible channel weights.
        look: Rule spatial: natural (0: the visible image's tone), contrast (1: most of both), or a number between;
            default: natural where the result is in color, else the weights' own.
        force: Replace existing files.
        dry_run: List what pairs with what, and what is wrong, and write nothing.
        limits: What is read at most.
    """

    weights: str = "fast"
    rule: NamedRule | None = None
    frame: FrameSettings = dataclasses.field(default_factory=FrameSettings)
    ir_gain: float = 1.0
    vis_gain: float = 1.0
    look: Look = None
    force: bool = False
    dry_run: bool = False
    limits: Limits = dataclasses.field(default_factory=Limits)

    @property
    def look_number(self) -> float | None:
        """The look from 0 to 1; None where none is asked for."""
        return LOOKS[self.look] if isinstance(self.look, str) else self.look

    def params(self) -> "Params":
        """The weights with rule, look and balance; JAX is loaded here, not where a command line is read.

        Raises:
            CheckpointError: They cannot be loaded.
            UsageError: A gain or the look is wrong, or the rule has none.
        """
        from camfuse_jax.fusion.params import balanced, check_balance, check_gains, load_params, with_look, with_rule

        gains = {"--ir-gain": self.ir_gain, "--vis-gain": self.vis_gain}
        check_gains(gains)
        params = with_look(with_rule(load_params(self.weights), self.rule), self.look_number)
        for option in (name for name, gain in gains.items() if gain != 1):
            check_balance(params, option)
        if self.look is not None and params.fusion.rule != "spatial":
            raise UsageError(f"Rule {params.fusion.rule} has no --look.", "Leave it out, or use --rule spatial.")
        return balanced(params, ir_gain=self.ir_gain, vis_gain=self.vis_gain)


@dataclasses.dataclass(frozen=True)
class FileOptions:
    """How image files are fused and written.

    Attributes:
        overlay: Also write where the classifier looked, as NAME_ir_heat.png and NAME_vis_heat.png.
        preview: Also write NAME_preview.png, a labelled grid of several balances.
        format: Format of results in a folder.
        backend: What computes: jax, or the exported network in onnxruntime or openvino, which are faster on a
            CPU and need their package (docs/export.md).
        max_memory: GiB that computing one pair may take, besides the images; larger ones are fused tile by tile.
            Backend jax only; 1.5 where not given.
    """

    overlay: bool = False
    preview: bool = False
    format: Literal["png", "tiff", "jpeg"] = "png"
    backend: Backend = "jax"
    max_memory: float | None = None

    @property
    def suffix(self) -> str:
        """Ending of results in a folder."""
        return {"png": ".png", "tiff": ".tif", "jpeg": ".jpg"}[self.format]

    @property
    def memory(self) -> int | None:
        """`max_memory` in bytes.

        Raises:
            UsageError: No machine has so much, or no image fits into so little.
        """
        if self.max_memory is None:
            return None
        if not 0.01 <= self.max_memory <= 4096:
            raise UsageError(f"--max-memory must be from 0.01 to 4096 GiB, got {self.max_memory:g}.")
        return int(self.max_memory * 2**30)


def parse_look(text: str) -> Look:
    """Reads natural, contrast, or a number from 0 to 1.

    Raises:
        UsageError: It is none of these.
    """
    try:
        number = LOOKS[text] if text in LOOKS else float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        what = "Give natural, contrast, or a number from 0 (natural) to 1 (contrast)."
        raise UsageError(f"--look {text} is no look.", what)
    return number


VIDEO_FILES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".wmv", ".flv", ".mjpeg"}
)
"""Endings of names that are taken for videos without --video."""
DEVICE, PACED = "device:", "live:"
_ADDRESSES = ("rtsp://", "rtsps://", "rtmp://", "http://", "https://", "udp://", "srt://")


@dataclasses.dataclass(frozen=True)
class VideoOptions:
    """Options of `camfuse fuse` for videos, folders of frames and live sources.

    Attributes:
        video: Take two folders for the frames of two videos; implied by a video file or an .mp4 result.
        offset: Videos: seconds added to infrared times.
        fps: Videos: frames per second of folders of frames and of TIFF files of several pages.
        ir_fps: Videos: the same for the infrared ones alone.
        seconds: Videos: length after which to end; live sources end at Ctrl-C too.
        audio: Videos: keep the visible file's sound.
        show: Videos: show the fused stream in a window, with its rate and delay (needs the extra live).

    Raises:
        UsageError: A number is out of its range.
    """

    video: bool = False
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


def is_stream(source: str) -> bool:
    """Whether a source is a camera or a network address (or a file played as one, `live:FILE`)."""
    return source.startswith((DEVICE, PACED, *_ADDRESSES))


def is_moving(source: str) -> bool:
    """Whether a source is a stream or, by its ending, a video file."""
    return is_stream(source) or Path(source).suffix.lower() in VIDEO_FILES
