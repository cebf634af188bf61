"""Where the small inputs of real users' faults lie."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def cases_root(data_root) -> Path:
    """Folder of cases beside the photographs; skips the test where there is none."""
    root = data_root.parent / "cases"
    if not root.is_dir():
        pytest.skip(f"no cases at {root}")
    return root
