"""The `camfuse` command: parse, run a sub-command, map errors to exit codes. JAX is loaded by what needs it."""

import dataclasses
import difflib
import functools
import itertools
import json
import operator
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.constructors import PrimitiveConstructorSpec, StructConstructorSpec, StructFieldSpec

from camfuse_jax.commands.calibrate import Calibrate
from camfuse_jax.commands.docs import Docs
from camfuse_jax.commands.doctor import Doctor
from camfuse_jax.commands.evaluate import Evaluate
from camfuse_jax.commands.export import Export
from camfuse_jax.commands.fuse import Fuse
from camfuse_jax.commands.report import Report
from camfuse_jax.commands.serve import Serve
from camfuse_jax.errors import CamfuseError, InputError, UsageError
from camfuse_jax.images.bounds import Limits
from camfuse_jax.images.ranges import RangePolicy, parse_policy
from camfuse_jax.images.read import READABLE_SUFFIXES
from camfuse_jax.pair.options import Look, Row, parse_look
from camfuse_jax.stages import REGISTRY
from camfuse_jax.system import runtime
from camfuse_jax.system.program import run_program


@dataclasses.dataclass(frozen=True)
class Train:
    """Trains on your own pairs or a data set, as `experiments/run.py --stage` does; `camfuse train --help` says how.

    For instance: camfuse train --stage cls --dataset pairs/ --workdir runs/mine
    """

    def run(self) -> None:
        """`cli.main` hands the options of this command to `run_stages` before they are parsed."""


# A new command: a dataclass with `run()` in camfuse_jax/commands, and a name here.
COMMANDS: dict[str, Any] = {
    "fuse": Fuse,
    "doctor": Doctor,
    "calibrate": Calibrate,
    "eval": Evaluate,
    "report": Report,
    "export": Export,
    "serve": Serve,
    "train": Train,
    "docs": Docs,
}
_ABOUT = """Infrared and visible image fusion by class activation mapping.

Example: camfuse fuse thermal.png photo.jpg -o fused.png"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--version"]:
        print(f"camfuse {runtime.package_version()}")
        return 0
    if arguments[:1] == ["train"]:
        from camfuse_jax.stages import run_stages

        return run_stages(arguments[1:], prog="camfuse train")
    return run_program(lambda: _run(arguments), left="the same command does what is missing").code


def parse_command(arguments: Sequence[str]) -> Any:
    """The command that a line asks for; for a wrong option the program ends with exit code 2.

    Raises:
        CamfuseError: There is no such command, or the value of an option cannot be used.
    """
    _check_name(arguments)
    common: dict[str, Any] = {"config": (tyro.conf.OmitArgPrefixes,), "registry": REGISTRY}
    try:
        if arguments and arguments[0] in COMMANDS:  # alone, so that errors point to this command's help
            name, *given = arguments
            return tyro.cli(COMMANDS[name], args=given, prog=f"camfuse {name}", **common)
        kinds: list[Any] = [Annotated[kind, tyro.conf.subcommand(name)] for name, kind in COMMANDS.items()]
        union = functools.reduce(operator.or_, kinds)
        return tyro.cli(union, args=list(arguments), prog="camfuse", description=_ABOUT, **common)
    except _UnusableError as wrapped:
        raise wrapped.error from None
    except _RangeError as wrong:
        option = next((name for name in _RANGES if wrong.text in _values_of(name, arguments)), " or ".join(_RANGES))
        return parse_policy(wrong.text, option=option)  # raises with the option's name


def _values_of(option: str, arguments: Sequence[str]) -> list[str]:
    """What a line gives for an option, which may be written with `_` and with `=`."""
    words = [word for argument in arguments for word in argument.replace("_", "-", 2).split("=", 1)]
    return [value for name, value in itertools.pairwise(words) if name == option]


def _run(arguments: Sequence[str]) -> None:
    runtime.configure()
    try:
        command = parse_command(arguments)
    except CamfuseError as error:
        if "--json" in arguments:
            print(json.dumps({"command": arguments[0], "exit_code": error.exit_code, "error": str(error)}, indent=1))
        raise
    command.run()


def _check_name(arguments: Sequence[str]) -> None:
    name = arguments[0] if arguments else "-"
    if name in COMMANDS or name.startswith("-"):
        return
    is_image = Path(name).suffix.lower() in READABLE_SUFFIXES or Path(name).is_dir()
    near = "fuse " + " ".join(arguments) if is_image else next(iter(difflib.get_close_matches(name, COMMANDS, 1)), "")
    hint = f"Did you mean `camfuse {near}`? " if near else ""
    raise UsageError(f"There is no command {name!r}.", f"{hint}Commands: {', '.join(COMMANDS)}.")


class _UnusableError(Exception):
    """Carries an `InputError`, which as a `ValueError` tyro would turn into a message and an exit code of its own."""

    def __init__(self, error: InputError):
        super().__init__(str(error))
        self.error = error


class _RangeError(Exception):
    """Carries a range that is none: which option it was given for is not known where it is read."""

    def __init__(self, text: str):
        super().__init__(text)
        self.text = text


_RANGES = ("--ir-range", "--vis-range")


def _range(text: str) -> RangePolicy:
    try:
        return parse_policy(text, option="")
    except UsageError as error:
        raise _RangeError(text) from error


@REGISTRY.primitive_rule
def _from_text(info: Any) -> Any:
    """How `FrameSettings`' ranges and calibration, and the look, are written as one argument."""
    if info.type == Look:
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="{natural,contrast}|FLOAT",
            instance_from_str=lambda texts: parse_look(texts[0]),
            is_instance=lambda value: value is None or isinstance(value, str | float),
            str_from_instance=lambda look: [str(look)],
        )
    if info.type is RangePolicy:
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="RANGE",
            instance_from_str=lambda texts: _range(texts[0]),
            is_instance=lambda value: isinstance(value, RangePolicy),
            str_from_instance=lambda policy: [policy.kind],
        )
    if info.type == tuple[Row, Row, Row]:
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="FILE",
            instance_from_str=lambda texts: _read_calibration(Path(texts[0])),
            is_instance=lambda value: isinstance(value, tuple),
            str_from_instance=lambda rows: [str(rows)],
        )
    return None


def _read_calibration(path: Path) -> Any:
    from camfuse_jax.pair.calibrate import read_homography

    try:
        return tuple(map(tuple, read_homography(path).tolist()))
    except InputError as error:
        raise _UnusableError(error) from error


@REGISTRY.struct_rule
def _limits(info: Any) -> Any:
    """`Limits` in units that people use."""
    if info.type is not Limits:
        return None
    usual = Limits()
    pixels = StructFieldSpec("max_megapixels", float, usual.max_pixels / 1e6, "Largest image that is read.")
    size = StructFieldSpec("max_megabytes", float, usual.max_bytes / 1e6, "Largest file that is read.")
    return StructConstructorSpec(
        lambda max_megapixels, max_megabytes: Limits(int(max_megapixels * 1e6), int(max_megabytes * 1e6)),
        (pixels, size),
    )


if __name__ == "__main__":
    sys.exit(main())
