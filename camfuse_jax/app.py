"""Command line of `experiments/run.py`: run the stages, map errors to exit codes."""

import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from camfuse_jax import runtime
from camfuse_jax.errors import CamfuseError, StoppedError, UsageError
from camfuse_jax.options import Options, parse
from camfuse_jax.safety import signals
from camfuse_jax.safety.system import as_resource_error

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None, *, extra: Mapping[str, Callable[[Options], None]] | None = None) -> int:
    """Runs the command line and returns the exit code.

    Args:
        argv: Arguments; those of the process by default.
        extra: Stages that are not part of the package, by name.
    """
    stages = {**_STAGES, **(extra or {})}
    try:
        with signals.handled(), as_resource_error():
            options = parse(sys.argv[1:] if argv is None else argv)
            runtime.configure()
            for stage in ("data", "ae", "cls", "eval") if options.stage == "all" else (options.stage,):
                if stage not in stages:
                    raise UsageError(
                        f"Stage {stage} is not part of the package.", "Use experiments/run.py of its sources."
                    )
                stages[stage](options)
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

    train_classifier(options.config, _places(options), autoencoder=options.autoencoder)


def _fuse(options: Options) -> None:
    from camfuse_jax.commands.fuse import Fuse

    if (options.ir is None) != (options.vis is None):
        raise UsageError("Only one of --ir and --vis is given.", "Give both, or neither for the demo pair.")
    single = options.ir is None or options.ir.is_file()
    Fuse(
        ir=options.ir and str(options.ir),
        vis=options.vis and str(options.vis),
        out=options.out or pathlib.Path("fused"),
        weights=options.weights or "tno",
        rule=options.rule,
        overlay=single,
    ).run()


def _whose(options: Options) -> dict[str, Any]:
    """Where results go, which weights, and whose images stand beside ours."""
    return {"out": options.out, "weights": options.weights, "others": options.fused}


def _definitions(options: Options) -> dict[str, Any]:
    return {"metrics": options.metrics, "protocol": options.protocol}


def _eval(options: Options) -> None:
    from camfuse_jax.stages.evaluate import evaluate_dataset

    evaluate_dataset(_places(options), **_whose(options), **_definitions(options), rule=options.rule)


def _report(options: Options) -> None:
    from camfuse_jax.stages.report_page import report_dataset, report_files

    common = {"fused": options.fused, "limit": options.limit, **_definitions(options)}
    if options.ir is None and options.vis is None:
        report_dataset(_places(options), out=options.out, weights=options.weights, **common)
    else:
        out = options.out or pathlib.Path("report.html")
        report_files(options.ir, options.vis, out=out, weights=options.weights or "tno", **common)


def _table(options: Options) -> None:
    from camfuse_jax.stages.make_table import make_table

    make_table(_places(options), **_whose(options), **_definitions(options))


def _figures(options: Options) -> None:
    from camfuse_jax.stages.make_figures import make_figures

    shown = {"image": options.image, "zooms": options.zoom, "sheet": options.sheet}
    make_figures(_places(options), **_whose(options), **shown)


def _ablate(options: Options) -> None:
    from camfuse_jax.stages.ablate import ablate

    chosen = {"out": options.out, "weights": options.weights, "rule": options.rule, "seeds": options.seeds}
    ablate(options.config, _places(options), **chosen)


def _export(options: Options) -> None:
    from camfuse_jax.stages.export_network import export_network

    export_network(weights=options.weights or "tno", to=options.to, out=options.out)


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
    "export": _export,
}
