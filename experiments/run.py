"""Trains, fuses, scores, exports and compares: `python experiments/run.py --stage ...`. See `--help`."""

import importlib
import sys
from collections.abc import Callable
from typing import Any

from camfuse_jax.stages import main


def _with_torch(stage: str) -> Callable[[Any], None]:
    """A stage of `torch_reference`, which lies beside this file and is imported only when it is asked for."""
    return lambda options: getattr(importlib.import_module("torch_reference.command"), stage)(options)


if __name__ == "__main__":
    sys.exit(main(extra={stage: _with_torch(stage) for stage in ("convert", "parity", "bench")}))
