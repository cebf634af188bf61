"""The command line of `experiments/run.py`: every option, and how it is read."""

import argparse
import contextlib
import dataclasses
import pathlib
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import tyro

from camfuse_jax import cluster as joining
from camfuse_jax.config import PRESETS, Config, Rule
from camfuse_jax.errors import CamfuseError, StoppedError, UsageError
from camfuse_jax.system import runtime, signals
from camfuse_jax.system.files import as_resource_error

Stage = Literal[
    "data",
    "ae",
    "cls",
    "fuse",
    "eval",
    "table",
    "figures",
    "report",
    "ablate",
    "export",
    "convert",
    "parity",
    "bench",
    "all",
]


@dataclasses.dataclass(frozen=True)
class Bench:
    """Stage `bench`.

    Attributes:
        sizes: Images to fuse, WIDTHxHEIGHT.
        batches: Pairs per call.
        work: What to time: fusion, and the training step of each stage.
        backends: Programs to compare; those that are not installed are named in the table.
        rounds: Calls of each, one after the other in turn.
        threads: Processor threads for everybody; 0 means all.
    """

    sizes: tuple[str, ...] = ("640x480", "1024x768", "1920x1080")
    batches: tuple[int, ...] = (1, 8)
    work: tuple[Literal["fuse", "ae", "cls"], ...] = ("fuse", "ae", "cls")
    backends: tuple[Literal["jax", "torch", "torch-channels-last", "torch-compile", "onnxruntime", "openvino"], ...] = (
        "jax",
        "torch",
        "torch-channels-last",
        "torch-compile",
        "onnxruntime",
        "openvino",
    )
    rounds: int = 7
    threads: int = 0


@dataclasses.dataclass(frozen=True)
class Options:
    """Trains the auto-encoder and the classifiers, fuses images, and scores them.

    Examples:
      run.py --stage fuse                                       the package's demo pair and weights
      run.py --stage fuse --ir a_ir.png --vis a_vis.png --out fused
      run.py --stage all --dataset tno --data ../shared/data    train, fuse and score
      run.py --stage report --dataset tno --data ../shared/data one HTML page about every test pair
      run.py --stage all --preset tiny                          rehearsal on synthetic pairs
      run.py --stage export --to onnx --out camfuse.onnx        the network for another program

    Attributes:
        stage: What to do; `all` is data, ae, cls and eval in turn; convert, parity and bench need PyTorch.
        preset: Where the other settings start.
        dataset: tno, roadscene, synthetic, or a folder with ir/NAME.* and vis/NAME.*.
        workdir: Where stages keep checkpoints, prepared data and results.
        data: Folder with tno/, roadscene/, coco/; the environment's CAMFUSE_DATA where not given.
        download: Fetch named data sets that are not in that folder.
        ir: Stages fuse and report: infrared file or folder.
        vis: Stages fuse and report: visible file or folder.
        out: Where results go; default: `fused` for stage fuse, else WORKDIR/STAGE-DATASET (a page for report).
        weights: tno, roadscene, or a .safetensors file; default: for fuse the shipped ones, else the workdir's own if
            it has trained any, else the shipped ones.
        autoencoder: Stage cls: train on the encoder of these weights instead of the workdir's own (as for
            --weights), so that a classifier for another camera takes minutes.
        rule: Stages fuse, eval and ablate: fusion rule instead of the one that the weights bring (see --fusion.rule).
        limit: Stage report: only the first pairs; 0 means all.
        fused: Stages eval, table, figures and report: other methods' fused images of the same pairs, as NAME=DIR;
            repeatable. Default of table and figures: METHOD/DATASET under the environment's CAMFUSE_PEERS, if set.
        metrics: Stages eval, table and report: the paper's five and the noise estimate, or more.
        protocol: Stages eval, table and report: definitions of the metrics: paper, cddfuse or tang.
        seeds: Stage ablate: seeds of each retrained classifier; 0 leaves the retrained rows out.
        image: Stage figures: name of the test pair to show; default: the first.
        zoom: Stage figures: a detail to show enlarged, as X,Y,WIDTH,HEIGHT in pixels; at most two; default: found.
        sheet: Stage figures: also a contact sheet of all test pairs.
        to: Stage export: onnx or stablehlo. Stage convert: torch or jax.
        bench: Stage bench: what to time.
        distributed: Stages ae and cls: train together with the processes that SLURM, Kubernetes, Open MPI or a
            Cloud TPU started with this one.
        coordinator: The same without such a system: process 0 listens at this HOST:PORT.
        processes: With coordinator: number of processes.
        process: With coordinator: number of this process, from 0.
        config: Networks and training.
    """

    stage: Stage
    preset: Literal["default", "paper", "learned", "ablation", "tiny"] = "default"
    dataset: str = "tno"
    workdir: pathlib.Path = pathlib.Path("runs/default")
    data: pathlib.Path | None = None
    download: bool = False
    ir: pathlib.Path | None = None
    vis: pathlib.Path | None = None
    out: pathlib.Path | None = None
    weights: str | None = None
    autoencoder: str | None = None
    rule: Rule | None = None
    limit: int = 0
    fused: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    metrics: Literal["paper", "all"] = "paper"
    protocol: Literal["paper", "cddfuse", "tang"] = "paper"
    seeds: int = 3
    image: str | None = None
    zoom: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    sheet: bool = False
    to: Literal["onnx", "stablehlo", "torch", "jax"] | None = None
    bench: Bench = Bench()
    distributed: bool = False
    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None
    config: Annotated[Config, tyro.conf.arg(name="")] = dataclasses.field(default_factory=Config)

    @property
    def workdir_of_data(self) -> Any:
        """The workdir with the data set of this run."""
        from camfuse_jax.data.workdir import Workdir

        return Workdir(self.workdir, self.dataset, data=self.data, download=self.download)


def parse(argv: Sequence[str]) -> Options:
    """Reads the command line; a wrong name ends the program with exit code 2."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", default="default")
    preset = first.parse_known_args(argv)[0].preset
    config = PRESETS.get(preset, PRESETS["default"])()
    default = Options(
        stage=tyro.MISSING,
        preset=preset if preset in PRESETS else tyro.MISSING,
        dataset="synthetic" if preset == "tiny" else "tno",
        workdir=pathlib.Path("runs") / preset,
        config=config,
    )
    return tyro.cli(Options, args=list(argv), default=default, prog="run.py")


# Stage `data`: makes the records of a data set, so that later stages only read.


def prepare_data(places: Any) -> None:
    """Prepares the pairs and, for the named data sets, the photographs; prints how many there are."""
    for split in ("train", "test"):
        print(f"data: {len(places.pairs(split))} {split} pairs of {places.label}", file=sys.stderr)
    photos = places.photos()
    if photos is not None:
        print(f"data: {len(photos)} photographs", file=sys.stderr)


# Command line of `experiments/run.py`: run the stages, map errors to exit codes.


INTERRUPTED = 130


def main(argv: Sequence[str] | None = None, *, extra: Mapping[str, Callable[[Options], None]] | None = None) -> int:
    """Runs the command line and returns the exit code.

    Args:
        argv: Arguments; those of the process by default.
        extra: Stages that are not part of the package, by name.
    """
    stages = {**_STAGES, **(extra or {})}
    joined: list[joining.Cluster] = []
    everywhere = False
    try:
        with signals.handled(), as_resource_error():
            _run(parse(sys.argv[1:] if argv is None else argv), stages, joined)
        code, everywhere = 0, True
    except CamfuseError as error:
        print(error if isinstance(error, StoppedError) else f"error: {error}", file=sys.stderr)
        code, everywhere = error.exit_code, error.everywhere
    except KeyboardInterrupt as stop:
        print("interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        code = stop.exit_code if isinstance(stop, signals.Stop) else INTERRUPTED
    except Exception:
        if not joined:
            raise
        traceback.print_exc()  # a mistake of ours: told as ever, but the others must not wait for this process
        code = 1
    if joined and not everywhere:
        joining.abandon_cluster(code, joined[0])
    if joined:
        joining.leave_cluster()
    return code


def _run(options: Options, stages: Mapping[str, Callable[[Options], None]], joined: list[joining.Cluster]) -> None:
    runtime.configure()
    names = ("data", "ae", "cls", "eval") if options.stage == "all" else (options.stage,)
    for name in names:
        if name not in stages:
            raise UsageError(f"Stage {name} is not part of the package.", "Use experiments/run.py of its sources.")
    with contextlib.ExitStack() as stack:
        if options.distributed or any(x is not None for x in (options.coordinator, options.processes, options.process)):
            _join(options, joined, stack)
        for name in names:
            stages[name](options)


def _join(options: Options, joined: list[joining.Cluster], stack: contextlib.ExitStack) -> None:
    """Enters the cluster, and has the data prepared before any process reads them."""
    if options.stage not in ("ae", "cls"):
        raise UsageError(f"Stage {options.stage} is for one process.", "Several train together: stages ae and cls.")
    where = joining.ClusterOptions(options.distributed, options.coordinator, options.processes, options.process)
    joined.append(joining.join_cluster(where))
    from camfuse_jax.training import processes

    stack.enter_context(processes.losses_told())
    processes.highest(
        0
    )  # all are here: gloo waits for a first word half a minute only, for later ones as long as it takes
    processes.in_leader(lambda: _data(options))


def _data(options: Options) -> None:

    prepare_data(options.workdir_of_data)


def _ae(options: Options) -> None:
    from camfuse_jax.training.autoencoder import train_autoencoder

    train_autoencoder(options.config, options.workdir_of_data)


def _cls(options: Options) -> None:
    from camfuse_jax.training.classifier import train_classifier

    train_classifier(options.config, options.workdir_of_data, autoencoder=options.autoencoder)


def _fuse(options: Options) -> None:
    from camfuse_jax.commands.fuse import Fuse
    from camfuse_jax.pair.options import FileOptions, FuseSettings

    if (options.ir is None) != (options.vis is None):
        raise UsageError("Only one of --ir and --vis is given.", "Give both, or neither for the demo pair.")
    single = options.ir is None or options.ir.is_file()
    Fuse(
        ir=options.ir and str(options.ir),
        vis=options.vis and str(options.vis),
        out=options.out or pathlib.Path("fused"),
        settings=FuseSettings(weights=options.weights or "tno", rule=options.rule),
        image=FileOptions(overlay=single),
    ).run()


def _whose(options: Options) -> dict[str, Any]:
    """Where results go, which weights, and whose images stand beside ours."""
    return {"out": options.out, "weights": options.weights, "others": options.fused}


def _definitions(options: Options) -> dict[str, Any]:
    return {"metrics": options.metrics, "protocol": options.protocol}


def _eval(options: Options) -> None:
    from camfuse_jax.metrics.evaluate import evaluate_dataset

    evaluate_dataset(options.workdir_of_data, **_whose(options), **_definitions(options), rule=options.rule)


def _report(options: Options) -> None:
    from camfuse_jax.report.build import report_dataset, report_files

    common = {"fused": options.fused, "limit": options.limit, **_definitions(options)}
    if options.ir is None and options.vis is None:
        report_dataset(options.workdir_of_data, out=options.out, weights=options.weights, **common)
    else:
        out = options.out or pathlib.Path("report.html")
        report_files(options.ir, options.vis, out=out, weights=options.weights or "tno", **common)


def _export(options: Options) -> None:
    from camfuse_jax.export.check import export_network

    export_network(weights=options.weights or "tno", to=options.to, out=options.out)


_STAGES: dict[str, Callable[[Options], None]] = {
    "data": _data,
    "ae": _ae,
    "cls": _cls,
    "fuse": _fuse,
    "eval": _eval,
    "report": _report,
    "export": _export,
}
