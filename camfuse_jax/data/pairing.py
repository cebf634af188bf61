"""Which infrared file belongs to which visible one, by name, pattern or table; and which belong to none, by name."""

import csv
import dataclasses
import io
import re
from collections import Counter, defaultdict
from pathlib import Path

from camfuse_jax.data.folders import Pair, listing
from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.images import READABLE_SUFFIXES

IR_WORDS = ("ir", "lwir", "mwir", "swir", "nir", "thermal", "therm", "infrared", "inf", "tir", "th")
VIS_WORDS = ("vis", "vi", "visible", "visual", "rgb", "eo", "color", "colour", "photo")
_PLACE = "{name}"
_LARGEST_TABLE = 16 << 20  # bytes
_SHOWN = 500  # letters of a name in a message
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
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


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
