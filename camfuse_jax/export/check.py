"""Does an exported network give what `fuse` gives?"""

import importlib.util
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from camfuse_jax.errors import CamfuseError, ResourceError, UsageError
from camfuse_jax.export.onnx import to_onnx
from camfuse_jax.fusion.forward import fuse_unit
from camfuse_jax.fusion.fuse import fuse_arrays
from camfuse_jax.fusion.params import Params, load_params

LEVEL = 1 / 255
TOLERANCE = 0.25 * LEVEL
"""Images are stored in steps of one level. Other processors round otherwise (AMX: 1.5e-5), far below a quarter of one;
a wrong weight, border or rule is above it."""
SIZES = ((1, 1, 1), (1, 17, 23), (2, 64, 48), (3, 30, 31), (1, 120, 161))


def check(kind: str, content: bytes, params: Params, *, sizes: Sequence[tuple[int, int, int]] = SIZES) -> float:
    """Runs an exported network on images of several sizes, odd ones among them, and compares it with `fuse`.

    Every size is tried with coarse patches under much noise, under a little, and under less than is taken out.

    Args:
        kind: `onnx` or `stablehlo`.
        content: The exported file.
        params: Weights it was made from.
        sizes: Pairs, height and width of each trial.

    Returns:
        The largest absolute difference in gray levels, of 255.

    Raises:
        CamfuseError: If it exceeds `TOLERANCE`.
        UsageError: If ONNX Runtime is not installed.
    """
    run = {"onnx": _onnx_runner, "stablehlo": _stablehlo_runner}[kind](content)
    rng = np.random.default_rng(0)
    worst = 0.0
    for shape in sizes:
        coarse = rng.random((2, shape[0], *(-(-side // 16) for side in shape[1:]), 1), np.float32)
        coarse = coarse.repeat(16, axis=2).repeat(16, axis=3)[:, :, : shape[1], : shape[2]]
        for share in (0.9, 0.1, 0.002):
            ir, vis = (1 - share) * coarse + np.float32(share) * rng.random(coarse.shape, np.float32)
            apart = float(np.max(np.abs(run(ir, vis) - np.asarray(fuse_arrays(params, ir, vis))))) / LEVEL
            if not apart <= TOLERANCE / LEVEL:
                raise CamfuseError(f"The exported {kind} differs from fuse by {apart:.2g} levels on images of {shape}.")
            worst = max(worst, apart)
    return worst


def _stablehlo_runner(content: bytes) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    loaded = jax_export.deserialize(bytearray(content))
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


PLATFORMS = ("cpu", "cuda", "tpu")


def to_stablehlo(params: Params) -> bytes:
    """Writes `fuse` with its weights inside as serialized StableHLO, for `jax.jax_export.deserialize`.

    Called with `ir` and `vis`, float32 (n, h, w, 1) in [0, 1], any n, h, w from 1; returns `fused` alike.

    Raises:
        UsageError: If the package flatbuffers is not installed.
    """
    if importlib.util.find_spec("flatbuffers") is None:
        raise UsageError("StableHLO export needs the package flatbuffers.", "Run `pip install '.[export]'`.")

    def fuse_arrays(ir: jax.Array, vis: jax.Array) -> jax.Array:
        return fuse_unit(params, ir, vis)

    image = jax.ShapeDtypeStruct((*jax_export.symbolic_shape("n, h, w"), 1), jnp.float32)
    return bytes(jax_export.export(jax.jit(fuse_arrays), platforms=PLATFORMS)(image, image).serialize())


_WRITERS = {"onnx": to_onnx, "stablehlo": to_stablehlo}


def export_network(*, weights: str, to: str | None, out: pathlib.Path | None) -> None:
    """Writes weights as ONNX or StableHLO, after running what it writes and comparing it with `fuse`.

    Raises:
        UsageError: If a needed option is absent, `to` is no export format, or a needed package is not installed.
        CamfuseError: If the exported network gives something else than `fuse`.
        ResourceError: If the file cannot be written.
    """
    if to not in _WRITERS:
        raise UsageError(f"Stage export cannot write --to {to}.", "Give --to onnx or --to stablehlo.")
    if out is None:
        raise UsageError("Stage export needs --out.", f"Give a file name, as --out camfuse.{to}.")
    params = load_params(weights)
    content = _WRITERS[to](params)
    worst = check(to, content, params)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = out.with_name(out.name + ".tmp")
        temporary.write_bytes(content)
        temporary.replace(out)
    except OSError as error:
        raise ResourceError(f"{to} cannot be written to {out}: {error}.") from error
    print(
        f"{to}: {out}, {len(content) / 1e6:.1f} MB, largest difference from fuse {worst:.1g} gray levels of 255 "
        f"over {len(SIZES)} sizes (allowed {TOLERANCE / LEVEL})"
    )
