"""What this package's own small commands share: where the data is, and how an error ends them."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from camfuse_jax.errors import CamfuseError


def data_parser(module: str, about: str | None) -> argparse.ArgumentParser:
    """A parser with `--data` for `python -m camfuse_jax.metrics.MODULE`."""
    parser = argparse.ArgumentParser(prog=f"python -m camfuse_jax.metrics.{module}", description=about)
    parser.add_argument("--data", type=Path, help="folder with tno/ and roadscene/ (default: $CAMFUSE_DATA)")
    return parser


def exit_code(action: Callable[[], int]) -> int:
    """Runs a command's work; a user's mistake ends it with one line and the code of its kind."""
    try:
        return action()
    except CamfuseError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
