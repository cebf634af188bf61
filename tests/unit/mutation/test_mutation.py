"""The mutation run on a toy tree: what is noticed, what survives, what is stale, and that it goes on."""

import pytest
from mutation import lists
from mutation.__main__ import ROOT, summary
from mutation.trial import Mutation, copy_tree, read_results, run_trials

TEST = ("tests/test_toy.py",)


@pytest.fixture
def tree(tmp_path):
    """A package of one function, a test of half of it, and a test that fails."""
    for name, text in {
        "root/camfuse_jax/__init__.py": "",
        "root/camfuse_jax/toy.py": "def add(a, b):\n    return a + b\n\n\ndef twice(a):\n    return 2 * a\n",
        "root/tests/test_toy.py": "from camfuse_jax.toy import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n",
        "root/tests/test_bad.py": "def test_bad():\n    assert False\n",
        "root/pyproject.toml": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    copy_tree(tmp_path / "root", tmp_path / "copy")
    return tmp_path


def _toy(old, new, tests=TEST):
    return Mutation("camfuse_jax/toy.py", old, new, tests)


def test_outcomes_and_going_on(tree):
    entries = [
        _toy("a + b", "a - b"),
        _toy("2 * a", "3 * a"),
        _toy("a * b", "a - b"),
        _toy("return", "raise"),
        _toy("a + b", "b", ("tests/test_bad.py",)),
        Mutation("camfuse_jax/gone.py", "a", "b", TEST),
    ]
    kept = tree / "kept.jsonl"
    results = list(run_trials(entries, tree / "copy", kept))
    assert [r.outcome for r in results] == ["noticed", "survived", "stale", "stale", "broken", "stale"]
    assert (tree / "copy" / "camfuse_jax" / "toy.py").read_text() == (tree / "root/camfuse_jax/toy.py").read_text()
    text = summary(results)
    assert "| camfuse_jax/toy.py | 2 | 1 | 1 |" in text
    assert "survived: camfuse_jax/toy.py: 2 * a -> 3 * a" in text

    with kept.open("a") as file:
        file.write('{"key": "cut sho')  # a run that was killed while it wrote
    written = kept.read_text()
    assert list(run_trials(entries, tree / "copy", kept)) == results
    assert kept.read_text() == written
    assert read_results(kept) == results[:2]

    (tree / "copy" / "tests" / "test_toy.py").write_text(
        "from camfuse_jax.toy import twice\n\n\ndef test_twice():\n    assert twice(2) == 4\n"
    )
    again = list(run_trials(entries[:2], tree / "copy", kept))
    assert [r.outcome for r in again] == ["survived", "noticed"]  # other tests: tried anew


def test_the_list_is_long_and_names_what_is_there():
    entries = lists.MUTATIONS
    assert len(entries) >= 200
    assert len(set(entries)) == len(entries)
    for entry in entries:
        assert entry.old != entry.new
        assert (ROOT / entry.file).is_file(), entry.label
        assert entry.tests and all((ROOT / test.partition("::")[0]).exists() for test in entry.tests), entry.label
