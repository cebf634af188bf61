"""The four lists."""

import numpy as np

from camfuse_jax.system.files import mismatch


def test_nothing_to_tell():
    assert mismatch({"a": np.zeros(2)}, {"a": np.ones(2)}) == ""


def test_every_list_is_shown_once_one_is_not_empty():
    wanted = {"a": np.zeros(2), "b": np.zeros(2), "c": np.zeros(2, np.float32), "d": np.zeros(1)}
    found = {"b": np.zeros(3), "c": np.zeros(2), "d": np.zeros(1), "e": np.zeros(1), "f": np.zeros(1)}
    assert mismatch(wanted, found) == "missing: a; unexpected: e, f; shape: b; type: c"
    assert mismatch({"a": np.zeros(1)}, {}) == "missing: a; unexpected: none; shape: none; type: none"
