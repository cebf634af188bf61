"""The part of `camfuse fuse` that shares a folder among processes."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from camfuse_jax import cluster as joining
from camfuse_jax.config import Backend, Rule
from camfuse_jax.errors import CamfuseError, InputError, SomeFailedError, UsageError

_CLUSTER = ("coordinator", "processes", "process")


def chosen_shard(command: "Fuse") -> "Shard | None":
    """The part that this process takes, None for all; joins the cluster and leaves it where that says which.

    To share files only the number of this process among how many is needed, nothing of the others' work. So the
    cluster is left at once: a process that ends, well or badly, takes no other with it and waits for none.

    Raises:
        UsageError: Options exclude each other, or the place in a cluster is neither given nor found.
        ResourceError: Nobody listens at the coordinator's address.
    """
    from camfuse_jax.data.pairs import Shard, parse_shard

    shared = command.distributed or any(getattr(command, name) is not None for name in _CLUSTER)
    if command.shard is not None:
        if shared:
            raise UsageError("--shard is given beside --distributed.", "Give one of them.")
        return parse_shard(command.shard)
    if not shared:
        return None
    cluster = joining.join_cluster(**{name: getattr(command, name) for name in _CLUSTER})
    joining.leave_cluster()
    return Shard(cluster.process + 1, cluster.processes)


# The part of `camfuse fuse` that is for moving pictures.


VIDEO_OPTIONS = ("offset", "fps", "ir_fps", "seconds", "audio")
_NOT_HERE = ("csv", "pattern", "overlay", "preview")


def is_video(command: "Fuse") -> bool:
    """Whether a fuse command is about moving pictures: by --video, the result's ending or the sources' names."""
    from camfuse_jax.video.reader import is_moving
    from camfuse_jax.video.writer import VIDEO_SUFFIXES

    sources = [source for source in (command.ir, command.vis) if source is not None]
    return command.video or command.out.suffix.lower() in VIDEO_SUFFIXES or any(map(is_moving, sources))


def run_video(command: "Fuse", settings: dict[str, Any]) -> dict[str, Any]:
    """Fuses moving pictures, says what was done, and returns the report.

    Args:
        command: What was asked for.
        settings: Fields of `FuseSettings`.

    Raises:
        CamfuseError: By kind.
    """
    from camfuse_jax.pair.options import FuseSettings
    from camfuse_jax.system.runtime import package_version
    from camfuse_jax.video.fuse import VideoJob, fuse_video
    from camfuse_jax.video.options import VideoOptions

    given = [name for name in _NOT_HERE if getattr(command, name)]
    if given or command.format != "png" or command.ir is None or command.vis is None:
        wrong = f"--{given[0]} is" if given else "--format is" if command.format != "png" else "IR or VIS is missing;"
        raise UsageError(f"{wrong} not for videos." if not wrong.endswith(";") else f"{wrong[:-1]}.", "See --help.")
    if command.out.suffix and command.out.suffix.lower() not in (".mp4", ".mkv") and not command.out.is_dir():
        raise UsageError(f"{command.out} is no .mp4, .mkv or folder.", "End it in .mp4, or give a folder's name.")
    own = {name: getattr(command, name) for name in VIDEO_OPTIONS}
    result = fuse_video(
        VideoJob(command.ir, command.vis, Path(command.out), FuseSettings(**settings), VideoOptions(**own))
    )
    if not command.json:
        _tell(command, result)
    return {"version": package_version(), "weights": command.weights, "video": result.as_json()}


def _tell(command: "Fuse", result: "VideoResult") -> None:
    for name, source, rate in (("ir", command.ir, result.ir_rate), ("vis", command.vis, result.vis_rate)):
        print(f"{name} source: {source}" + (f", {rate:g} frames/s" if rate else ""))
    if command.dry_run:
        count = "until it is stopped" if result.planned is None else f"{result.planned} frames"
        print(f"would write: {result.out}, {count}, sound: {result.audio or 'none'}")
    else:
        lasts = result.last - result.first + 1 / (result.vis_rate or 25)
        print(f"fused: {result.out}, {result.frames} frames, {lasts:.2f} s, sound: {result.audio or 'none'}")
    if result.reached is not None:
        print(f"reached: {result.reached:.1f} frames/s")
    if result.tolerance:
        print(f"matched: nearest in time, at most {1000 * result.tolerance:.1f} ms apart", file=sys.stderr)
    for count, why in ((result.alone, "no infrared frame near enough"), (result.dropped, "came while fusing")):
        if count:
            print(f"left out: {count} visible frames, {why}", file=sys.stderr)
    for what, value in result.details.items():
        print(f"{what}: {value}", file=sys.stderr)
    for note in result.notes:
        print(f"note: {note}", file=sys.stderr)


# `camfuse fuse`.


_SHOWN = 10  # failures named in the closing line


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
        csv: Table of pairs with columns ir,vis[,name], instead of IR and VIS.
        pattern: Names of infrared and visible files without extension, such as '{name}_ir' '{name}_vis'.
        weights: tno, roadscene, or a .safetensors file.
        rule: Fusion rule instead of the one that the weights bring (docs/method.md).
        backend: What computes: jax, or the exported network in onnxruntime or openvino, which are faster on a
            CPU and need their package (docs/export.md). Images only.
        gray: Give the fused luma without color.
        overlay: Also write where the classifier looked, as NAME_ir_heat.png and NAME_vis_heat.png.
        preview: Also write NAME_preview.png, a labelled grid of several balances.
        ir_gain: Balance: factor on the infrared channel weights; only the ratio to --vis-gain counts.
        vis_gain: Balance: factor on the visible channel weights.
        ir_range: Infrared values that become black and white: auto, full, minmax, percentile[:LO,HI], fixed:LO,HI.
        vis_range: The same for the visible image.
        ir_polarity: white: bright is hot; black: inverted; auto: inverted on strong evidence only.
        fit: Sizes that differ: refuse the pair, or take the size of one.
        align: Move the infrared image onto the visible one; refused where it is not trusted (needs the extra align).
        calibration: File of a 3 x 3 homography from infrared to visible pixels (.json or text).
        bits: Depth of the results; auto is 16 where a source carries more than 8.
        format: Format of results in a folder.
        check: Warn of pairs that look misregistered.
        video: Take two folders for the frames of two videos; implied by a video file or an .mp4 result.
        offset: Videos: seconds added to infrared times.
        fps: Videos: frames per second of folders of frames.
        ir_fps: Videos: the same for the infrared folder alone.
        seconds: Videos: end after so many seconds; ends a live source, as Ctrl-C does.
        audio: Videos: copy the visible file's sound.
        max_megapixels: Largest image that is read.
        max_megabytes: Largest file that is read.
        max_memory: GiB that computing one pair may take, besides the images; larger ones are fused tile by tile.
        shard: Do only part I of N of the pairs, as 1/4 to 4/4; for several processes or machines (docs/scale.md).
        distributed: Take I and N from the cluster that started this process (SLURM, Open MPI, Kubernetes).
        coordinator: Or give the place in a cluster: HOST:PORT at which process 0 listens,
        processes: how many processes there are,
        process: and the number of this one, from 0.
        force: Replace existing files.
        dry_run: List what pairs with what, and what is wrong, and write nothing.
        json: Print one JSON object instead of text.
    """

    ir: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="IR")] = None
    vis: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="VIS")] = None
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("fused")
    csv: Path | None = None
    pattern: tuple[str, str] | None = None
    weights: str = "tno"
    rule: Rule | None = None
    backend: Backend = "jax"
    gray: bool = False
    overlay: bool = False
    preview: bool = False
    ir_gain: float = 1.0
    vis_gain: float = 1.0
    ir_range: str = "auto"
    vis_range: str = "full"
    ir_polarity: Literal["white", "black", "auto"] = "white"
    fit: Literal["error", "ir", "vis"] = "error"
    align: Literal["none", "translation", "ecc", "homography"] = "none"
    calibration: Path | None = None
    bits: Literal["auto", "8", "16"] = "auto"
    format: Literal["png", "tiff", "jpeg"] = "png"
    check: bool = True
    video: bool = False
    offset: float = 0.0
    fps: float = 25.0
    ir_fps: float | None = None
    seconds: float | None = None
    audio: bool = True
    max_megapixels: float = 100.0
    max_megabytes: float = 1000.0
    max_memory: float = 1.5
    shard: str | None = None
    distributed: bool = False
    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None
    force: bool = False
    dry_run: bool = False
    json: bool = False

    def run(self) -> None:
        """Carries the command out and prints what was done.

        Raises:
            CamfuseError: By kind, see the exit codes above.
        """
        report: dict[str, Any] = {}
        error: CamfuseError | None = None
        try:
            report, error = self._carry_out()
        except CamfuseError as caught:
            error = caught
        if self.json:
            outcome = {"exit_code": error.exit_code if error else 0, "error": str(error) if error else None}
            print(json.dumps({"command": "fuse"} | report | outcome, indent=1))
        if error is not None:
            raise error

    def _carry_out(self) -> tuple[dict[str, Any], CamfuseError | None]:
        """Fuses; returns the report, and what to say of pairs that failed while others did not."""
        from camfuse_jax.batch.run import fuse_pairs

        shard = chosen_shard(self)
        if is_video(self):
            if shard is not None:
                raise UsageError("--shard and --distributed are for pairs of images, not for videos.")
            if self.backend != "jax":
                raise UsageError("Videos are fused by backend jax only.", "Leave --backend out.")
            return run_video(self, self._settings()), None
        pairing = self._pairing()
        if shard is not None and shard.number > 1 and pairing.pairs:
            pairing = dataclasses.replace(pairing, problems=())  # the first part tells them
        if not pairing.pairs:
            told = " ".join(f"{problem}." for problem in pairing.problems[:10])
            raise InputError(f"Nothing to fuse: no infrared file has a visible partner. {told}", "See docs/cameras.md.")
        job = dataclasses.replace(self._job(pairing), shard=shard)
        results = fuse_pairs(job)
        if not self.json:
            _tell_fuse(job, results, pairing)
        return _as_json(job, results, pairing), _failure(results, pairing)

    def _pairing(self) -> "Pairing":
        from camfuse_jax.batch.run import demo_pair
        from camfuse_jax.data.pairs import Pairing, find_pairing, read_table

        if self.csv is not None:
            if self.ir is not None or self.pattern is not None:
                raise UsageError("--csv is given beside IR or --pattern.", "Give one of them.")
            return read_table(self.csv)
        if self.ir is None:
            if self.pattern is not None or self.dry_run:
                raise UsageError("--pattern and --dry-run need images.", "Give IR, or IR and VIS.")
            return Pairing((demo_pair(self.out),))
        vis = None if self.vis is None else Path(self.vis)
        return find_pairing(Path(self.ir), vis, pattern=self.pattern)

    def _frame(self) -> "FrameSettings":
        from camfuse_jax.images.ranges import parse_policy
        from camfuse_jax.pair.options import FrameSettings
        from camfuse_jax.pair.calibrate import read_homography

        homography = None if self.calibration is None else read_homography(self.calibration)
        return FrameSettings(
            ir_range=parse_policy(self.ir_range, option="--ir-range"),
            vis_range=parse_policy(self.vis_range, option="--vis-range"),
            ir_polarity=self.ir_polarity,
            fit=self.fit,
            align=self.align,
            calibration=None if homography is None else tuple(map(tuple, homography.tolist())),
            gray=self.gray,
            bits=self.bits,
            check=self.check,
        )

    def _settings(self) -> dict[str, Any]:
        """Fields of `FuseSettings`: what files and videos have in common."""
        from camfuse_jax.images.read import Limits

        limits = Limits(int(self.max_megapixels * 1e6), int(self.max_megabytes * 1e6))
        names = ("weights", "rule", "ir_gain", "vis_gain", "force", "dry_run")
        return {"frame": self._frame(), "limits": limits} | {name: getattr(self, name) for name in names}

    def _memory(self) -> int:
        if not 0.01 <= self.max_memory <= 4096:
            raise UsageError(f"--max-memory is {self.max_memory}.", "Give GiB from 0.01 to 4096.")
        return int(self.max_memory * 2**30)

    def _job(self, pairing: "Pairing") -> "FuseJob":
        from camfuse_jax.batch.plan import FuseJob

        return FuseJob(
            pairs=pairing.pairs,
            out=self.out,
            backend=self.backend,
            overlay=self.overlay or self.ir is self.csv is None,
            preview=self.preview,
            suffix={"png": ".png", "tiff": ".tif", "jpeg": ".jpg"}[self.format],
            max_memory=self._memory(),
            **self._settings(),
        )


def _as_json(job: "FuseJob", results: "list[Result]", pairing: "Pairing") -> dict[str, Any]:
    from camfuse_jax.system.runtime import package_version

    counts = {kind: sum(r.status == kind for r in results) for kind in ("planned", "fused", "skipped", "failed")}
    return {
        "version": package_version(),
        "weights": job.weights,
        "shard": None if job.shard is None else str(job.shard),
        "counts": counts | {"unpaired": len(pairing.problems)},
        "unpaired": list(pairing.problems),
        "pairs": [result.as_json() for result in results],
    }


def _tell_fuse(job: "FuseJob", results: "list[Result]", pairing: "Pairing") -> None:
    """Files on standard output, remarks on standard error."""
    from camfuse_jax.batch.run import grouped_notes

    if job.shard is not None:
        print(f"shard {job.shard}: {len(results)} of {len(job.pairs)} pairs")
    for result in results:
        pair = result.pair
        if result.status == "failed":
            continue
        if job.dry_run:
            done = "there already" if result.status == "skipped" else f"-> {result.outputs['fused']}"
            print(f"{pair.name}: {pair.ir} + {pair.vis} {done}")
        elif result.status == "fused" or len(results) == 1:
            if len(results) == 1:
                print(f"ir source: {pair.ir}\nvis source: {pair.vis}")
                for what, value in result.details.items():
                    print(f"{what}: {value}", file=sys.stderr)
            for kind, path in result.outputs.items():
                print(f"{kind}: {path}")
    skipped = [result for result in results if result.status == "skipped"]
    if skipped and not job.dry_run:
        print(f"skipped: {len(skipped)} of {len(results)} there already, made with the same settings in {job.out}")
    for note in grouped_notes(results):
        print(f"note: {note}", file=sys.stderr)
    for problem in pairing.problems:
        print(f"not paired: {problem}", file=sys.stderr)


def _failure(results: "list[Result]", pairing: "Pairing") -> CamfuseError | None:
    failed = [(result.pair.name, result.error) for result in results if result.error is not None]
    if len(failed) == len(results) == 1 and not pairing.problems:
        return failed[0][1]  # the only pair: its own error and exit code
    told = [f"{len(failed)} of {len(results)} pairs failed."] if failed else []
    told += [f"{name}: {error}" for name, error in failed[:_SHOWN]]
    told += [f"And {len(failed) - _SHOWN} more; --json lists all."] if len(failed) > _SHOWN else []
    if failed and len(failed) == len(results):
        kinds = {type(error) for _, error in failed}
        return (kinds.pop() if len(kinds) == 1 else InputError)(" ".join(told))
    if pairing.problems:
        told.append(f"{len(pairing.problems)} files pair with nothing.")
    return SomeFailedError("The rest is done, but " + " ".join(told)) if told else None
