"""How often `camfuse doctor` calls a correct folder of eight pairs swapped, and how often it finds a swapped one.

`python experiments/swapped_folders.py --data ../shared/data` draws folders from TNO's and RoadScene's training lists
and from `others` (pairs of LLVIP, M3FD, MSRS and VIFB), as they are and in gray, where color says nothing.

`--fit` prints the numbers of `pair/swapped.py` instead. They are fitted on the two training lists, of which each counts
the same; the visible side is half of the time a photograph (`coco`, `natural`), because there are so few visible
cameras. What is said of the training lists is then said of images that the fit has seen; `--folds 5` fits each fifth
of a list, in the list's order, on the others. `others` is in no fit, but was looked at when the statistics were chosen.
"""

import dataclasses
import pathlib

import numpy as np
import tyro

from camfuse_jax.data.splits import find_pairs, pairs_of_split
from camfuse_jax.images.color import luma_unit
from camfuse_jax.images.read import read_picture
from camfuse_jax.pair.options import FrameSettings
from camfuse_jax.pair.prepare import prepare_pair
from camfuse_jax.pair.register import fill_nearest
from camfuse_jax.pair.swapped import WEIGHTS, Swap, certain_swap, score_of, swap_verdict, thermal_features

RIDGE, PHOTOGRAPHS, DRAWN = 0.01, 260, 400


@dataclasses.dataclass(frozen=True)
class Options:
    """What to draw.

    Attributes:
        data: Folder with tno/, roadscene/, and others/; for a fit also coco/ and natural/.
        folders: Folders drawn of each list.
        pairs: Pairs of a folder.
        fit: Print the numbers instead.
        folds: Parts into which each training list is cut, each judged by a fit on the others; 0: by the numbers that
            are shipped.
    """

    data: pathlib.Path = pathlib.Path("../shared/data")
    folders: int = 1000
    pairs: int = 8
    fit: bool = False
    folds: int = 0


@dataclasses.dataclass
class List:
    """Features (n, 18) of both sides of the pairs of one list, and what is certain of them."""

    ir: np.ndarray
    vis: np.ndarray
    certain: np.ndarray


def features_of(folder: pathlib.Path) -> List:
    """Of the training pairs of a data set, or of all pairs where it has no lists."""
    ir_rows, vis_rows, certain = [], [], []
    for pair in pairs_of_split(folder, "train") if (folder / "splits.json").exists() else find_pairs(folder):
        ir, vis = read_picture(pair.ir), read_picture(pair.vis)
        ready = prepare_pair(ir, vis, FrameSettings(fit="vis"))
        ir_rows.append(thermal_features(fill_nearest(ready.ir_unit, ready.ir_valid)))
        vis_rows.append(thermal_features(fill_nearest(ready.luma, ready.vis_valid)))
        certain.append(certain_swap(ir, vis))
    return List(np.array(ir_rows), np.array(vis_rows), np.array(certain))


def photographs(data: pathlib.Path, rng: np.random.Generator) -> np.ndarray:
    """Features (n, 18) of some photographs."""
    files = sorted(path for name in ("coco", "natural") for path in (data / name).glob("*/*.[jp][pn]g"))
    pictures = [read_picture(files[i]).samples for i in rng.choice(len(files), PHOTOGRAPHS, replace=False)]
    units = [samples.astype(np.float32) / 255 for samples in pictures]
    return np.array([thermal_features(luma_unit(x) if x.ndim == 3 else x) for x in units])


def fitted(lists: list[List], photos: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Weights (18,) by ridge-regularized logistic regression on differences, infrared minus visible."""
    rows, counts = [], []
    for each in lists:
        drawn = each.ir[rng.integers(len(each.ir), size=DRAWN)] - photos[rng.integers(len(photos), size=DRAWN)]
        rows += [each.ir - each.vis, drawn]
        counts += [np.full(len(each.ir), 0.5 / len(each.ir)), np.full(DRAWN, 0.25 / DRAWN)]
    x, count = np.concatenate(rows), np.concatenate(counts)
    scale = np.sqrt((x**2).mean(axis=0))
    x, weights = x / scale, np.zeros(x.shape[1])
    for _ in range(100):  # Newton's method
        wrong = 1 / (1 + np.exp(np.clip(x @ weights, -30, 30)))
        slope = RIDGE * weights - (count * wrong) @ x
        curve = (x * (count * wrong * (1 - wrong))[:, None]).T @ x + RIDGE * np.eye(len(weights))
        weights -= np.linalg.solve(curve, slope)
    return weights / scale


def log_odds(each: List, weights: np.ndarray) -> np.ndarray:
    """Of "swapped" for each pair."""
    return score_of(each.vis, weights) - score_of(each.ir, weights)


def part_of(each: List, chosen: np.ndarray) -> List:
    """Some pairs of a list."""
    return List(each.ir[chosen], each.vis[chosen], each.certain[chosen])


def out_of_fold(lists: list[List], folds: int, photos: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Log-odds of every pair, from weights fitted on the other parts of the lists."""
    parts = [np.arange(len(each.ir)) * folds // len(each.ir) for each in lists]
    found = [np.zeros(len(each.ir)) for each in lists]
    for fold in range(folds):
        weights = fitted([part_of(each, part != fold) for each, part in zip(lists, parts, strict=True)], photos, rng)
        for each, part, values in zip(lists, parts, found, strict=True):
            values[part == fold] = log_odds(part_of(each, part == fold), weights)
    return found


def rates(certain: np.ndarray, odds: np.ndarray, options: Options, rng: np.random.Generator) -> list[str]:
    """Of 100 folders: false alarms, found; then the same for gray folders."""
    row = []
    for known in (certain, np.zeros_like(certain)):
        for sign in (1, -1):
            swaps = [Swap(sign * int(sure), sign * float(value)) for sure, value in zip(known, odds, strict=True)]
            drawn = (rng.choice(len(swaps), options.pairs, replace=False) for _ in range(options.folders))
            verdicts = [swap_verdict([swaps[i] for i in chosen]) for chosen in drawn]
            row.append(f"{100 * np.mean([verdict == 'swapped' for verdict in verdicts]):.1f}")
    return row


def main(options: Options) -> None:
    """Prints a table, or the weights."""
    rng = np.random.default_rng(0)
    names = ("tno", "roadscene", "others")
    lists = [features_of(options.data / name) for name in names]
    photos = photographs(options.data, rng) if options.fit or options.folds else np.zeros((0, 18))
    if options.fit:
        print(np.array2string(fitted(lists[:2], photos, rng), precision=2, separator=", ", max_line_width=100))
        return
    odds = [log_odds(each, WEIGHTS) for each in lists]
    if options.folds:
        odds[:2] = out_of_fold(lists[:2], options.folds, photos, rng)
    print(f"{options.pairs} pairs a folder | false alarms of 100 | found of 100 | in gray: false alarms | found")
    for name, each, values in zip(names, lists, odds, strict=True):
        row = " | ".join(rates(each.certain, values, options, rng))
        print(f"{name} ({len(values)} pairs, {np.mean(values < 0):.0%} right by their statistics) | {row}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
