"""Puts the tables of stage `ablate`, preset `reproduction`, into docs/reproduction.md.

Run from `experiments/`: `python -m paper.reproduction_page ../docs/reproduction.md tno=OUT/reproduction.md`.
"""

import pathlib
import sys

from camfuse_jax.errors import UsageError

_END = "<!-- end of table -->"


def with_tables(page: str, tables: dict[str, str]) -> str:
    """A page with the text between `<!-- table: NAME -->` and the next `<!-- end of table -->` replaced.

    Args:
        page: Markdown.
        tables: Name to the new text.

    Raises:
        UsageError: The page has no such place.
    """
    for name, text in tables.items():
        start = f"<!-- table: {name} -->"
        before, found, rest = page.partition(start)
        _, end, after = rest.partition(_END)
        if not (found and end):
            raise UsageError(f"The page has no place for the table {name}.", f"Write {start} and {_END} into it.")
        page = f"{before}{start}\n\n{text.strip()}\n\n{_END}{after}"
    return page


if __name__ == "__main__":
    path = pathlib.Path(sys.argv[1])
    files = dict(argument.split("=", 1) for argument in sys.argv[2:])
    texts = {name: pathlib.Path(file).read_text(encoding="utf-8") for name, file in files.items()}
    path.write_text(with_tables(path.read_text(encoding="utf-8"), texts), encoding="utf-8")
