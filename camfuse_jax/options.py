"""The command line of `experiments/run.py`: every option, and how it is read."""

import argparse
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Annotated, Literal

import tyro

from camfuse_jax.config import Config, Rule
from camfuse_jax.presets import PRESETS

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
    preset: Literal["default", "paper", "ablation", "tiny"] = "default"
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
