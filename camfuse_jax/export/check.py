"""Does an exported network give what `fuse` gives?"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax import export

from camfuse_jax.errors import CamfuseError, UsageError
from camfuse_jax.fusion import Params, fuse

TOLERANCE = 1e-5
SIZES = ((1, 1, 1), (1, 17, 23), (2, 64, 48), (3, 30, 31), (1, 120, 161))


def check(kind: str, content: bytes, params: Params, *, sizes: Sequence[tuple[int, int, int]] = SIZES) -> float:
    """Runs an exported network on noise of several sizes, odd ones among them, and compares it with `fuse`.

    Args:
        kind: `onnx` or `stablehlo`.
        content: The exported file.
        params: Weights it was made from.
        sizes: Pairs, height and width of each trial.

    Returns:
        The largest absolute difference, images being in [0, 1].

    Raises:
        CamfuseError: If it exceeds `TOLERANCE`.
        UsageError: If ONNX Runtime is not installed.
    """
    run = {"onnx": _onnx_runner, "stablehlo": _stablehlo_runner}[kind](content)
    rng = np.random.default_rng(0)
    worst = 0.0
    for shape in sizes:
        ir, vis = rng.random((2, *shape, 1), np.float32)
        found = float(np.max(np.abs(run(ir, vis) - np.asarray(fuse(params, ir, vis)))))
        if not found <= TOLERANCE:
            raise CamfuseError(f"The exported {kind} differs from fuse by {found:.1e} on images of {shape}.")
        worst = max(worst, found)
    return worst


def _stablehlo_runner(content: bytes) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    loaded = export.deserialize(bytearray(content))
    return lambda ir, vis: np.asarray(loaded.call(ir, vis))


def _onnx_runner(content: bytes) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    session = onnx_session(content)

    def run(ir: np.ndarray, vis: np.ndarray) -> np.ndarray:
        feeds = {"ir": np.moveaxis(ir, 3, 1), "vis": np.moveaxis(vis, 3, 1)}
        return np.moveaxis(session.run(None, feeds)[0], 1, 3)

    return run


def onnx_session(content: bytes, *, threads: int = 0) -> Any:
    """Opens an ONNX model in ONNX Runtime on the CPU.

    Args:
        content: The model.
        threads: Threads to use; 0 leaves it to ONNX Runtime.

    Raises:
        UsageError: If ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(
            "Running ONNX needs the package onnxruntime.", "Run `pip install 'camfuse-jax[export]'`."
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
