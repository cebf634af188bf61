"""Digests notice every change that matters, and none that does not."""

import numpy as np
import pytest
from paper.inputs import code_digest

from camfuse_jax.system.files import array_digest

ARRAYS = {"a": np.zeros((2, 3), np.float32), "b": np.arange(4, dtype=np.int32)}


@pytest.mark.parametrize(
    "other",
    [
        {**ARRAYS, "a": ARRAYS["a"].reshape(3, 2)},
        {**ARRAYS, "a": ARRAYS["a"].view(np.int32)},
        {**ARRAYS, "a": ARRAYS["a"] + 1},
        {**ARRAYS, "b": ARRAYS["b"][::-1]},
        {"a": ARRAYS["a"], "c": ARRAYS["b"]},
        {"a": ARRAYS["a"]},
    ],
    ids=["shape", "type", "values", "order of values", "name", "missing"],
)
def test_what_changes_the_digest_of_arrays(other):
    assert array_digest(other, "text") != array_digest(ARRAYS, "text")


def test_the_text_counts_and_the_order_of_names_and_memory_do_not():
    assert array_digest(ARRAYS, "another") != array_digest(ARRAYS, "text")
    turned = {"b": ARRAYS["b"], "a": np.asfortranarray(ARRAYS["a"])}
    assert array_digest(turned, "text") == array_digest(ARRAYS, "text")


def _package(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_digest_of_code_is_of_names_and_contents(tmp_path):
    files = {"one.py": "x = 1", "part/two.py": "y = 2", "part/notes.txt": "read me"}
    parts = ("one.py", "part")
    whole = code_digest(parts, _package(tmp_path / "whole", files))
    assert (
        code_digest(parts, _package(tmp_path / "same", {**files, "part/notes.txt": "other", "three.py": ""})) == whole
    )
    changes = [{"one.py": "x = 2"}, {"part/two.py": "y = 3"}, {"part/deep/new.py": ""}]
    digests = {code_digest(parts, _package(tmp_path / str(i), {**files, **change})) for i, change in enumerate(changes)}
    assert len(digests | {whole}) == 4
    renamed = {"one.py": "x = 1", "part/zwei.py": "y = 2"}
    assert code_digest(parts, _package(tmp_path / "renamed", renamed)) not in digests | {whole}


def test_the_digest_of_this_package_needs_every_part():
    assert code_digest(("cam.py", "nets")) != code_digest(("cam.py",))
    with pytest.raises(FileNotFoundError, match="holds no Python source"):
        code_digest(("no_such_part",))
