"""What a fuse command would do: which pair becomes which files, and what is there already."""

import dataclasses
import functools
import hashlib
import json
import pathlib
from typing import Any, Literal

from camfuse_jax.config import Backend
from camfuse_jax.data.pairs import Pair, Shard
from camfuse_jax.errors import CamfuseError, InputError, UsageError
from camfuse_jax.fusion.params import SHIPPED, card
from camfuse_jax.images.picture import picture_size
from camfuse_jax.images.read import open_file
from camfuse_jax.images.write import WRITABLE_SUFFIXES, read_stamp
from camfuse_jax.pair.options import FuseSettings
from camfuse_jax.system.runtime import package_version

Status = Literal["planned", "fused", "skipped", "failed"]


@dataclasses.dataclass(frozen=True)
class FuseJob(FuseSettings):
    """A fuse command for files.

    Attributes:
        pairs: What to fuse.
        out: Folder of the results, or with a single pair the result's own file.
        backend: What computes the fused images.
        overlay: Also write both heat maps over their images.
        preview: Also write a labelled grid of several balances.
        suffix: Ending of the results in a folder.
        max_memory: Bytes that computing a pair may take, see `fuse`; None for its own choice.
        shard: Do only this part of the pairs; None for all.
    """

    pairs: tuple[Pair, ...]
    out: pathlib.Path
    backend: Backend = "jax"
    overlay: bool = False
    preview: bool = False
    suffix: str = ".png"
    max_memory: int | None = None
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
        notes: What a user should know.
        details: Numbers of this pair.
        error: Why it failed.
    """

    pair: Pair
    outputs: dict[str, pathlib.Path]
    made_by: str
    status: Status = "planned"
    notes: tuple[str, ...] = ()
    details: dict[str, str] = dataclasses.field(default_factory=dict)
    error: CamfuseError | None = None

    @functools.cached_property
    def stamp(self) -> str:
        """What the outputs are made of, written into each: settings, weights and the content of both sources.

        Raises:
            InputError: A source cannot be read.
        """
        digest = hashlib.sha256(self.made_by.encode())
        for path in (self.pair.ir, self.pair.vis):
            with open_file(path) as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return f"made of {digest.hexdigest()[:32]}"

    def as_json(self) -> dict[str, Any]:
        """The same for `--json`."""
        told = {"name": self.pair.name, "ir": str(self.pair.ir), "vis": str(self.pair.vis), "status": self.status}
        told |= {"outputs": {kind: str(path) for kind, path in self.outputs.items()}}
        told |= {"notes": list(self.notes), "details": self.details}
        return told | ({"error": str(self.error)} if self.error else {})


def plan(job: FuseJob) -> list[Result]:
    """One result per pair (of the job's shard) with the files it will get; those that exist or cannot be are marked.

    A pair is `skipped` if all its files exist and carry the stamp of the same settings, weights and source content.
    It is `failed` if one exists that is something else (unless `force`), or, in a dry run, if its sizes differ and
    nothing says which to take.

    Raises:
        UsageError: A result would replace a source, or two pairs would write one file.
    """
    made_by = _fingerprint(job)
    results = [Result(pair, _outputs(job, pair), made_by) for pair in job.pairs]
    _check_targets(results)  # of all shards: another one's result must not be a source of this one
    results = results if job.shard is None else job.shard.of(results)
    for result in results:
        try:
            result.status = "planned" if job.force else _state(result)
            if job.dry_run and result.status == "planned":
                _check_sizes(job, result.pair)
        except CamfuseError as error:
            result.status, result.error = "failed", error
    return results


def _outputs(job: FuseJob, pair: Pair) -> dict[str, pathlib.Path]:
    if job.out_is_file:
        main, base = job.out, job.out.with_suffix("")
    else:
        base = job.out / pair.name
        main = base.with_name(f"{pair.name}{job.suffix}")
    outputs = {"fused": main}
    moved = job.frame.align != "none" or job.frame.calibration is not None
    extra = {
        "ir heat map": ("_ir_heat", job.overlay),
        "vis heat map": ("_vis_heat", job.overlay),
        "valid area": ("_valid", moved),
        "preview": ("_preview", job.preview),
    }
    outputs |= {kind: base.with_name(f"{base.name}{end}.png") for kind, (end, asked) in extra.items() if asked}
    return outputs


def _check_targets(results: list[Result]) -> None:
    sources = {path.resolve() for result in results for path in (result.pair.ir, result.pair.vis)}
    owners: dict[pathlib.Path, str] = {}
    for result in results:
        for target in (path.resolve() for path in result.outputs.values()):
            if target in sources:
                raise UsageError(f"{target} is one of the sources and would be overwritten.", "Choose another folder.")
            if target in owners:
                raise UsageError(
                    f"{target} would be written for both {owners[target]} and {result.pair.name}.", "Rename one pair."
                )
            owners[target] = result.pair.name


def _state(result: Result) -> Status:
    there = [path for path in result.outputs.values() if path.exists()]
    foreign = [path for path in there if path.is_dir() or read_stamp(path) != result.stamp]
    if foreign:
        raise UsageError(
            f"{foreign[0]} exists and was made otherwise (other sources, settings, weights or program).",
            "Use --force to replace it, or another output folder.",
        )
    return "skipped" if len(there) == len(result.outputs) else "planned"


def _check_sizes(job: FuseJob, pair: Pair) -> None:
    sizes = [picture_size(path, job.limits) for path in (pair.ir, pair.vis)]
    if sizes[0] != sizes[1] and job.frame.fit == "error" and job.frame.calibration is None:
        raise InputError(
            f"ir has {sizes[0][1]} x {sizes[0][0]} pixels but vis has {sizes[1][1]} x {sizes[1][0]}.",
            "Say which size to take with --fit ir or --fit vis.",
        )


def _fingerprint(job: FuseJob) -> str:
    """Hash of all that decides a result besides the sources."""
    kept = dataclasses.asdict(job.frame) | {"ir_gain": job.ir_gain, "vis_gain": job.vis_gain}
    kept |= {"backend": job.backend} if job.backend != "jax" else {}
    kept |= {"weights": _weights_hash(job.weights), "version": package_version()}
    kept |= {} if job.rule is None else {"rule": job.rule}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()


def _weights_hash(weights: str) -> str:
    path = pathlib.Path(weights)
    if weights in SHIPPED:
        return card(weights)["sha256"]
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else weights
