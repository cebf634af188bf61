"""Command line of `experiments/run.py`: parse, run the stages, map errors to exit codes."""

import argparse
import dataclasses
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import tyro

from camfuse_jax import runtime
from camfuse_jax.config import Config
from camfuse_jax.errors import CamfuseError, StoppedError
from camfuse_jax.presets import PRESETS
from camfuse_jax.safety import signals
from camfuse_jax.safety.system import as_resource_error

Stage = Literal["data", "ae", "cls", "fuse", "eval", "all"]
INTERRUPTED = 130


@dataclasses.dataclass(frozen=True)
class Options:
    """Trains the auto-encoder and the classifiers, fuses images, and scores them.

    Examples:
      run.py --stage fuse                                       the package's demo pair and weights
      run.py --stage fuse --ir a_ir.png --vis a_vis.png --out fused
      run.py --stage all --dataset tno --data ../shared/data    train, fuse and score
      run.py --stage all --preset tiny                          rehearsal on synthetic pairs

    Attributes:
        stage: What to do; `all` is data, ae, cls and eval in turn.
        preset: Where the other settings start.
        dataset: tno, roadscene, synthetic, or a folder with ir/NAME.* and vis/NAME.*.
        workdir: Where stages keep checkpoints, prepared data and results.
        data: Folder with tno/, roadscene/, coco/; the environment's CAMFUSE_DATA where not given.
        download: Fetch named data sets that are not in that folder.
        ir: Stage fuse: infrared file or folder.
        vis: Stage fuse: visible file or folder.
        out: Where fused images or tables go; default: `fused` for stage fuse, WORKDIR/eval-DATASET for eval.
        weights: tno, roadscene, or a .safetensors file; default: for fuse the shipped ones, for eval the workdir's
            own if it has trained any, else the shipped ones.
        fused: Stage eval: other methods' fused images of the same pairs, as NAME=DIR; repeatable.
        metrics: Stage eval: the paper's five, or all thirteen.
        protocol: Stage eval: definitions of the metrics: paper, cddfuse or tang.
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


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    try:
        with signals.handled(), as_resource_error():
            options = parse(sys.argv[1:] if argv is None else argv)
            runtime.configure()
            for stage in ("data", "ae", "cls", "eval") if options.stage == "all" else (options.stage,):
                _STAGES[stage](options)
    except StoppedError as stopped:
        print(stopped, file=sys.stderr)
        return stopped.exit_code
    except CamfuseError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as stop:
        print("interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return stop.exit_code if isinstance(stop, signals.Stop) else INTERRUPTED
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


_STAGES: dict[str, Callable[[Options], None]] = {"data": _data, "ae": _ae, "cls": _cls, "fuse": _fuse, "eval": _eval}
