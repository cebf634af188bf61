"""The trained network as a file that runs without this package: ONNX and serialized StableHLO."""

from camfuse_jax.export.backends import fuse, network
from camfuse_jax.export.check import SIZES, TOLERANCE, check
from camfuse_jax.export.onnx_network import to_onnx
from camfuse_jax.export.stablehlo import to_stablehlo

__all__ = ["SIZES", "TOLERANCE", "check", "fuse", "network", "to_onnx", "to_stablehlo"]
