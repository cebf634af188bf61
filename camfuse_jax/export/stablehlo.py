"""Fusion as serialized StableHLO, which any machine with JAX alone can load and run."""

import importlib.util

import jax
import jax.numpy as jnp
from jax import export

from camfuse_jax.errors import UsageError
from camfuse_jax.fusion import Params
from camfuse_jax.fusion.program import fuse_unit

PLATFORMS = ("cpu", "cuda", "tpu")


def to_stablehlo(params: Params) -> bytes:
    """Writes `fuse` with its weights inside as serialized StableHLO, for `jax.export.deserialize`.

    Called with `ir` and `vis`, float32 (n, h, w, 1) in [0, 1], any n, h, w from 1; returns `fused` alike.

    Raises:
        UsageError: If the package flatbuffers is not installed.
    """
    if importlib.util.find_spec("flatbuffers") is None:
        raise UsageError("StableHLO export needs the package flatbuffers.", "Run `pip install '.[export]'`.")

    def fuse(ir: jax.Array, vis: jax.Array) -> jax.Array:
        return fuse_unit(params, ir, vis)

    image = jax.ShapeDtypeStruct((*export.symbolic_shape("n, h, w"), 1), jnp.float32)
    return bytes(export.export(jax.jit(fuse), platforms=PLATFORMS)(image, image).serialize())
