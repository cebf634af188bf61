"""Command line of `experiments/run.py`: parse, run the stages, map errors to exit codes."""

import argparse
import dataclasses
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

import tyro

from camfuse_jax import runtime
from camfuse_jax.config import Config
from camfuse_jax.errors import CamfuseError, UsageError
from camfuse_jax.presets import PRESETS

Stage = Literal["data", "ae", "cls", "fuse", "eval", "all", "export", "convert", "parity", "bench"]
INTERRUPTED = 130


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
      run.py --stage all --preset tiny                          rehearsal on synthetic pairs
      run.py --stage export --to onnx --out camfuse.onnx        the network for another program

    Attributes:
        stage: What to do; `all` is data, ae, cls and eval in turn. The last three compare with PyTorch.
        preset: Where the other settings start.
        dataset: tno, roadscene, synthetic, or a folder with ir/NAME.* and vis/NAME.*.
        workdir: Where stages keep checkpoints, prepared data and results.
        data: Folder with tno/, roadscene/, coco/; the environment's CAMFUSE_DATA where not given.
        download: Fetch named data sets that are not in that folder.
        ir: Stage fuse: infrared file or folder.
        vis: Stage fuse: visible file or folder.
        out: Where fused images or tables go; default: `fused` for stage fuse, WORKDIR/eval-DATASET for eval,
            WORKDIR/STAGE for parity and bench. For export and convert the file to write.
        weights: tno, roadscene, or a .safetensors file; default: for fuse the shipped ones, for eval the workdir's
            own if it has trained any, else the shipped ones.
        fused: Stage eval: other methods' fused images of the same pairs, as NAME=DIR; repeatable.
        metrics: Stage eval: the paper's five, or all thirteen.
        protocol: Stage eval: definitions of the metrics: paper, cddfuse or tang.
        to: Stage export: onnx or stablehlo. Stage convert: torch or jax.
        bench: Stage bench: what to time.
        config: Networks and training.
    """

    stage: Stage
    preset: Literal["default", "paper", "tiny"] = "default"
    dataset: str = "tno"
    workdir: pathlib.Path = pathlib.Path("runs/default")
    data: pathlib.Path | None = None
    download: bool = False
    ir: pathlib.Path | None = None
    vis: pathlib.Path | None = None
    out: pathlib.Path | None = None
    weights: str | None = None
    fused: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    metrics: Literal["paper", "all"] = "paper"
    protocol: Literal["paper", "cddfuse", "tang"] = "paper"
    to: Literal["onnx", "stablehlo", "torch", "jax"] | None = None
    bench: Bench = Bench()
    config: Annotated[Config, tyro.conf.arg(name="")] = dataclasses.field(default_factory=Config)


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


def main(argv: Sequence[str] | None = None, *, extra: Mapping[str, Callable[[Options], None]] | None = None) -> int:
    """Runs the command line and returns the exit code.

    Args:
        argv: Arguments; those of the process by default.
        extra: Stages that are not part of the package, by name.
    """
    stages = {**_STAGES, **(extra or {})}
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
        runtime.configure()
        for stage in ("data", "ae", "cls", "eval") if options.stage == "all" else (options.stage,):
            if stage not in stages:
                raise UsageError(f"Stage {stage} is not part of the package.", "Use experiments/run.py of its sources.")
            stages[stage](options)
    except CamfuseError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return INTERRUPTED
    return 0


def _places(options: Options):
    from camfuse_jax.stages.places import Places

    return Places(options.workdir, options.dataset, data=options.data, download=options.download)


def _data(options: Options) -> None:
    from camfuse_jax.stages.prepare_data import prepare_data

    prepare_data(_places(options))


def _ae(options: Options) -> None:
    from camfuse_jax.stages.train_autoencoder import train_autoencoder

    train_autoencoder(options.config, _places(options))


def _cls(options: Options) -> None:
    from camfuse_jax.stages.train_classifier import train_classifier

    train_classifier(options.config, _places(options))


def _fuse(options: Options) -> None:
    from camfuse_jax.stages.fuse_files import fuse_files

    fuse_files(
        ir=options.ir, vis=options.vis, out=options.out or pathlib.Path("fused"), weights=options.weights or "tno"
    )


def _eval(options: Options) -> None:
    from camfuse_jax.stages.evaluate import evaluate_dataset

    evaluate_dataset(
        _places(options),
        out=options.out,
        weights=options.weights,
        others=options.fused,
        metrics=options.metrics,
        protocol=options.protocol,
    )


def _export(options: Options) -> None:
    from camfuse_jax.stages.export_network import export_network

    export_network(weights=options.weights or "tno", to=options.to, out=options.out)


_STAGES: dict[str, Callable[[Options], None]] = {
    "data": _data,
    "ae": _ae,
    "cls": _cls,
    "fuse": _fuse,
    "eval": _eval,
    "export": _export,
}
