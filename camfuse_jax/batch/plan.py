"""What a fuse command would do: which pair becomes which files, and what is there already."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from camfuse_jax.data.pairs import Pair
from camfuse_jax.errors import CamfuseError, InputError, UsageError
from camfuse_jax.fusion.params import SHIPPED, card
from camfuse_jax.images.bounds import Limits
from camfuse_jax.images.picture import Picture
from camfuse_jax.images.read import READABLE_SUFFIXES, open_file, picture_size, read_picture
from camfuse_jax.images.write import WRITABLE_SUFFIXES, file_format, read_provenance
from camfuse_jax.pair.options import VIDEO_FILES, FileOptions, FuseSettings
from camfuse_jax.pair.prepare import check_sizes
from camfuse_jax.system.runtime import package_version

_Item = TypeVar("_Item")
Status = Literal["planned", "fused", "skipped", "failed"]
Signature = tuple[int, int, int]
_READERS = 2  # threads that look at depths, each with a picture in memory
# Endings that promise a format in which no result is written.
_MORE = {".gif", ".heic", ".exr", ".jxl", ".tga", ".ppm", ".pgm", ".npy", ".csv", ".txt", ".json", ".pdf", ".svg"}
_OTHER_FORMATS = (READABLE_SUFFIXES | VIDEO_FILES | _MORE) - WRITABLE_SUFFIXES.keys()


class Shard(NamedTuple):
    """One of several parts that share nothing and together are everything; `number` counts from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, items: Sequence[_Item]) -> list[_Item]:
        """This part of a list that is the same, in the same order, for everybody.

        Every `count`-th item: neighbors, which are often alike in size, go to different parts, and the parts'
        lengths differ by one at most.
        """
        return list(items[self.number - 1 :: self.count])


def parse_shard(text: str) -> Shard:
    """Reads `I/N`, such as 1/4.

    Raises:
        UsageError: It is not that, or I is not from 1 to N.
    """
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    shard = Shard(*map(int, match.groups())) if match else Shard(0, 0)
    if not 1 <= shard.number <= shard.count:
        raise UsageError(f"--shard {text} is not I/N with I from 1 to N, such as 1/4.")
    return shard


@dataclasses.dataclass(frozen=True)
class FuseJob:
    """A fuse command for files.

    Attributes:
        pairs: What to fuse.
        out: Folder of the results, or with a single pair the result's own file.
        settings: How to fuse.
        options: How files are computed and written.
        shard: Do only this part of the pairs; None for all.
    """

    pairs: tuple[Pair, ...]
    out: pathlib.Path
    settings: FuseSettings = dataclasses.field(default_factory=FuseSettings)
    options: FileOptions = dataclasses.field(default_factory=FileOptions)
    shard: Shard | None = None

    @property
    def out_is_file(self) -> bool:
        """Whether `out` names the one result itself."""
        return len(self.pairs) == 1 and self.out.suffix.lower() in WRITABLE_SUFFIXES and not self.out.is_dir()


@dataclasses.dataclass
class Result:
    """What became of a pair.

    Attributes:
        pair: The sources.
        outputs: Kind (`fused`, `ir heat map`, ...) to file.
        made_by: Hash of settings and weights.
        status: What was done.
        replaced: Files that --force replaces, as they were when the run began.
        tag: Provenance tag of the outputs, of the bytes that were read; None before.
        notes: What a user should know.
        details: Numbers of this pair.
        error: Why it failed.
    """

    pair: Pair
    outputs: dict[str, pathlib.Path]
    made_by: str
    status: Status = "planned"
    replaced: dict[pathlib.Path, Signature] = dataclasses.field(default_factory=dict)
    tag: str | None = None
    notes: tuple[str, ...] = ()
    details: dict[str, str] = dataclasses.field(default_factory=dict)
    error: CamfuseError | None = None

    def tag_of(self, digests: Iterable[bytes]) -> str:
        """What outputs are made of, written into each: settings, weights and the content of both sources."""
        return f"made of {hashlib.sha256(self.made_by.encode() + b''.join(digests)).hexdigest()[:32]}"

    def as_json(self) -> dict[str, Any]:
        """The same for `--json`."""
        entry = {"name": self.pair.name, "ir": str(self.pair.ir), "vis": str(self.pair.vis), "status": self.status}
        entry |= {"outputs": {kind: str(path) for kind, path in self.outputs.items()}}
        entry |= {"notes": list(self.notes), "details": self.details}
        return entry | ({"error": str(self.error)} if self.error else {})


def plan_pairs(job: FuseJob, depths: "FolderDepths") -> list[Result]:
    """One result per pair (of the job's shard) with the files it will get; those that exist or cannot be are marked.

    A pair is `skipped` if all its files exist and carry the tag of the same settings, weights and source content.
    It is `failed` if one exists that is something else (unless `force`), or, in a dry run, if its sizes differ and
    nothing says which to take.

    Raises:
        UsageError: A result would replace a source, two pairs would write one file, or `out` names no format.
    """
    _check_out(job)
    made_by = _fingerprint(job, depths)
    results = [Result(pair, _outputs(job, pair), made_by) for pair in job.pairs]
    taken = _check_targets(results)  # of all shards: another one's result must not be a source of this one
    results = results if job.shard is None else job.shard.of(results)
    for result in results:
        try:
            if job.settings.force:
                valid = valid_map(result.outputs["fused"])  # only a run knows whether there will be one
                may = {*result.outputs.values(), *(() if os.path.realpath(valid) in taken else (valid,))}
                result.replaced = {path: signature(path) for path in may if path.exists()}
            else:
                result.status = _state(result)
            if job.settings.dry_run and result.status == "planned":
                limits = job.settings.limits
                ir, vis = (picture_size(path, limits) for path in (result.pair.ir, result.pair.vis))
                check_sizes(ir, vis, job.settings.frame)
        except CamfuseError as error:
            result.status, result.error = "failed", error
    return results


def signature(path: pathlib.Path) -> Signature:
    """What tells a file from another that took its name."""
    facts = path.stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def valid_map(fused: pathlib.Path) -> pathlib.Path:
    """The file that shows where both images count."""
    return fused.with_name(f"{fused.stem}_valid.png")


def _check_out(job: FuseJob) -> None:
    suffix, form = job.out.suffix.lower(), job.options.format
    if job.out_is_file and form != FileOptions.format and form.upper() != file_format(job.out):
        raise UsageError(f"--format {form} is given, but {job.out} names another format.", "Leave one of them out.")
    if job.out.is_dir() or job.out_is_file or (suffix not in _OTHER_FORMATS and suffix not in WRITABLE_SUFFIXES):
        return
    if suffix in _OTHER_FORMATS:
        raise UsageError(f"No result is written as {suffix}, so {job.out} cannot be.", "End it in .png, .tif or .jpg.")
    raise UsageError(f"{job.out} is one file, but there are {len(job.pairs)} pairs.", "Give a folder's name.")


def _outputs(job: FuseJob, pair: Pair) -> dict[str, pathlib.Path]:
    base = job.out.with_suffix("") if job.out_is_file else job.out / pair.name
    outputs = {"fused": job.out if job.out_is_file else base.with_name(f"{pair.name}{job.options.suffix}")}
    extra = {
        "ir heat map": ("_ir_heat", job.options.overlay),
        "vis heat map": ("_vis_heat", job.options.overlay),
        "valid area": ("_valid", job.settings.frame.moves),
        "preview": ("_preview", job.options.preview),
    }
    return outputs | {kind: base.with_name(f"{base.name}{end}.png") for kind, (end, asked) in extra.items() if asked}


def _check_targets(results: list[Result]) -> set[str]:
    """Refuses results that fall on sources or on each other; returns the real names of all of them."""
    real = os.path.realpath  # unlike Path.resolve it takes a link to itself for a file
    sources = {real(path) for result in results for path in (result.pair.ir, result.pair.vis)}
    owners: dict[str, str] = {}
    for result in results:
        for target in map(real, result.outputs.values()):
            if target in sources:
                raise UsageError(f"{target} is one of the sources and would be overwritten.", "Choose another folder.")
            if target in owners:
                raise UsageError(
                    f"{target} would be written for both {owners[target]} and {result.pair.name}.", "Rename one pair."
                )
            owners[target] = result.pair.name
    return sources | owners.keys()


def _state(result: Result) -> Status:
    there = [path for path in result.outputs.values() if path.exists()]
    tag = result.tag_of(map(_digest, (result.pair.ir, result.pair.vis))) if there else None
    for path in there:
        check_replaceable(path, tag)
    return "skipped" if len(there) == len(result.outputs) else "planned"


def check_replaceable(path: pathlib.Path, tag: str | None) -> None:
    """Refuses a file that is there unless it carries a tag.

    Raises:
        UsageError: It is something else.
    """
    if path.is_dir() or read_provenance(path) != tag:
        raise UsageError(
            f"{path} exists and was made otherwise (other sources, settings, weights or program).",
            "Use --force to replace it, or another output folder.",
        )


def _digest(path: pathlib.Path) -> bytes:
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").digest()


def _fingerprint(job: FuseJob, depths: "FolderDepths") -> str:
    """Hash of all that decides a result besides the sources."""
    settings = job.settings
    kept = dataclasses.asdict(settings.frame) | {"ir_gain": settings.ir_gain, "vis_gain": settings.vis_gain}
    kept |= {"backend": job.options.backend} if job.options.backend != "jax" else {}
    kept |= {"weights": _weights_hash(settings.weights), "version": package_version()}
    kept |= {} if settings.rule is None else {"rule": settings.rule}
    kept |= {} if settings.look is None else {"look": settings.look_number}
    kept |= {"depths": depths.white} if depths.white else {}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()


def _weights_hash(weights: str) -> str:
    path = pathlib.Path(weights)
    if weights in SHIPPED:
        return card(weights)["sha256"]
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else weights


@dataclasses.dataclass(frozen=True)
class FolderDepths:
    """The depth of the 16-bit files of a folder, decided once: alone, a dark image looks like one of fewer bits.

    Attributes:
        white: Kind (`ir`, `vis`) to the value that means white and the bits that carry values, where files differ.
    """

    white: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, job: FuseJob) -> "FolderDepths":
        """Looks at every file that may be deep; empty where all agree or nothing is deep.

        One that is deeper than all others would make the series jump, so a sample does not do. Reading a file of
        640 x 512 pixels and 16 bits takes 3 to 9 ms, a tenth of fusing it.
        """
        if len(job.pairs) < 2:
            return cls()
        white = {}
        with ThreadPoolExecutor(_READERS) as pool:
            for kind in ("ir", "vis"):
                paths = (getattr(pair, kind) for pair in job.pairs)
                found = pool.map(lambda path: _depth_of(path, job.settings.limits), paths)
                depths = {depth for depth in found if depth is not None}
                if len(depths) > 1:
                    white[kind] = max(depths)
        return cls(white)

    def applied(self, kind: str, picture: Picture) -> Picture:
        """A picture of the folder with the folder's depth, and a note where its own was lower."""
        top, bits = self.white.get(kind, (0, 0))
        own = (picture.top or 0, picture.bits)
        if picture.samples.dtype != np.uint16 or (top, bits) <= own:
            return picture
        notes = [note for note in picture.notes if not re.match(r"\d+ bit ", note)]
        note = f"files of several depths: {bits} bit with white at {top} taken for the whole folder"
        return dataclasses.replace(picture, bits=bits, top=top, notes=(*notes, note))


def _depth_of(path: pathlib.Path, limits: Limits) -> tuple[int, int] | None:
    """White and bits of a 16-bit file; None for others, which is mostly seen in the first bytes."""
    with contextlib.suppress(InputError, OSError, MemoryError):  # reported when the pair is fused
        with open_file(path) as file:
            head = file.read(26)
        if head[:2] in (b"II", b"MM") or (head[:4] == b"\x89PNG" and head[24:25] == b"\x10"):
            picture = read_picture(path, limits)
            return (picture.top or 0, picture.bits) if picture.samples.dtype == np.uint16 else None
    return None
