"""The pages: printed by `camfuse docs`, and there wherever code or tests send somebody."""

import itertools
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from camfuse_jax.cli import main
from camfuse_jax.stages import parse, refuse_unused

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


def _printed_commands():
    for path in (REPO / "README.md", REPO / "CONTRIBUTING.md", *sorted((REPO / "docs").glob("*.md"))):
        lines = path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
        for line in lines:
            if line.startswith("python experiments/run.py --stage"):
                yield pytest.param(shlex.split(line.rstrip("& "), comments=True)[2:], id=f"{path.stem}: {line[31:70]}")


def _blocks():
    for path in (REPO / "README.md", *sorted((REPO / "docs").glob("*.md"))):
        for number, block in enumerate(path.read_text(encoding="utf-8").split("```")[1::2], start=1):
            yield pytest.param(block, id=f"{path.stem} {number}")


@pytest.mark.parametrize("block", list(_blocks()))
def test_no_two_commands_of_a_block_write_one_result(block):
    """Run in order, the second would be refused: its result exists and was made otherwise."""
    written = []
    for line in (line for line in block.splitlines() if line.startswith("camfuse fuse") and "--dry-run" not in line):
        words = shlex.split(line, comments=True)[2:]
        out = next((after for word, after in itertools.pairwise(words) if word in ("-o", "--out")), "fused")
        sources = tuple(itertools.takewhile(lambda word: not word.startswith("-"), words))
        written.append(out if "." in out else (out, sources))  # one folder holds results of several sources
    assert len(written) == len(set(written)), written


@pytest.mark.parametrize("arguments", list(_printed_commands()))
def test_every_option_of_a_printed_command_takes_part_in_its_stage(arguments):
    refuse_unused(parse(arguments))


def test_every_extra_that_is_named_exists():
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    files = [p for folder in ("camfuse_jax", "experiments", "docs") for p in (REPO / folder).rglob("*")]
    named = {}
    for path in [REPO / "README.md", *(p for p in files if p.suffix in (".py", ".md"))]:
        for match in re.finditer(r"(?:camfuse-jax|'\.)\[([a-z, -]+)\]", path.read_text(encoding="utf-8")):
            for extra in match.group(1).split(","):
                named.setdefault(extra.strip(), path)
    assert len(named) > 10
    assert {extra: path for extra, path in named.items() if extra not in project["optional-dependencies"]} == {}


def test_the_table_of_equations_names_what_there_is():
    """Where a reader is sent for an equation, the function is."""
    page = (REPO / "docs" / "method.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in page.split("## 2.")[1].split("## 3.")[0].splitlines() if line[:2] == "| "]
    rows = [row for row in rows if row[0].strip()[0].isdigit()]
    assert len(rows) >= 12
    for _, _, files, functions, tests in rows:
        texts = [(REPO / "camfuse_jax" / name).read_text(encoding="utf-8") for name in re.findall(r"`(.+?)`", files)]
        for name in re.findall(r"`(\w+)`", functions):
            assert any(re.search(rf"^(def|class) {name}\b", text, re.MULTILINE) for text in texts), (files, name)
        for name in re.findall(r"`(.+?)`", tests):
            assert (REPO / "tests" / "unit" / name).is_file(), name


def test_the_tests_that_users_are_shown_exist():
    page = (REPO / "docs" / "users.md").read_text(encoding="utf-8")
    everything = "".join(path.read_text(encoding="utf-8") for path in (REPO / "tests").rglob("*.py"))
    files = {path.name for path in (REPO / "tests").rglob("*.py")}
    for name in re.findall(r"(test_\w+)\.py", page):
        assert f"{name}.py" in files
    for name in re.findall(r"::(test_\w+)|`(test_\w+)`", page):
        assert f"def {''.join(name)}(" in everything, name


def test_contributors_are_sent_to_what_there_is():
    page = (REPO / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in page.split("## Where is what")[1].splitlines() if line.startswith("| ")]
    assert len(rows) > 15
    for _, files, names in rows[1:]:
        texts = [(REPO / name).read_text(encoding="utf-8") for name in re.findall(r"`(.+?)`", files)]
        for name in re.findall(r"`(\w+)`", names):
            assert any(re.search(rf"^ *(def |class )?{name}\b", text, re.MULTILINE) for text in texts), (files, name)
    for folder in re.findall(r"^\| `([a-z_/]+/)`", page, re.MULTILINE):
        assert (REPO / folder).is_dir(), folder
