"""Command line of `experiments/run.py`: parse, run the stages, map errors to exit codes."""

import argparse
import dataclasses
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import tyro

from camfuse_jax import runtime
from camfuse_jax.config import Config, Rule
from camfuse_jax.errors import CamfuseError, StoppedError, UsageError
from camfuse_jax.presets import PRESETS
from camfuse_jax.safety import signals
from camfuse_jax.safety.system import as_resource_error

Stage = Literal["data", "ae", "cls", "fuse", "eval", "table", "figures", "report", "ablate", "all"]
INTERRUPTED = 130


@dataclasses.dataclass(frozen=True)
class Options:
    """Trains the auto-encoder and the classifiers, fuses images, and scores them.

    Examples:
      run.py --stage fuse                                       the package's demo pair and weights
      run.py --stage fuse --ir a_ir.png --vis a_vis.png --out fused
      run.py --stage all --dataset tno --data ../shared/data    train, fuse and score
      run.py --stage report --dataset tno --data ../shared/data one HTML page about every test pair
      run.py --stage all --preset tiny                          rehearsal on synthetic pairs

    Attributes:
        stage: What to do; `all` is data, ae, cls and eval in turn.
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
        rule: Stages fuse and eval: fusion rule instead of the one that the weights bring (see --fusion.rule).
        limit: Stage report: only the first pairs; 0 means all.
        fused: Stages eval, table, figures and report: other methods' fused images of the same pairs, as NAME=DIR;
            repeatable. Default of table and figures: METHOD/DATASET under the environment's CAMFUSE_PEERS, if set.
        metrics: Stages eval, table and report: the paper's five columns, or more.
        protocol: Stages eval, table and report: definitions of the metrics: paper, cddfuse or tang.
        seeds: Stage ablate: seeds of each retrained classifier; 0 leaves the retrained rows out.
        image: Stage figures: name of the test pair to show; default: the first.
        zoom: Stage figures: a detail to show enlarged, as X,Y,WIDTH,HEIGHT in pixels; at most two; default: found.
        sheet: Stage figures: also a contact sheet of all test pairs.
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
    rule: Rule | None = None
    limit: int = 0
    fused: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    metrics: Literal["paper", "all"] = "paper"
    protocol: Literal["paper", "cddfuse", "tang"] = "paper"
    seeds: int = 3
    image: str | None = None
    zoom: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    sheet: bool = False
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
    from camfuse_jax.commands.fuse import Fuse

    if (options.ir is None) != (options.vis is None):
        raise UsageError("Only one of --ir and --vis is given.", "Give both, or neither for the demo pair.")
    single = options.ir is None or options.ir.is_file()
    Fuse(
        ir=options.ir,
        vis=options.vis,
        out=options.out or pathlib.Path("fused"),
        weights=options.weights or "tno",
        rule=options.rule,
        overlay=single,
    ).run()


def _eval(options: Options) -> None:
    from camfuse_jax.stages.evaluate import evaluate_dataset

    evaluate_dataset(
        _places(options),
        out=options.out,
        weights=options.weights,
        rule=options.rule,
        others=options.fused,
        metrics=options.metrics,
        protocol=options.protocol,
    )


def _report(options: Options) -> None:
    from camfuse_jax.stages.report_page import report_dataset, report_files

    common = {name: getattr(options, name) for name in ("fused", "limit", "metrics", "protocol")}
    if options.ir is None and options.vis is None:
        report_dataset(_places(options), out=options.out, weights=options.weights, **common)
    else:
        out = options.out or pathlib.Path("report.html")
        report_files(options.ir, options.vis, out=out, weights=options.weights or "tno", **common)


def _table(options: Options) -> None:
    from camfuse_jax.stages.make_table import make_table

    make_table(
        _places(options),
        out=options.out,
        weights=options.weights,
        others=options.fused,
        metrics=options.metrics,
        protocol=options.protocol,
    )


def _figures(options: Options) -> None:
    from camfuse_jax.stages.make_figures import make_figures

    make_figures(
        _places(options),
        out=options.out,
        weights=options.weights,
        others=options.fused,
        image=options.image,
        zooms=options.zoom,
        sheet=options.sheet,
    )


def _ablate(options: Options) -> None:
    from camfuse_jax.stages.ablate import ablate

    ablate(options.config, _places(options), out=options.out, weights=options.weights, seeds=options.seeds)


_STAGES: dict[str, Callable[[Options], None]] = {
    "data": _data,
    "ae": _ae,
    "cls": _cls,
    "fuse": _fuse,
    "eval": _eval,
    "report": _report,
    "ablate": _ablate,
    "table": _table,
    "figures": _figures,
}
