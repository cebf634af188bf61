"""`camfuse docs`."""

import dataclasses
import difflib
from pathlib import Path
from typing import Annotated

import tyro

from camfuse_jax.errors import UsageError

PACKAGE = Path(__file__).parents[1]


@dataclasses.dataclass(frozen=True)
class Docs:
    """Prints a page of the documentation, or the list of pages; works offline.

    For instance: camfuse docs cameras

    Attributes:
        page: Name of the page; without it, the pages are listed.
    """

    page: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="PAGE")] = None

    def run(self) -> None:
        """Prints Markdown, as it is.

        Raises:
            UsageError: There is no such page.
        """
        pages = {path.stem: path for path in sorted(docs_folder().glob("*.md"))}
        if self.page is None:
            for name, path in pages.items():
                print(f"{name:14} {_title(path)}")
            return
        name = self.page.removesuffix(".md")
        if name not in pages:
            near = difflib.get_close_matches(name, pages, n=1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise UsageError(f"There is no page named {self.page!r}.", f"{hint}`camfuse docs` lists the pages.")
        print(pages[name].read_text(encoding="utf-8"))


def docs_folder() -> Path:
    """The pages: inside an installed package, or beside the package in a clone."""
    inside = PACKAGE / "docs"
    return inside if inside.is_dir() else PACKAGE.parent / "docs"


def _title(page: Path) -> str:
    first = page.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("# ")
