"""Every setting of a run as frozen dataclasses, with a JSON round trip, and the named presets."""

import dataclasses
import enum
import json
import math
import typing
from collections.abc import Callable
from typing import Any, Literal

from camfuse_jax.errors import UsageError

_T = typing.TypeVar("_T")
Backend = Literal["jax", "onnxruntime", "openvino"]
Rule = Literal["spatial", "eq5", "eq5-pooled", "eq5-contribution", "unit_sum", "l1", "mean", "add", "max"]
NamedRule = Literal[Rule, "place", "adaptive"]
"""A rule as a user may name it: two have older names."""
RULE_NAMES: dict[str, Rule] = {"place": "spatial", "adaptive": "eq5-contribution"}
LOOKS = {"natural": 0.0, "contrast": 1.0}


class Modality(enum.IntEnum):
    """Row of the class weights and column of the classifier's output."""

    IR = 0
    VIS = 1


_ADDED = {"added": True}
"""Metadata of settings that came later: at their default they are no part of what older checkpoints were made with."""


def _require(fits: bool, name: str, value: Any, wanted: str) -> None:
    if not fits:
        raise UsageError(f"{name} is {value}.", f"It must be {wanted}.")


@dataclasses.dataclass(frozen=True)
class NetConfig:
    """Shape of the three networks.

    Attributes:
        kind: `deep`, the paper's five convolutions each way; `shallow`, one linear convolution each way, which takes a
            fifteenth of the time (docs/bench.md) and reads only the last of `encoder_widths`.
        encoder_widths: Channels of the encoder's five layers; the last is k.
        decoder_widths: Channels of the decoder's four 3x3 layers.
        phase_bias: One bias per pixel parity after an upsampling; False is the paper's plain convolution.
        margin: Pixels by which images are continued on each side before encoding; 0 is the paper's.
        init: `lapped` starts the auto-encoder as a lapped frequency transform and its inverse (`nets.lapped`);
            `he` is the usual random start.
        branches: Parallel depthwise branches per classifier layer.
        strides: Step of each of the classifier's layers.
    """

    kind: Literal["deep", "shallow"] = dataclasses.field(default="deep", metadata=_ADDED)
    encoder_widths: tuple[int, ...] = (16, 32, 64, 128, 128)
    decoder_widths: tuple[int, ...] = (128, 64, 32, 16)
    phase_bias: bool = True
    margin: int = 4
    init: Literal["lapped", "he"] = "lapped"
    branches: int = 4
    strides: tuple[int, ...] = (1, 2, 1, 2, 1, 2)

    def __post_init__(self) -> None:
        for name, count in (("encoder_widths", 5), ("decoder_widths", 4)):
            widths = getattr(self, name)
            _require(len(widths) == count and min(widths) > 0, f"net.{name}", widths, f"{count} positive numbers")
        _require(0 <= self.margin <= 64 and self.margin % 4 == 0, "net.margin", self.margin, "0, 4, 8, ... up to 64")
        _require(0 < self.branches <= 64, "net.branches", self.branches, "from 1 to 64")
        steps_fit = 0 < len(self.strides) <= 16 and all(1 <= stride <= 8 for stride in self.strides)
        _require(steps_fit, "net.strides", self.strides, "1 to 16 numbers from 1 to 8")


@dataclasses.dataclass(frozen=True)
class SpatialConfig:
    """Settings of rule `spatial` (docs/method.md). A pair is (natural, contrast); `look` goes from one to the other.

    Attributes:
        look: 0 keeps the visible image's tone and shows infrared where it matters, 1 adds the contrasts of both.
        base_sigma: Gaussian that parts base from detail, standard deviation in pixels.
        activity_sigma: Blur of the activity level, in pixels.
        sharpness: Power of the activity levels; 0 averages, more chooses more sharply.
        class_score: Weight of the class-activation score in the log-odds of the detail; 0 leaves it out.
        saliency: Log-odds that a warm target adds for the infrared image; 0 leaves it out.
        warm_levels: Gray levels above the surroundings at which a target counts by half.
        warm_base: Share of a warm target's base that is lifted to the infrared image's, 0 to 1.
        base_gain: Contrast of the base; 1 averages both images' contrasts, 2 adds them.
        visible_tone: Share of the base that is the visible image's own.
        bright_tone: The same where the visible image is bright and the infrared one cold: skies stay light.
        visible_mean: Share of the mean brightness that is the visible image's, 0 for the sources' mean.
        base_bound: Share taken back of what leaves the span of both bases.
        detail_gain: Factor on the detail.
        bound: Share taken back of what leaves the span of both images around a pixel.
        knee: Gray levels at either end in which what no image has is compressed softly.
        denoise: Strength of the suppression of noise, 0 to 1.
    """

    look: float = 1.0
    base_sigma: float = 16.0
    activity_sigma: float = 8.0
    sharpness: float = 8.0
    class_score: float = 0.4
    saliency: float = 9.0
    warm_levels: float = 30.0
    warm_base: tuple[float, float] = (0.5, 0.3)
    base_gain: tuple[float, float] = (1.15, 2.0)
    visible_tone: tuple[float, float] = (0.1, 0.0)
    bright_tone: tuple[float, float] = (0.7, 0.0)
    visible_mean: tuple[float, float] = (0.5, 0.0)
    base_bound: float = 0.5
    detail_gain: tuple[float, float] = (0.93, 1.3)
    bound: tuple[float, float] = (0.7, 0.0)
    knee: float = 20.0
    denoise: float = 1.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, top = getattr(self, field.name), 64.0 if field.name in _WIDE else 16.0
            fits = all(math.isfinite(x) and 0 <= x <= top for x in (value if isinstance(value, tuple) else (value,)))
            _require(fits, f"fusion.spatial.{field.name}", value, f"from 0 to {top:g}")
        _require(self.look <= 1, "fusion.spatial.look", self.look, "from 0 (natural) to 1 (contrast)")


_WIDE = ("base_sigma", "warm_levels", "knee")


@dataclasses.dataclass(frozen=True)
class FusionConfig:
    """How two images become one (`fusion.rules`, `fusion.spatial`).

    Attributes:
        rule: `spatial`: features decide where each image shows, and pixels are blended. `eq5`: the paper's sum of
            features times channel weights, from the rows of the classifier's head. `eq5-pooled`: the same with W_c the
            pooled last maps of each image. `eq5-contribution`: with each channel's contribution to its image's logit.
            `unit_sum`: both weights of a channel scaled to sum to `gain`. `l1`: DenseFuse's l1-norm strategy. `mean`,
            `add`, `max`: of the features, without any weights.
        gain: Rules eq5, its readings and unit_sum: factor on the weights.
        brightness: Rules that are decoded: `sum` leaves brightness to the rule; `kept` applies the rule to what differs
            from each image's mean and adds the sources' average mean.
        spatial: Settings of rule spatial.
    """

    rule: Rule = "spatial"
    gain: float = 1.0
    brightness: Literal["sum", "kept"] = "sum"
    spatial: SpatialConfig = SpatialConfig()

    def __post_init__(self) -> None:
        _require(0 <= self.gain <= 8, "fusion.gain", self.gain, "from 0 to 8")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Settings common to both training stages.

    Attributes:
        epochs: Passes over the data.
        batch_size: Images per step over all devices together.
        steps_per_epoch: Steps that count as one epoch; 0 means one pass over the source.
        crop: Height and width of a training patch in pixels.
        learning_rate: Peak learning rate of Adam.
        schedule: `constant`, or `onecycle`: linear rise, then cosine fall to nearly zero.
        warmup: Share of the steps in which `onecycle` rises.
        clip: Largest global norm of a gradient; 0 leaves gradients as they are.
        dtype: Type of the arithmetic inside the networks; parameters and losses stay float32.
        log_every: Steps between two lines of metrics.
        checkpoint_every: Steps between two checkpoints.
    """

    epochs: int = 30
    batch_size: int = 16
    steps_per_epoch: int = 0
    crop: int = 256
    learning_rate: float = 1e-3
    schedule: Literal["constant", "onecycle"] = "onecycle"
    warmup: float = 0.1
    clip: float = 0.0
    dtype: Literal["float32", "bfloat16"] = "float32"
    log_every: int = 50
    checkpoint_every: int = 500

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "crop", "log_every", "checkpoint_every"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "1 or more")
        _require(self.steps_per_epoch >= 0, "steps_per_epoch", self.steps_per_epoch, "0 or more")
        rate = self.learning_rate
        _require(math.isfinite(rate) and rate > 0, "learning_rate", rate, "a positive number")
        _require(0 <= self.warmup <= 1, "warmup", self.warmup, "from 0 to 1")
        _require(self.clip >= 0, "clip", self.clip, "0 or more")


@dataclasses.dataclass(frozen=True)
class AutoencoderConfig(TrainConfig):
    """Stage `ae`.

    Attributes:
        ssim_weight: Lambda of Eq. 7.
        photos: Most photographs to use; 0 means all.
        pair_images: Also train on the pairs' own training images (both data sets, `train` lists only).
        mixtures: Share of a batch whose features are mixed as well: a E(x) + (1 - a) E(y) is to decode to
            a x + (1 - a) y, so that weighted sums of features mean sums of images.
        channel_gains: Share of a batch whose features are also multiplied by random gains per channel: whatever image
            comes out, that of a shifted input is to be the same image, shifted.
    """

    ssim_weight: float = 100.0
    photos: int = 0
    pair_images: bool = True
    mixtures: float = dataclasses.field(default=0.0, metadata=_ADDED)
    channel_gains: float = dataclasses.field(default=0.0, metadata=_ADDED)

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.crop >= 11, "ae.crop", self.crop, "11 or more, the window of SSIM")
        _require(self.photos >= 0, "ae.photos", self.photos, "0 or more")
        for name in ("mixtures", "channel_gains"):
            _require(0 <= getattr(self, name) <= 0.5, f"ae.{name}", getattr(self, name), "from 0 to 0.5")
        _require(0 <= self.ssim_weight < math.inf, "ae.ssim_weight", self.ssim_weight, "0 or more")


@dataclasses.dataclass(frozen=True)
class ClassifierConfig(TrainConfig):
    """Stage `cls`.

    Attributes:
        stride: Step of the sliding window that cuts patches of `crop` pixels.
        distance_weight: Alpha of Eq. 10 once it acts.
        distance_from_epoch: First epoch (counted from 0) in which alpha acts.
        augment: Vary brightness, contrast, gamma and noise of the patches as real sensors do.
        strip: Take from each image what gives its sensor away: random gains of its frequency bands, blur, noise and
            brightness, so that the class weights have to rest on something else.
        start: How the depthwise layers begin: `mean`, as local means (`nets.averaging_start`); `he`, at random.
        channel_size: Start with every channel's pooled value at this on average (`nets.equalize`); 0 leaves the
            random start as it is. The larger it is, the smaller are the class weights that decide alike.
        weight_rms: Root mean square to which the trained class weights are scaled without changing the classifier
            (`nets.rescale_head`); 0 leaves them as training did.
    """

    stride: int = 64
    distance_weight: float = 3.0
    distance_from_epoch: int = 20
    augment: bool = True
    strip: bool = dataclasses.field(default=False, metadata=_ADDED)
    start: Literal["mean", "he"] = "mean"
    channel_size: float = 8.0
    weight_rms: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.stride > 0, "cls.stride", self.stride, "1 or more")
        for name in ("distance_weight", "distance_from_epoch", "channel_size", "weight_rms"):
            _require(0 <= getattr(self, name) < math.inf, f"cls.{name}", getattr(self, name), "0 or more")


@dataclasses.dataclass(frozen=True)
class Config:
    """A whole run; `seed` is that of initial weights, order and augmentation."""

    net: NetConfig = NetConfig()
    ae: AutoencoderConfig = AutoencoderConfig()
    cls: ClassifierConfig = ClassifierConfig()
    fusion: FusionConfig = FusionConfig()
    seed: int = 0

    def __post_init__(self) -> None:
        _require(0 <= self.seed < 2**32, "seed", self.seed, "from 0 to 4294967295")


def recipe(config: Any) -> dict[str, Any]:
    """What trained weights depend on: settings without the intervals of reports and checkpoints.

    Settings that were added later and are at their default are left out, so that older checkpoints still agree.
    """
    values = dataclasses.asdict(config)
    for field in dataclasses.fields(config):
        later = field.metadata.get("added") and values[field.name] == field.default
        if later or field.name in ("log_every", "checkpoint_every"):
            del values[field.name]
    return values


def to_json(config: Any) -> str:
    """Writes a config dataclass as JSON text."""
    return json.dumps(dataclasses.asdict(config), indent=2)


def from_json(cls: type[_T], text: str) -> _T:
    """Reads what `to_json` wrote; UsageError for unknown names and choices, wrong types and what is no JSON object."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{cls.__name__} is not readable as JSON: {error}.") from error
    return _build(cls, values, cls.__name__)


def _build(cls: type, values: Any, where: str) -> Any:
    if cls is FusionConfig and isinstance(values, dict):
        values = _renamed(values)
    if not isinstance(values, dict):
        raise UsageError(f"{where} must be an object with named fields, got {type(values).__name__}.")
    fields = {f.name: f for f in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise UsageError(f"{where} has no field {', '.join(unknown)}.", f"Fields are: {', '.join(fields)}.")
    types = typing.get_type_hints(cls)
    return cls(**{name: _value(types[name], value, f"{where}.{name}") for name, value in values.items()})


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    """A fusion config of before rule `spatial`: two rules had other names, and rule `place` settings of its own."""
    values = {name: value for name, value in values.items() if name not in _OF_PLACE}
    rule = values.get("rule")
    return {**values, "rule": RULE_NAMES[rule]} if isinstance(rule, str) and rule in RULE_NAMES else values


def _value(kind: Any, value: Any, where: str) -> Any:
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _build(kind, value, where)
    origin = typing.get_origin(kind)
    if origin is tuple and isinstance(value, list):
        return tuple(value)
    fits = value in typing.get_args(kind) if origin is Literal else isinstance(value, _ACCEPTED.get(kind, object))
    if not fits or (isinstance(value, bool) and kind is not bool) or (origin is tuple):
        raise UsageError(f"{where} cannot be {value!r}.", f"It is of type {kind}.")
    return value


_OF_PLACE = ("base_cells", "place_cells", "sharpness", "evidence", "base_gain", "detail_gain", "level")
_ACCEPTED = {int: int, float: (int, float), bool: bool, str: str}


# Named configs. Each says where its numbers come from, how to run it, what it costs and what to expect of it.


def default() -> Config:
    """The recipe of the shipped weights.

    Source: docs/method.md: lapped start, phase bias, one-cycle learning rate. Alpha is a tenth of the printed 3, which
    in a trial brought the classifier down to chance.
    Command: `python experiments/run.py --stage all --preset default --dataset tno --workdir runs/default`.
    Cost on two threads without a GPU, beside other work: auto-encoder 693 steps, 27 minutes (less than half of it on a
    quiet machine); each classifier 750 steps, 4 minutes. Expected scores: `camfuse_jax/weights/cards.json`.
    """
    return Config(
        ae=AutoencoderConfig(epochs=1, batch_size=16, crop=96, learning_rate=1e-4, clip=1.0),
        cls=ClassifierConfig(
            epochs=30, batch_size=16, steps_per_epoch=25, crop=128, learning_rate=2e-3, clip=1.0, distance_weight=0.3
        ),
    )


def paper() -> Config:
    """As printed in the paper: plain convolutions, random start, Adam at 1e-6, batch 16, 30 epochs.

    Source: section 3.1; what it leaves out is as elsewhere: the head starts at zero, windows are mirrored every other
    time. The printed learning rate moves a weight by at most 0.015 in the auto-encoder's 15,000 steps, so neither the
    auto-encoder nor the class weights get far from their start.
    Command: `python experiments/run.py --stage all --preset paper --dataset tno --workdir runs/paper`.
    Cost: 15,000 steps of sixteen 256 x 256 images for the auto-encoder: days on two cores, an hour on a GPU.
    """
    return Config(
        net=NetConfig(phase_bias=False, margin=0, init="he"),
        ae=AutoencoderConfig(
            epochs=30, batch_size=16, crop=256, learning_rate=1e-6, schedule="constant", pair_images=False
        ),
        cls=ClassifierConfig(
            epochs=30,
            batch_size=16,
            crop=256,
            learning_rate=1e-6,
            schedule="constant",
            augment=False,
            start="he",
            channel_size=0.0,
            weight_rms=0.0,
        ),
        fusion=FusionConfig(rule="eq5"),
    )


def fast() -> Config:
    """The shallow network of the weights `fast`: the lapped start, trained a little.

    Command: `python experiments/run.py --stage ae --preset fast --workdir runs/fast`, then `--stage cls`.
    """
    return Config(net=NetConfig(kind="shallow"), ae=AutoencoderConfig(steps_per_epoch=200, learning_rate=1e-5))


def learned() -> Config:
    """The paper's network with features that are learned: random start, plain convolutions, no phase bias.

    Source: the paper's section 3.1 but for the learning rate, at which nothing is learned, and the margin. A quarter of
    each batch is also decoded from mixed features, because fusion decodes weighted sums of features.
    Command: `python experiments/run.py --stage ae --preset learned --dataset tno --workdir runs/learned`.
    Cost: 15,000 steps of sixteen 96-pixel crops: about two hours on two cores, minutes on a GPU; resumable. The weights
    `paper-tno` and `paper-roadscene` took less: `--ae.steps-per-epoch 9000 --ae.crop 64`, 35 minutes.
    """
    printed = paper()
    return dataclasses.replace(
        printed,
        net=dataclasses.replace(printed.net, margin=4),
        ae=dataclasses.replace(
            default().ae, steps_per_epoch=15_000, learning_rate=1e-3, pair_images=False, mixtures=0.25
        ),
        cls=default().cls,
    )


def tiny() -> Config:
    """A smoke run of every stage on synthetic pairs, in under two minutes on two cores; no data needed.

    Command: `python experiments/run.py --stage all --preset tiny --workdir runs/tiny`.
    """
    return Config(
        ae=AutoencoderConfig(
            epochs=1, steps_per_epoch=20, batch_size=4, crop=32, learning_rate=2e-5, log_every=5, checkpoint_every=10
        ),
        cls=ClassifierConfig(
            steps_per_epoch=2, batch_size=4, crop=64, stride=32, learning_rate=3e-3, log_every=10, checkpoint_every=20
        ),
    )


def ablation() -> Config:
    """The retrained rows of stage `ablate`: `default`'s classifier, shorter, because there are eighteen of them.

    Command: `python experiments/run.py --stage ablate --preset ablation --dataset tno --weights tno`.
    """
    config = default()
    return dataclasses.replace(config, cls=dataclasses.replace(config.cls, steps_per_epoch=10, batch_size=8, crop=96))


def reproduction() -> Config:
    """The table of docs/reproduction.md; heads that it trains are trained as `ablation` does.

    Command: `python experiments/run.py --stage ablate --preset reproduction --dataset tno --weights LEARNED`, where
    LEARNED is a file with learned features; it may be left out.
    """
    return ablation()


PRESETS: dict[str, Callable[[], Config]] = {
    "default": default,
    "paper": paper,
    "fast": fast,
    "learned": learned,
    "ablation": ablation,
    "reproduction": reproduction,
    "tiny": tiny,
}
