"""What the names of files and folders say: whose images they hold, and which hold none."""

import functools
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.images.read import READABLE_SUFFIXES, TABLE_SUFFIXES, picture_size, pictures_in
from camfuse_jax.images.write import WRITABLE_SUFFIXES, read_provenance
from camfuse_jax.system.files import is_file

# The better known a word is for one camera, the earlier it stands: of several files of a scene the first is taken.
IR_WORDS = (
    *("lwir", "thermal", "therm", "thermo", "tir", "fir", "infrared", "ir", "inf", "th"),
    *("previewdata", "mwir", "swir", "nir"),
)
VIS_WORDS = ("vis", "vi", "visible", "visual", "rgb", "eo", "co", "wide", "zoom", "photo", "color", "colour")
RARE_VIS_WORDS = ("optical", "tv", "daylight")  # that scenes are called, too: they count where no other word does
KINDS = {"ir": IR_WORDS, "vis": VIS_WORDS}
LONG = ("infrared", "thermal", "visible", "visual", "lwir")  # recognized inside other words: cropinfrared
# What stands for a camera as a single letter: DJI's _T beside _W, of several visible cameras the first; or beside
# digits: 0001i, i0001.
LETTERS = {"ir": "t", "vis": "wvz"}
_BESIDE_DIGITS = {"ir": "i", "vis": "v"}
_LABEL = re.compile(r"(label|annot|mask|segm|salien|bbox)[a-z]*|segs?")  # of data sets: no photographs
_LARGEST_TREE, _DEEPEST = 20_000, 6  # folders that are searched
_BESIDE_RESULTS = ("_ir_heat", "_vis_heat", "_valid", "_preview")  # what a fuse command writes beside a result
_NAME = "{name}"
_HEAD = 1 << 17  # bytes in which a result's tag stands, behind its profile and EXIF data
_TOKENS = re.compile(r"[A-Za-z]+")


class Camera(NamedTuple):
    """What a name says: whose images, how well known its word for them is (0 is best), and the name without it."""

    kind: str
    rank: int
    rest: str


class Sides(NamedTuple):
    """A folder of infrared images, the one of visible images that belongs to it, and what both are called."""

    name: str
    ir: Path
    vis: Path


def plain(name: str) -> str:
    """A name in one Unicode form: macOS writes an accent apart from its letter, others do not."""
    return unicodedata.normalize("NFC", name)


def without_word(stem: str, words: tuple[str, ...]) -> str | None:
    """The name without a camera's word at its start or end, None if there is none.

    A word counts if nothing but an end, a digit or one of `_-. ` stands beside it: `ir_001`, `001-IR`, `IR001`.
    """
    match = next((m for m in words_in(stem, words) if m.start() == 0 or m.end() == len(stem)), None)
    return None if match is None else _rest(stem, match) or None


def without_inner_word(stem: str, kind: str) -> str | None:
    """The name without a camera's word that is a whole part of it, as in `scene_ir_001`; None if none or both are."""
    words = {"ir": IR_WORDS, "vis": VIS_WORDS + RARE_VIS_WORDS}
    found = {k: [m for m in words_in(stem, words[k]) if re.search(r"(?:^|[_\-. ])$", stem[: m.start()])] for k in words}
    found = {k: [m for m in found[k] if re.match(r"$|[_\-. ]", stem[m.end() :])] for k in words}
    return _rest(stem, found[kind][0]) or None if found[kind] and not all(found.values()) else None


def without_letter(stem: str, kind: str) -> tuple[int, str] | None:
    """The rank of a DJI camera's letter and the name without it: `DJI_0001_T`, `DJI_0001_T_Waypoint1`; None if none."""
    for form in (r"(.+)_([a-z])()", r"(.*\d)_([a-z])(_.+)"):
        match = re.fullmatch(form, stem, re.IGNORECASE)
        if match and match[2].lower() in LETTERS[kind]:
            return LETTERS[kind].index(match[2].lower()), match[1] + match[3]
    return None


def bare(stem: str, kind: str) -> str:
    """The name without a camera's word, or its letter beside digits, at either end."""
    letter = _BESIDE_DIGITS[kind]
    number = re.sub(rf"^(?:(\d+){letter}|{letter}(\d+))$", r"\1\2", stem, flags=re.IGNORECASE)
    return without_word(stem, KINDS[kind]) or number


def told_kind(stem: str, *, letters: bool = False) -> str | None:
    """The camera that a file's name tells, None where it tells none or both.

    Args:
        stem: The name.
        letters: A letter counts in all names, not only in those that begin as DJI's do.
    """
    for rest in (lambda kind: without_word(stem, KINDS[kind]), lambda kind: without_inner_word(stem, kind)):
        kinds = [kind for kind in KINDS if rest(kind) is not None]
        if kinds:
            return kinds[0] if len(kinds) == 1 else None
    kinds = [kind for kind in KINDS if without_letter(stem, kind)] if letters or stem.upper().startswith("DJI") else []
    return kinds[0] if kinds else None


def words_in(text: str, words: tuple[str, ...]) -> list[re.Match[str]]:
    """Where any of some words stand, with no other letter beside them."""
    return [match for match in _TOKENS.finditer(text) if match.group().lower() in words]


def _rest(text: str, match: re.Match[str]) -> str:
    before, after = text[: match.start()].rstrip("_-. "), text[match.end() :].lstrip("_-. ")
    return f"{before}_{after}" if before and after else before + after


def apart(name: str) -> str:
    """Words that only capitals separate, separated by `_`: `RGBImages` is `RGB_Images`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)


def is_label(name: str) -> bool:
    """Whether a folder's name says labels, masks or annotations: as a whole word, so not `ir_seg1`."""
    return any(_LABEL.fullmatch(part) for part in re.split(r"[_\-. ]+", apart(name).lower()))


def camera_of(name: str) -> Camera | None:
    """The camera that a folder is named after."""
    if is_label(name):
        return None
    for text in (name, apart(name)):
        matches = [(m.start(), kind, m) for kind, words in KINDS.items() for m in words_in(text, words)]
        if matches:
            _, kind, match = min(matches)
            return Camera(kind, KINDS[kind].index(match.group().lower()), _rest(text, match).lower())
    low = name.lower()
    for word in LONG:
        if word in low:
            kind = "ir" if word in IR_WORDS else "vis"
            return Camera(kind, KINDS[kind].index(word), low.replace(word, "").strip("_-. "))
    if low.endswith(("img", "imgr")):  # DroneVehicle: trainimg beside trainimgr
        return Camera("ir" if low.endswith("r") else "vis", 99, low.removesuffix("r"))
    return None


def _rare_camera(folder: Path) -> Camera | None:
    """The visible camera that a folder's rare word stands for; None if infrared images are below: it is a scene's."""
    match = next(iter(words_in(apart(folder.name), RARE_VIS_WORDS)), None)
    if match is None or camera_of(folder.name) or is_label(folder.name):
        return None
    below = [path for inner in tree(folder) for path in (inner, *pictures_in(inner)) if path != folder]
    if any("ir" in (told_kind(plain(path.stem)), (camera_of(path.stem) or (None,))[0]) for path in below):
        return None
    return Camera("vis", len(VIS_WORDS), _rest(apart(folder.name), match).lower())


def camera_of_file(stem: str) -> Camera | None:
    """The camera that a file among others of its scene is named after; `ir_seg1` is no photograph."""
    return None if re.search("label|annot|mask|seg|salien|bbox", stem.lower()) else camera_of(stem)


def camera_folders(folder: Path) -> tuple[list[Sides], list[Path]]:
    """Sub-folders that hold one camera's images each, two by two, and those that are passed over beside them."""
    named = [(camera, path) for path in _folders(folder) if (camera := camera_of(path.name)) is not None]
    if not any(camera.kind == "vis" for camera, _ in named):
        named += [(camera, path) for path in _folders(folder) if (camera := _rare_camera(path)) is not None]
    sides = {kind: [(camera, path) for camera, path in named if camera.kind == kind] for kind in KINDS}
    if not sides["ir"] or not sides["vis"]:
        return [], []
    rests = sorted({camera.rest for camera, _ in sides["ir"]} & {camera.rest for camera, _ in sides["vis"]})

    def first(kind: str, rest: str) -> Path:
        return min((item for item in sides[kind] if item[0].rest == rest), key=order)[1]

    chosen = [Sides(rest, first("ir", rest), first("vis", rest)) for rest in rests]
    if not rests:  # RoadScene: of cropinfrared and infrared, crop_HR_visible and crop_LR_visible two fit in size
        ways = [(one, two) for one in sides["ir"] for two in sides["vis"]]
        best = min(ways, key=lambda way: (not _same_size(way[0][1], way[1][1]), *map(order, way)))
        chosen = [Sides("", best[0][1], best[1][1])]
    return chosen, [path for _, path in named if not any(path in both for both in chosen)]


def order(named: tuple[Camera, Path]) -> tuple:
    """By which the first of several files or folders of one kind is taken."""
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


def tree(root: Path) -> Iterator[Path]:
    """A folder and those below it, sorted, without links and hidden ones."""
    for count, (folder, names, _) in enumerate(os.walk(root)):
        names[:] = sorted(name for name in names if not name.startswith("."))
        depth = len(Path(folder).relative_to(root).parts)
        if depth >= _DEEPEST or count > _LARGEST_TREE:
            names.clear()
        yield Path(folder)


@functools.lru_cache(maxsize=256)  # one search asks often, which takes long on a network's disk
def pictures(folder: Path, *, tables: bool = True) -> tuple[Path, ...]:
    """As `pictures_in`, without the heat maps, valid areas and previews that a fuse command wrote.

    Remembered until `pictures.cache_clear()`, with which each search begins.
    """
    found = pictures_in(folder, tables=tables)
    return tuple(path for path in found if not path.stem.endswith(_BESIDE_RESULTS) or not is_result(path))


def is_result(path: Path) -> bool:
    """Whether a fuse command wrote a file, by the tag that it left in it."""
    if path.suffix.lower() not in WRITABLE_SUFFIXES or not is_file(path):
        return False
    try:
        with path.open("rb") as file:  # most files are ruled out here: those that are forged need no decoder
            return b"camfuse" in file.read(_HEAD) and read_provenance(path) is not None
    except OSError:
        return False


def is_image(path: Path) -> bool:
    """Whether a file's ending is an image's, not a table's."""
    return path.suffix.lower() in READABLE_SUFFIXES


def only_camera(root: Path) -> str | None:
    """The one camera whose images a folder holds, by its own name or all their names; None if it may hold both's."""
    stems = [(folder, plain(path.stem)) for folder in tree(root) for path in pictures(folder)]
    own = camera_of(root.absolute().name)
    if own and any(words_in(own.rest, words) for words in KINDS.values()):
        own = None  # such as ir_vis
    kinds = set()
    for folder, stem in stems:
        above = [camera.kind for part in folder.relative_to(root).parts[::-1] if (camera := camera_of(part))]
        kinds.add(told_kind(stem) or next(iter(above), own.kind if own else None))
    sure = own is None or not own.rest or not guess_pattern([stem for _, stem in stems])
    return kinds.pop() if len(kinds) == 1 and sure else None


def guess_pattern(stems: list[str]) -> str:
    """The two beginnings or endings that share most names, as `--pattern` wants them; empty where there are none."""
    guesses = []
    for form, shown in ((r"(.+)([_-][^_-]+)()", "'{name}%s'"), (r"()([^_-]+[_-])(.+)", "'%s{name}'")):
        rests = defaultdict(set)
        for match in filter(None, (re.fullmatch(form, stem) for stem in stems)):
            rests[match[2]].add(match[1] + match[3])
        most = sorted(rests, key=lambda edge: (-len(rests[edge]), edge))[:2]
        words = all(re.search("[A-Za-z]", edge) for edge in most)  # numbers are more often frames than cameras
        if len(most) == 2 and len(rests[most[0]] & rests[most[1]]) > (0 if words else 1):
            guesses.append((words, " ".join(shown % edge for edge in sorted(most))))
    return max(guesses)[1] if guesses else ""


def patterned(kind: str, folder: Path, pattern: str) -> dict[str, list[Path]]:
    """A folder's files by what stands in their names where a pattern has `{name}`.

    Raises:
        UsageError: The pattern holds `{name}` not exactly once.
    """
    before, placeholder, after = pattern.partition(_NAME)
    if not placeholder or _NAME in after:
        raise UsageError(f"--pattern {pattern} must hold {_NAME} once.", "For example '{name}_ir' '{name}_vis'.")
    for suffix in READABLE_SUFFIXES | TABLE_SUFFIXES:
        if after.lower().endswith(suffix):
            after = after[: -len(suffix)]
    keys = defaultdict(list)
    for path in pictures(folder, tables=kind == "ir"):
        stem = plain(path.stem)
        if stem.startswith(before) and stem.endswith(after) and len(stem) > len(before) + len(after):
            keys[stem[len(before) : len(stem) - len(after)]].append(path)
    return keys
