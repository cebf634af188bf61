"""Where the data sets' owners publish them, and which of the published files make up each set.

None of this could be tried where it was written, for want of a connection: the addresses were looked up, the sorting of
files is tested on imitations of the archives' folders. Checksums: the one known (TNO's MD5, from another project's
loader) is written down below but not enforced, as tensorflow-datasets would refuse an archive its owner has repacked.
"""

import json
import shutil
import uuid
import zipfile
import zlib
from importlib import resources
from pathlib import Path
from typing import Any

from camfuse_jax.data.pairs import Pair, listing
from camfuse_jax.data.splits import image_files
from camfuse_jax.errors import InputError, ResourceError
from camfuse_jax.images.read import READABLE_SUFFIXES

TNO_URL = "https://figshare.com/ndownloader/files/1475454"
"""The archive of figshare article 1008029, "TNO Image Fusion Dataset"; MD5 1ab9ce3b84dd3e5894630c13abd20953."""

CDDFUSE_URL = (
    "https://raw.githubusercontent.com/Zhaozixiang1228/MMIF-CDDFuse/40de0585034a57b33d3e293b6807b29f247921b6/{path}"
)
"""The files of the usual 25 TNO test pairs that are not in TNO's archive."""

ROADSCENE_URL = "https://github.com/hanna-xu/RoadScene/archive/ab71420.zip"
"""RoadScene at the commit whose files are used: `cropinfrared` and `crop_LR_visible`."""

COCO_URLS = {
    "val2017": "http://images.cocodataset.org/zips/val2017.zip",
    "train2017": "http://images.cocodataset.org/zips/train2017.zip",
}
"""1 GB with 5,000 and 19 GB with 118,287 photographs."""

COCO_COUNT = 8000
"""Photographs used: all of `val2017`, then `train2017` by ascending id."""

_OUTSIDE = "cddfuse:"


def manifest() -> dict[str, Any]:
    """Lists that travel with the package: TNO's files by pair, and both sets' standard splits."""
    text = resources.files("camfuse_jax.data").joinpath("upstream.json").read_text(encoding="utf-8")
    return json.loads(text)


def standard_splits(dataset: str, names: list[str]) -> dict[str, list[str]]:
    """Splits `all`, `train` and `test` of "tno" or "roadscene", as the local copies' `splits.json` has them."""
    lists = manifest()[dataset]
    test = lists["test"]
    return {"all": sorted(names), "test": test, "train": lists.get("train") or sorted(set(names) - set(test))}


def tno_outside_urls() -> dict[str, str]:
    """Address of each TNO file that is not in TNO's archive, by the path `tno_pairs` looks it up with."""
    paths = [path for pair in manifest()["tno"]["files"].values() for path in pair if path.startswith(_OUTSIDE)]
    return {path: CDDFUSE_URL.format(path=path.removeprefix(_OUTSIDE)) for path in paths}


def tno_pairs(archive: Path, outside: dict[str, Path]) -> list[Pair]:
    """The 134 TNO pairs from the unpacked archive.

    Args:
        archive: Folder the archive was unpacked to; it holds `TNO_Image_Fusion_Dataset` at some depth.
        outside: Files from elsewhere, by the keys of `tno_outside_urls`.

    Raises:
        InputError: The archive is not laid out as expected; the absent files are listed.
    """
    camera = next(iter(sorted(archive.rglob("Athena_images"))), None)
    if camera is None:
        raise InputError(f"{archive} holds no folder Athena_images.", "The archive has changed; use a local copy.")

    def locate(path: str) -> Path:
        return outside[path] if path.startswith(_OUTSIDE) else camera.parent / path

    files = manifest()["tno"]["files"]
    pairs = [Pair(name, locate(ir), locate(vis)) for name, (ir, vis) in sorted(files.items())]
    absent = [path for pair in pairs for path in (pair.ir, pair.vis) if not path.is_file()]
    if absent:
        raise InputError(f"{len(absent)} TNO files are absent: {listing(absent)}.", "Use a local copy with --data DIR.")
    return pairs


def roadscene_pairs(archive: Path) -> list[Pair]:
    """The 221 RoadScene pairs from the unpacked repository.

    Args:
        archive: Folder the repository was unpacked to.

    Raises:
        InputError: A folder is absent, or a file has no partner.
    """
    one, other = (next(iter(sorted(archive.rglob(name))), None) for name in ("cropinfrared", "crop_LR_visible"))
    if one is None or other is None:
        raise InputError(
            f"{archive} holds no cropinfrared and crop_LR_visible.", "The repository has changed; use a local copy."
        )
    ir, vis = image_files(one), image_files(other)
    if ir.keys() != vis.keys():
        raise InputError(f"RoadScene files without partner: {listing(sorted(ir.keys() ^ vis.keys()))}.", "Look there.")
    return [Pair(name, ir[name], vis[name]) for name in sorted(ir)]


def coco_files(archives: dict[str, Path], count: int = COCO_COUNT) -> list[tuple[str, Path]]:
    """The first photographs of the unpacked COCO archives, by set and ascending id.

    Args:
        archives: Folders by set, in the order of `COCO_URLS`.
        count: How many to take.

    Returns:
        `(name, file)`, the name being `coco/SET/ID.jpg`.
    """
    files = [(name, path) for name, folder in archives.items() for path in sorted(folder.rglob("*.jpg"))]
    return [(f"coco/{name}/{path.name}", path) for name, path in files[:count]]


# Zip archives, unpacked without TensorFlow (which tensorflow-datasets 4.9.10 needs for that).


def unpack_zip(archive: Path, *, first: int | None = None) -> Path:
    """Unpack beside the archive, once: a later call returns the folder at once.

    Args:
        archive: A zip file. A damaged one is removed, since its download would otherwise be taken for done.
        first: Unpack only the first so many files by name.

    Returns:
        The folder, `ARCHIVE.unpacked`.

    Raises:
        ResourceError: The archive is damaged, or the folder cannot be written.
    """
    target = archive.with_name(f"{archive.name}.unpacked")
    if target.is_dir():
        return target
    partial = archive.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with zipfile.ZipFile(archive) as opened:
            members = sorted(name for name in opened.namelist() if not name.endswith("/"))
            opened.extractall(partial, members[:first])
        partial.rename(target)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        archive.unlink(missing_ok=True)
        raise ResourceError(f"{archive} was damaged and has been removed: {error}.", "Run again.") from error
    except OSError as error:
        raise ResourceError(f"{archive} cannot be unpacked: {error}.", "Check rights and free space.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


# Which files are the photographs of the auto-encoder.


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
