"""The stages of `experiments/run.py` and `camfuse train`: every option, and what each stage calls."""

import argparse
import contextlib
import dataclasses
import difflib
import pathlib
import sys
import traceback
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from camfuse_jax import cluster as joining
from camfuse_jax.cluster import ClusterOptions
from camfuse_jax.config import PRESETS, Config, NamedRule
from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.system import runtime
from camfuse_jax.system.program import Outcome, run_program

if TYPE_CHECKING:
    from camfuse_jax.data.records import Workdir

_Usual = Literal["data", "ae", "cls", "fuse", "eval", "table", "figures", "report"]
Stage = Literal[_Usual, "ablate", "export", "convert", "parity", "bench", "all"]


REGISTRY = tyro.constructors.ConstructorRegistry()
"""How options are read, of this command line and of `camfuse`."""


@REGISTRY.primitive_rule
def _optional(info: Any) -> Any:
    """Options that may be left out are read as if they could not be: `None` is no word of ours, in help or errors."""
    kinds = [kind for kind in typing.get_args(info.type) if kind is not types.NoneType]
    if info.type_origin not in (typing.Union, types.UnionType) or types.NoneType not in typing.get_args(info.type):
        return None
    if all(typing.get_origin(kind) is Literal for kind in kinds):
        names = tuple(sorted(name for kind in kinds for name in typing.get_args(kind)))
        read, metavar = str, f"{{{','.join(names)}}}"
    elif len(kinds) == 1 and kinds[0] in (str, int, float, pathlib.Path):
        names, read, metavar = None, kinds[0], kinds[0].__name__.upper()
    else:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda texts: read(texts[0]),
        is_instance=lambda value: value is None or isinstance(value, read),
        str_from_instance=lambda value: [str(value)],
        choices=names,
    )


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
      run.py --stage cls                                        a classifier on the shipped auto-encoder
      run.py --stage fuse --ir a_ir.png --vis a_vis.png --out fused
      run.py --stage all --dataset tno --data ../shared/data    train, fuse and score
      run.py --stage report --dataset tno --data ../shared/data one HTML page about every test pair
      run.py --stage all --preset tiny                          smoke run on synthetic pairs
      run.py --stage export --to onnx --out camfuse.onnx        the network for another program

    Attributes:
        stage: What to do; `all` is data, ae, cls and eval in turn; convert, parity and bench need PyTorch.
        preset: Where the other settings start.
        dataset: tno, roadscene, synthetic, or a folder with ir/NAME.* and vis/NAME.*; default: tno where there is a
            data folder or --download, else synthetic.
        workdir: Where stages keep checkpoints, prepared data and results.
        data: Folder with tno/, roadscene/, coco/; the environment's CAMFUSE_DATA where not given.
        download: Fetch named data sets that are not in that folder.
        ir: Stages fuse and report: infrared file or folder.
        vis: Stages fuse and report: visible file or folder.
        out: Where results go; default: `fused` for stage fuse, else WORKDIR/STAGE-DATASET (a page for report).
        weights: fast, tno, roadscene, paper-tno, paper-roadscene, or a file; default: tno for fuse, else the workdir's
            own if it has trained any, else the shipped ones.
        autoencoder: Stage cls: train on the encoder of these weights (as for --weights), so that a classifier for
            another camera takes minutes; default: the workdir's own, or the shipped one where it has none.
        rule: Stages fuse, eval, table and ablate: fusion rule instead of the one that the weights bring. Other settings
            of rules: --fusion.* of stages cls, which saves them with the weights, eval and table.
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
        cluster: Stages ae and cls: several processes train together.
        config: Networks and training.
    """

    stage: Stage
    preset: Literal["default", "fast", "paper", "learned", "ablation", "reproduction", "tiny"] = "default"
    dataset: str | None = None
    workdir: pathlib.Path = pathlib.Path("runs/default")
    data: pathlib.Path | None = None
    download: bool = False
    ir: pathlib.Path | None = None
    vis: pathlib.Path | None = None
    out: pathlib.Path | None = None
    weights: str | None = None
    autoencoder: str | None = None
    rule: NamedRule | None = None
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
    cluster: Annotated[ClusterOptions, tyro.conf.arg(name="")] = dataclasses.field(default_factory=ClusterOptions)
    config: Annotated[Config, tyro.conf.arg(name="")] = dataclasses.field(default_factory=Config)

    @property
    def workdir_of_data(self) -> "Workdir":
        """The workdir with the data set of this run."""
        from camfuse_jax.data.records import Workdir

        assert self.dataset is not None
        return Workdir(self.workdir, self.dataset, data=self.data, download=self.download)

    @property
    def fusion(self) -> dict[str, Any]:
        """The settings of fusion rules that the command line gives, by dotted names: what the preset has otherwise."""
        return _changed_fields(self.config.fusion, PRESETS[self.preset]().fusion)


@dataclasses.dataclass(frozen=True)
class _Brief(Options):
    """Options without those of the networks and of timing, for `--help`."""

    bench: tyro.conf.Suppress[Bench] = Bench()
    config: tyro.conf.Suppress[Config] = dataclasses.field(default_factory=Config)


_ALL_STAGES = ("data", "ae", "cls", "eval")
_ON_DATA = (*_ALL_STAGES, "all", "ablate")
_SCORED = ("eval", "all", "table", "report")
_TAKES_PART = {
    "ir": ("fuse", "report", "parity"),
    "vis": ("fuse", "report", "parity"),
    "autoencoder": ("cls", "all"),
    "weights": ("fuse", "eval", "table", "figures", "report", "ablate", "export", "convert", "parity", "bench"),
    "rule": ("fuse", "eval", "all", "table", "ablate"),
    "fusion": ("cls", "eval", "all", "table"),
    "limit": ("report",),
    "fused": (*_SCORED, "figures"),
    "metrics": _SCORED,
    "protocol": _SCORED,
    "seeds": ("ablate",),
    "image": ("figures",),
    "zoom": ("figures",),
    "sheet": ("figures",),
    "to": ("export", "convert"),
    "bench": ("bench",),
}
_SHIPPED = "tno"


def parse(argv: Sequence[str], *, prog: str = "run.py") -> Options:
    """Reads the command line; a wrong name ends the program with exit code 2."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", default="default")
    preset = first.parse_known_args(argv)[0].preset
    brief = not {"-h", "--help"}.isdisjoint(argv)
    kind = _Brief if brief else Options
    about = (Options.__doc__ or "").partition("    Attributes:")[0].strip().replace("\n    ", "\n")
    about = about.replace("run.py", prog)
    about += f"\n\n{prog} --help-all also lists the options of the networks and of their training." if brief else ""
    default = kind(
        stage="all" if prog != "run.py" else tyro.MISSING,
        preset=preset if preset in PRESETS else tyro.MISSING,
        dataset="synthetic" if preset == "tiny" else None,
        workdir=pathlib.Path("runs") / preset,
        config=PRESETS.get(preset, PRESETS["default"])(),
    )
    arguments = ["--help" if argument == "--help-all" else argument for argument in argv]
    return tyro.cli(kind, args=arguments, default=default, prog=prog, description=about, registry=REGISTRY)


def run_stages(
    argv: Sequence[str] | None = None,
    *,
    extra: Mapping[str, Callable[[Options], None]] | None = None,
    prog: str = "run.py",
) -> int:
    """Runs the command line and returns the exit code.

    Args:
        argv: Arguments; those of the process by default.
        extra: Stages that are not part of the package, by name.
        prog: Name of the program in its help.
    """
    stages = {**_STAGES, **(extra or {})}
    joined: list[joining.Cluster] = []
    try:
        outcome = run_program(
            lambda: _run(parse(sys.argv[1:] if argv is None else argv, prog=prog), stages, joined),
            left="the same command goes on from the last checkpoint",
        )
    except Exception:
        if not joined:
            raise
        traceback.print_exc()  # a mistake of ours: reported as ever, but the others must not wait for this process
        outcome = Outcome(1, False)
    if joined and not outcome.everywhere:
        joining.abandon_cluster(outcome.code, joined[0])
    if joined:
        joining.leave_cluster()
    return outcome.code


def _run(options: Options, stages: Mapping[str, Callable[[Options], None]], joined: list[joining.Cluster]) -> None:
    runtime.configure()
    names = _ALL_STAGES if options.stage == "all" else (options.stage,)
    for name in names:
        if name not in stages:
            raise UsageError(f"Stage {name} is not part of the package.", "Use experiments/run.py of its sources.")
    refuse_unused(options)
    options = _completed(options)
    with contextlib.ExitStack() as stack:
        if options.cluster != ClusterOptions():
            _join(options, joined, stack)
        for name in names:
            stages[name](options)


def refuse_unused(options: Options) -> None:
    """Refuses what the stage would not look at.

    Raises:
        UsageError: An option is given that takes no part in the stage.
    """
    usual = {field.name: field.default for field in dataclasses.fields(Options)}
    for name, where in _TAKES_PART.items():
        if getattr(options, name) not in (usual.get(name), {}) and options.stage not in where:
            raise UsageError(f"--{name} takes no part in stage {options.stage}.", f"It does in {', '.join(where)}.")


def _completed(options: Options) -> Options:
    """The options with a data set, and where needed an encoder, that are there; what is taken is said.

    Raises:
        InputError: The data set that is asked for is neither known nor a folder.
    """
    from camfuse_jax.data.records import NAMED, SYNTHETIC
    from camfuse_jax.data.splits import data_root

    dataset, known = options.dataset, (*NAMED, SYNTHETIC)
    if dataset is None:
        dataset = NAMED[0]
        if options.stage in _ON_DATA and not options.download:
            try:
                data_root(options.data)
            except InputError:
                if options.data is not None:
                    raise
                dataset = SYNTHETIC
                _note(
                    "there is no data folder, so the package's synthetic pairs are used. For the real ones give --data "
                    "DIR, or --download to fetch them; for your own --dataset FOLDER with ir/ and vis/."
                )
    elif dataset not in known and not pathlib.Path(dataset).is_dir():
        near = difflib.get_close_matches(dataset.lower(), known, n=1)
        raise InputError(
            f"There is no data set or folder named {dataset!r}.",
            f"{f'Did you mean {near[0]}? ' if near else ''}Give {', '.join(known)}, or a folder with ir/ and vis/.",
        )
    options = dataclasses.replace(options, dataset=dataset)
    folder = options.workdir_of_data.ae_folder
    if options.stage == "cls" and options.autoencoder is None and not (folder.is_dir() and any(folder.iterdir())):
        _note(f"{folder} holds no auto-encoder: that of the shipped weights {_SHIPPED} is used. --stage ae trains one.")
        options = dataclasses.replace(options, autoencoder=_SHIPPED)
    return options


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


def _join(options: Options, joined: list[joining.Cluster], stack: contextlib.ExitStack) -> None:
    """Enters the cluster, and has the data prepared before any process reads them."""
    if options.stage not in ("ae", "cls"):
        raise UsageError(f"Stage {options.stage} is for one process.", "Several train together: stages ae and cls.")
    joined.append(joining.join_cluster(options.cluster))
    from camfuse_jax import cluster

    stack.enter_context(cluster.named_losses())
    cluster.highest(0)  # all are here: gloo waits half a minute for a first word, for later ones without end
    cluster.in_leader(lambda: _data(options))


def _data(options: Options) -> None:
    """Makes the records of a data set, so that later stages only read; prints how many there are."""
    workdir = options.workdir_of_data
    for split in ("train", "test"):
        print(f"data: {len(workdir.pairs(split))} {split} pairs of {workdir.label}", file=sys.stderr)
    photos = workdir.photos()
    if photos is not None:
        print(f"data: {len(photos)} photographs", file=sys.stderr)


def _ae(options: Options) -> None:
    from camfuse_jax.training.autoencoder import train_autoencoder

    train_autoencoder(options.config, options.workdir_of_data)
    folder = options.workdir_of_data.ae_folder
    _tell_made(f"the auto-encoder is in {folder}; --stage cls with the same --workdir trains a classifier on it")


def _cls(options: Options) -> None:
    from camfuse_jax.training.classifier import train_classifier

    train_classifier(options.config, options.workdir_of_data, autoencoder=options.autoencoder)
    path = options.workdir_of_data.trained
    _tell_made(f"wrote {path}; use it with `camfuse fuse IR VIS --weights {path}`")


def _tell_made(text: str) -> None:
    """Once, where several processes train together."""
    from camfuse_jax.cluster import leads

    if leads():
        print(text)


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

    evaluate_dataset(options.workdir_of_data, **_whose(options), **_definitions(options), **_rules(options))


def _rules(options: Options) -> dict[str, Any]:
    """What fuses instead of what the weights bring."""
    return {"rule": options.rule, "settings": options.fusion}


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


def _changed_fields(config: Any, usual: Any, within: str = "") -> dict[str, Any]:
    """Fields of a configuration that another of its kind has otherwise, by dotted names."""
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        here, there = getattr(config, field.name), getattr(usual, field.name)
        if dataclasses.is_dataclass(here):
            changed |= _changed_fields(here, there, f"{within}{field.name}.")
        elif here != there:
            changed[within + field.name] = here
    return changed
