"""What a trial found: counts for a table, and every failure in words."""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass
class Outcome:
    """One row.

    Attributes:
        name: What was tried.
        tried: How often.
        failures: What went wrong, one line each; empty is good.
        notes: Other figures, by name.
    """

    name: str
    tried: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)
    notes: dict[str, object] = dataclasses.field(default_factory=dict)

    def check(self, good: bool, what: str) -> None:
        """Counts a trial, and keeps what failed."""
        self.tried += 1
        if not good:
            self.failures.append(what)

    def count(self, note: str, more: int = 1) -> None:
        """Adds to a count among the notes."""
        self.notes[note] = int(self.notes.get(note, 0)) + more  # type: ignore[call-overload]


def table(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as a Markdown table."""
    lines = ["| what | tried | failed | figures |", "|---|---|---|---|"]
    for outcome in outcomes:
        notes = ", ".join(f"{name} {value}" for name, value in outcome.notes.items())
        lines.append(f"| {outcome.name} | {outcome.tried} | {len(outcome.failures)} | {notes} |")
    return "\n".join(lines)
