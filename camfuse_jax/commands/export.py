"""`camfuse export`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclasses.dataclass(frozen=True)
class Export:
    """Writes the network with its weights for other programs, checked against `fuse` before it is written.

    For instance: camfuse export -o camfuse.onnx (ONNX needs the extra export)

    Attributes:
        out: The file.
        to: Format.
        weights: fast, tno, roadscene, paper-tno, paper-roadscene, or a .safetensors file.
    """

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    to: Literal["onnx", "stablehlo"] = "onnx"
    weights: str = "fast"

    def run(self) -> None:
        """Carries the command out.

        Raises:
            CamfuseError: By kind.
        """
        from camfuse_jax.export.check import export_network

        export_network(weights=self.weights, to=self.to, out=self.out)
