"""What this package asks of XLA. Nothing here changes a result; it only avoids a slow path."""

import functools
import os
from importlib import metadata

_YNN = "xla_cpu_experimental_ynn_fusion_type"


@functools.cache
def _has_slow_convolution() -> bool:
    """True for jaxlib 0.10, whose CPU compiler takes three times as long for convolutions without padding."""
    return metadata.version("jaxlib").startswith("0.10.")


def package_version() -> str:
    """Version of the installed package, `source` where a source tree runs that is not installed."""
    try:
        return metadata.version("camfuse-jax")
    except metadata.PackageNotFoundError:
        return "source"


def compiler_options() -> dict[str, str] | None:
    """Options for `jax.jit(..., compiler_options=...)` of a top-level function."""
    return {_YNN: ""} if _has_slow_convolution() else None


def configure() -> None:
    """Sets the same options for a whole process; call it at a program's start, before JAX compiles anything."""
    flags = os.environ.get("XLA_FLAGS", "")
    if _has_slow_convolution() and _YNN not in flags:
        os.environ["XLA_FLAGS"] = f"--{_YNN}= {flags}".strip()
