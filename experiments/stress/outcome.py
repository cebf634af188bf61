"""What a trial found, what a process holds, and mutations of a file's bytes."""

import contextlib
import dataclasses
import pathlib
import random
import resource
from collections.abc import Callable, Iterator, Sequence

import jax


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


_COMPILED = "/jax/core/compile/backend_compile_duration"


def resident_mebibytes() -> float:
    """Memory that is resident now, in MiB (Linux)."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


@contextlib.contextmanager
def compilations() -> Iterator[list[str]]:
    """Gives a list that grows by one entry with every program that is compiled inside the block."""
    seen: list[str] = []
    inside = [True]

    def listen(name: str, seconds: float, **_: object) -> None:
        if inside[0] and name == _COMPILED:
            seen.append(f"{seconds:.2f} s")

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield seen
    finally:
        inside[0] = False


_EXTREMES = [bytes.fromhex(text) for text in ("00000000", "ffffffff", "7fffffff", "80000000", "ffff", "00", "ff", "01")]
_WORDS = [
    b"null",
    b"1e999",
    b"-1",
    b"NaN",
    b"[]",
    b"{}",
    b'""',
    b"[" * 3000,
    b'{"a":' * 3000,
    b"9" * 5000,
    b"\x00",
    b"\xff",
]
_WORDS += [b"../../x", b"true", b"0.5", b"\\ud800", b'"__reduce__"']


def mutate(content: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Changes a file at one to three places, as bad disks, cut downloads and ill will do.

    Args:
        content: The whole file.
        others: Files to splice with.
        rng: Kind and place of the changes.
    """
    for _ in range(rng.choice((1, 1, 2, 3))):
        content = rng.choice(_WAYS)(content, others, rng)
    return content


def _flip(content: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 2, 8)) if content else 0):
        bit = rng.randrange(8 * len(content))
        changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _flip_head(content: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    return _flip(content[:64], others, rng) + content[64:]


def _cut(content: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    return content[: len(content) * rng.randrange(100) // 100]


def _block(content: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + rng.choice((1, 4, 16, 200)))


def _zero(content: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    start, end = _block(content, rng)
    return content[:start] + bytes(end - start) + content[end:]


def _delete(content: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    start, end = _block(content, rng)
    return content[:start] + content[end:]


def _repeat(content: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    start, end = _block(content, rng)
    return content[:end] + content[start:end] * rng.choice((1, 50)) + content[end:]


def _extreme(content: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    start, value = rng.randrange(len(content) + 1), rng.choice(_EXTREMES)
    return content[:start] + value + content[start + len(value) :]


def _word(content: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    start, end = _block(content, rng)
    return content[:start] + rng.choice(_WORDS) + content[end:]


def _splice(content: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    other = rng.choice(others)
    return content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other) + 1) :]


_Way = Callable[[bytes, Sequence[bytes], random.Random], bytes]
_WAYS: list[_Way] = [_flip, _flip, _flip_head, _cut, _zero, _delete, _repeat, _extreme, _extreme, _word, _splice]
