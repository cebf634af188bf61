"""Tables of pairs, as spreadsheets write them: any usual separator, encoding and name of a column."""

import csv
import io
import re
import unicodedata
from pathlib import Path

from camfuse_jax.data.layouts import IR_WORDS, LONG, RARE_VIS_WORDS, VIS_WORDS, apart, plain
from camfuse_jax.data.pairs import Pair, Pairing
from camfuse_jax.errors import InputError
from camfuse_jax.system.files import is_file

_LARGEST = 16 << 20  # bytes
_SEPARATORS = ",;\t|"
_LETTERS = 500  # of a name in a message
_WORDS = {"ir": IR_WORDS, "vis": VIS_WORDS, "name": ("name", "scene", "title")}
_FILE_WORDS = {"path", "file", "filename", "filepath", "image", "img", "name"}  # in the names of columns of files
_WANTED = "Begin it with a line ir,vis or ir,vis,name."


def read_table(path: Path) -> Pairing:
    """Pairs from a table whose first line names its columns: `ir`, `vis` and perhaps `name`, or other usual words.

    Commas, semicolons, tabs or bars; UTF-8, UTF-16 or Windows' Latin; empty rows do not count. Paths count from the
    table's own folder.

    Raises:
        InputError: The file is absent, too large or has no such columns.
    """
    rows = read_rows(path, "Give columns ir,vis[,name].")
    if not rows:
        raise InputError(f"{path} is empty: it has no rows with the columns ir and vis.", _WANTED)
    columns = _columns(path, rows[0][1])
    pairs: dict[str, Pair] = {}
    problems = []
    for number, row in rows[1:]:
        cells = {kind: row[at].strip() if at < len(row) else "" for kind, at in columns.items()}
        where = f"{path.name} line {number}"
        if not cells["ir"] or not cells["vis"]:
            problems.append(f"{where} names only one file")
            continue
        files = [_file(path.parent, cells[kind]) for kind in ("ir", "vis")]
        absent = [_printable(str(file)) for file in files if not is_file(file)]
        name = plain(cells.get("name", ""))
        if absent:
            about = f" ({_printable(name)})" if name else ""
            problems.append(f"{where}{about}: {' and '.join(absent)} absent")
            continue
        name = name or plain(files[1].stem)
        if Path(name).name != name or name.startswith(".") or not name.isprintable():
            problems.append(f"{where}: {_printable(name)!r} cannot be a result's name; use a plain file name")
        elif name in pairs:
            problems.append(f"{where}: a second pair called {name}")
        else:
            pairs[name] = Pair(name, *files)
    why = "" if pairs else " ".join([f"{path} has {len(rows) - 1} rows.", *(f"{text}." for text in problems[:10])])
    return Pairing(tuple(pairs[name] for name in sorted(pairs)), tuple(problems), why_nothing=why)


def read_rows(path: Path, wanted: str) -> list[tuple[int, list[str]]]:
    """Line number and cells of each row of a table that is not empty, the names of the columns first.

    Args:
        path: The table.
        wanted: What to do where it cannot be read.

    Raises:
        InputError: The file is absent, too large or no table.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST >> 20} MiB")
        if content.startswith(b"PK\3\4"):
            raise ValueError("it is an Excel workbook or another archive, to be saved as CSV")
        if content.startswith(b"\xd0\xcf\x11\xe0"):
            raise ValueError("it is an old Excel workbook (.xls), to be saved as CSV")
        return _rows(_text(content))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}.", wanted) from error


def _text(content: bytes) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    for zero, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(content) > 3 and content[zero:200:2].count(0) > 0.8 * len(content[zero:200:2]):
            return content.decode(encoding)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252")  # what Windows writes in western Europe and America


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """Line number and cells of each row that is not empty."""
    blank = re.split(r"\w", text, maxsplit=1)[0].count("\n")  # lines that hold no word tell no separator
    lines = text.split("\n", blank + 1)
    first, skipped = lines[blank], 0
    stated = re.fullmatch(r"\s*sep=(.)\s*", first)  # Excel's own first line
    if stated:
        text, skipped, separator = "".join(lines[blank + 1 :]), blank + 1, stated[1]
    else:
        separator = max(_SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    return [(reader.line_num + skipped, row) for row in reader if any(cell.strip() for cell in row)]


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    """Which cell of a row is which."""
    matches: dict[str, list[int]] = {kind: [] for kind in _WORDS}
    for words_of in (_words, lambda cell: _words(apart(cell)), _loose_words):  # less sure ones where none is surer
        found = _matches([words_of(cell) for cell in header], loose=words_of is not _words)
        matches = {kind: matches[kind] or found[kind] for kind in _WORDS}
    shown = ", ".join(_printable(cell.strip()) for cell in header)
    if not matches["ir"] or not matches["vis"]:
        raise InputError(f"{path} has no rows with the columns ir and vis, but: {shown}.", _WANTED)
    for kind, columns in matches.items():
        ranks = {at: _rank(header[at], kind) for at in columns}
        matches[kind] = [at for at, rank in ranks.items() if rank == min(ranks.values())]
    if len(matches["ir"]) > 1 or len(matches["vis"]) > 1:
        raise InputError(f"{path} has several columns for one camera: {shown}.", "Name one of them ir and one vis.")
    return {kind: columns[0] for kind, columns in matches.items() if columns}


def _words(cell: str) -> list[str]:
    return [word for word in re.split(r"[\W\d_]+", cell.casefold()) if word]


def _loose_words(cell: str) -> list[str]:
    """Also words inside others (`thermalimage`), and those that seldom mean a camera."""
    words = _words(apart(cell))
    inner = [long for long in LONG if any(long in word for word in words)]
    return [*words, *inner, *(["vis"] if {*words} & {*RARE_VIS_WORDS} else [])]


def _matches(header: list[list[str]], *, loose: bool) -> dict[str, list[int]]:
    """The columns that the words of their names give to each kind; by loose words none is the pairs' name."""
    matches: dict[str, list[int]] = {kind: [] for kind in _WORDS}
    for at, words in enumerate(header):
        kinds = [kind for kind, known in _WORDS.items() if any(word in known for word in words)]
        if len(kinds) == 2 and "name" in kinds and "name" in words:  # ir_name is a file
            kinds.remove("name")
        if len(kinds) == 1 and not (loose and kinds == ["name"]):
            matches[kinds[0]].append(at)
    return matches


def _rank(cell: str, kind: str) -> int:
    """Of several columns of one kind the one with the lowest number counts: `ir`, then `thermal`, then `ir_path`."""
    text = cell.strip().casefold()
    if text == kind or kind == "name":
        return 0 if text == kind else 1
    return 1 if text in _WORDS[kind] else 2 if _FILE_WORDS & {*_words(apart(cell))} else 3


def _file(folder: Path, text: str) -> Path:
    """The file that a cell names, in whichever Unicode form and with whichever slashes it is there."""
    ways = [text, *([text.replace("\\", "/")] if "\\" in text else [])]
    files = [folder / unicodedata.normalize(form, way) for way in ways for form in ("NFC", "NFD")]
    files = [*(folder / way for way in ways), *files]
    return next(filter(is_file, files), files[len(ways) - 1])


def _printable(text: str) -> str:
    """The text in one line of reasonable length."""
    shown = text if text.isprintable() else ascii(text)
    return shown if len(shown) <= _LETTERS else f"{shown[:_LETTERS]}..."
