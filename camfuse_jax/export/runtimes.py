"""`fuse` by another runtime than XLA: the exported network in ONNX Runtime or OpenVINO, on the CPU."""

import importlib
import sys
import weakref
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Num

from camfuse_jax.config import Backend
from camfuse_jax.errors import UsageError
from camfuse_jax.export.check import onnx_session
from camfuse_jax.export.onnx import to_onnx
from camfuse_jax.fusion.dispatch import Buckets
from camfuse_jax.fusion.forward import Context
from camfuse_jax.fusion.fuse import check_pair, fuse_arrays, is_traced
from camfuse_jax.fusion.params import Params

Network = Callable[[Float[np.ndarray, "n 1 h w"], Float[np.ndarray, "n 1 h w"]], Float[np.ndarray, "n 1 h w"]]


def fuse(
    params: Params,
    ir: Num[Any, "*image"],
    vis: Num[Any, "*image"],
    *,
    backend: Backend = "jax",
    buckets: Buckets | None = None,
    max_memory: int | None = None,
    ir_valid: Bool[Any, "*image"] | None = None,
    vis_valid: Bool[Any, "*image"] | None = None,
    context: Context | None = None,
) -> Num[Array, "*image"]:
    """Fuses an infrared and a visible image, or batches of them.

    With `jax`, the default, it is pure and compiled inside, and may be used under `jax.jit`, `jax.vmap` and `jax.grad`.
    `onnxruntime` and `openvino` run the exported network on the CPU; results agree to one gray level of 8 bits.

    Args:
        params: Weights from `load_params`.
        ir: Infrared luminance, (h, w), (h, w, 1) or (n, h, w, 1); uint8 or uint16 over the type's whole range, or
            float in [0, 1].
        vis: Visible luminance, same shape.
        backend: What computes. The exported network is kept by the last `Params` object that asked for it.
        buckets: Backend jax: as for `fusion.fuse.fuse_arrays`, and so are the following.
        max_memory: Backend jax: bytes that computing may take.
        ir_valid: Backend jax: where the infrared image shows something.
        vis_valid: Backend jax: where the visible image shows something.
        context: Backend jax: from `fusion_context`.

    Returns:
        The fused image: same shape, and same type if both types agree, else float32 in [0, 1].

    Raises:
        InputError: If shapes differ or do not fit, or a type or range is none of the above.
        UsageError: If the backend is not installed, cannot run the fusion rule, does not take an option, or is called
            within a JAX transformation.
    """
    options = {"max_memory": max_memory, "ir_valid": ir_valid, "vis_valid": vis_valid, "context": context}
    if backend == "jax":
        return fuse_arrays(params, ir, vis, buckets=buckets, **options)
    refused = [name for name, value in options.items() if value is not None]
    if refused:
        raise UsageError(f"Backend {backend} does not take {', '.join(refused)}.", "Use backend jax.")
    check_pair(ir, vis)
    if is_traced(params, ir, vis):
        raise UsageError(f"Backend {backend} cannot run within jax.jit, vmap or grad.", "Use backend jax there.")
    run = network(params, backend)
    shape, kinds = jnp.shape(ir), {jnp.result_type(ir), jnp.result_type(vis)}
    dtype = kinds.pop() if len(kinds) == 1 else jnp.dtype(jnp.float32)
    fused = run(_planes(ir), _planes(vis)).reshape(shape)
    if jnp.issubdtype(dtype, jnp.integer):
        top = jnp.iinfo(dtype).max
        fused = np.clip(np.rint(fused * top), 0, top)
    return jax.device_put(fused.astype(dtype))


def network(params: Params, backend: Backend) -> Network:
    """The exported network of some weights, ready to run; kept until another `Params` object asks for one.

    Raises:
        UsageError: If the backend is not installed or cannot run the fusion rule.
    """
    kept = _KEPT.get(backend)
    if kept is None or kept[0]() is not params:
        kept = _KEPT[backend] = weakref.ref(params), _MAKERS[backend](to_onnx(params))
    return kept[1]


def _planes(image: Any) -> Float[np.ndarray, "n 1 h w"]:
    image = np.asarray(image)
    top = np.iinfo(image.dtype).max if np.issubdtype(image.dtype, np.integer) else 1
    unit = image.astype(np.float32) / np.float32(top)
    rows, cols = image.shape if image.ndim == 2 else image.shape[-3:-1]
    return unit.reshape(-1, 1, rows, cols)  # one channel: NHWC and NCHW lie alike in memory


def _onnxruntime(content: bytes) -> Network:
    session = onnx_session(content)
    return lambda ir, vis: session.run(None, {"ir": ir, "vis": vis})[0]


def _openvino(content: bytes) -> Network:
    openvino = import_openvino()
    core = openvino.Core()
    # Not its own choice of precision, which is bfloat16 where the processor has it, and another image.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    model = core.compile_model(core.read_model(content, b""), "CPU", settings)
    return lambda ir, vis: model([ir, vis])[0]


def import_openvino() -> Any:
    """OpenVINO without its telemetry, which would fork this process and report to an analytics service.

    There is no variable that switches it off, only a file in the user's home. Where the package openvino_telemetry
    cannot be imported, OpenVINO takes its own stub; later imports by others find the package again.
    """
    telemetry = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # what makes an import fail
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise UsageError(
            "Backend openvino needs the package openvino.", "Run `pip install 'camfuse-jax[openvino]'`."
        ) from error
    finally:
        del sys.modules[_TELEMETRY]
        if telemetry is not None:
            sys.modules[_TELEMETRY] = telemetry


_TELEMETRY = "openvino_telemetry"
_MAKERS: dict[str, Callable[[bytes], Network]] = {"onnxruntime": _onnxruntime, "openvino": _openvino}
_KEPT: dict[Backend, tuple[weakref.ref[Params], Network]] = {}
"""The last network of each backend, and whose it is: exporting takes a second, and nothing else depends on it."""
