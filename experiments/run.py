"""Trains, fuses, scores, exports and compares: `python experiments/run.py --stage ...`. See `--help`."""

import importlib
import sys
from collections.abc import Callable
from typing import Any

from camfuse_jax.stages import run_stages

# Stages that are not part of the package, and the modules beside this file that hold them.
_EXTRA = {
    "table": "paper",
    "figures": "paper",
    "ablate": "paper",
    "convert": "torch_reference",
    "parity": "torch_reference",
    "bench": "torch_reference",
}


def _stage(name: str) -> Callable[[Any], None]:
    """Runs a stage of a folder beside this file, which is imported only when it is asked for."""
    return lambda options: getattr(importlib.import_module(f"{_EXTRA[name]}.command"), name)(options)


if __name__ == "__main__":
    sys.exit(run_stages(extra={name: _stage(name) for name in _EXTRA}))
