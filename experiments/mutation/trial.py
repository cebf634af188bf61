"""One mutation after the other on a copy of the tree: apply, run its tests, put back."""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

NOTICED, SURVIVED, STALE, BROKEN = "noticed", "survived", "stale", "broken"
_LEAST_SECONDS, _TIMES = 120.0, 5.0  # a change that makes tests this much slower than without it is noticed
_KEPT = ("camfuse_jax", "experiments", "tests", "pyproject.toml", "README.md", "docs")


@dataclasses.dataclass(frozen=True)
class Mutation:
    """A small wrong change.

    Attributes:
        file: File, from the root of the tree.
        old: Text that occurs in it exactly once; else the entry is stale.
        new: What it becomes.
        tests: What to run: files or folders of tests, or single tests, from the root of the tree.
    """

    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def label(self) -> str:
        """The change in one line."""
        return f"{self.file}: {' '.join(self.old.split())[:70]} -> {' '.join(self.new.split())[:70]}"


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of a mutation: `noticed`, `survived`, `stale` (its text is gone) or `broken` (tests fail without it).

    The key says what the outcome depends on: the change, and the file and the tests as they are.
    """

    key: str
    outcome: str
    label: str
    seconds: float


def mutations_of(file: str, tests: Sequence[str], *changes: tuple[str, str]) -> list[Mutation]:
    """Entries of one file: changes (old, new), all with the same tests."""
    return [Mutation(file, old, new, tuple(tests)) for old, new in changes]


def copy_tree(root: Path, target: Path) -> None:
    """Copies what tests need into an empty folder."""
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", ".*", "runs")
    for name in _KEPT:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=ignore)
        elif source.is_file():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


def run_trials(mutations: Iterable[Mutation], tree: Path, kept: Path) -> Iterator[Result]:
    """Tries each mutation on the copy `tree`; what is in the file `kept` already, unchanged, is not tried again."""
    done = {result.key: result for result in read_results(kept)}
    plain: dict[tuple[str, ...], float | None] = {}
    for mutation in mutations:
        key = _key(mutation, tree)
        if key in done:
            yield done[key]
            continue
        result = Result(key, *_try(mutation, tree, plain))
        if result.outcome in (NOTICED, SURVIVED):  # the others take no time, and may be mended elsewhere
            kept.parent.mkdir(parents=True, exist_ok=True)
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(dataclasses.asdict(result)) + "\n")
        yield result


def read_results(kept: Path) -> list[Result]:
    """The lines of a file of results; none where there is no file, and without a last line cut short."""
    lines = kept.read_text(encoding="utf-8").splitlines() if kept.is_file() else []
    return [Result(**json.loads(line)) for line in lines if line.endswith("}")]


def _try(mutation: Mutation, tree: Path, plain: dict[tuple[str, ...], float | None]) -> tuple[str, str, float]:
    path = tree / mutation.file
    content = path.read_text(encoding="utf-8") if path.is_file() else ""
    if content.count(mutation.old) != 1 or mutation.old == mutation.new:
        return STALE, mutation.label, 0.0
    if mutation.tests not in plain:
        code, seconds = _run_tests(mutation.tests, tree, None)
        plain[mutation.tests] = seconds if code == 0 else None
    usual = plain[mutation.tests]
    if usual is None:
        return BROKEN, mutation.label, 0.0
    path.write_text(content.replace(mutation.old, mutation.new), encoding="utf-8")
    try:
        code, seconds = _run_tests(mutation.tests, tree, max(_LEAST_SECONDS, _TIMES * usual))
    finally:
        path.write_text(content, encoding="utf-8")
    return SURVIVED if code == 0 else NOTICED, mutation.label, round(seconds, 1)


def _run_tests(tests: Sequence[str], tree: Path, limit: float | None) -> tuple[int, float]:
    """Exit code of pytest, 1 where it takes longer than the limit, and seconds. Bytecode is never written.

    A changed file of the same size and second would otherwise be taken for the one that was compiled before.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "--durations=0", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "JAX_PLATFORMS": "cpu"}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # starts sooner; no test needs a plugin
    begun = time.monotonic()
    try:
        done = subprocess.run(
            [*command, *tests], cwd=tree, env=environment, capture_output=True, timeout=limit, check=False
        )
        code = done.returncode
    except subprocess.TimeoutExpired:
        code = 1
    return code, time.monotonic() - begun


def _key(mutation: Mutation, tree: Path) -> str:
    digest = hashlib.sha256(repr(dataclasses.astuple(mutation)).encode())
    paths = [tree / mutation.file, *(tree / test.partition("::")[0] for test in mutation.tests)]
    for path in paths:
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes() if file.is_file() else b"absent")
    return digest.hexdigest()[:16]
