"""Directories of a TIFF file: its pages, their tags, and which of them is the image; no pixels."""

import contextlib
import functools
import struct
from collections.abc import Callable
from typing import NoReturn

import numpy as np

from camfuse_jax.errors import InputError

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_TYPE_SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_NUMBERS = {1: "u1", 2: "u1", 3: "u2", 4: "u4", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 18: "u8"}
_DIRECTORIES = (34665, 34853, 40965)  # EXIF, GPS and interoperability
_PIECES = {273: 279, 324: 325}  # where strips or tiles are, and their lengths
_PAGES = 100_000


def refuse(name: object, why: str) -> NoReturn:
    """Raises the InputError for a file whose parts are out of proportion."""
    raise InputError(f"{name} {why}: damaged, or made to exhaust a reader.", "Replace the file or leave it out.")


class Tiff:
    """Directories of a TIFF file, classic or Big, without its pixels."""

    def __init__(self, data: bytes, name: object):
        self.data, self.name = data, name
        self.order, big = "<" if data[:2] == b"II" else ">", data[2:4] in (b"+\0", b"\0+")
        self.count_form, self.link_form, self.entry = ("Q", "Q", 20) if big else ("H", "I", 12)
        self.start = 8 if big else 4
        self.first = self.unpack(self.link_form, self.start)
        self.link = struct.calcsize(self.link_form)

    def unpack(self, form: str, at: int) -> int:
        """The number of a form of `struct` at a place."""
        return struct.unpack_from(self.order + form, self.data, at)[0]

    def pages(self) -> list[int]:
        """Where each page's directory is."""
        at, seen, held = self.first, dict[int, None](), 0
        while at and len(seen) < _PAGES:
            if at in seen:
                refuse(self.name, "has a page chain that is a loop")
            seen[at] = None
            try:
                count = self.unpack(self.count_form, at)
                at = self.unpack(self.link_form, at + struct.calcsize(self.count_form) + count * self.entry)
            except struct.error:  # a chain that points nowhere
                if at != self.first:
                    del seen[at]
                break
            held += count * self.entry
            if held > len(self.data):
                refuse(self.name, "has pages whose directories overlap")
        return list(seen)

    def entries(self, at: int) -> range:
        """Where each entry of the directory at `at` is."""
        begin = at + struct.calcsize(self.count_form)
        return range(begin, begin + self.unpack(self.count_form, at) * self.entry, self.entry)

    def kind(self, at: int) -> str:
        """What a page is: `image`, `mask` or `copy` (smaller, of another page or of what lies in it)."""
        found = dict[int, int]()
        for entry in self.entries(at)[:16]:
            code = self.unpack("H", entry)
            if code > 262:  # tags come in order
                break
            found[code] = self.unpack("H" if self.unpack("H", entry + 2) == 3 else "I", entry + 4 + self.link)
        kind = found.get(254, 0)
        if kind & 1 or found.get(255) == 2:
            return "copy"
        return "mask" if kind & 4 or found.get(262) == 4 else "image"

    def main(self) -> tuple[int, int, int]:
        """Where the first image is, where its mask (0 for none), and how many images there are.

        Thumbnails come first in some files, with the image in a directory of their own or on a later page.
        """
        pages = self.pages()
        kinds = [self.kind(at) for at in pages]
        count = kinds.count("image")
        if kinds[0] == "copy":
            with contextlib.suppress(struct.error):  # points nowhere
                for inner in self.directory(self.first).get(330, ())[:16]:
                    if self.kind(inner) == "image":
                        return inner, 0, count + 1
        if not count:
            return self.first, 0, 1
        number = kinds.index("image")
        size = self._size(pages[number])
        for at, kind in zip(pages[number + 1 : number + 17], kinds[number + 1 :], strict=False):
            if kind == "image":
                break
            if kind == "mask" and self._size(at) == size:
                return pages[number], at, count
        return pages[number], 0, count

    def _size(self, at: int) -> tuple[object, object]:
        tags = self.directory(at)
        return tags.get(257), tags.get(256)

    def starting_at(self, at: int) -> bytes:
        """The file with the directory at `at` as its first page."""
        link = struct.pack(self.order + self.link_form, at)
        return self.data[: self.start] + link + self.data[self.start + self.link :]

    def directory(self, at: int | None = None, depth: int = 0) -> dict[int, tuple[int, ...]]:
        """Tags of a directory with the numbers they hold; text as its bytes; no fractions and floats."""
        at = self.first if at is None else at
        places = self.entries(at)
        tags, outside = {}, 0
        for entry in places[:4096]:
            code, form = self.unpack("H", entry), self.unpack("H", entry + 2)
            number, value = self.unpack(self.link_form, entry + 4), entry + 4 + self.link
            size = number * _TYPE_SIZES.get(form, 1)
            if size > self.link:
                value = self.unpack(self.link_form, value)
                outside += max(0, min(size, len(self.data) - value))  # what a reader copies
            if size <= min(len(self.data) - value, 2**20) and form in _NUMBERS:
                tags[code] = tuple(np.frombuffer(self.data, self.order + _NUMBERS[form], number, value).tolist())
            if outside > 2 * len(self.data) + 65536:  # tags that share bytes: each is a copy for whoever reads it
                break
            if code in _DIRECTORIES and depth < 3 and tags.get(code, (0,))[0]:
                with contextlib.suppress(struct.error):  # points nowhere: left out by who reads it
                    self.directory(tags[code][0], depth + 1)
        else:
            if not places[4096:]:
                return tags
        refuse(self.name, "has tags out of proportion to its size")

    def page(self, at: int) -> bytes:
        """The page whose directory is at `at` as a TIFF file, without EXIF data and smaller copies."""
        data, tags, entries, body = self.data, self.directory(at), b"", bytearray()
        kept = [entry for entry in self.entries(at) if self.unpack("H", entry) not in (*_DIRECTORIES, 330)]
        head = data[: self.link] + struct.pack(self.order + self.link_form + self.count_form, 2 * self.link, len(kept))
        begin = len(head) + len(kept) * self.entry + self.link

        def moved(content: bytes) -> int:
            body.extend(content)
            return begin + len(body) - len(content)

        for entry in kept:
            code, form, number = struct.unpack_from(f"{self.order}HH{self.link_form}", data, entry)
            size, start = number * _TYPE_SIZES.get(form, 1), entry + 4 + self.link
            start = self.unpack(self.link_form, start) if size > self.link else start
            value = data[start : start + max(size, self.link)]
            if code in _PIECES and code in tags:
                lengths = tags.get(_PIECES[code]) or (len(data),)
                if sum(lengths) > len(data):
                    refuse(self.name, "has a page that claims more than the file holds")
                starts = [moved(data[o : o + n]) if n else 0 for o, n in zip(tags[code], lengths, strict=False)]
                form, number = (16 if self.link == 8 else 4), len(starts)
                value = struct.pack(f"{self.order}{number}{self.link_form}", *starts)
            if len(value) > self.link:
                value = struct.pack(self.order + self.link_form, moved(value))
            entries += struct.pack(f"{self.order}HH{self.link_form}", code, form, number) + value
        return head + entries + b"\0" * self.link + bytes(body)


def frames_of_tiff(data: bytes, name: object) -> list[Callable[[], bytes]]:
    """The pages of a TIFF file apart from masks and smaller copies, each as what gives it as a file of its own."""
    tiff = Tiff(data, name)
    frames = [at for at in tiff.pages() if tiff.kind(at) == "image"]
    return [functools.partial(tiff.page, at) for at in frames]
