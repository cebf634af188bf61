"""Random access to images: the one interface between stored data and the loader."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from camfuse_jax.data.pairs import Pair
from camfuse_jax.errors import InputError
from camfuse_jax.images.read import read_gray

GrayImage = UInt8[np.ndarray, "h w"]


@runtime_checkable
class Source(Protocol):
    """Gray images by number. Indexing is safe from several threads; images may differ in size."""

    def __len__(self) -> int:
        """Number of images."""
        ...

    def __getitem__(self, index: int) -> GrayImage:
        """Image number `index` (0 to len - 1), uint8 (h, w); read it, do not write to it."""
        ...


class FileSource:
    """Images decoded from their files, anew at each access.

    Args:
        paths: One file per image.
    """

    def __init__(self, paths: Sequence[Path]):
        self.paths = [Path(path) for path in paths]

    def __len__(self) -> int:
        """Number of files."""
        return len(self.paths)

    def __getitem__(self, index: int) -> GrayImage:
        """Decode one file; raises InputError as `read_gray` does."""
        return read_gray(self.paths[_checked(index, len(self))])


class CachedSource:
    """Keeps every image of another source once it has been read, as uint8 in memory (one byte a pixel).

    Two threads that ask for one image decode it once: the second waits for the first.

    Args:
        source: Where images come from.
    """

    def __init__(self, source: Source):
        self.source = source
        self._images: list[GrayImage | None] = [None] * len(source)
        # One lock for each of a few residues: threads rarely wait for an image that is not theirs.
        self._locks = [threading.Lock() for _ in range(64)]

    def __len__(self) -> int:
        """Number of images."""
        return len(self._images)

    def __getitem__(self, index: int) -> GrayImage:
        """The image, read-only, decoded at the first access."""
        index = _checked(index, len(self))
        with self._locks[index % len(self._locks)]:
            image = self._images[index]
            if image is None:
                image = self.source[index].view()
                image.flags.writeable = False
                self._images[index] = image
        return image

    @property
    def nbytes(self) -> int:
        """Bytes of pixels kept so far."""
        return sum(image.nbytes for image in self._images if image is not None)


class ConcatSource:
    """Several sources one after the other.

    Args:
        sources: In order.
    """

    def __init__(self, *sources: Source):
        self.sources = sources
        self._ends = np.cumsum([len(source) for source in sources])

    def __len__(self) -> int:
        """Number of images of all sources."""
        return int(self._ends[-1]) if self.sources else 0

    def __getitem__(self, index: int) -> GrayImage:
        """Image `index`, counted through the sources."""
        index = _checked(index, len(self))
        number = int(np.searchsorted(self._ends, index, side="right"))
        return self.sources[number][index - (int(self._ends[number - 1]) if number else 0)]


class PairSource:
    """Registered pairs by number.

    Args:
        names: Name of each pair.
        ir: Infrared images.
        vis: Visible images, in the same order.

    Raises:
        InputError: The three differ in length.
    """

    def __init__(self, names: Sequence[str], ir: Source, vis: Source):
        self.names, self.ir, self.vis = list(names), ir, vis
        if not len(self.names) == len(ir) == len(vis):
            raise InputError(
                f"{len(self.names)} names, {len(ir)} infrared and {len(vis)} visible images are not pairs.",
                "Give as many of each.",
            )

    @classmethod
    def from_files(cls, pairs: Sequence[Pair]) -> "PairSource":
        """Pairs decoded from their files at each access."""
        ir, vis = FileSource([pair.ir for pair in pairs]), FileSource([pair.vis for pair in pairs])
        return cls([pair.name for pair in pairs], ir, vis)

    def cached(self) -> "PairSource":
        """The same pairs, each image decoded once and kept in memory."""
        return PairSource(self.names, CachedSource(self.ir), CachedSource(self.vis))

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[str, GrayImage, GrayImage]:
        """`(name, ir, vis)`.

        Raises:
            InputError: The two images differ in size, or one cannot be decoded.
        """
        index = _checked(index, len(self))
        ir, vis = self.ir[index], self.vis[index]
        if ir.shape != vis.shape:
            sizes = "ir is {} x {}, vis is {} x {}".format(*ir.shape, *vis.shape)
            raise InputError(f"Pair {self.names[index]}: {sizes}.", "Register the pair to one size first.")
        return self.names[index], ir, vis


def _checked(index: int, length: int) -> int:
    """Refuse numbers outside 0 ... length - 1: a negative one is a mistake here and would hide it."""
    if not 0 <= index < length:
        raise IndexError(f"image {index} of {length}")
    return int(index)
