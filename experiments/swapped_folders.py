"""How often `camfuse doctor` calls a correct folder of eight pairs swapped, and how often it finds a swapped one.

`python experiments/swapped_folders.py --data ../shared/data` draws folders from TNO's and RoadScene's training lists
and from `others` (pairs of LLVIP, M3FD, MSRS and VIFB), as they are and in gray, where color says nothing.
"""

import dataclasses
import pathlib

import numpy as np
import tyro

from camfuse_jax.batch.inspect import Swap, swap_evidence, swap_verdict
from camfuse_jax.data.splits import find_pairs, pairs_of_split
from camfuse_jax.fusion.params import SHIPPED, load_params
from camfuse_jax.images.read import read_picture
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.pair.prepare import prepare_pair


@dataclasses.dataclass(frozen=True)
class Options:
    """What to draw.

    Attributes:
        data: Folder with tno/, roadscene/ and others/.
        folders: Folders drawn of each list.
        pairs: Pairs of a folder.
        limit: Pairs of each list that are looked at, spread over it.
    """

    data: pathlib.Path = pathlib.Path("../shared/data")
    folders: int = 1000
    pairs: int = 8
    limit: int = 60


def main(options: Options) -> None:
    """Prints a table."""
    judges = [load_params(name) for name in SHIPPED]
    rng = np.random.default_rng(0)
    print(f"{options.pairs} pairs a folder | false alarms of 100 | found of 100 | in gray: false alarms | found")
    for name in ("tno", "roadscene", "others"):
        folder = options.data / name
        pairs = pairs_of_split(folder, "train") if (folder / "splits.json").exists() else find_pairs(folder)
        swaps = []
        for pair in pairs[:: max(1, len(pairs) // options.limit)]:
            ir, vis = read_picture(pair.ir), read_picture(pair.vis)
            swaps.append(swap_evidence(ir, vis, prepare_pair(ir, vis, FrameSettings(fit="vis")), judges))
        row = []
        for gray in (False, True):
            known = [swap._replace(certain=0) if gray else swap for swap in swaps]
            for sign in (1, -1):
                drawn = (rng.choice(len(known), options.pairs, replace=False) for _ in range(options.folders))
                alarms = [
                    swap_verdict([Swap(sign * known[i].certain, sign * known[i].log_odds) for i in chosen]) == "swapped"
                    for chosen in drawn
                ]
                row.append(f"{100 * np.mean(alarms):.1f}")
        print(f"{name} ({len(swaps)} pairs) | {' | '.join(row)}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
