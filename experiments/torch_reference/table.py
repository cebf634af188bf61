"""Rows of the parity table, and their Markdown and JSON."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from camfuse_jax.errors import ResourceError

# Forward: of the absolute difference where a quantity stays below one (images, maps), else of the relative one.
# Gradients: of the relative one, always.
FORWARD, GRADIENT = 1e-5, 1e-4
# Adam divides every gradient by its own size: where one is nearly zero its rounding becomes a whole step, and twenty
# such steps lead apart. The two float64 columns show that either side strays alike.
TRAINED = 1e-3
SHARE = 1e-3
# The tolerances are for the difference of two roundings. Where PyTorch's own is larger than that, no program passes, so
# a row may pass by its distance from float64 instead, up to so many tolerances.
FARTHEST = 10


@dataclasses.dataclass(frozen=True)
class Row:
    """One compared quantity.

    Attributes:
        quantity: What it is.
        size: Shape of the images it was computed from.
        absolute: Largest absolute difference.
        relative: The same over the quantity's largest magnitude.
        allowed: What `judged` may be at most; None where the row is only reported.
        judged: The number held against `allowed`.
        ours_off: Largest difference of camfuse_jax from PyTorch in float64, relative as above.
        theirs_off: The same of PyTorch in float32.
        nudged: The same of PyTorch in float64 after every weight was moved by at most half a rounding step of float32:
            how far the quantity moves if only its input is rounded. Told, not judged.
        note: What else there is to say.
    """

    quantity: str
    size: str
    absolute: float
    relative: float
    allowed: float | None
    judged: float
    ours_off: float | None = None
    theirs_off: float | None = None
    nudged: float | None = None
    note: str = ""

    @property
    def by_exact(self) -> bool:
        """Whether a missed tolerance is rounding alone.

        Float64 decides: camfuse_jax must be as near to it as the tolerance, or nearer than PyTorch in float32. A fault
        on either side puts camfuse_jax far from PyTorch's float64, while PyTorch's float32 stays near it.
        """
        if self.allowed is None or self.ours_off is None or self.theirs_off is None:
            return False
        near = self.ours_off <= max(self.allowed, self.theirs_off)
        return near and self.judged <= FARTHEST * self.allowed

    @property
    def passed(self) -> bool:
        """False where the tolerance is missed by more than rounding, or anything is not a number."""
        return self.allowed is None or self.judged <= self.allowed or self.by_exact

    @property
    def verdict(self) -> str:
        """The same in words."""
        if self.allowed is None:
            return "reported"
        if self.judged <= self.allowed:
            return "ok"
        return "ok by float64" if self.by_exact else "MISSED"


def compare(
    quantity: str,
    size: str,
    ours: Any,
    theirs: Any,
    *,
    allowed: float | None,
    floor: float = 1.0,
    exact: Any = None,
    nudged: Any = None,
) -> Row:
    """Compares arrays, or dictionaries of arrays with the same names, which count as one quantity.

    Args:
        quantity: What it is.
        size: What it was computed from.
        ours: camfuse_jax's.
        theirs: PyTorch's.
        allowed: Largest difference that passes, see `FORWARD`.
        floor: Magnitude below which the absolute difference is judged; 0 for the relative one always.
        exact: PyTorch's in float64.
        nudged: The same, of weights moved by at most half a rounding step of float32.
    """
    absolute, largest, worst = _difference(ours, theirs)
    offs: list[float | None] = [None, None, None]
    for place, side in enumerate((ours, theirs, nudged)):
        if exact is not None and side is not None:
            found, scale, _ = _difference(exact, side)
            offs[place] = found / scale if scale else found
    relative = absolute / largest if largest else absolute
    judged = absolute / floor if largest < floor else relative
    note = f"largest in {worst}" if worst and absolute else ""
    return Row(quantity, size, absolute, relative, allowed, judged, *offs, note=note)


def _difference(ours: Any, theirs: Any) -> tuple[float, float, str]:
    """Largest absolute difference, largest magnitude of the first, and the array in which the difference is."""
    pairs = {name: (ours[name], theirs[name]) for name in ours} if isinstance(ours, Mapping) else {"": (ours, theirs)}
    absolute, largest, worst = 0.0, 0.0, ""
    for name, pair in pairs.items():
        a, b = (np.asarray(x, np.float64) for x in pair)
        if a.shape != b.shape:
            raise ValueError(f"{name}: shapes {a.shape} and {b.shape}.")
        found = float(np.max(np.abs(a - b)))
        largest = max(largest, float(np.max(np.abs(a))))
        if not (found <= absolute or absolute != absolute):  # what is not a number is the largest of all, and stays
            absolute, worst = found, name
    return absolute, largest, worst


def compare_levels(quantity: str, ours: np.ndarray, theirs: np.ndarray) -> Row:
    """Compares 8-bit images: at most one gray level, in at most one pixel of 1,000."""
    levels = np.abs(ours.astype(int) - theirs.astype(int))
    share = float(np.mean(levels > 0))
    judged = share if levels.max() <= 1 else float(levels.max())
    size = "x".join(map(str, ours.shape))
    return Row(
        quantity, size, float(levels.max()), levels.max() / 255, SHARE, judged, note=f"{share:.1e} of pixels differ"
    )


def markdown(rows: Sequence[Row], stamp: Mapping[str, str]) -> str:
    """The table as Markdown."""
    lines = [f"{name}: {value}" for name, value in stamp.items()]
    head = "| quantity | images | largest absolute | largest relative | allowed | | camfuse_jax from float64 | "
    head += "PyTorch from float64 | rounded weights from float64 | |"
    lines = ["  \n".join(lines), "", head, "|---" * 10 + "|"]
    for row in rows:
        allowed = "-" if row.allowed is None else f"{row.allowed:.0e}"
        offs = " | ".join("-" if off is None else f"{off:.1e}" for off in (row.ours_off, row.theirs_off, row.nudged))
        numbers = f"{row.absolute:.1e} | {row.relative:.1e} | {allowed}"
        lines.append(f"| {row.quantity} | {row.size} | {numbers} | {row.verdict} | {offs} | {row.note} |")
    return "\n".join(lines) + "\n"


def write(folder: pathlib.Path, name: str, text: str, values: Any) -> None:
    """Writes NAME.md and NAME.json.

    Raises:
        ResourceError: If they cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.md").write_text(text)
        (folder / f"{name}.json").write_text(json.dumps(values, indent=1) + "\n")
    except OSError as error:
        raise ResourceError(f"The table cannot be written to {folder}: {error}.") from error
