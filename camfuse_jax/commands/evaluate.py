"""`camfuse eval`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from camfuse_jax.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Scores fused images: of one's own pairs, or of a data set's test list as `experiments/run.py --stage eval` does.

    For instance: camfuse eval thermal/ photos/ mine=fused/ theirs=other/
    or: camfuse eval --dataset roadscene --weights roadscene --data ../shared/data

    Attributes:
        ir: Infrared file or folder of one's own pairs.
        vis: Visible file or folder.
        results: Fused images of these pairs, as NAME=DIR. Images of no pair are left out.
        pattern: Names of infrared and visible files without extension, such as '{name}_ir' '{name}_vis', and perhaps
            of the fused ones, such as '{name}_fused'.
        dataset: Instead of own pairs: tno, roadscene, synthetic, or a folder with ir/NAME.* and vis/NAME.* (without
            splits.json all its pairs are scored).
        workdir: Where prepared data and results are kept.
        data: Folder with tno/ and roadscene/; the environment's CAMFUSE_DATA where not given.
        download: Fetch named data sets that are not in that folder.
        out: Folder of the tables; default WORKDIR/eval-DATASET, of own pairs `eval`.
        weights: A name as for `camfuse fuse`, or a file; default: the workdir's own if it has trained any, else tno.
            With NAME=DIR, camfuse's own results are scored, too, only if this is given.
        fused: The same as NAME=DIR; repeatable.
        metrics: The paper's five, or all thirteen; each with the picture measures.
        protocol: Definitions of the metrics.
    """

    ir: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[IR]")] = None
    vis: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[VIS]")] = None
    results: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[NAME=DIR ...]")] = ()
    pattern: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="IR VIS [FUSED]")] = None
    dataset: str | None = None
    workdir: Path = Path("runs/default")
    data: Path | None = None
    download: bool = False
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    weights: str | None = None
    fused: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    metrics: Literal["paper", "all"] = "paper"
    protocol: Literal["paper", "cddfuse", "tang"] = "paper"

    def run(self) -> None:
        """Prints and writes the tables.

        Raises:
            CamfuseError: By kind.
        """
        from camfuse_jax.data.records import Workdir
        from camfuse_jax.metrics.evaluate import evaluate_dataset, evaluate_pairs

        definitions = {"weights": self.weights, "metrics": self.metrics, "protocol": self.protocol}
        if self.ir is None:
            if self.pattern:
                raise UsageError("--pattern is for one's own pairs, but IR and VIS are missing.", "Give both.")
            place = Workdir(self.workdir, self.dataset or "tno", data=self.data, download=self.download)
            evaluate_dataset(place, out=self.out, others=self.fused, **definitions)
            return
        if self.vis is None:
            raise UsageError("IR is given without VIS.", "Give both, for instance: camfuse eval ir/ vis/ mine=fused/")
        if self.dataset is not None:
            raise UsageError("IR and VIS are given beside --dataset.", "Give one of them.")
        results = (*self.results, *self.fused)
        evaluate_pairs(
            self.ir, self.vis, results, out=self.out or Path("eval"), pattern=self.pattern or None, **definitions
        )
