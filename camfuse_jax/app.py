"""Command line of `experiments/run.py`: run the stages, map errors to exit codes."""

import contextlib
import pathlib
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from camfuse_jax import joining, runtime
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
    where = {"coordinator": options.coordinator, "processes": options.processes, "process": options.process}
    joined.append(joining.join_cluster(**where))
    from camfuse_jax.training import cluster

    stack.enter_context(cluster.losses_told())
    cluster.highest(
        0
    )  # all are here: gloo waits for a first word half a minute only, for later ones as long as it takes
    cluster.in_leader(lambda: _data(options))


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
