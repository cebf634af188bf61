"""`camfuse fuse`."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from camfuse_jax.cluster import ClusterOptions, join_cluster, leave_cluster
from camfuse_jax.errors import CamfuseError, InputError, SomeFailedError, UsageError
from camfuse_jax.pair.options import FileOptions, FuseSettings, VideoOptions, is_moving
from camfuse_jax.system.runtime import package_version

if TYPE_CHECKING:
    from camfuse_jax.batch.plan import Result, Shard
    from camfuse_jax.data.pairs import Pairing
    from camfuse_jax.video.fuse import VideoResult

_SHOWN = 10  # failures named in the closing line
_VIDEO_ENDINGS = (".mp4", ".mkv")
_USUAL_OUT = Path("fused")


@dataclasses.dataclass(frozen=True)
class ShareOptions(ClusterOptions):
    """Which part of the pairs this process takes.

    Attributes:
        shard: Do only part I of N of the pairs, as 1/4 to 4/4; for several processes or machines without a cluster.
    """

    shard: str | None = None


@dataclasses.dataclass(frozen=True)
class Fuse:
    """Fuses infrared and visible images: two files, two folders, one folder that holds both, or two videos.

    Without IR and VIS the package's demo pair is fused. What is there already is not made again; other files are
    never replaced without --force. Exit codes: 0 done, 1 some inputs failed and the rest is done, 2 usage, 3 bad
    input, 4 weights, 5 disk or memory, 130 interrupted.

    For instance: camfuse fuse thermal/ photos/ -o fused --ir-range percentile:1,99

    Attributes:
        ir: Infrared file or folder, or one folder that holds both kinds (ir_001.png, vis_001.png); or a video,
            device:NAME or rtsp://... (docs/video.md).
        vis: Visible file or folder, or a video or live source.
        out: Folder of the results, or for a single pair a .png, .tif or .jpg file; for videos .mp4, .mkv or a folder.
        pattern: Names of infrared and visible files without extension, such as '{name}_ir' '{name}_vis'.
        csv: Table of pairs with columns ir,vis[,name], instead of IR and VIS.
        json: Print one JSON object instead of text.
        settings: What holds for images and videos.
        image: Image files: how they are computed and written.
        video: Videos, folders of frames and live sources (docs/video.md).
        cluster: Several processes or machines that share the pairs of one folder (docs/scale.md).
    """

    ir: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[IR]")] = None
    vis: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[VIS]")] = None
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = _USUAL_OUT
    pattern: tuple[str, str] | None = None
    csv: Path | None = None
    json: bool = False
    settings: Annotated[FuseSettings, tyro.conf.arg(name="")] = dataclasses.field(default_factory=FuseSettings)
    image: FileOptions = dataclasses.field(default_factory=FileOptions)
    video: VideoOptions = dataclasses.field(default_factory=VideoOptions)
    cluster: ShareOptions = dataclasses.field(default_factory=ShareOptions)

    def run(self) -> None:
        """Carries the command out and prints what was done.

        Raises:
            CamfuseError: By kind, see the exit codes above.
        """
        report: dict[str, Any] = {}
        error: CamfuseError | None = None
        try:
            report, error = self._fuse_videos() if self._is_video() else self._fuse_files()
        except CamfuseError as caught:
            error = caught
        if self.json:
            outcome = {"exit_code": error.exit_code if error else 0, "error": str(error) if error else None}
            print(json.dumps({"command": "fuse"} | report | outcome, indent=1))
        if error is not None:
            raise error

    def _is_video(self) -> bool:
        """By --video, the result's ending or the sources' names."""
        sources = [source for source in (self.ir, self.vis) if source is not None]
        return self.video.video or self.out.suffix.lower() in _VIDEO_ENDINGS or any(map(is_moving, sources))

    def _fuse_files(self) -> tuple[dict[str, Any], CamfuseError | None]:
        """Fuses; returns the report, and what to say of pairs that failed while others did not."""
        from camfuse_jax.batch.plan import FuseJob
        from camfuse_jax.batch.run import fuse_files

        _refuse_given(self.video, "videos, not for still images", "Leave it out; for folders of frames add --video.")
        shard = self._shard()
        pairing = self._pairing()
        if shard is not None and shard.number > 1 and pairing.pairs:
            pairing = dataclasses.replace(pairing, problems=())  # the first part reports them
        if not pairing.pairs:
            raise InputError(
                f"Nothing to fuse: {pairing.why_nothing}", "See docs/cameras.md, or `camfuse docs cameras`."
            )
        options = dataclasses.replace(self.image, overlay=True) if self.ir is self.csv is None else self.image
        results = fuse_files(FuseJob(pairing.pairs, self.out, self.settings, options, shard))
        if not self.json:
            self._print_files(results, pairing, shard)
        counts = {kind: sum(r.status == kind for r in results) for kind in ("planned", "fused", "skipped", "failed")}
        report = {
            "version": package_version(),
            "weights": self.settings.weights,
            "shard": None if shard is None else str(shard),
            "counts": counts | {"unpaired": len(pairing.problems)},
            "unpaired": list(pairing.problems),
            "notes": list(pairing.notes),
            "pairs": [result.as_json() for result in results],
        }
        return report, _failure(results, pairing)

    def _shard(self) -> "Shard | None":
        """The part that this process takes, None for all; joins the cluster where that says which.

        To share files only the number of this process among how many is needed, nothing of the others' work. So the
        cluster is left at once: a process that ends, well or badly, takes no other with it and waits for none.
        """
        from camfuse_jax.batch.plan import Shard, parse_shard

        shard, usual = self.cluster.shard, ShareOptions()
        if shard is not None:
            if dataclasses.replace(self.cluster, shard=None) != usual:
                raise UsageError("--shard is given beside --distributed.", "Give one of them.")
            return parse_shard(shard)
        if self.cluster == usual:
            return None
        cluster = join_cluster(self.cluster)
        leave_cluster()
        return Shard(cluster.process + 1, cluster.processes)

    def _pairing(self) -> "Pairing":
        from camfuse_jax.data.pairs import Pairing, find_pairing
        from camfuse_jax.data.tables import read_table

        if self.csv is not None:
            if self.ir is not None or self.pattern is not None:
                raise UsageError("--csv is given beside IR or --pattern.", "Give one of them.")
            return read_table(self.csv)
        if self.ir is None:
            if self.pattern is not None or self.settings.dry_run:
                raise UsageError("--pattern and --dry-run need images.", "Give IR, or IR and VIS.")
            from camfuse_jax.batch.run import demo_pair

            return Pairing((demo_pair(self.out),))
        check_pattern(Path(self.ir), self.pattern)
        vis = None if self.vis is None else Path(self.vis)
        return find_pairing(Path(self.ir), vis, pattern=self.pattern)

    def _print_files(self, results: "list[Result]", pairing: "Pairing", shard: "Shard | None") -> None:
        """Files on standard output, remarks on standard error."""
        if shard is not None:
            print(f"shard {shard}: {len(results)} of {counted(len(pairing.pairs), 'pair')}")
        for result in results:
            pair = result.pair
            if result.status == "failed":
                continue
            if self.settings.dry_run:
                done = "there already" if result.status == "skipped" else f"-> {result.outputs['fused']}"
                print(f"{pair.name}: {pair.ir} + {pair.vis} {done}")
            elif result.status == "fused" or len(results) == 1:
                if len(results) == 1:
                    print(f"ir source: {pair.ir}\nvis source: {pair.vis}")
                    _print_remarks(result.details, ())
                for kind, path in result.outputs.items():
                    print(f"{kind}: {path}")
        skipped = [result for result in results if result.status == "skipped"]
        if skipped and not self.settings.dry_run:
            where = f"made with the same settings in {self.out}"
            print(f"skipped: {len(skipped)} of {len(results)} there already, {where}")
        _print_remarks({}, _grouped_notes(results, alone=len(pairing.pairs) == 1))
        for note in pairing.notes:
            print(f"note: {note}", file=sys.stderr)
        for problem in pairing.problems:
            print(f"not paired: {problem}", file=sys.stderr)

    def _fuse_videos(self) -> tuple[dict[str, Any], None]:
        self._check_video_options()
        from camfuse_jax.video.fuse import VideoJob, fuse_video

        assert self.ir is not None
        assert self.vis is not None
        out = None if self.video.show and self.out == _USUAL_OUT else self.out  # shown only
        result = fuse_video(VideoJob(self.ir, self.vis, out, self.settings, self.video))
        if not self.json:
            self._print_video(result)
        return {"version": package_version(), "weights": self.settings.weights, "video": result.as_json()}, None

    def _check_video_options(self) -> None:
        if self.csv is not None or self.pattern is not None:
            raise UsageError("--csv and --pattern are for images, not for videos.", "Leave them out.")
        if self.cluster != ShareOptions():
            raise UsageError("--shard and --distributed are for images, not for videos.", "Leave them out.")
        _refuse_given(self.image, "images, not for videos", "Leave it out.")
        if self.ir is None or self.vis is None:
            raise UsageError("A video needs both IR and VIS.", "Give two videos, folders of frames or live sources.")
        if self.out.suffix and self.out.suffix.lower() not in _VIDEO_ENDINGS and not self.out.is_dir():
            raise UsageError(f"{self.out} is no .mp4, .mkv or folder.", "End it in .mp4, or give a folder's name.")
        if self.settings.frame.bits == "16" and self.out.suffix.lower() in _VIDEO_ENDINGS:
            raise UsageError(f"--bits 16 is given, but {self.out} holds 8 bits.", "Give a folder's name: PNG holds 16.")

    def _print_video(self, result: "VideoResult") -> None:
        for name, source, rate in (("ir", self.ir, result.ir_rate), ("vis", self.vis, result.vis_rate)):
            print(f"{name} source: {source}" + (f", {rate:g} frames/s" if rate else ""))
        if self.settings.dry_run:
            count = "until it is stopped" if result.planned is None else counted(result.planned, "frame")
            print(f"would write: {result.out or 'nothing'}, {count}, sound: {result.audio or 'none'}")
        else:
            lasts = (result.last or 0) - (result.first or 0) + 1 / (result.vis_rate or 25)
            done = "shown" if result.out is None else f"fused: {result.out}"
            print(f"{done}, {counted(result.frames, 'frame')}, {lasts:.2f} s, sound: {result.audio or 'none'}")
        if result.reached is not None:
            delay = "" if result.delay is None else f", {1000 * result.delay:.0f} ms after a frame's arrival"
            print(f"reached: {result.reached:.1f} frames/s{delay}")
        if result.tolerance:
            print(f"matched: nearest in time, at most {1000 * result.tolerance:.1f} ms apart", file=sys.stderr)
        for count, why in ((result.alone, "no infrared frame near enough"), (result.dropped, "came while fusing")):
            if count:
                print(f"left out: {counted(count, 'visible frame')}, {why}", file=sys.stderr)
        _print_remarks(result.details, result.notes)


def _refuse_given(options: Any, what: str, remedy: str) -> None:
    """Refuses options of a group that are not at their default, by name."""
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if value != field.default:
            name = f"--{'no-' if value is False else ''}{field.name.replace('_', '-')}"
            raise UsageError(f"{name} is for {what}.", remedy)


def counted(number: int, what: str) -> str:
    """`1 file` or `2 files`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def check_pattern(ir: Path, pattern: tuple[str, str] | None) -> None:
    """Refuses --pattern where there is nothing to pair by it."""
    if pattern is not None and ir.is_file():
        raise UsageError(f"--pattern is given, but {ir} is one file.", "Leave it out, or give folders.")


def _print_remarks(details: dict[str, str], notes: "tuple[str, ...] | list[str]") -> None:
    for what, value in details.items():
        print(f"{what}: {value}", file=sys.stderr)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def _grouped_notes(results: "list[Result]", *, alone: bool) -> list[str]:
    """Each note once, with the pairs it is about where there are several."""
    about: dict[str, list[str]] = {}
    for result in results:
        for note in result.notes:
            about.setdefault(note, []).append(result.pair.name)
    if alone:
        return list(about)
    return [f"{note} ({_some(names)})" for note, names in about.items()]


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return f"pair {shown}" if len(names) == 1 else shown if len(names) <= 3 else f"{len(names)} pairs: {shown}, ..."


def _said_once(failed: "list[Result]") -> list[str]:
    """What failed and why; of errors that differ only in the files they name the first is said, with all pairs."""
    alike: dict[str, list[Result]] = {}
    for result in failed:
        text = str(result.error)
        for path in (result.pair.ir, result.pair.vis, *result.outputs.values()):
            text = text.replace(str(path), "")
        alike.setdefault(text, []).append(result)
    return [
        f"{_some([result.pair.name for result in same]).removeprefix('pair ')}: {same[0].error}"
        for same in alike.values()
    ]


def _failure(results: "list[Result]", pairing: "Pairing") -> CamfuseError | None:
    failed = [result for result in results if result.error is not None]
    if len(failed) == len(results) == 1 and not pairing.problems:
        return failed[0].error  # the only pair: its own error and exit code
    parts = [f"{len(failed)} of {counted(len(results), 'pair')} failed."] if failed else []
    parts += _said_once(failed)[:_SHOWN]
    parts += ["--json lists all."] if len(failed) > _SHOWN else []
    if failed and len(failed) == len(results):
        kinds: set[Any] = {type(result.error) for result in failed}
        return (kinds.pop() if len(kinds) == 1 else InputError)(" ".join(parts))
    if pairing.problems:
        count = len(pairing.problems)
        parts.append(f"{counted(count, 'file')} pair{'s' if count == 1 else ''} with nothing.")
    return SomeFailedError("The rest is done, but " + " ".join(parts)) if parts else None
