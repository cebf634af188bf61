"""What is found once for a whole video, so that no frame is treated otherwise than its neighbors."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Num

from camfuse_jax.images.color import luma_unit, scalar_as, scalar_from_rgb
from camfuse_jax.images.picture import Picture, depth
from camfuse_jax.images.ranges import RangePolicy, limits_of
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.pair.polarity import guess_polarity
from camfuse_jax.pair.prepare import PreparedPair, prepare_pair
from camfuse_jax.pair.register import align

Samples = Num[np.ndarray, "h w *c"]


@dataclasses.dataclass(frozen=True)
class Settled:
    """Constant treatment of a video's frames.

    Attributes:
        settings: With fixed ranges, polarity and movement.
        ir_how: How infrared colors become one value (`color_maps.Scalar.how`); empty for gray.
        ir_depth: Bits that carry values, and white.
        vis_depth: The same.
        notes: What a user should know.
        details: Numbers of the video.
    """

    settings: FrameSettings
    ir_how: str
    ir_depth: tuple[int, int | None]
    vis_depth: tuple[int, int | None]
    notes: tuple[str, ...] = ()
    details: dict[str, str] = dataclasses.field(default_factory=dict)

    def ready(self, ir: Samples, vis: Samples) -> PreparedPair:
        """A pair of frames made ready for fusing.

        Raises:
            InputError: Sizes differ and `fit` is `error`.
        """
        return prepare_pair(*self._pictures(ir, vis), self.settings)

    def _pictures(self, ir: Samples, vis: Samples) -> tuple[Picture, Picture]:
        return Picture(_one_channel(ir, self.ir_how), *self.ir_depth), Picture(vis, *self.vis_depth)


def settle(pairs: Sequence[tuple[Samples, Samples]], settings: FrameSettings) -> Settled:
    """Finds ranges, polarity, color map and movement from a few pairs of frames spread over a video.

    Ranges are those of all the pairs' samples together; the other things come from the pair in the middle, the
    polarity from most of them.

    Raises:
        InputError: Sizes differ and `fit` is `error`, or an alignment is not trusted.
        UsageError: Alignment without OpenCV.
    """
    middle = pairs[len(pairs) // 2]
    how, notes = "", []
    if middle[0].ndim == 3:
        scalar = scalar_from_rgb(middle[0] / np.float32(_top(middle[0])))
        how = scalar.how
        notes = [f"ir: {scalar.note}"] if how != "equal channels" else []  # every gray video comes as RGB
    details: dict[str, str] = {}
    irs = np.stack([_one_channel(ir, how) for ir, _ in pairs])
    ir_depth, ir_range = _limits(irs, settings.ir_range, "ir", details, notes)
    vis_depth, vis_range = _limits(np.stack([vis for _, vis in pairs]), settings.vis_range, "vis", details, notes)
    white = "black" if settings.ir_polarity == "black" else "white"
    fixed = dataclasses.replace(
        settings, ir_range=ir_range, vis_range=vis_range, ir_polarity=white, align="none", check=False
    )
    found = Settled(fixed, how, ir_depth, vis_depth)
    if settings.ir_polarity == "auto":
        found = _with_polarity(found, pairs, notes, details)
    if settings.align != "none":
        found = _with_movement(found, middle, settings, details)
    else:
        checked = dataclasses.replace(found, settings=dataclasses.replace(found.settings, check=settings.check))
        seen = checked.ready(*middle)
        notes += seen.notes
        details |= {name: value for name, value in seen.details.items() if name not in details}
    return dataclasses.replace(found, notes=tuple(dict.fromkeys(notes)), details=details)


def _limits(samples, policy: RangePolicy, name: str, details: dict[str, str], notes: list[str]):
    bits, top, told = depth(samples)
    low, high, how = limits_of(samples, top, bits, policy)
    details[f"{name} range"] = f"{low:g} to {high:g} ({how}), constant"
    notes += [f"{name}: {one}" for one in told]
    return (bits, top), RangePolicy("fixed", low, high)


def _top(samples: np.ndarray) -> int:
    return int(np.iinfo(samples.dtype).max) if samples.dtype.kind == "u" else 1


def _one_channel(ir: Samples, how: str) -> Samples:
    """Infrared samples as one value per pixel, on the scale and of the type they were stored in."""
    if ir.ndim == 2:
        return ir
    top = _top(ir)
    values = scalar_as(ir / np.float32(top), how) * np.float32(top)
    return np.rint(values).astype(ir.dtype) if ir.dtype.kind == "u" else values


def _luma(prepared: PreparedPair) -> np.ndarray:
    vis = prepared.vis_unit
    return luma_unit(vis).astype(np.float32) if vis.ndim == 3 else vis


def _with_polarity(found: Settled, pairs, notes: list[str], details: dict[str, str]) -> Settled:
    frames = [found.ready(*pair) for pair in pairs]
    guesses = [guess_polarity(frame.ir_unit, _luma(frame)) for frame in frames]
    inverted = sum(guess.strong for guess in guesses) > len(guesses) / 2
    details["ir polarity"] = f"skew {np.median([guess.skew for guess in guesses]):.2f}"
    if not inverted:
        return found
    notes.append("ir: looks black-hot and was inverted")
    return dataclasses.replace(found, settings=dataclasses.replace(found.settings, ir_polarity="black"))


def _with_movement(found: Settled, middle, settings: FrameSettings, details: dict[str, str]) -> Settled:
    first = found.ready(*middle)
    moved = align(first.ir_unit, _luma(first), settings.align)
    details["alignment"] = f"confidence {moved.confidence:.1f}, moved by up to {moved.moved:.1f} px, constant"
    before = np.array(settings.calibration) if settings.calibration else _scaling(middle[0], first.ir_unit)
    rows = tuple(map(tuple, (np.asarray(moved.homography) @ before).tolist()))
    return dataclasses.replace(found, settings=dataclasses.replace(found.settings, calibration=rows))


def _scaling(ir: Samples, resized: np.ndarray) -> np.ndarray:
    """What `warp.resize` did to pixel centers, as a homography."""
    down, right = (new / old for new, old in zip(resized.shape, ir.shape[:2], strict=True))
    return np.array([[right, 0, (right - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]])
