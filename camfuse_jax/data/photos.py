"""Which files are the photographs of the auto-encoder."""

from pathlib import Path

from camfuse_jax.errors import InputError
from camfuse_jax.images import READABLE_SUFFIXES

PHOTO_FOLDERS = ("coco", "natural", "photos")


def photo_files(root: Path) -> list[tuple[str, Path]]:
    """The image files under `coco/`, `natural/` and `photos/` of a data folder, at any depth.

    Args:
        root: The data folder.

    Returns:
        `(name, file)`, the name being the path under `root`; folder after folder, sorted within each.

    Raises:
        InputError: None of the folders holds an image.
    """
    root = Path(root)
    files = []
    for folder in PHOTO_FOLDERS:
        found = (path for path in (root / folder).rglob("*") if path.suffix.lower() in READABLE_SUFFIXES)
        files += sorted(path for path in found if path.is_file() and not path.name.startswith("."))
    if not files:
        places = ", ".join(f"{folder}/" for folder in PHOTO_FOLDERS)
        raise InputError(f"{root} holds no photographs.", f"Put them under one of {places}.")
    return [(path.relative_to(root).as_posix(), path) for path in files]
