"""Tables of pairs, as spreadsheets write them: any usual separator, encoding and name of a column."""

import csv
import io
import re
from pathlib import Path

from camfuse_jax.data.pairs import IR_WORDS, VIS_WORDS, Pair, Pairing, plain
from camfuse_jax.errors import InputError
from camfuse_jax.system.files import is_file

_LARGEST = 16 << 20  # bytes
_SEPARATORS = ",;\t|"
_LETTERS = 500  # of a name in a message
_WORDS = {"ir": IR_WORDS, "vis": VIS_WORDS, "name": ("name", "scene", "title")}
_WANTED = "Begin it with a line ir,vis or ir,vis,name."


def read_table(path: Path) -> Pairing:
    """Pairs from a table whose first line names its columns: `ir`, `vis` and perhaps `name`, or other usual words.

    Commas, semicolons, tabs or bars; UTF-8, UTF-16 or Windows' Latin; empty rows do not count. Paths count from the
    table's own folder.

    Raises:
        InputError: The file is absent, too large or has no such columns, or a name is not one that a file can have.
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
            raise InputError(
                f"{path} line {number}: {_printable(name)!r} cannot be a result's name.", "Use a plain file name."
            )
        if name in pairs:
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
    first, _, rest = text.partition("\n")
    skipped = 0
    stated = re.fullmatch(r"\s*sep=(.)\s*", first)  # Excel's own first line
    if stated:
        text, skipped, separator = rest, 1, stated[1]
    else:
        separator = max(_SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    return [(reader.line_num + skipped, row) for row in reader if any(cell.strip() for cell in row)]


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    """Which cell of a row is which."""
    matches: dict[str, list[int]] = {kind: [] for kind in _WORDS}
    for at, cell in enumerate(header):
        words = [word for word in re.split(r"[\W\d_]+", cell.casefold()) if word]
        kinds = [kind for kind, known in _WORDS.items() if any(word in known for word in words)]
        if len(kinds) == 2 and "name" in kinds and "name" in words:  # ir_name is a file
            kinds.remove("name")
        if len(kinds) == 1:
            matches[kinds[0]].append(at)
    for kind, columns in matches.items():
        exact = [at for at in columns if header[at].strip().casefold() == kind]
        matches[kind] = exact or columns
    shown = ", ".join(_printable(cell.strip()) for cell in header)
    if not matches["ir"] or not matches["vis"]:
        raise InputError(f"{path} has no rows with the columns ir and vis, but: {shown}.", _WANTED)
    if len(matches["ir"]) > 1 or len(matches["vis"]) > 1:
        raise InputError(f"{path} has several columns for one camera: {shown}.", "Name one of them ir and one vis.")
    return {kind: columns[0] for kind, columns in matches.items() if columns}


def _file(folder: Path, text: str) -> Path:
    path = folder / text
    return folder / text.replace("\\", "/") if "\\" in text and not is_file(path) else path


def _printable(text: str) -> str:
    """The text in one line of reasonable length."""
    shown = text if text.isprintable() else ascii(text)
    return shown if len(shown) <= _LETTERS else f"{shown[:_LETTERS]}..."
