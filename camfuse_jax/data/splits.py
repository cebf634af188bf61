"""Data sets as folders `ir/` and `vis/`, their lists for training and tests, and where their owners publish them.

The downloads could not be tried where this was written, for want of a connection: the addresses were looked up, the
sorting of files is tested on imitations of the archives' folders. Checksums: the one known (TNO's MD5, from another
project's loader) is written down below but not enforced, as tensorflow-datasets would refuse an archive its owner has
repacked.
"""

import json
import os
import shutil
import uuid
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from camfuse_jax.data.layouts import camera_folders, plain
from camfuse_jax.data.pairs import Pair, listing
from camfuse_jax.errors import InputError, ResourceError
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


TNO_URL = "https://figshare.com/ndownloader/files/1475454"
"""The archive of figshare article 1008029, "TNO Image Fusion Dataset"; MD5 1ab9ce3b84dd3e5894630c13abd20953."""

CDDFUSE_URL = (
    "https://raw.githubusercontent.com/Zhaozixiang1228/MMIF-CDDFuse/40de0585034a57b33d3e293b6807b29f247921b6/{path}"
)
"""The files of the usual 25 TNO test pairs that are not in TNO's archive."""

ROADSCENE_URL = "https://github.com/hanna-xu/RoadScene/archive/ab71420.zip"
"""RoadScene at the commit whose files are used: `cropinfrared` and `crop_LR_visible`."""

COCO_URLS = {
    "val2017": "http://images.cocodataset.org/zips/val2017.zip",
    "train2017": "http://images.cocodataset.org/zips/train2017.zip",
}
"""1 GB with 5,000 and 19 GB with 118,287 photographs."""

COCO_COUNT = 8000
"""Photographs used: all of `val2017`, then `train2017` by ascending id."""

_OUTSIDE = "cddfuse:"


def manifest() -> dict[str, Any]:
    """Lists that travel with the package: TNO's files by pair, and both sets' standard splits."""
    text = resources.files("camfuse_jax.data").joinpath("upstream.json").read_text(encoding="utf-8")
    return json.loads(text)


def standard_splits(dataset: str, names: list[str]) -> dict[str, list[str]]:
    """Splits `all`, `train` and `test` of "tno" or "roadscene", as the local copies' `splits.json` has them."""
    lists = manifest()[dataset]
    test = lists["test"]
    return {"all": sorted(names), "test": test, "train": lists.get("train") or sorted(set(names) - set(test))}


def tno_outside_urls() -> dict[str, str]:
    """Address of each TNO file that is not in TNO's archive, by the path `tno_pairs` looks it up with."""
    paths = [path for pair in manifest()["tno"]["files"].values() for path in pair if path.startswith(_OUTSIDE)]
    return {path: CDDFUSE_URL.format(path=path.removeprefix(_OUTSIDE)) for path in paths}


def tno_pairs(archive: Path, outside: dict[str, Path]) -> list[Pair]:
    """The 134 TNO pairs from the unpacked archive.

    Args:
        archive: Folder the archive was unpacked to; it holds `TNO_Image_Fusion_Dataset` at some depth.
        outside: Files from elsewhere, by the keys of `tno_outside_urls`.

    Raises:
        InputError: The archive is not laid out as expected; the absent files are listed.
    """
    camera = next(iter(sorted(archive.rglob("Athena_images"))), None)
    if camera is None:
        raise InputError(f"{archive} holds no folder Athena_images.", "The archive has changed; use a local copy.")

    def locate(path: str) -> Path:
        return outside[path] if path.startswith(_OUTSIDE) else camera.parent / path

    files = manifest()["tno"]["files"]
    pairs = [Pair(name, locate(ir), locate(vis)) for name, (ir, vis) in sorted(files.items())]
    absent = [path for pair in pairs for path in (pair.ir, pair.vis) if not path.is_file()]
    if absent:
        raise InputError(f"{len(absent)} TNO files are absent: {listing(absent)}.", "Use a local copy with --data DIR.")
    return pairs


def roadscene_pairs(archive: Path) -> list[Pair]:
    """The 221 RoadScene pairs from the unpacked repository.

    Args:
        archive: Folder the repository was unpacked to.

    Raises:
        InputError: A folder is absent, or a file has no partner.
    """
    one, other = (next(iter(sorted(archive.rglob(name))), None) for name in ("cropinfrared", "crop_LR_visible"))
    if one is None or other is None:
        raise InputError(
            f"{archive} holds no cropinfrared and crop_LR_visible.", "The repository has changed; use a local copy."
        )
    ir, vis = image_files(one), image_files(other)
    if ir.keys() != vis.keys():
        raise InputError(f"RoadScene files without partner: {listing(sorted(ir.keys() ^ vis.keys()))}.", "Look there.")
    return [Pair(name, ir[name], vis[name]) for name in sorted(ir)]


def coco_files(archives: dict[str, Path], count: int = COCO_COUNT) -> list[tuple[str, Path]]:
    """The first photographs of the unpacked COCO archives, by set and ascending id.

    Args:
        archives: Folders by set, in the order of `COCO_URLS`.
        count: How many to take.

    Returns:
        `(name, file)`, the name being `coco/SET/ID.jpg`.
    """
    files = [(name, path) for name, folder in archives.items() for path in sorted(folder.rglob("*.jpg"))]
    return [(f"coco/{name}/{path.name}", path) for name, path in files[:count]]


# Zip archives, unpacked without TensorFlow (which tensorflow-datasets 4.9.10 needs for that).


def unpack_zip(archive: Path, *, first: int | None = None) -> Path:
    """Unpack beside the archive, once: a later call returns the folder at once.

    Args:
        archive: A zip file. A damaged one is removed, since its download would otherwise be taken for done.
        first: Unpack only the first so many files by name.

    Returns:
        The folder, `ARCHIVE.unpacked`.

    Raises:
        ResourceError: The archive is damaged, or the folder cannot be written.
    """
    target = archive.with_name(f"{archive.name}.unpacked")
    if target.is_dir():
        return target
    partial = archive.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with zipfile.ZipFile(archive) as opened:
            members = sorted(name for name in opened.namelist() if not name.endswith("/"))
            opened.extractall(partial, members[:first])
        partial.rename(target)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        archive.unlink(missing_ok=True)
        raise ResourceError(f"{archive} was damaged and has been removed: {error}.", "Run again.") from error
    except OSError as error:
        raise ResourceError(f"{archive} cannot be unpacked: {error}.", "Check rights and free space.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


# Which files are the photographs of the auto-encoder.


PHOTO_FOLDERS = ("coco", "natural", "photos")


def photo_files(root: Path) -> list[tuple[str, Path]]:
    """The image files under `coco/`, `natural/` and `photos/` of a data folder, at any depth.

    Args:
        root: The data folder.

    Returns:
        `(name, file)`, the name being the path under `root`; folder after folder, sorted within each.

    Raises:
        InputError: None of the folders holds an image.
    """
    root = Path(root)
    files = []
    for folder in PHOTO_FOLDERS:
        found = (path for path in (root / folder).rglob("*") if path.suffix.lower() in READABLE_SUFFIXES)
        files += sorted(path for path in found if path.is_file() and not path.name.startswith("."))
    if not files:
        places = ", ".join(f"{folder}/" for folder in PHOTO_FOLDERS)
        raise InputError(f"{root} holds no photographs.", f"Put them under one of {places}.")
    return [(path.relative_to(root).as_posix(), path) for path in files]
