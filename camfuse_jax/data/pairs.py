"""Which infrared file belongs to which visible one, by name, folder, pattern or table; and what belongs to none."""

import dataclasses
import glob
import itertools
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from camfuse_jax.data.layouts import (
    IR_WORDS,
    KINDS,
    VIS_WORDS,
    Sides,
    bare,
    camera_folders,
    camera_of,
    camera_of_file,
    guess_pattern,
    is_image,
    is_label,
    is_result,
    only_camera,
    order,
    patterned,
    pictures,
    plain,
    told_kind,
    tree,
    without_inner_word,
    without_letter,
    without_word,
)
from camfuse_jax.errors import InputError, UsageError
from camfuse_jax.images.read import READABLE_SUFFIXES, TABLE_SUFFIXES, real_kind
from camfuse_jax.system.files import is_file

_MAP_FILE = "rgb_to_thermal_vid_map.json"  # of FLIR ADAS v2, whose two cameras name their frames apart
_SHOWN = 10


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
        known: Files that the above speak of, or that are labels.
    """

    pairs: tuple[Pair, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    why_nothing: str = ""
    known: frozenset[Path] = frozenset()


def listing(items: Sequence[object]) -> str:
    """The items in one line, cut after the first ten with a count of the rest."""
    shown = ", ".join(map(str, items[:_SHOWN]))
    return shown if len(items) <= _SHOWN else f"{shown} and {len(items) - _SHOWN} more"


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
    pictures.cache_clear()
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
        sides = (camera_folders(ir)[0] if one else []) or [Sides("", ir, vis or ir)]
        found = [(side.name, [patterned(*s) for s in zip(KINDS, side[1:], pattern, strict=True)]) for side in sides]
        pairing = _joined([(Path(), name, _by_keys(*keys)) for name, keys in found])
    else:
        pairing = _one_folder(ir) if vis is None or one else _two_trees(ir, vis)
    # A table that pairs with nothing may be about anything: it is missed only where others of its kind pair.
    kinds = {path.suffix.lower() for pair in pairing.pairs for path in (pair.ir, pair.vis)}
    others = [f"{suffix} {why}" for suffix in TABLE_SUFFIXES - kinds for why in ("has no partner", "names no camera")]
    problems = tuple(p for p in pairing.problems if not pairing.pairs or not p.lower().endswith(tuple(others)))
    if pairing.pairs:
        return dataclasses.replace(pairing, problems=problems)
    if one and (kind := only_camera(ir)):
        given = f"{ir} OTHER" if kind == "ir" else f"OTHER {ir}"
        why = f"{ir} holds one camera's images only. Give the other folder too: camfuse fuse {given}."
        problems = tuple(problem for problem in problems if not problem.endswith("names no camera"))
        return dataclasses.replace(pairing, problems=problems, why_nothing=why)
    why = _why_nothing([ir] if vis is None or one else [ir, vis], pairing)
    return dataclasses.replace(pairing, problems=problems, why_nothing=why)


def _one_folder(folder: Path) -> Pairing:
    """By folders named after cameras, else by the files' names, else by what lies below."""
    if not camera_folders(folder)[0] and _by_words(folder, inner=False).pairs:
        return _with_left_over(folder, _by_words(folder))
    found = _below(folder)
    if not found.pairs and not camera_folders(folder)[0]:
        found = _by_words(folder)
    return _with_left_over(folder, found) if found.pairs else found


def _below(root: Path) -> Pairing:
    """Pairs of a whole tree: of folders named after cameras, and of scenes that have a folder each."""
    pairings: list[tuple[Path, str, Pairing]] = []
    done: set[Path] = set()
    for folder in tree(root):
        if any(parent in done for parent in (folder, *folder.parents)):
            continue
        where = folder.relative_to(root)
        chosen, others = camera_folders(folder)
        for side in chosen:
            pairings.append((where, side.name, _two_trees(side.ir, side.vis)))
        if others:
            beside = f"is passed over beside {chosen[0].ir.name}/ and {chosen[0].vis.name}/"
            known = frozenset(path for other in others for below in tree(other) for path in pictures(below))
            pairings.append((where, "", Pairing((), notes=tuple(f"{path}/ {beside}" for path in others), known=known)))
        done |= {path for side in chosen for path in side[1:]} | {*others}
        if not chosen and folder != root:
            pairings.append((where, "", _scene(folder)))
    photos = [item for item in pairings if not any(map(is_label, item[0].parts))]
    return _joined(photos if any(found.pairs for _, _, found in photos) else pairings)


def _scene(folder: Path) -> Pairing:
    """A folder below: by its files' names, else its one infrared and one visible file, whatever else they are called.

    So is TNO's tree: the scene is called after its folder.
    """
    flat, files = _by_words(folder, root=False), {"ir": pictures(folder), "vis": pictures(folder, tables=False)}
    named = [
        (camera, path) for path in files["ir"] if (camera := camera_of_file(path.stem)) and path in files[camera.kind]
    ]
    ranked = [sorted((item for item in named if item[0].kind == kind), key=order) for kind in KINDS]
    if _word_keys(folder)[2] or not all(ranked):
        return flat
    if any([camera.rank for camera, _ in side].count(side[0][0].rank) > 1 for side in ranked):
        return flat
    notes = [_passed_over(path, side[0][1]) for side in ranked for _, path in side[1:]]
    pair = Pair(plain(folder.name), *(side[0][1] for side in ranked))
    return Pairing((pair,), notes=tuple(notes), known=frozenset(path for _, path in named))


def _with_left_over(root: Path, pairing: Pairing) -> Pairing:
    """Adds the images of a tree that the pairing says nothing of: those that name a camera belong to no pair."""
    problems, unnamed = list(pairing.problems), []
    for folder in tree(root):
        parts = folder.relative_to(root).parts
        left = [path for path in pictures(folder) if path not in pairing.known and not is_result(path)]
        if not left or any(map(is_label, parts)):
            continue
        within = any((camera := camera_of(part)) and camera.rank < 99 for part in parts)
        paired = {path for pair in _by_words(folder).pairs for path in (pair.ir, pair.vis)}
        for path in left:
            if path in paired:
                problems.append(
                    f"{path} is left out, as other folders hold the pairs: fuse it from a folder of its own"
                )
            elif within or told_kind(plain(path.stem)):
                problems.append(f"{path} has no partner")
            elif is_image(path):
                unnamed.append(path.relative_to(root))
    note = (f"passed over beside the pairs, as they name no camera: {listing(unnamed)}",) if unnamed else ()
    return dataclasses.replace(pairing, problems=tuple(problems), notes=(*pairing.notes, *note))


def _joined(pairings: list[tuple[Path, str, Pairing]]) -> Pairing:
    """Pairings of several folders, and what else tells them apart: it is put in front of names that are not unique."""
    given = [(where, side, pair) for where, side, pairing in pairings for pair in pairing.pairs]
    names = [pair.name for *_, pair in given]
    for further in (lambda where, side: where.parts, lambda where, side: (*where.parts, *([side] if side else []))):
        counts = Counter(names)
        longer = [plain("_".join((*further(where, side), pair.name))) for where, side, pair in given]
        names = [long if counts[name] > 1 else name for name, long in zip(names, longer, strict=True)]
    pairs: dict[str, Pair] = {}
    for name, (*_, pair) in sorted(zip(names, given, strict=True), key=lambda item: item[0] != item[1][-1].name):
        ways = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
        free = next(way for way in ways if way not in pairs)
        pairs[free] = pair._replace(name=free)
    problems, notes = ([text for *_, p in pairings for text in getattr(p, kind)] for kind in ("problems", "notes"))
    known = frozenset().union(*(pairing.known for *_, pairing in pairings))
    return Pairing(tuple(sorted(pairs.values())), tuple(problems), tuple(notes), known=known)


def _two_trees(ir_root: Path, vis_root: Path) -> Pairing:
    """Two folders, each with one camera's images, directly or in the same folders below."""
    roots = (ir_root, vis_root)
    held = [{f.relative_to(root): files for f in tree(root) if (files := pictures(f))} for root in roots]
    known = frozenset(path for side in held for files in side.values() for path in files)
    scenes = [{where: files for where, files in side.items() if not any(map(is_label, where.parts))} for side in held]
    held = scenes if all(scenes) else held
    photos = [[where for where in side if any(map(is_image, side[where]))] or [*side] for side in held]
    pairs_of = [(where, where) for where in sorted(held[0].keys() & set(photos[1]))]
    if not pairs_of:
        one = len(photos[0]) == len(photos[1]) == 1
        pairs_of = [(photos[0][0], photos[1][0])] if one else [(Path(), Path())]
    found = _joined([(ir, "", _two_folders(ir_root / ir, vis_root / vis)) for ir, vis in pairs_of])
    left = []
    for kind, side, used in zip(KINDS, held, zip(*pairs_of, strict=True), strict=True):
        for where in side.keys() - set(used):
            # A table at the top, or of visible images, is about the images: it is none.
            files = side[where] if kind == "ir" and where != Path() else filter(is_image, side[where])
            left += [f"{path} has no partner" for path in files if not is_result(path)]
    return dataclasses.replace(found, problems=(*found.problems, *sorted(left)), known=known)


def _word_keys(folder: Path) -> tuple[dict[str, dict[str, list[Path]]], list[Path], set[str]]:
    """Files by what is left of their names without a word at an end, those without one, and what both cameras have."""
    keys: dict[str, dict[str, list[Path]]] = {"ir": defaultdict(list), "vis": defaultdict(list)}
    rest, photos = [], set(pictures(folder, tables=False))
    for path in pictures(folder):
        stem = plain(path.stem)
        thermal, visible = without_word(stem, IR_WORDS), without_word(stem, VIS_WORDS)
        if thermal is not None and visible is not None:  # a word at each end, as in ir_color: the first one counts
            first = re.match("[A-Za-z]+", stem)
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
    return keys, rest, keys["ir"].keys() & keys["vis"].keys()


def _by_words(folder: Path, *, root: bool = True, inner: bool = True) -> Pairing:
    """Files of one folder whose names hold a word for their camera, or DJI's letter.

    Args:
        folder: The folder.
        root: It was given itself: files that name no camera are reported too.
        inner: Words count in the middle of a name, too.
    """
    keys, rest, both = _word_keys(folder)
    photos = frozenset(pictures(folder, tables=False))
    letters = _by_letters(rest if both else pictures(folder), rest if both else photos, taken=both)
    if letters.pairs:
        rest = [path for path in rest if path not in letters.known]
        for files in (files for side in keys.values() for files in side.values()):
            files[:] = [path for path in files if path not in letters.known]
    for path in rest[:] if inner else ():
        for kind in KINDS:
            key = without_inner_word(plain(path.stem), kind)
            if key and key not in both and (kind == "ir" or path in photos):
                keys[kind][key].append(rest.pop(rest.index(path)))
    keys = {kind: {key: files for key, files in side.items() if files} for kind, side in keys.items()}
    notes = [note for side in keys.values() for files in side.values() for note in _keep_best(files)]
    pairing = _by_keys(keys["ir"], keys["vis"], taken={pair.name for pair in letters.pairs})
    rest = [path for path in rest if not is_result(path)]
    lone = [path for path in rest if told_kind(plain(path.stem), letters=bool(letters.pairs))]
    problems = [f"{_shown(path)} has no partner" for path in lone]
    problems += [f"{_shown(path)} names no camera" for path in rest if root and path not in lone]
    unknown = set() if root else set(rest) - set(lone)
    return Pairing(
        tuple(sorted((*letters.pairs, *pairing.pairs))),
        (*problems, *pairing.problems),
        (*letters.notes, *notes),
        known=frozenset(pictures(folder)) - unknown,
    )


def _keep_best(files: list[Path]) -> list[str]:
    """Leaves of one scene's files of one kind those with the best known word, in place; notes on the others."""
    ranks = [camera.rank if (camera := camera_of_file(path.stem)) else 99 for path in files]
    best = [path for path, rank in zip(files, ranks, strict=True) if rank == min(ranks)]
    left = [path for path in files if path not in best and not is_result(path)]
    files[:] = best
    return [_passed_over(path, best[0]) for path in left]


def _passed_over(path: Path, best: Path) -> str:
    return f"{_shown(path)} is passed over beside {best.name} (--pattern takes it instead)"


def _by_letters(ir: Iterable[Path], vis: Iterable[Path], *, taken: Iterable[str] = ()) -> Pairing:
    """Files named as DJI names them, with a letter for the camera; those without a partner are not spoken of."""
    sides: list[dict[str, list[tuple[int, Path]]]] = []
    for kind, files in zip(KINDS, (ir, vis), strict=True):
        sides.append(defaultdict(list))
        for path in files:
            if (letter := without_letter(plain(path.stem), kind)) is not None:
                sides[-1][letter[1]].append((letter[0], path))
    both = sorted((sides[0].keys() & sides[1].keys()).difference(taken))
    ranked = {key: [sorted(side[key]) for side in sides] for key in both}
    pairs = [Pair(key, ir[0][1], vis[0][1]) for key, (ir, vis) in ranked.items()]
    notes = [_passed_over(path, files[0][1]) for sides in ranked.values() for files in sides for _, path in files[1:]]
    known = frozenset(path for sides in ranked.values() for files in sides for _, path in files)
    return Pairing(tuple(pairs), notes=tuple(notes), known=known)


def _two_folders(ir_folder: Path, vis_folder: Path) -> Pairing:
    """Two folders' files: by one name, by names without a camera's word at an end, by DJI's letters, by inner words."""
    left = {"ir": [*pictures(ir_folder)], "vis": [*pictures(vis_folder, tables=False)]}
    mapped = _by_map(ir_folder, vis_folder)
    if mapped.pairs:
        used = {path for pair in mapped.pairs for path in (pair.ir, pair.vis)}
        lone = [f"{_shown(path)} has no partner" for side in left.values() for path in side if path not in used]
        return dataclasses.replace(mapped, problems=tuple(lone))
    parts, taken = [], set()

    def pair_by(key_of: Callable[[str, str], str | None]) -> None:
        keys = _keyed(left, key_of)
        both = keys["ir"].keys() & keys["vis"].keys()
        parts.append(_by_keys(*({key: side[key] for key in both} for side in keys.values()), taken=taken))
        taken.update(both)
        for kind, side in keys.items():
            done = {path for key in both for path in side[key]}
            left[kind] = [path for path in left[kind] if path not in done]

    pair_by(lambda stem, kind: stem)
    pair_by(bare)
    parts.append(_by_letters(left["ir"], left["vis"], taken=taken))
    taken.update(pair.name for pair in parts[-1].pairs)
    left = {kind: [path for path in files if path not in parts[-1].known] for kind, files in left.items()}
    pair_by(without_inner_word)
    parts.append(_by_keys(*_keyed(left, bare).values(), taken=taken))
    pairs, problems, notes = ([item for p in parts for item in getattr(p, k)] for k in ("pairs", "problems", "notes"))
    problems = [_with_reason(text, ir_folder, vis_folder) for text in problems]
    return Pairing(tuple(sorted(pairs)), tuple(problems), tuple(notes))


def _keyed(files: dict[str, list[Path]], key_of: Callable[[str, str], str | None]) -> dict[str, dict[str, list[Path]]]:
    keys: dict[str, dict[str, list[Path]]] = {kind: defaultdict(list) for kind in files}
    for kind, path in ((kind, path) for kind, side in files.items() for path in side):
        if (key := key_of(plain(path.stem), kind)) is not None:
            keys[kind][key].append(path)
    return keys


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


def _by_keys(ir: dict, vis: dict, *, taken: Iterable[str] = ()) -> Pairing:
    """Pairs files of one key. Results of a fuse command are not missed where they pair with nothing."""
    pairs, problems = [], []
    spellings = Counter(key.lower() for key in ir.keys() | vis.keys())
    for key in sorted(ir.keys() | vis.keys()):
        both = [_sources(ir.get(key, [])), _sources(vis.get(key, []))]
        double = [files for files in both if len(files) > 1]
        if double:
            problems.append(f"two files of one name: {listing([_shown(path) for files in double for path in files])}")
        elif key in taken:
            problems += [
                f"{_shown(path)}: the name {key} is taken" for files in both for path in files if not is_result(path)
            ]
        elif both[0] and both[1]:
            pairs.append(Pair(key, both[0][0], both[1][0]))
        else:
            alike = spellings[key.lower()] > 1
            why = "has a partner only in other upper and lower case" if alike else "has no partner"
            problems += [f"{_shown(path)} {why}" for files in both for path in files if not is_result(path)]
    return Pairing(tuple(pairs), tuple(problems))


def _sources(files: list[Path]) -> list[Path]:
    """The files of one name without results of a fuse command, if there are others."""
    return files if len(files) < 2 else [path for path in files if not is_result(path)] or files


def _why_nothing(roots: list[Path], pairing: Pairing) -> str:
    """What is there, what was passed over and why, and the option that would pair it."""
    parts = []
    stems: list[str] = []
    for root in roots:
        images = pictures(root)
        stems += [plain(path.stem) for path in images]
        below = [f"{f.relative_to(root)}/ ({len(pictures(f))} images)" for f in tree(root) if f != root]
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
    pattern = guess_pattern(stems)
    by_names = f"--pattern {pattern} pairs by other names, " if pattern else ""
    parts.append(f"{by_names}--csv FILE {'' if pattern else 'pairs '}by a table; two folders are given as IR VIS.")
    return " ".join(parts)


def _shown(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
