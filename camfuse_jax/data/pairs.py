"""Which infrared file belongs to which visible one, by name, folder, pattern or table; and what belongs to none."""

import dataclasses
import glob
import json
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.images.read import READABLE_SUFFIXES, TABLE_SUFFIXES, picture_size, pictures_in, real_kind
from camfuse_jax.system.files import is_file

# The better known a word is for one camera, the earlier it stands: of several files of a scene the first is taken.
IR_WORDS = (
    *("lwir", "thermal", "therm", "thermo", "tir", "fir", "infrared", "ir", "inf", "th"),
    *("previewdata", "mwir", "swir", "nir"),
)
VIS_WORDS = ("vis", "vi", "visible", "visual", "rgb", "eo", "co", "wide", "zoom", "photo", "color", "colour")
_KINDS = {"ir": IR_WORDS, "vis": VIS_WORDS}
_LONG = ("infrared", "thermal", "visible", "visual", "lwir")  # recognized inside other words: cropinfrared
# What stands for a camera as a single letter at the end: DJI's _T beside _W; or beside digits: 0001i, i0001.
_LETTERS_BEHIND = {"ir": ("_t",), "vis": ("_w", "_v", "_z")}
_LETTER = {"ir": "i", "vis": "v"}
_NO_IMAGES = ("label", "annot", "mask", "seg", "salien", "bbox")  # folders of data sets that hold no photographs
_MAP_FILE = "rgb_to_thermal_vid_map.json"  # of FLIR ADAS v2, whose two cameras name their frames apart
_NAME = "{name}"
_LARGEST_TREE, _DEEPEST = 20_000, 6  # folders that are searched
_SHOWN = 10
_TOKENS = re.compile(r"[A-Za-z]+")


class Pair(NamedTuple):
    """One registered pair: its name and the two files."""

    name: str
    ir: Path
    vis: Path


@dataclasses.dataclass(frozen=True)
class Pairing:
    """What pairs with what.

    Attributes:
        pairs: Sorted by name; names are unique.
        problems: One sentence per file or row that pairs with nothing, with its name.
        notes: What was passed over on purpose, and how to take it instead.
        why_nothing: Where there is no pair: what is there, what was passed over, and the option that would pair it.
    """

    pairs: tuple[Pair, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    why_nothing: str = ""


def listing(items: Sequence[object]) -> str:
    """The items in one line, cut after the first ten with a count of the rest."""
    shown = ", ".join(map(str, items[:_SHOWN]))
    return shown if len(items) <= _SHOWN else f"{shown} and {len(items) - _SHOWN} more"


def plain(name: str) -> str:
    """A name in one Unicode form: macOS writes an accent apart from its letter, others do not."""
    return unicodedata.normalize("NFC", name)


def find_pairing(ir: Path, vis: Path | None = None, *, pattern: tuple[str, str] | None = None) -> Pairing:
    """Pairs two files, two folders, or the files of one folder and of those below it.

    Without a pattern: files of one name first; then names that are alike once a word for the camera (`ir`, `thermal`,
    `vis`, `rgb`, ...) is taken away, as in `ir_001` and `vis_001` or `001-IR` and `001-RGB`. Folders named by such
    words hold one camera's images each, with the same folders below them; this is how data sets are published.

    Args:
        ir: Infrared file or folder, or the one folder that holds both.
        vis: Visible file or folder.
        pattern: Names of infrared and visible files with `{name}` for the common part, without extension.

    Raises:
        InputError: A path is absent, or one is a file and the other a folder.
        UsageError: A pattern holds `{name}` not exactly once, or one file is given alone.
    """
    for path in (ir, vis):
        if path is not None and not path.exists() and not path.is_symlink():
            raise InputError(f"{path} does not exist.", "Check the path.")
    if vis is None and not ir.is_dir():
        cure = "Give an infrared and a visible file, a folder that holds both, or --csv FILE."
        raise UsageError(f"{ir} is one file.", cure)
    if vis is not None and ir.is_dir() != vis.is_dir():
        folder, file = (ir, vis) if ir.is_dir() else (vis, ir)
        raise InputError(f"{folder} is a folder but {file} is a file.", "Give two files or two folders.")
    if vis is not None and not ir.is_dir():
        return Pairing((Pair(vis.stem, ir, vis),))
    one = vis is None or os.path.realpath(vis) == os.path.realpath(ir)
    if pattern is not None:
        sides = (_camera_folders(ir)[0] if one else []) or [(ir, vis or ir)]
        pairing = _by_keys(*(_patterned(*side) for side in zip(_KINDS, sides[0], pattern, strict=True)))
    else:
        pairing = _one_folder(ir) if vis is None or one else _two_trees(ir, vis)
    # A table that pairs with nothing may be about anything: it is missed only where others of its kind pair.
    kinds = {path.suffix.lower() for pair in pairing.pairs for path in (pair.ir, pair.vis)}
    others = [f"{suffix} {why}" for suffix in TABLE_SUFFIXES - kinds for why in ("has no partner", "names no camera")]
    problems = tuple(p for p in pairing.problems if not pairing.pairs or not p.lower().endswith(tuple(others)))
    why = "" if pairing.pairs else _why_nothing([ir] if vis is None or one else [ir, vis], pairing)
    return dataclasses.replace(pairing, problems=problems, why_nothing=why)


def without_word(stem: str, words: tuple[str, ...]) -> str | None:
    """The name without a camera's word at its start or end, None if there is none.

    A word counts if nothing but an end, a digit or one of `_-. ` stands beside it: `ir_001`, `001-IR`, `IR001`.
    """
    match = next((m for m in _words_in(stem, words) if m.start() == 0 or m.end() == len(stem)), None)
    return None if match is None else _rest(stem, match) or None


def _words_in(text: str, words: tuple[str, ...]) -> list[re.Match[str]]:
    return [match for match in _TOKENS.finditer(text) if match.group().lower() in words]


def _rest(text: str, match: re.Match[str]) -> str:
    before, after = text[: match.start()].rstrip("_-. "), text[match.end() :].lstrip("_-. ")
    return f"{before}_{after}" if before and after else before + after


class _Camera(NamedTuple):
    """What a name says: whose images, how well known its word for them is (0 is best), and the name without it."""

    kind: str
    rank: int
    rest: str


def _camera(name: str) -> _Camera | None:
    """The camera that a folder, or a file among others of its scene, is named after."""
    if any(word in name.lower() for word in _NO_IMAGES):
        return None
    for text in (name, re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)):
        matches = [(m.start(), kind, m) for kind, words in _KINDS.items() for m in _words_in(text, words)]
        if matches:
            _, kind, match = min(matches)
            return _Camera(kind, _KINDS[kind].index(match.group().lower()), _rest(text, match).lower())
    low = name.lower()
    for word in _LONG:
        if word in low:
            kind = "ir" if word in IR_WORDS else "vis"
            return _Camera(kind, _KINDS[kind].index(word), low.replace(word, "").strip("_-. "))
    if low.endswith(("img", "imgr")):  # DroneVehicle: trainimg beside trainimgr
        return _Camera("ir" if low.endswith("r") else "vis", 99, low.removesuffix("r"))
    return None


def _camera_folders(folder: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Sub-folders that hold one camera's images each, two by two, and notes on those that are passed over."""
    named = [(camera, path) for path in _folders(folder) if (camera := _camera(path.name)) is not None]
    sides = {kind: [(camera, path) for camera, path in named if camera.kind == kind] for kind in _KINDS}
    if not sides["ir"] or not sides["vis"]:
        return [], []
    rests = sorted({camera.rest for camera, _ in sides["ir"]} & {camera.rest for camera, _ in sides["vis"]})

    def first(kind: str, rest: str) -> Path:
        return min((item for item in sides[kind] if item[0].rest == rest), key=_order)[1]

    chosen = [(first("ir", rest), first("vis", rest)) for rest in rests]
    if not rests:  # RoadScene: of cropinfrared and infrared, crop_HR_visible and crop_LR_visible two fit in size
        ways = [(one, two) for one in sides["ir"] for two in sides["vis"]]
        best = min(ways, key=lambda way: (not _same_size(way[0][1], way[1][1]), *map(_order, way)))
        chosen = [(best[0][1], best[1][1])]
    beside = f"is passed over beside {chosen[0][0].name}/ and {chosen[0][1].name}/"
    return chosen, [f"{path}/ {beside}" for _, path in named if not any(path in both for both in chosen)]


def _order(named: tuple[_Camera, Path]) -> tuple:
    name = named[1].name
    return named[0].rank, [int(part) if part.isdecimal() else 0 for part in re.split(r"(\d+)", name)], name


def _same_size(ir: Path, vis: Path) -> bool:
    files = [{plain(path.stem): path for path in pictures_in(folder)} for folder in (ir, vis)]
    name = min(files[0].keys() & files[1].keys(), default=None)
    try:
        return name is not None and picture_size(files[0][name]) == picture_size(files[1][name])
    except InputError:
        return False


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir())


def _tree(root: Path) -> Iterator[Path]:
    """A folder and those below it, sorted, without links and hidden ones."""
    for count, (folder, names, _) in enumerate(os.walk(root)):
        names[:] = sorted(name for name in names if not name.startswith("."))
        depth = len(Path(folder).relative_to(root).parts)
        if depth >= _DEEPEST or count > _LARGEST_TREE:
            names.clear()
        yield Path(folder)


def _patterned(kind: str, folder: Path, pattern: str) -> dict[str, list[Path]]:
    before, placeholder, after = pattern.partition(_NAME)
    if not placeholder or _NAME in after:
        raise UsageError(f"--pattern {pattern} must hold {_NAME} once.", "For example '{name}_ir' '{name}_vis'.")
    for suffix in READABLE_SUFFIXES | TABLE_SUFFIXES:
        if after.lower().endswith(suffix):
            after = after[: -len(suffix)]
    keys = defaultdict(list)
    for path in pictures_in(folder, tables=kind == "ir"):
        stem = plain(path.stem)
        if stem.startswith(before) and stem.endswith(after) and len(stem) > len(before) + len(after):
            keys[stem[len(before) : len(stem) - len(after)]].append(path)
    return keys


def _one_folder(folder: Path) -> Pairing:
    """By folders named after cameras, else by the files' names, else by what lies below."""
    if _camera_folders(folder)[0]:
        return _below(folder)
    flat = _by_words(folder)
    if flat.pairs:
        return flat
    letters = _by_letters(folder)
    below = letters if letters.pairs else _below(folder)
    return below if below.pairs else flat


def _below(root: Path) -> Pairing:
    """Pairs of a whole tree: of folders named after cameras, and of scenes that have a folder each."""
    pairings: list[tuple[Path, Pairing]] = []
    done: set[Path] = set()
    for folder in _tree(root):
        if any(parent in done for parent in (folder, *folder.parents)):
            continue
        chosen, notes = _camera_folders(folder)
        for ir, vis in chosen:
            pairing = _two_trees(ir, vis)
            pairings.append((folder.relative_to(root), dataclasses.replace(pairing, notes=(*notes, *pairing.notes))))
            notes = []
        done |= {path for path in _folders(folder) if chosen and _camera(path.name)}
        if not chosen and folder != root:
            scene = _by_words(folder)
            scene = scene if scene.pairs else _scene(folder)
            pairings.append((folder.relative_to(root), dataclasses.replace(scene, problems=())))
    return _joined(pairings)


def _scene(folder: Path) -> Pairing:
    """The one infrared and the one visible file of a folder, whatever else their names say (TNO's tree)."""
    files = {"ir": pictures_in(folder), "vis": pictures_in(folder, tables=False)}
    named = [(camera, path) for path in files["ir"] if (camera := _camera(path.stem)) and path in files[camera.kind]]
    best = []
    for kind in _KINDS:
        ranked = sorted((item for item in named if item[0].kind == kind), key=_order)
        if not ranked or [item[0].rank for item in ranked].count(ranked[0][0].rank) > 1:
            return Pairing(())
        best.append(ranked[0][1])
    return Pairing((Pair(plain(folder.name), *best),))


def _joined(pairings: list[tuple[Path, Pairing]]) -> Pairing:
    """Pairings of several folders; names that are not unique get those of their folders in front."""
    counts = Counter(pair.name for _, pairing in pairings for pair in pairing.pairs)
    pairs = []
    for where, pairing in pairings:
        for pair in pairing.pairs:
            name = pair.name if counts[pair.name] == 1 else plain("_".join((*where.parts, pair.name)))
            pairs.append(pair._replace(name=name))
    problems, notes = ([text for _, p in pairings for text in getattr(p, kind)] for kind in ("problems", "notes"))
    return Pairing(tuple(sorted(pairs)), tuple(problems), tuple(notes))


def _two_trees(ir_root: Path, vis_root: Path) -> Pairing:
    """Two folders, each with one camera's images, directly or in the same folders below."""
    held = [{f: files for f in _tree(root) if (files := pictures_in(f))} for root in (ir_root, vis_root)]
    photos = [
        [f for f in side if any(p.suffix.lower() in READABLE_SUFFIXES for p in side[f])] or [*side] for side in held
    ]
    sides = [{f.relative_to(root): f for f in side} for root, side in ((ir_root, held[0]), (vis_root, photos[1]))]
    same = sorted(sides[0].keys() & sides[1].keys())
    if not same:
        one = len(photos[0]) == len(photos[1]) == 1
        return _two_folders(photos[0][0], photos[1][0]) if one else _two_folders(ir_root, vis_root)
    return _joined([(where, _two_folders(sides[0][where], sides[1][where])) for where in same])


def _by_words(folder: Path) -> Pairing:
    """Files of one folder whose names begin or end with a word for their camera."""
    keys: dict[str, dict[str, list[Path]]] = {"ir": defaultdict(list), "vis": defaultdict(list)}
    rest, photos = [], set(pictures_in(folder, tables=False))
    for path in pictures_in(folder):
        stem = plain(path.stem)
        thermal, visible = without_word(stem, IR_WORDS), without_word(stem, VIS_WORDS)
        if thermal is not None and visible is not None:  # a word at each end, as in ir_color: the first one counts
            first = _TOKENS.match(stem)
            visible = None if first and first.group().lower() in IR_WORDS else visible
            thermal = None if first and first.group().lower() in VIS_WORDS else thermal
        if (thermal is None) == (visible is None):
            rest.append(path)
        elif thermal is not None:
            keys["ir"][thermal].append(path)
        elif path in photos:
            keys["vis"][visible or ""].append(path)
    for path in [path for path in rest if plain(path.stem) in keys["ir"].keys() ^ keys["vis"].keys()]:
        kind = "vis" if plain(path.stem) in keys["ir"] else "ir"  # FLIR: 0001.jpg beside 0001_visual.jpg
        if kind == "ir" or path in photos:
            keys[kind][plain(path.stem)].append(rest.pop(rest.index(path)))
    notes = [note for kind in _KINDS for files in keys[kind].values() for note in _keep_best(files)]
    pairing = _by_keys(keys["ir"], keys["vis"])
    problems = (*(f"{_shown(path)} names no camera" for path in rest), *pairing.problems)
    return dataclasses.replace(pairing, problems=problems, notes=tuple(notes))


def _keep_best(files: list[Path]) -> list[str]:
    """Leaves of one scene's files of one kind those with the best known word, in place; notes on the others."""
    ranks = [camera.rank if (camera := _camera(path.stem)) else 99 for path in files]
    best = [path for path, rank in zip(files, ranks, strict=True) if rank == min(ranks)]
    left = [path for path in files if path not in best]
    files[:] = best
    return [f"{_shown(path)} is passed over beside {best[0].name} (--pattern takes it instead)" for path in left]


def _by_letters(folder: Path) -> Pairing:
    """Files of one folder named as DJI names them: a letter for the camera at the end."""
    sides: list[dict[str, list[Path]]] = []
    for kind, endings in _LETTERS_BEHIND.items():
        keys = defaultdict(list)
        for ending in endings:  # of several visible cameras the first
            for path in pictures_in(folder, tables=kind == "ir"):
                stem = plain(path.stem)
                if stem.lower().endswith(ending) and not keys[stem[: -len(ending)]]:
                    keys[stem[: -len(ending)]].append(path)
        sides.append(keys)
    return _by_keys(*sides) if sides[0].keys() & sides[1].keys() else Pairing(())


def _two_folders(ir_folder: Path, vis_folder: Path) -> Pairing:
    mapped = _by_map(ir_folder, vis_folder)
    if mapped.pairs:
        return mapped
    sides = {kind: defaultdict(list) for kind in _KINDS}
    for kind, folder in zip(_KINDS, (ir_folder, vis_folder), strict=True):
        for path in pictures_in(folder, tables=kind == "ir"):
            sides[kind][plain(path.stem)].append(path)
    same = sides["ir"].keys() & sides["vis"].keys()
    first = _by_keys(*({key: keys[key] for key in same} for keys in sides.values()))
    left = {kind: defaultdict(list) for kind in _KINDS}
    for kind, keys in sides.items():
        for stem in sorted(keys.keys() - same):
            left[kind][without_word(stem, _KINDS[kind]) or _without_letter(stem, _LETTER[kind])] += keys[stem]
    second = _by_keys(*left.values(), taken=same)
    problems = [_with_reason(text, ir_folder, vis_folder) for text in (*first.problems, *second.problems)]
    return Pairing(tuple(sorted((*first.pairs, *second.pairs))), tuple(problems))


def _with_reason(problem: str, *folders: Path) -> str:
    """Adds to a file without a partner the file of its name that no image reader knows."""
    stem = Path(problem.removesuffix(" has no partner")).stem
    if problem.endswith(" has no partner"):
        for path in (path for folder in folders for path in folder.glob(f"{glob.escape(stem)}.*")):
            if path.suffix.lower() not in READABLE_SUFFIXES | TABLE_SUFFIXES:
                return f"{problem}: {_shown(path)} is of a kind that is not read{_content(path)}"
    return problem


def _content(path: Path) -> str:
    return f" (its content: {kind})" if (kind := real_kind(path)) not in ("", "table") else ""


def _without_letter(stem: str, letter: str) -> str:
    return re.sub(rf"^(?:(\d+){letter}|{letter}(\d+))$", r"\1\2", stem, flags=re.IGNORECASE)


def _by_map(ir_folder: Path, vis_folder: Path) -> Pairing:
    """By the list that FLIR ADAS brings for its videos."""
    for folder in (vis_folder.parent, vis_folder.parent.parent, vis_folder.parent.parent.parent):
        try:
            names = json.loads((folder / _MAP_FILE).read_text(encoding="utf-8"))
            pairs = [Pair(Path(v).stem, ir_folder / i, vis_folder / v) for v, i in names.items()]
            return Pairing(tuple(sorted(p for p in pairs if is_file(p.ir) and is_file(p.vis))))
        except (OSError, ValueError, AttributeError, TypeError, RecursionError):
            continue
    return Pairing(())


def _by_keys(ir: dict, vis: dict, *, taken: frozenset[str] | set[str] = frozenset()) -> Pairing:
    pairs, problems = [], []
    spellings = Counter(key.lower() for key in ir.keys() | vis.keys())
    for key in sorted(ir.keys() | vis.keys()):
        both = (ir.get(key, []), vis.get(key, []))
        double = [files for files in both if len(files) > 1]
        if double:
            problems.append(f"two files of one name: {listing([_shown(path) for files in double for path in files])}")
        elif key in taken:
            problems += [f"{_shown(path)}: the name {key} is taken" for files in both for path in files]
        elif both[0] and both[1]:
            pairs.append(Pair(key, both[0][0], both[1][0]))
        else:
            alike = spellings[key.lower()] > 1
            why = "has a partner only in other upper and lower case" if alike else "has no partner"
            problems += [f"{_shown(path)} {why}" for files in both for path in files]
    return Pairing(tuple(pairs), tuple(problems))


def _why_nothing(roots: list[Path], pairing: Pairing) -> str:
    """What is there, what was passed over and why, and the option that would pair it."""
    parts = []
    stems: list[str] = []
    for root in roots:
        images = pictures_in(root)
        stems += [plain(path.stem) for path in images]
        below = [f"{f.relative_to(root)}/ ({len(pictures_in(f))} images)" for f in _tree(root) if f != root]
        others = [p for p in root.iterdir() if p not in images and not p.is_dir() and not p.name.startswith(".")]
        endings = Counter((path.suffix.lower() or path.name, _content(path)) for path in others)
        folders = f" and the folders {listing(below)}" if below else ""
        parts.append(f"{root} holds {len(images)} images{folders}.")
        if endings:
            shown = listing([f"{ending} ({count}){kind}" for (ending, kind), count in sorted(endings.items())])
            parts.append(f"Not read there: {shown}; images end in {', '.join(sorted(READABLE_SUFFIXES))}.")
    parts += [f"{problem}." for problem in pairing.problems[:_SHOWN]]
    if len(roots) == 1:
        words = ", ".join((*IR_WORDS[:8], *VIS_WORDS[:6]))
        parts.append(f"A file or folder is known by a word for its camera, such as {words}.")
    pattern = _guess_pattern(stems) or "'{name}_a' '{name}_b'"
    parts.append(f"--pattern {pattern} pairs by other names, --csv FILE by a table; two folders are given as IR VIS.")
    return " ".join(parts)


def _guess_pattern(stems: list[str]) -> str:
    """The two beginnings or endings that share most names, as `--pattern` wants them; empty where there are none."""
    guesses = []
    for form, shown in ((r"(.+)([_-][^_-]+)()", "'{name}%s'"), (r"()([^_-]+[_-])(.+)", "'%s{name}'")):
        rests = defaultdict(set)
        for match in filter(None, (re.fullmatch(form, stem) for stem in stems)):
            rests[match[2]].add(match[1] + match[3])
        most = sorted(rests, key=lambda edge: (-len(rests[edge]), edge))[:2]
        if len(most) == 2 and rests[most[0]] & rests[most[1]]:
            words = all(re.search("[A-Za-z]", edge) for edge in most)  # numbers are more often frames than cameras
            guesses.append((words, " ".join(shown % edge for edge in sorted(most))))
    return max(guesses)[1] if guesses else ""


def _shown(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
