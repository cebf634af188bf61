"""`camfuse report`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclasses.dataclass(frozen=True)
class Report:
    """Writes one HTML page about pairs: sliders, heat maps, channels, what came from where, scores.

    For instance: camfuse report thermal/ photos/ -o report.html

    Attributes:
        ir: Infrared file or folder.
        vis: Visible file or folder.
        out: The page.
        weights: fast, tno, roadscene, paper-tno, paper-roadscene, or a .safetensors file.
        fused: Another method's fused images of the same pairs, as NAME=DIR; repeatable.
        limit: Only the first pairs; 0 means all.
        metrics: The paper's five, or all.
        protocol: Metric definitions.
    """

    ir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IR")]
    vis: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="VIS")]
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("report.html")
    weights: str = "fast"
    fused: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    limit: int = 0
    metrics: Literal["paper", "all"] = "paper"
    protocol: Literal["paper", "cddfuse", "tang"] = "paper"

    def run(self) -> None:
        """Carries the command out.

        Raises:
            CamfuseError: By kind.
        """
        from camfuse_jax.report.build import report_files

        report_files(**{field.name: getattr(self, field.name) for field in dataclasses.fields(self)})
