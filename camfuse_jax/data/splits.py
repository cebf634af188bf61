"""A data set as folders `ir/` and `vis/`: its pairs, which are for training and which for tests, and where it lies."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from camfuse_jax.data.layouts import camera_folders, plain
from camfuse_jax.data.pairs import Pair, listing
from camfuse_jax.errors import InputError
from camfuse_jax.images.read import READABLE_SUFFIXES

SPLITS_FILE = "splits.json"
DATA_VARIABLE = "CAMFUSE_DATA"


def image_files(folder: Path) -> dict[str, Path]:
    """Image files directly in a folder, by their name without extension (with its case, in one Unicode form), sorted.

    Raises:
        InputError: The folder is absent or not a folder, or two images share a stem.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise InputError(f"{folder} {what}.", "Give a folder of images.")
    files: dict[str, Path] = {}
    doubles = []
    for path in sorted(folder.iterdir(), key=lambda entry: (entry.stem, entry.name)):
        if path.name.startswith(".") or path.suffix.lower() not in READABLE_SUFFIXES or not path.is_file():
            continue
        stem = plain(path.stem)
        if stem in files:
            doubles.append(f"{files[stem].name} and {path.name}")
        files.setdefault(stem, path)
    if doubles:
        raise InputError(f"{folder} holds two files of one name: {listing(doubles)}.", "Remove or rename one of each.")
    return files


def find_pairs(root: Path) -> list[Pair]:
    """The pairs of a folder with `ir/NAME.*` and `vis/NAME.*`; the two extensions may differ.

    Raises:
        InputError: A folder is absent or empty, a stem occurs twice, or a file has no partner (all are listed).
    """
    ir, vis = Path(root) / "ir", Path(root) / "vis"
    if Path(root).is_dir() and not (ir.is_dir() and vis.is_dir()):
        named = [(side.ir.name, side.vis.name) for side in camera_folders(Path(root))[0]]
        if len(named) == 1 and named[0] != ("ir", "vis"):
            raise InputError(f"{root} holds {named[0][0]}/ and {named[0][1]}/.", "Rename them ir/ and vis/.")
    return _match(ir, vis)


def pair_paths(ir: Path, vis: Path) -> list[Pair]:
    """The pairs of two files or of two folders, as given by `--ir` and `--vis`.

    Two files need not have the same name: the pair is called after the visible one.

    Raises:
        InputError: One is a file and the other a folder, one is absent, or the folders do not match.
    """
    ir, vis = Path(ir), Path(vis)
    for path in (ir, vis):
        if not path.exists():
            raise InputError(f"{path} does not exist.", "Check the path.")
    if ir.is_dir() != vis.is_dir():
        folder, file = (ir, vis) if ir.is_dir() else (vis, ir)
        raise InputError(f"{folder} is a folder but {file} is a file.", "Give two files or two folders.")
    return _match(ir, vis) if ir.is_dir() else [Pair(vis.stem, ir, vis)]


def read_split(root: Path, split: str, names: Sequence[str]) -> list[str]:
    """The names of a split, in the order of its list.

    `splits.json` beside the images maps each split to a list of names without extension. Without that file there are
    three splits: `all`, and, by name order, every fifth name `test` (the 5th, 10th, ...; of fewer than five names the
    last) and the rest `train`, so that the two share nothing and the choice depends on nothing but the names.
    `all` always exists.

    Args:
        root: The data set's folder.
        split: Name of the split.
        names: Names present on disk.

    Returns:
        The split's names.

    Raises:
        InputError: The split is unknown (the known ones are listed) or empty, `splits.json` is not a JSON object of
            lists of names, or a name of the split is not on disk.
    """
    return select_split(load_splits(Path(root), names), split, names, origin=str(root))


def pairs_of_split(root: Path, split: str) -> list[Pair]:
    """The pairs of a split as files, in the order of its list; raises as `find_pairs` and `read_split` do."""
    by_name = {pair.name: pair for pair in find_pairs(root)}
    return [by_name[name] for name in read_split(root, split, list(by_name))]


def select_split(splits: Mapping[str, list[str]], split: str, names: Iterable[str], *, origin: str) -> list[str]:
    """One of the splits, checked against the names that exist.

    Args:
        splits: Split to list of names.
        split: Name of the split.
        names: Names present.
        origin: What to call the data set in an error.

    Returns:
        The split's names in its own order.

    Raises:
        InputError: The split is unknown or empty, or a name of it is absent.
    """
    if split not in splits:
        raise InputError(f"{origin} has no split {split!r}.", f"It has: {', '.join(sorted(splits))}.")
    chosen = splits[split]
    if not chosen:
        raise InputError(f"Split {split!r} of {origin} is empty.", "Name another split, or add images.")
    present = set(names)
    absent = [name for name in chosen if name not in present]
    if absent:
        raise InputError(
            f"{len(absent)} of {len(chosen)} names of split {split!r} are not in {origin}: {listing(absent)}.",
            f"Add the images or correct {SPLITS_FILE}.",
        )
    return chosen


def load_splits(root: Path, names: Iterable[str]) -> dict[str, list[str]]:
    """All splits of a data set: those of `splits.json`, else `all`, `train` and `test` made from the names.

    Args:
        root: The data set's folder.
        names: Names present on disk.

    Returns:
        Split to list of names. Whether the names exist is not checked here.

    Raises:
        InputError: `splits.json` is not a JSON object of lists of names, or lists a name twice.
    """
    ordered = sorted(names)
    path = root / SPLITS_FILE
    if not path.is_file():
        test = ordered[4::5] or ordered[1:][-1:]
        return {"all": ordered, "train": [name for name in ordered if name not in set(test)], "test": test}
    try:
        splits = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}.", "Correct or remove it.") from error
    if not isinstance(splits, dict) or not all(_is_names(value) for value in splits.values()):
        raise InputError(f"{path} is not an object of lists of names.", 'Write it as {"train": ["a"], "test": ["b"]}.')
    for split, chosen in splits.items():
        if len(set(chosen)) != len(chosen):
            doubles = sorted({name for name in chosen if chosen.count(name) > 1})
            raise InputError(f"{path} lists names of split {split!r} twice: {listing(doubles)}.", "List each once.")
    return {"all": ordered, **splits}


def data_root(explicit: Path | None = None) -> Path:
    """The folder that holds the data sets.

    The first of: `explicit` (`--data DIR`), the environment's `CAMFUSE_DATA`, `../shared/data` seen from the current
    folder if it exists.

    Args:
        explicit: What the user gave, if anything.

    Returns:
        An existing folder.

    Raises:
        InputError: None of the three names a folder.
    """
    for origin, value in (("--data", explicit), (DATA_VARIABLE, os.environ.get(DATA_VARIABLE))):
        if value is not None and str(value):
            root = Path(value).expanduser()
            if not root.is_dir():
                raise InputError(f"{origin} names {root}, which is not a folder.", "Correct the path.")
            return root
    beside = Path("..") / "shared" / "data"
    if beside.is_dir():
        return beside.resolve()
    raise InputError(
        "No data folder is known.",
        f"Give one with --data DIR or the environment variable {DATA_VARIABLE}; it holds tno/, roadscene/ and coco/. "
        "Or fetch them with --download.",
    )


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _match(ir_folder: Path, vis_folder: Path) -> list[Pair]:
    ir, vis = image_files(ir_folder), image_files(vis_folder)
    orphans = [ir[name] for name in sorted(ir.keys() - vis.keys())]
    orphans += [vis[name] for name in sorted(vis.keys() - ir.keys())]
    if orphans:
        shown = listing([f"{path.parent.name}/{path.name}" for path in orphans])
        raise InputError(
            f"{len(orphans)} images of {ir_folder} and {vis_folder} have no partner: {shown}.",
            "Give both files of a pair the same name, letter for letter.",
        )
    if not ir:
        raise InputError(f"{ir_folder} and {vis_folder} hold no images.", "Put NAME.png (jpg, bmp, tif) in each.")
    return [Pair(name, ir[name], vis[name]) for name in sorted(ir)]
