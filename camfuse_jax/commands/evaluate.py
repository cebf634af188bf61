"""`camfuse eval`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Scores fused images of a data set's test list, as `experiments/run.py --stage eval` does.

    For instance: camfuse eval --dataset roadscene --weights roadscene --data ../shared/data

    Attributes:
        dataset: tno, roadscene, synthetic, or a folder with ir/NAME.* and vis/NAME.*.
        workdir: Where prepared data and results are kept.
        data: Folder with tno/ and roadscene/; the environment's CAMFUSE_DATA where not given.
        download: Fetch named data sets that are not in that folder.
        out: Folder of the tables; default WORKDIR/eval-DATASET.
        weights: tno, roadscene, or a file; default: the workdir's own if it has trained any, else the shipped ones.
        fused: Other methods' fused images of the same pairs, as NAME=DIR; repeatable.
        metrics: The paper's five, or all thirteen.
        protocol: Definitions of the metrics.
    """

    dataset: str = "tno"
    workdir: Path = Path("runs/default")
    data: Path | None = None
    download: bool = False
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    weights: str | None = None
    fused: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    metrics: Literal["paper", "all"] = "paper"
    protocol: Literal["paper", "cddfuse", "tang"] = "paper"

    def run(self) -> None:
        """Prints and writes the tables."""
        from camfuse_jax.data.workdir import Workdir
        from camfuse_jax.metrics.evaluate import evaluate_dataset

        evaluate_dataset(
            Workdir(self.workdir, self.dataset, data=self.data, download=self.download),
            out=self.out,
            weights=self.weights,
            others=self.fused,
            metrics=self.metrics,
            protocol=self.protocol,
        )
