"""The package's shape: direction of imports, file sizes, light import, nothing of one machine in any file."""

import ast
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from wheels import build_wheel

import camfuse_jax

REPO = Path(__file__).resolve().parents[1]
PACKAGE = REPO / "camfuse_jax"
MAX_LINES = 450
# The goal is 110 files and 14,000 lines (house.md); these are what is left and may only go down.
MAX_FILES, MAX_PACKAGE_LINES = 110, 20450

# Data flows one way: each part may import those before it.
FLOW = [
    "errors",
    "system",
    "cluster",
    "config",
    "images",
    "data",
    "nets",
    "cam",
    "losses",
    "fusion",
    "export",
    "training",
    "pair",
    "video",
    "metrics",
    "report",
    "batch",
    "serve",
    "commands",
    "stages",
    "cli",
    "__main__",
]
HEAVY = ["tensorflow_datasets", "array_record", "tensorflow", "grain", "torch", "onnx", "onnxruntime"]


def _python_files(*folders):
    return sorted(path for folder in folders for path in (REPO / folder).rglob("*.py"))


def _part(path):
    """Name of the module or sub-package directly under camfuse_jax that holds a file."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def _imported_parts(path):
    """Parts of camfuse_jax that a file imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "camfuse_jax":
                yield name.split(".")[1] if "." in name else "__init__", node.lineno


@pytest.mark.parametrize("path", [p for p in _python_files("camfuse_jax") if p != PACKAGE / "__init__.py"], ids=_part)
def test_imports_point_one_way(path):
    part = _part(path)
    assert part in FLOW, f"{part} has no place in the order: give it one in this file"
    for imported, line in _imported_parts(path):
        if imported == "__init__" or imported not in FLOW:  # a name of the package itself, such as __version__
            continue
        assert FLOW.index(imported) <= FLOW.index(part), f"{path.relative_to(REPO)}:{line}: {part} imports {imported}"


def test_experiments_and_tests_do_not_leak_into_the_package():
    for path in _python_files("camfuse_jax"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                found = {name.split(".")[0] for name in names} & {"experiments", "tests", "reference", "pytest"}
                assert not found, f"{path.relative_to(REPO)}:{node.lineno} imports {found}"


def test_files_are_short_and_few():
    files = _python_files("camfuse_jax", "experiments", "tests")
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {str(path.relative_to(REPO)): n for path, n in lines.items() if n > MAX_LINES} == {}
    package = [n for path, n in lines.items() if PACKAGE in path.parents]
    assert len(package) <= MAX_FILES
    assert sum(package) <= MAX_PACKAGE_LINES


def _imports_of(path, modules):
    """Modules of the package that a file imports anywhere, those under TYPE_CHECKING among them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in modules else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_no_circle_between_files():
    modules = {
        ".".join(p.relative_to(REPO).with_suffix("").parts).removesuffix(".__init__"): p
        for p in _python_files("camfuse_jax")
    }
    del modules["camfuse_jax"]  # names the parts it hands out
    left = {
        name: {m for m in _imports_of(path, modules) if m in modules and m != name} for name, path in modules.items()
    }
    while left:
        free = [name for name, needs in left.items() if not needs & left.keys()]
        assert free, f"these files import each other in a circle: {sorted(left)}"
        for name in free:
            del left[name]


def test_public_functions_have_names_of_their_own():
    homes = {}
    for path in _python_files("camfuse_jax"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(str(path.relative_to(REPO)))
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=lambda p: str(p.relative_to(REPO)))
def test_init_files_only_re_export(path):
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for node in body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node is body[0]
        dunder = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("__all__", "__version__")
        is_import = isinstance(node, ast.Import | ast.ImportFrom)
        if path.parent == PACKAGE:  # hands out names on first use
            is_import = True
        assert docstring or dunder or is_import, f"{path.relative_to(REPO)}:{node.lineno} does more than re-export"


def _loaded(tmp_path, statements):
    """Names of heavy packages that a fresh interpreter has loaded after running statements."""
    code = f"import sys\n{statements}\nprint([m for m in {HEAVY} if m in sys.modules])"
    env = {**os.environ, "PYTHONPATH": str(Path(camfuse_jax.__file__).parents[1]), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ast.literal_eval(done.stdout.splitlines()[-1])


def test_import_is_light(tmp_path):
    assert _loaded(tmp_path, "import camfuse_jax") == []


def test_only_the_builders_need_tensorflow_datasets(tmp_path):
    modules = [".".join(p.relative_to(REPO).with_suffix("").parts) for p in _python_files("camfuse_jax")]
    modules = [m.removesuffix(".__init__") for m in modules if m != "camfuse_jax.data.builders"]
    assert _loaded(tmp_path, "\n".join(f"import {m}" for m in modules)) == []


def _contents(root):
    files = (p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return {str(p.relative_to(root)): p.read_bytes() for p in files}


def test_what_is_tested_is_this_tree():
    """An installed package of another state, or one that lacks the weights, would test something else."""
    tree, tested = _contents(PACKAGE), _contents(Path(camfuse_jax.__file__).parent)
    if any(name.startswith("docs/") for name in tested):  # an installed copy has the pages inside
        tree |= {f"docs/{path.name}": path.read_bytes() for path in (REPO / "docs").glob("*.md")}
    assert sorted(tree) == sorted(tested)
    assert [name for name in tree if tree[name] != tested[name]] == []


def test_the_wheel_holds_what_users_need_and_nothing_else(tmp_path):
    wheel = build_wheel(tmp_path)
    assert wheel.stat().st_size < 15e6
    with zipfile.ZipFile(wheel) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        texts = [archive.read(name).decode("utf-8") for name in sizes if name.endswith(".py")]
    assert {name.split("/")[0] for name in sizes if ".dist-info/" not in name} == {"camfuse_jax"}
    assert len(texts) <= MAX_FILES
    assert sum(len(text.splitlines()) for text in texts) <= MAX_PACKAGE_LINES
    pages = {f"camfuse_jax/docs/{path.name}" for path in (REPO / "docs").glob("*.md")}
    assert {name for name in sizes if name.startswith("camfuse_jax/docs/")} == pages
    assert {name: size for name, size in sizes.items() if size > 1e6 and not name.endswith(".safetensors")} == {}


MACHINE = re.compile(
    r"(?<![\w.])/(work|root|home|tmp|Users)/|[A-Z]:\\Users|"
    r"pypi\.org|pythonhosted\.org|npmjs\.org|deb\.debian\.org|--index-url|/etc/pip"
)
TEXT = {".py", ".toml", ".md", ".cff", ".json", ".yml", ".yaml", ".sh", ".txt", ".csv", ".html", ""}


def test_no_file_names_paths_or_hosts_of_one_machine():
    folders = ["camfuse_jax", "experiments", "tests", "docs", ".ci"]
    files = [p for folder in folders for p in (REPO / folder).rglob("*")] + list(REPO.glob("*"))
    found = []
    for path in files:
        if not path.is_file() or path.suffix not in TEXT or "__pycache__" in path.parts or path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if MACHINE.search(line):
                found.append(f"{path.relative_to(REPO)}:{number}: {line.strip()[:100]}")
    assert not found
