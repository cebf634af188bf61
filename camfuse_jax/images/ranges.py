"""Which stored value becomes black and which white: range policies, all of them monotone."""

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Num

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.images.picture import Picture

_FORMS = "full, minmax, percentile, percentile:LO,HI, fixed:LO,HI (counts, or degrees as in fixed:20C,37C) or auto"
_USUAL = (0.5, 99.5)
_ZERO_CELSIUS = 273.15
_MISSED = 0.001  # a share below: single hot spots
_FILLED = 0.5  # share of the scale that deep data has to span to count as filling it


@dataclasses.dataclass(frozen=True)
class RangePolicy:
    """How samples become [0, 1].

    Attributes:
        kind: `full` takes the whole scale of the detected depth; `minmax` the lowest to the highest sample;
            `percentile` the samples between two percentiles; `fixed` two given values; `auto` is `full` for 8-bit
            data and for deeper data that spans half its scale or more, else `percentile`; `constant` is two values
            that were found for a whole video, which single frames may leave.
        low: Percentile or value that becomes 0.
        high: Percentile or value that becomes 1.
        degrees: Whether the values are degrees Celsius, and the samples must be temperatures.
    """

    kind: Literal["auto", "full", "minmax", "percentile", "fixed", "constant"] = "auto"
    low: float = _USUAL[0]
    high: float = _USUAL[1]
    degrees: bool = False


_CELSIUS: dict[str, Callable[[float], float]] = {
    "C": float,
    "K": lambda kelvin: kelvin - _ZERO_CELSIUS,
    "F": lambda fahrenheit: (fahrenheit - 32) / 1.8,
}


def parse_policy(text: str, *, option: str) -> RangePolicy:
    """Reads `full`, `minmax`, `percentile[:LO,HI]`, `fixed:LO,HI` or `auto`; fixed values may end in C, K or F.

    Args:
        text: What the user wrote.
        option: The option's name, for the error.

    Raises:
        UsageError: It is none of these, or LO is not below HI.
    """
    kind, separator, numbers = text.partition(":")
    if not separator and kind in ("auto", "full", "minmax", "percentile"):
        return RangePolicy(kind)
    if kind not in ("percentile", "fixed"):
        raise UsageError(f"{option} {text} is not a range.", f"Write {_FORMS}.")
    unit = (
        re.fullmatch(r"\s*[^,CKF]+([CKF]),[^,CKF]+\1\s*", numbers.upper().replace("°", "")) if kind == "fixed" else None
    )
    try:
        low, high = (float(number.strip().rstrip("CKFckf°") if unit else number) for number in numbers.split(","))
    except ValueError as error:
        raise UsageError(f"{option} {text} does not hold two numbers.", f"Write {_FORMS}.") from error
    if unit:
        low, high = _CELSIUS[unit[1]](low), _CELSIUS[unit[1]](high)
    fits = low < high and math.isfinite(low) and math.isfinite(high)
    if not fits or (kind == "percentile" and (low < 0 or high > 100)):
        raise UsageError(f"{option} {text}: LO must lie below HI, percentiles from 0 to 100.", f"Write {_FORMS}.")
    return RangePolicy(kind, low, high, degrees=unit is not None)


def limits_of(
    samples: Num[np.ndarray, "*shape"],
    top: int | None,
    bits: int,
    policy: RangePolicy,
    valid: Bool[np.ndarray, "..."] | None = None,
) -> tuple[float, float, str]:
    """The values that become 0 and 1, and how they were found.

    For a sequence call it once and keep the two values: limits of each frame for itself make a video flicker.

    Args:
        samples: Stored values.
        top: White of the detected depth, None for float.
        bits: As in `Picture`.
        policy: What to do.
        valid: Which samples count; None for all.

    Raises:
        InputError: The policy is in degrees, and the samples are no temperatures.
    """
    samples = samples if valid is None else samples[valid]
    kind, low, high = policy.kind, policy.low, policy.high
    if kind == "auto":
        kind, (low, high) = _automatic(samples, top, bits), _USUAL
    if kind == "full":
        white = top if top is not None else _white(samples)
        return (0.0, float(white), "full scale") if white else limits_of(samples, top, bits, RangePolicy("minmax"))
    if kind in ("fixed", "constant"):
        return _fixed(samples, top, policy)
    if kind == "percentile":
        a, b = (float(value) for value in np.percentile(samples, (low, high)))
        if a < b:
            return a, b, f"percentiles {low:g} and {high:g}"
        kind = "minmax"  # nearly all samples are alike: what differs lies outside the percentiles
    return float(samples.min()), float(samples.max()), "lowest and highest value"


def _fixed(samples: np.ndarray, top: int | None, policy: RangePolicy) -> tuple[float, float, str]:
    low, high = policy.low, policy.high
    if policy.degrees and top is not None:
        raise InputError(
            "A range in degrees needs temperatures, but the file holds counts or gray levels.",
            "Give fixed:LO,HI in counts. The temperatures inside a radiometric JPEG need the extra radiometric "
            "(FLIR) or radiometric-dji (DJI).",
        )
    kelvin = low + _ZERO_CELSIUS, high + _ZERO_CELSIUS
    if policy.degrees and not _inside(samples, low, high) and _inside(samples, *kelvin):
        return *kelvin, "fixed, samples in kelvin"
    return low, high, "fixed"


def _inside(samples: np.ndarray, low: float, high: float) -> bool:
    return bool(np.any((samples >= low) & (samples <= high)))


def range_misses(picture: Picture, policy: RangePolicy) -> str:
    """What share of a picture a fixed range misses, as a note; empty where it misses next to nothing.

    Raises:
        InputError: It misses every pixel, so that nothing would be left of the picture.
    """
    if policy.kind != "fixed":
        return ""
    low, high, _ = limits_of(picture.samples, picture.top, picture.bits, policy, picture.valid)
    samples = picture.samples if picture.valid is None else picture.samples[picture.valid]
    below, above = float(np.mean(samples < low)), float(np.mean(samples > high))
    if below + above >= 1:
        raise InputError(
            f"Every pixel lies outside the range {low:g} to {high:g}: the samples go from {samples.min():g} to "
            f"{samples.max():g}.",
            "Give the range in the samples' own unit, or take auto.",
        )
    if below + above < _MISSED:
        return ""
    return f"{below + above:.1%} of the pixels lie outside {low:g} to {high:g} ({below:.1%} below, {above:.1%} above)"


def scale_to_unit(samples: Num[np.ndarray, "*shape"], low: float, high: float) -> Float[np.ndarray, "*shape"]:
    """Straight line from `low` at 0 to `high` at 1, cut off beyond: float32, never decreasing in the samples.

    Where `low` and `high` are one value (an image of a single level) everything becomes 0.
    """
    if not low < high:
        return np.zeros(samples.shape, np.float32)

    def scaled(band: np.ndarray) -> np.ndarray:
        return np.clip((band.astype(np.float64) - low) / (high - low), 0, 1).astype(np.float32)

    return by_rows(scaled, samples) if samples.ndim > 1 else scaled(samples)


def unit_samples(picture: Picture, policy: RangePolicy) -> tuple[Float[np.ndarray, "h w *c"], str]:
    """A picture's samples in [0, 1] and one phrase on how.

    Color is scaled by one line for all three channels, so that hues stay.
    """
    low, high, how = limits_of(picture.samples, picture.top, picture.bits, policy, picture.valid)
    return scale_to_unit(picture.samples, low, high), f"{low:g} to {high:g} ({how})"


def _white(samples: np.ndarray) -> float | None:
    """Full scale of float data: 1, 255 or 65535, whichever holds it; None where none does (degrees, negatives)."""
    fitting = [white for white in (1.0, 255.0, 65535.0) if samples.min() >= 0 and samples.max() <= white]
    return fitting[0] if fitting else None


def _automatic(samples: np.ndarray, top: int | None, bits: int) -> str:
    if bits <= 8:
        return "full"
    if top is None:
        return "full" if samples.min() >= 0 and 0.5 < samples.max() <= 1 else "percentile"
    low, high = np.percentile(samples, _USUAL)
    return "full" if high - low >= _FILLED * top else "percentile"


_PIXELS = 2**20


def by_rows(function: Callable[..., np.ndarray], *arrays: np.ndarray) -> np.ndarray:
    """Calls a function on bands of rows and puts the results together: no large image in float64 is held.

    Args:
        function: Treats each pixel for itself.
        arrays: Of the same height; small ones are given as they are.
    """
    height, row = len(arrays[0]), arrays[0].size // max(len(arrays[0]), 1)
    step = max(1, _PIXELS // max(row, 1))
    if step >= height:
        return function(*arrays)
    result = np.empty(0)
    for start in range(0, height, step):
        band = function(*(array[start : start + step] for array in arrays))
        if start == 0:
            result = np.empty((height, *band.shape[1:]), band.dtype)
        result[start : start + step] = band
    return result
