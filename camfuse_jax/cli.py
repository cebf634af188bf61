"""The `camfuse` command: parse, run a sub-command, map errors to exit codes. Nothing heavy is imported before."""

import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from camfuse_jax.commands.docs import Docs
from camfuse_jax.commands.doctor import Doctor
from camfuse_jax.commands.evaluate import Evaluate
from camfuse_jax.commands.export import Export
from camfuse_jax.commands.fuse import Fuse
from camfuse_jax.commands.report import Report
from camfuse_jax.commands.serve import Serve
from camfuse_jax.errors import CamfuseError, ResourceError, StoppedError
from camfuse_jax.system import runtime

_subcommand = tyro.conf.subcommand
# A new command: a dataclass with `run()` in camfuse_jax/commands, and a line here.
Command = (
    Annotated[Fuse, _subcommand("fuse")]
    | Annotated[Doctor, _subcommand("doctor")]
    | Annotated[Evaluate, _subcommand("eval")]
    | Annotated[Report, _subcommand("report")]
    | Annotated[Export, _subcommand("export")]
    | Annotated[Serve, _subcommand("serve")]
    | Annotated[Docs, _subcommand("docs")]
)
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--version"]:
        print(f"camfuse {runtime.package_version()}")
        return 0
    command = tyro.cli(
        Command, args=arguments, prog="camfuse", description=_ABOUT, config=(tyro.conf.FlagCreatePairsOff,)
    )
    runtime.configure()
    try:
        command.run()
    except StoppedError as stopped:
        print(stopped, file=sys.stderr)
        return stopped.exit_code
    except CamfuseError as error:
        return _fail(error)
    except MemoryError:
        return _fail(ResourceError("Memory does not suffice.", "Use smaller images or lower --max-megapixels."))
    except KeyboardInterrupt as stop:
        print("interrupted; the same command does what is missing", file=sys.stderr)
        return getattr(stop, "exit_code", INTERRUPTED)
    return 0


_ABOUT = """Infrared and visible image fusion by class activation mapping.

Example: camfuse fuse thermal.png photo.jpg -o fused.png"""


def _fail(error: CamfuseError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
