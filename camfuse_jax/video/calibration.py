"""What is decided once for a whole video, so that every frame is treated alike: ranges, polarity, color map, movement.

And brightness that does not pump: what a rule takes from whole images is averaged over time.
"""

import dataclasses
import math
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Num
from scipy import ndimage

from camfuse_jax.fusion.dispatch import Buckets
from camfuse_jax.fusion.forward import Context
from camfuse_jax.fusion.fuse import fusion_context
from camfuse_jax.fusion.params import Params, with_rule
from camfuse_jax.images.color import scalar_as, scalar_from_rgb, shows_color
from camfuse_jax.images.picture import Picture, depth, scene_mask
from camfuse_jax.images.ranges import RangePolicy, limits_of, range_misses
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.pair.prepare import PreparedPair, guess_polarity, prepare_pair
from camfuse_jax.pair.register import Mask, align
from camfuse_jax.video.frames import Frame

Samples = Num[np.ndarray, "h w *c"]
_GRAY = "equal channels"  # `Scalar.how` of a gray image stored as RGB


@dataclasses.dataclass(frozen=True)
class VideoCalibration:
    """Constant treatment of a video's frames.

    Attributes:
        settings: With fixed ranges, polarity and movement.
        ir_how: How infrared colors become one value (`Scalar.how`); empty for grayscale samples.
        ir_depth: Bits that carry values, and white.
        vis_depth: The same.
        ir_valid: Where infrared frames show the scene, unless a frame says so itself: a border that is constant in
            all frames does not. None for everywhere.
        vis_valid: The same.
        colored: Whether any of the visible frames is in color.
        notes: What a user should know.
        details: Numbers of the video.
    """

    settings: FrameSettings
    ir_how: str
    ir_depth: tuple[int, int | None]
    vis_depth: tuple[int, int | None]
    ir_valid: Mask = None
    vis_valid: Mask = None
    colored: bool = False
    notes: tuple[str, ...] = ()
    details: dict[str, str] = dataclasses.field(default_factory=dict)

    def prepare(self, ir: Frame, vis: Frame) -> PreparedPair:
        """A pair of frames prepared for fusing.

        Raises:
            InputError: Sizes differ and `fit` is `error`.
        """
        ir_valid = self.ir_valid if ir.valid is None else ir.valid
        ir_picture = Picture(_one_channel(ir.samples, self.ir_how), *self.ir_depth, valid=ir_valid)
        vis_valid = self.vis_valid if vis.valid is None else vis.valid
        return prepare_pair(ir_picture, Picture(vis.samples, *self.vis_depth, valid=vis_valid), self.settings)

    def _with(self, **settings: object) -> "VideoCalibration":
        return dataclasses.replace(self, settings=dataclasses.replace(self.settings, **settings))


def calibrate_video(pairs: Sequence[tuple[Frame, Frame]], settings: FrameSettings) -> VideoCalibration:
    """Finds ranges, polarity, color map and movement from a few pairs of frames spread over a video.

    Ranges are those of all the pairs' samples together; the other things come from the pair in the middle, the
    polarity from most of them.

    Raises:
        InputError: Sizes differ and `fit` is `error`, or an alignment is not trusted.
        UsageError: Alignment without OpenCV.
    """
    middle = pairs[len(pairs) // 2]
    how, notes = "", []
    if middle[0].samples.ndim == 3:
        scalar = scalar_from_rgb(middle[0].samples / np.float32(_top(middle[0].samples)))
        how = scalar.how
        notes = [f"ir: {scalar.note}"] if how != _GRAY else []  # every gray video comes as RGB
    details: dict[str, str] = {}
    irs, visible = [ir._replace(samples=_one_channel(ir.samples, how)) for ir, _ in pairs], [vis for _, vis in pairs]
    ir_valid, vis_valid = _scene(irs, "ir", notes), _scene(visible, "vis", notes)
    ir_depth, ir_range = _limits(_scene_samples(irs, ir_valid), settings.ir_range, "ir", details, notes)
    vis_depth, vis_range = _limits(_scene_samples(visible, vis_valid), settings.vis_range, "vis", details, notes)
    fixed = dataclasses.replace(
        settings,
        ir_range=ir_range,
        vis_range=vis_range,
        ir_polarity="black" if settings.ir_polarity == "black" else "white",
        align="none",
        check=settings.check and settings.align == "none",
    )
    colored = any(frame.samples.ndim == 3 and shows_color(frame.samples) for frame in visible)
    calibration = VideoCalibration(fixed, how, ir_depth, vis_depth, ir_valid, vis_valid, colored)
    first = calibration.prepare(*middle)
    notes += first.notes
    details |= {name: value for name, value in first.details.items() if name not in details}
    calibration = calibration._with(check=False)
    if settings.ir_polarity == "auto":
        frames = [calibration.prepare(*pair) for pair in pairs]
        guesses = [guess_polarity(frame.ir_unit, frame.luma, frame.valid) for frame in frames]
        details["ir polarity"] = f"skew {np.median([guess.skew for guess in guesses]):.2f}"
        if sum(guess.strong for guess in guesses) > len(guesses) / 2:
            notes.append("ir: looks black-hot and was inverted")
            calibration = calibration._with(ir_polarity="black")
    if settings.align != "none":
        found = align(first.ir_unit, first.luma, settings.align, **first.masks)
        details["alignment"] = f"confidence {found.confidence:.1f}, moved by up to {found.moved:.1f} px, constant"
        before = settings.calibration or _scaling(middle[0].samples, first.ir_unit)
        rows = (np.asarray(found.homography) @ np.array(before)).tolist()
        calibration = calibration._with(calibration=tuple(map(tuple, rows)), fit="error")
    return dataclasses.replace(calibration, notes=tuple(dict.fromkeys(notes)), details=details)


def _scene(frames: list[Frame], name: str, notes: list[str]) -> Mask:
    """Where any of the frames shows the scene, None for everywhere; frames that know it themselves are left alone."""
    if any(frame.valid is not None for frame in frames):
        notes.append(f"{name}: pixels without data are left out")
        return None
    valid = np.zeros(frames[0].samples.shape[:2], bool)
    for frame in frames:
        mask, remarks = scene_mask(frame.samples)
        if mask is None:
            return None
        valid |= mask
    if valid.all():
        return None
    notes += [f"{name}: {remark}" for remark in remarks]
    return valid


def _scene_samples(frames: list[Frame], valid: Mask) -> Samples:
    """Samples of all frames together: whole frames, or where masks leave something out what is left."""
    masks = [valid if frame.valid is None else frame.valid for frame in frames]
    if all(mask is None for mask in masks):
        return np.stack([frame.samples for frame in frames])
    scenes = [frame.samples[... if mask is None else mask] for frame, mask in zip(frames, masks, strict=True)]
    return np.concatenate([scene.reshape(-1, *frames[0].samples.shape[2:]) for scene in scenes])


def _limits(samples, policy: RangePolicy, name: str, details: dict[str, str], notes: list[str]):
    bits, top, remarks = depth(samples)
    low, high, how = limits_of(samples, top, bits, policy)
    details[f"{name} range"] = f"{low:g} to {high:g} ({how}), constant"
    missed = range_misses(Picture(samples, bits, top), policy)
    notes += [f"{name}: {remark}" for remark in (*remarks, *([missed] if missed else []))]
    return (bits, top), RangePolicy("constant", low, high)


def _top(samples: np.ndarray) -> int:
    return int(np.iinfo(samples.dtype).max) if samples.dtype.kind == "u" else 1


def _one_channel(ir: Samples, how: str) -> Samples:
    """Infrared samples as one value per pixel, on the scale and of the type they were stored in."""
    if ir.ndim == 2:
        return ir
    if how == _GRAY and np.array_equal(ir[..., 0], ir[..., 1]) and np.array_equal(ir[..., 1], ir[..., 2]):
        return np.ascontiguousarray(ir[..., 1])  # the luma of equal channels, without computing it
    top = _top(ir)
    values = scalar_as(ir / np.float32(top), how) * np.float32(top)
    return np.rint(values).astype(ir.dtype) if ir.dtype.kind == "u" else values


def _scaling(ir: Samples, resized: np.ndarray) -> np.ndarray:
    """What `resize` did to pixel centers, as a homography."""
    down, right = (new / old for new, old in zip(resized.shape, ir.shape[:2], strict=True))
    return np.array([[right, 0, (right - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]])


_SECONDS = 5.0
_BLOCK = 16  # pixels; means over a block are almost free of noise
_CUT = 0.06  # of the scale: in half of both images' blocks the mean moves by this only where a new shot begins


def steady_params(params: Params) -> Params:
    """The weights without the class-activation score in rule `spatial`, as videos are fused.

    Its small channels weigh noise anew in each frame: blocks of a static, noisy scene jumped by up to 45 gray levels
    with it, by 4 without.
    """
    return with_rule(params, None, {"spatial.class_score": 0.0})


class FlickerControl:
    """Keeps the context of a video's frames steady.

    A rule sets contrasts around the mean of each image, and chooses by the noise it finds, so something bright that
    enters would shift everything else. The context of earlier frames (time constant 5 s) takes the place of each
    frame's own; at a cut it begins anew.

    Args:
        params: Weights.
        rate: Frames per second.
        buckets: As for `fuse`.
    """

    def __init__(self, params: Params, rate: float, buckets: Buckets | None = None):
        self._params, self._buckets = params, buckets
        self._keep = math.exp(-1 / (max(rate, 1e-3) * _SECONDS))
        self._context: Context | None = None
        self._blocks: list[np.ndarray] = []

    def __call__(self, pair: PreparedPair) -> Context:
        """The context by which the next pair is to be fused."""
        ir, luma = _scene_of(pair)
        blocks = [_block_means(image) for image in (pair.ir_unit, pair.luma)]
        moved = [np.median(np.abs(new - old)) for new, old in zip(blocks, self._blocks, strict=False)]
        cut, self._blocks = not moved or min(moved) > _CUT, blocks
        now = jax.tree.map(np.asarray, fusion_context(self._params, ir, luma, buckets=self._buckets))
        if self._context is not None and not cut:
            keep = np.float32(self._keep)
            now = jax.tree.map(lambda old, new: keep * old + (1 - keep) * new, self._context, now)
        self._context = now
        return now


def _scene_of(pair: PreparedPair) -> tuple[np.ndarray, np.ndarray]:
    """Both images within the box that shows the scene; what is left out there has the mean of the rest."""
    if pair.valid is None or not pair.valid.any():
        return pair.ir_unit, pair.luma
    (box,) = ndimage.find_objects(pair.valid.astype(np.uint8))
    valid = pair.valid[box]
    ir, luma = (np.where(valid, image[box], image[box][valid].mean()) for image in (pair.ir_unit, pair.luma))
    return ir, luma


def _block_means(image: np.ndarray) -> np.ndarray:
    size = min(_BLOCK, *image.shape)
    rows, cols = (side // size for side in image.shape)
    bands = image[: rows * size].reshape(rows, size, -1).sum(axis=1, dtype=np.float64)  # rows first: whole vectors
    return bands[:, : cols * size].reshape(rows, cols, size).sum(axis=2) / size**2
