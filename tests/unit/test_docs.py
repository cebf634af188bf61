"""The pages: printed by `camfuse docs`, and there wherever code or tests send somebody."""

import re
from pathlib import Path

import pytest

from camfuse_jax.cli import main

REPO = Path(__file__).resolve().parents[2]
PAGES = {path.stem for path in (REPO / "docs").glob("*.md")}
REFERENCE = re.compile(r"docs/(\w+)\.md|camfuse docs (\w+)")


def test_pages_are_listed_and_printed(capsys):
    assert main(["docs"]) == 0
    listed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert set(listed) == PAGES
    assert all(listed.values())
    for name in ("cameras", "cameras.md"):
        assert main(["docs", name]) == 0
        assert capsys.readouterr().out == (REPO / "docs" / "cameras.md").read_text(encoding="utf-8") + "\n"


def test_a_page_that_is_not_there_is_an_error_with_the_nearest_name(capsys):
    assert main(["docs", "camera"]) == 2
    assert "Did you mean cameras?" in capsys.readouterr().err
    assert main(["docs", "../README"]) == 2


@pytest.mark.parametrize("folder", ["camfuse_jax", "experiments", "tests", "README.md", "CONTRIBUTING.md"])
def test_every_page_that_is_referred_to_exists(folder):
    root = REPO / folder
    files = [root] if root.is_file() else [p for p in root.rglob("*") if p.suffix in (".py", ".md", ".json", ".j2")]
    missing = [
        f"{path.relative_to(REPO)}: {match.group()}"
        for path in files
        if path != Path(__file__)
        for match in REFERENCE.finditer(path.read_text(encoding="utf-8"))
        if (match.group(1) or match.group(2)) not in PAGES
    ]
    assert missing == []
