"""What a caller's own code looks like to a type checker: `mypy tests/typed_caller.py` must find nothing."""

import numpy as np

import camfuse_jax
from camfuse_jax import CamfuseError, Modality, Params, balanced, explain, fuse, fuse_frame, load_params


def fused_pair(ir: np.ndarray, vis: np.ndarray, *, ir_gain: float = 1.0) -> np.ndarray:
    params: Params = balanced(load_params("tno"), ir_gain=ir_gain)
    try:
        fused = np.asarray(fuse(params, ir, vis))
    except CamfuseError as error:
        raise SystemExit(error.exit_code) from error
    maps = explain(params, ir, vis)
    heat: float = float(maps.ir_cam.max())
    weight: float = float(params.channel_weights[Modality.IR].mean())
    print(camfuse_jax.__version__, heat, weight)
    return fused


def fused_frame(ir_unit: np.ndarray, vis_unit: np.ndarray) -> np.ndarray:
    return fuse_frame(load_params(), ir_unit, vis_unit, gray=True)
