"""What a browser asks for: two files and settings, as a form's fields, checked."""

import dataclasses
import unicodedata
from collections.abc import Mapping

from camfuse_jax.errors import UsageError
from camfuse_jax.frames import FrameSettings
from camfuse_jax.fusion.balance import MAX_GAIN
from camfuse_jax.images.ranges import parse_policy

_NAME_LENGTH = 80
_CHOICES = {"ir_polarity": ("white", "black", "auto"), "fit": ("error", "ir", "vis"), "bits": ("auto", "8", "16")}
FIELDS = frozenset({"ir_gain", "vis_gain", "ir_range", "gray", "maps", *_CHOICES})
"""Names of the fields that are not files."""


@dataclasses.dataclass(frozen=True)
class Upload:
    """A file as a browser sends it.

    Attributes:
        role: infrared or visible.
        name: What to call it; shown to people only, never the name of a file here.
        content: Its bytes.
    """

    role: str
    name: str
    content: bytes

    def __str__(self) -> str:
        return f"{self.name} ({self.role})"


@dataclasses.dataclass(frozen=True)
class Wish:
    """One fusion.

    Attributes:
        ir: Infrared file.
        vis: Visible file.
        frame: How the pair is treated.
        ir_gain: Balance, see `fusion.balanced`.
        vis_gain: Balance.
        maps: Also send what does not depend on the balance: sources as they were read, and heat maps.
    """

    ir: Upload
    vis: Upload
    frame: FrameSettings
    ir_gain: float = 1.0
    vis_gain: float = 1.0
    maps: bool = True


def make_wish(ir: Upload, vis: Upload, fields: Mapping[str, str]) -> Wish:
    """Reads a form's fields; those that are absent have the values they have on the command line.

    Raises:
        UsageError: A field is unknown or its value cannot be.
    """
    unknown = sorted(fields.keys() - FIELDS)
    if unknown:
        raise UsageError(f"There is no setting {', '.join(map(_plain, unknown))}.")
    chosen = {name: _choice(fields, name, values) for name, values in _CHOICES.items()}
    frame = FrameSettings(
        ir_range=parse_policy(fields.get("ir_range", "auto"), option="ir_range"),
        gray=_switch(fields, "gray", "0"),
        **chosen,
    )
    gains = {name: _gain(fields, name) for name in ("ir_gain", "vis_gain")}
    return Wish(ir, vis, frame, maps=_switch(fields, "maps", "1"), **gains)


def shown_name(name: str | None) -> str:
    """A file's name as it is told to people: without folders and control characters, and not too long."""
    return _plain((name or "").replace("\\", "/").rpartition("/")[2]) or "image"


def _plain(text: str) -> str:
    kept = "".join(letter for letter in text if unicodedata.category(letter)[0] not in "CZ" or letter == " ")
    return kept if len(kept) <= _NAME_LENGTH else f"{kept[: _NAME_LENGTH - 1]}…"


def _choice(fields: Mapping[str, str], name: str, values: tuple[str, ...]) -> str:
    value = fields.get(name, values[0])
    if value not in values:
        raise UsageError(f"{name} is {_plain(value)!r}.", f"Give one of {', '.join(values)}.")
    return value


def _switch(fields: Mapping[str, str], name: str, default: str) -> bool:
    value = fields.get(name, default)
    if value not in ("0", "1"):
        raise UsageError(f"{name} is {_plain(value)!r}.", "Give 0 or 1.")
    return value == "1"


def _gain(fields: Mapping[str, str], name: str) -> float:
    try:
        return float(fields.get(name, "1"))  # `fusion.balanced` checks the number
    except ValueError as error:
        raise UsageError(f"{name} is {_plain(fields[name])!r}.", f"Give a number from 0 to {MAX_GAIN:g}.") from error
