"""A folder of numbered pictures as a video of a given rate."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from camfuse_jax.errors import InputError
from camfuse_jax.images import READABLE_SUFFIXES, Limits, picture_size, read_picture
from camfuse_jax.video.frame import Facts, Frame

_DIGITS = re.compile(r"(\d+)")


class SequenceReader:
    """The pictures of a folder in order of their names, numbers by value: frame_2 before frame_10.

    Args:
        folder: Holds the pictures.
        rate: Frames per second.
        limits: What is read at most.

    Raises:
        InputError: The folder holds no pictures, or the first cannot be read.
    """

    def __init__(self, folder: Path, *, rate: float, limits: Limits):
        files = (path for path in folder.iterdir() if path.suffix.lower() in READABLE_SUFFIXES)
        self._files = sorted((path for path in files if not path.name.startswith(".")), key=_by_number)
        if not self._files:
            raise InputError(f"{folder} holds no pictures.", "Give a folder of numbered frames, or a video file.")
        self._limits = limits
        size = picture_size(self._files[0], limits)
        self.facts = Facts(str(folder), rate, len(self._files) / rate, size)

    def frames(self) -> Iterator[Frame]:
        """See `Reader.frames`.

        Raises:
            InputError: A picture cannot be read or has another size.
        """
        yield from map(self._frame, range(len(self._files)))

    def near(self, times: Sequence[float]) -> list[Frame]:
        """See `Reader.near`."""
        wanted = (min(max(round(time * self.facts.rate), 0), len(self._files) - 1) for time in times)
        return [self._frame(index) for index in wanted]

    def times(self) -> list[float]:
        """See `Reader.times`."""
        return [index / self.facts.rate for index in range(len(self._files))]

    def _frame(self, index: int) -> Frame:
        picture = read_picture(self._files[index], self._limits)
        if picture.size != self.facts.size:
            height, width = self.facts.size
            raise InputError(
                f"{self._files[index]} has {picture.size[1]} x {picture.size[0]} pixels, the first {width} x {height}.",
                "Frames of a sequence must have one size.",
            )
        return Frame(index / self.facts.rate, picture.samples)


def _by_number(path: Path) -> list[tuple[int, int, str]]:
    parts = _DIGITS.split(path.name)
    return [(int(part.isdecimal()), int(part) if part.isdecimal() else 0, part) for part in parts]
