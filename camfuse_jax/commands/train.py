"""`camfuse train`."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Train:
    """Trains on your own pairs or a data set, as `experiments/run.py --stage` does; `camfuse train --help` says how.

    For instance: camfuse train --stage cls --dataset pairs/ --workdir runs/mine
    """

    def run(self) -> None:
        """`cli.main` hands the options of this command to `run_stages` before they are parsed."""
