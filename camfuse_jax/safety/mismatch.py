"""How saved arrays differ from those a network expects, as four lists."""

from collections.abc import Mapping
from typing import Any


def mismatch(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Compares arrays by name, shape and type.

    Args:
        wanted: What is expected: anything with `shape` and `dtype`, by name.
        found: What is there, likewise.

    Returns:
        `missing: ...; unexpected: ...; shape: ...; type: ...`, or an empty text where all fit.
    """
    both = sorted(wanted.keys() & found.keys())
    lists = {
        "missing": sorted(wanted.keys() - found.keys()),
        "unexpected": sorted(found.keys() - wanted.keys()),
        "shape": [name for name in both if wanted[name].shape != found[name].shape],
        "type": [name for name in both if wanted[name].dtype != found[name].dtype],
    }
    if not any(lists.values()):
        return ""
    return "; ".join(f"{kind}: {', '.join(names) or 'none'}" for kind, names in lists.items())
