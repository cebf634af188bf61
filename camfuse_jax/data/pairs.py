"""Which files belong together: pairs in folders, splits, and where the data lies."""

import csv
import dataclasses
import io
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.images.read import READABLE_SUFFIXES

SPLITS_FILE = "splits.json"
DATA_VARIABLE = "CAMFUSE_DATA"
_SHOWN = 10


class Pair(NamedTuple):
    """One registered pair: its name and the two files."""

    name: str
    ir: Path
    vis: Path


def image_files(folder: Path) -> dict[str, Path]:
    """Image files directly in a folder, by their name without extension, sorted by that name.

    Names are compared with their case, whatever the file system does. Hidden files and files that do not end like
    an image are passed over.

    Args:
        folder: Folder to list.

    Returns:
        Stem to path.

    Raises:
        InputError: The folder is absent or not a folder, or two images share a stem.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise InputError(f"{folder} {what}.", "Give a folder of images.")
    found: dict[str, Path] = {}
    doubles = []
    for path in sorted(folder.iterdir(), key=lambda entry: (entry.stem, entry.name)):
        if path.name.startswith(".") or path.suffix.lower() not in READABLE_SUFFIXES or not path.is_file():
            continue
        if path.stem in found:
            doubles.append(f"{found[path.stem].name} and {path.name}")
        found.setdefault(path.stem, path)
    if doubles:
        raise InputError(f"{folder} holds two files of one name: {listing(doubles)}.", "Remove or rename one of each.")
    return found


def find_pairs(root: Path) -> list[Pair]:
    """The pairs of a folder with `ir/NAME.*` and `vis/NAME.*`; the two extensions may differ.

    Args:
        root: Folder that holds `ir` and `vis`.

    Returns:
        Pairs sorted by name.

    Raises:
        InputError: A folder is absent or empty, a stem occurs twice, or a file has no partner (all are listed).
    """
    return _match(Path(root) / "ir", Path(root) / "vis")


def pair_paths(ir: Path, vis: Path) -> list[Pair]:
    """The pairs of two files or of two folders, as given by `--ir` and `--vis`.

    Two files need not have the same name: the pair is called after the visible one.

    Args:
        ir: Infrared file, or folder of `NAME.*`.
        vis: Visible file, or folder of `NAME.*`.

    Returns:
        One pair, or the folders' pairs sorted by name.

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
        f"Give one with --data DIR or the environment variable {DATA_VARIABLE}; it holds tno/, roadscene/ and coco/.",
    )


def listing(items: Sequence[object]) -> str:
    """The items in one line, cut after the first ten with a count of the rest."""
    shown = ", ".join(str(item) for item in items[:_SHOWN])
    return shown if len(items) <= _SHOWN else f"{shown} and {len(items) - _SHOWN} more"


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


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


# Which infrared file belongs to which visible one, by name, pattern or table; and which belong to none, by name.


IR_WORDS = ("ir", "lwir", "mwir", "swir", "nir", "thermal", "therm", "infrared", "inf", "tir", "th")
VIS_WORDS = ("vis", "vi", "visible", "visual", "rgb", "eo", "color", "color", "photo")
_PLACE = "{name}"
_LARGEST_TABLE = 16 << 20  # bytes
_SHOWN_pairing = 500  # letters of a name in a message
_LETTERS = re.compile(r"[A-Za-z]+")


@dataclasses.dataclass(frozen=True)
class Pairing:
    """What pairs with what.

    Attributes:
        pairs: Sorted by name; names are unique.
        problems: One sentence per file or row that pairs with nothing, with its name.
    """

    pairs: tuple[Pair, ...]
    problems: tuple[str, ...] = ()


def find_pairing(ir: Path, vis: Path | None = None, *, pattern: tuple[str, str] | None = None) -> Pairing:
    """Pairs two files, two folders, or the files of one folder.

    Without a pattern: files of one name first; then names that are alike once a word for the camera (`ir`, `thermal`,
    `vis`, `rgb`, ...) is taken away, as in `ir_001` and `vis_001` or `001-IR` and `001-RGB`. A folder with
    sub-folders named by such words counts as two folders.

    Args:
        ir: Infrared file or folder, or the one folder that holds both.
        vis: Visible file or folder.
        pattern: Names of infrared and visible files with `{name}` for the common part, without extension.

    Raises:
        InputError: A path is absent, or one is a file and the other a folder.
        UsageError: A pattern holds `{name}` not exactly once, or one file is given alone.
    """
    for path in (ir, vis):
        if path is not None and not path.exists():
            raise InputError(f"{path} does not exist.", "Check the path.")
    if vis is None:
        if not ir.is_dir():
            raise UsageError(
                f"{ir} is one file.", "Give an infrared and a visible file, a folder that holds both, or --csv FILE."
            )
        below = _camera_folders(ir)
        if below is not None:
            return find_pairing(*below, pattern=pattern)
    elif ir.is_dir() != vis.is_dir():
        folder, file = (ir, vis) if ir.is_dir() else (vis, ir)
        raise InputError(f"{folder} is a folder but {file} is a file.", "Give two files or two folders.")
    elif not ir.is_dir():
        return Pairing((Pair(vis.stem, ir, vis),))
    if pattern is not None:
        return _by_keys(*(_patterned(ir, pattern[0]), _patterned(vis or ir, pattern[1])), rest=[])
    return _one_folder(ir) if vis is None or vis.resolve() == ir.resolve() else _two_folders(ir, vis)


def read_table(path: Path) -> Pairing:
    """Pairs from a CSV file with a header `ir,vis` and perhaps `name`; paths count from the file's own folder.

    Raises:
        InputError: The file is absent, too large or has no such header, or a name is not one that a file can have.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_TABLE + 1)
        if len(content) > _LARGEST_TABLE:
            raise ValueError(f"it is larger than {_LARGEST_TABLE >> 20} MiB")
        text = io.StringIO(content.decode("utf-8-sig"), newline="")
        rows = list(csv.DictReader(text, skipinitialspace=True))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}.", "Give columns ir,vis[,name].") from error
    if not rows or not {"ir", "vis"} <= rows[0].keys():
        raise InputError(
            f"{path} has no rows with the columns ir and vis.", "Begin it with a line ir,vis or ir,vis,name."
        )
    pairs: dict[str, Pair] = {}
    problems = []
    for number, row in enumerate(rows, start=2):
        if not row["ir"] or not row["vis"]:
            problems.append(f"{path.name} line {number} names only one file")
            continue
        files = [path.parent / row[kind].strip() for kind in ("ir", "vis")]
        absent = [_printable(str(file)) for file in files if not _is_file(file)]
        name = (row.get("name") or "").strip()
        if absent:
            about = f" ({_printable(name)})" if name else ""
            problems.append(f"{path.name} line {number}{about}: {' and '.join(absent)} absent")
            continue
        name = name or files[1].stem
        if Path(name).name != name or name.startswith(".") or not name.isprintable():
            raise InputError(
                f"{path} line {number}: {_printable(name)!r} cannot be a result's name.", "Use a plain file name."
            )
        if name in pairs:
            problems.append(f"{path.name} line {number}: a second pair called {name}")
        else:
            pairs[name] = Pair(name, *files)
    return Pairing(tuple(pairs[name] for name in sorted(pairs)), tuple(problems))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name longer than names can be
        return False


def _printable(text: str) -> str:
    """The text in one line of reasonable length."""
    shown = text if text.isprintable() else ascii(text)
    return shown if len(shown) <= _SHOWN_pairing else f"{shown[:_SHOWN_pairing]}..."


def without_word(stem: str, words: tuple[str, ...]) -> str | None:
    """The name without a camera's word at its start or end, None if there is none.

    A word counts if nothing but an end, a digit or one of `_-. ` stands beside it: `ir_001`, `001-IR`, `IR001`.
    """
    found = [match for match in _LETTERS.finditer(stem) if match.group().lower() in words]
    edges = [match for match in found if match.start() == 0 or match.end() == len(stem)]
    if not edges:
        return None
    match = edges[0]
    rest = stem[: match.start()].rstrip("_-. ") + stem[match.end() :].lstrip("_-. ")
    return rest or None


def _camera_folders(folder: Path) -> tuple[Path, Path] | None:
    below = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    ir = [below[name] for name in IR_WORDS if name in below]
    vis = [below[name] for name in VIS_WORDS if name in below]
    return (ir[0], vis[0]) if len(ir) == len(vis) == 1 else None


def _files(folder: Path) -> list[Path]:
    found = (path for path in sorted(folder.iterdir()) if path.suffix.lower() in READABLE_SUFFIXES)
    return [path for path in found if not path.name.startswith(".") and not path.is_dir()]


def _patterned(folder: Path, pattern: str) -> dict[str, list[Path]]:
    before, place, after = pattern.partition(_PLACE)
    if not place or _PLACE in after:
        raise UsageError(f"--pattern {pattern} must hold {_PLACE} once.", "For example '{name}_ir' '{name}_vis'.")
    for suffix in READABLE_SUFFIXES:
        if after.lower().endswith(suffix):
            after = after[: -len(suffix)]
    keys = defaultdict(list)
    for path in _files(folder):
        stem = path.stem
        if stem.startswith(before) and stem.endswith(after) and len(stem) > len(before) + len(after):
            keys[stem[len(before) : len(stem) - len(after)]].append(path)
    return keys


def _one_folder(folder: Path) -> Pairing:
    ir, vis, rest = defaultdict(list), defaultdict(list), []
    for path in _files(folder):
        thermal, visible = without_word(path.stem, IR_WORDS), without_word(path.stem, VIS_WORDS)
        if thermal is not None and visible is not None:  # a word at each end, as in ir_color: the first one counts
            first = _LETTERS.match(path.stem)
            visible = None if first and first.group().lower() in IR_WORDS else visible
            thermal = None if first and first.group().lower() in VIS_WORDS else thermal
        if (thermal is None) == (visible is None):
            rest.append(path)
        elif thermal is not None:
            ir[thermal].append(path)
        else:
            vis[visible].append(path)
    return _by_keys(ir, vis, rest)


def _two_folders(ir_folder: Path, vis_folder: Path) -> Pairing:
    ir, vis = defaultdict(list), defaultdict(list)
    for keys, folder in ((ir, ir_folder), (vis, vis_folder)):
        for path in _files(folder):
            keys[path.stem].append(path)
    same = ir.keys() & vis.keys()
    first = _by_keys({k: ir[k] for k in same}, {k: vis[k] for k in same}, [])
    left = [defaultdict(list), defaultdict(list)]
    for target, keys, words in ((left[0], ir, IR_WORDS), (left[1], vis, VIS_WORDS)):
        for stem in sorted(keys.keys() - same):
            target[without_word(stem, words) or stem] += keys[stem]
    second = _by_keys(*left, [], taken=same)
    pairs = sorted((*first.pairs, *second.pairs), key=lambda pair: pair.name)
    return Pairing(tuple(pairs), (*first.problems, *second.problems))


def _by_keys(ir: dict, vis: dict, rest: list[Path], *, taken: frozenset[str] | set[str] = frozenset()) -> Pairing:
    pairs, problems = [], [f"{_told(path)} names no camera" for path in rest]
    spellings = Counter(key.lower() for key in ir.keys() | vis.keys())
    for key in sorted(ir.keys() | vis.keys()):
        both = (ir.get(key, []), vis.get(key, []))
        double = [files for files in both if len(files) > 1]
        if double:
            problems.append(f"two files of one name: {listing([_told(path) for files in double for path in files])}")
        elif key in taken:
            problems += [f"{_told(path)}: the name {key} is taken" for files in both for path in files]
        elif both[0] and both[1]:
            pairs.append(Pair(key, both[0][0], both[1][0]))
        else:
            alike = spellings[key.lower()] > 1
            why = "has a partner only in other upper and lower case" if alike else "has no partner"
            problems += [f"{_told(path)} {why}" for files in both for path in files]
    return Pairing(tuple(pairs), tuple(problems))


def _told(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


# Which part of a list one of several processes takes.


_Item = TypeVar("_Item")


class Shard(NamedTuple):
    """One of several parts that share nothing and together are everything.

    Attributes:
        number: From 1.
        count: How many parts there are.
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, items: Sequence[_Item]) -> list[_Item]:
        """This part of a list that is the same, in the same order, for everybody.

        Every `count`-th item: neighbors, which are often alike in size, go to different parts, and the parts'
        lengths differ by one at most.
        """
        return list(items[self.number - 1 :: self.count])


def parse_shard(text: str) -> Shard:
    """Reads `I/N`, such as 1/4.

    Raises:
        UsageError: It is not that, or I is not from 1 to N.
    """
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    shard = Shard(*map(int, match.groups())) if match else Shard(0, 0)
    if not 1 <= shard.number <= shard.count:
        raise UsageError(f"--shard {text} is not a part.", "Write I/N with I from 1 to N, such as 1/4.")
    return shard
