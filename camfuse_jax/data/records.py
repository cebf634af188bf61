"""From a data set's name or folder to prepared records, and from those to sources; the folders of a run.

tensorflow-datasets and array_record come with the extra `train` and are imported inside the functions. Without them the
image files are read as they are, anew in each run; the images are the same.
"""

import contextlib
import dataclasses
import hashlib
import io
import pathlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from camfuse_jax.data.sources import CachedSource, FileSource, GrayImage, PairSource, Source
from camfuse_jax.data.splits import (
    SPLITS_FILE,
    data_root,
    find_pairs,
    load_splits,
    photo_files,
    select_split,
    standard_splits,
)
from camfuse_jax.data.synthetic import write_synthetic_dataset
from camfuse_jax.errors import InputError, ResourceError, UsageError
from camfuse_jax.images.read import read_gray

PHOTOS = "photos"
PAIR_SETS = ("tno", "roadscene")
DOWNLOADED = "upstream"
TRAIN_EXTRA = "Run `pip install '.[train]'` in a clone, or `pip install 'camfuse-jax[train]'`."


class Prepared(NamedTuple):
    """A data set whose records are on disk.

    Attributes:
        dataset: "tno", "roadscene", "photos", or the folder as given.
        folder: The local folder it was made from; None where it was downloaded.
        builder: The tensorflow-datasets builder.
        names: Name of every example, in the records' order.
        positions: Split and number of each, in the same order.
    """

    dataset: str
    folder: Path | None
    builder: Any
    names: list[str]
    positions: list[tuple[str, int]]


def prepare(dataset: str | Path, *, data: Path | None = None, tfds_dir: Path, download: bool = False) -> Prepared:
    """Make the records of a data set if they are not there yet.

    Records are kept under `tfds_dir` by a fingerprint of the folder's files (names, sizes, times of change), so a
    changed folder gets new records and stale ones are never read. Old ones are left where they are.

    Args:
        dataset: "tno", "roadscene" or "photos", or a folder with `ir/` and `vis/`.
        data: Folder that holds `tno/`, `roadscene/`, `coco/` ...; see `data_root`.
        tfds_dir: Where records are kept.
        download: Fetch a set that is not in the data folder from its owner. Needs a connection; without one
            tensorflow-datasets tries again for about three minutes before the error.

    Returns:
        The prepared set.

    Raises:
        InputError: The folder is absent (and `download` is off), or its files cannot be used.
        ResourceError: The records cannot be written, or the download fails.
    """
    name = str(dataset)
    folder = _local_folder(name, data, download=download)
    if not has_records():
        raise UsageError(f"Preparing {name} needs tensorflow-datasets and array-record.", TRAIN_EXTRA)
    files = _files_of(name, folder)
    with _quietly():
        builder = _builder(name, folder, fingerprint(folder, files) if folder else DOWNLOADED, Path(tfds_dir))
        _build(builder, name)
        names, positions = [], []
        for split in builder.info.splits:
            records = builder.as_data_source(split, decoders=_skip_decoding(builder))
            names += [_text(records[number]["name"]) for number in range(len(records))]
            positions += [(split, number) for number in range(len(records))]
    return Prepared(name, folder, builder, names, positions)


def pair_source(
    dataset: str | Path, *, split: str, data: Path | None = None, tfds_dir: Path, download: bool = False
) -> PairSource:
    """The pairs of one split, prepared first if need be.

    Args:
        dataset: "tno", "roadscene" or a folder with `ir/` and `vis/`.
        split: A list of the set's `splits.json`, or "all", "train", "test" (see `read_split`).
        data: As for `prepare`.
        tfds_dir: As for `prepare`.
        download: As for `prepare`.

    Returns:
        The pairs in the split's order, decoded at each access (`.cached()` keeps them).

    Raises:
        InputError: As for `prepare`; or the split is unknown, empty or names what is not there.
        ResourceError: As for `prepare`.
        UsageError: The data set is "photos".
    """
    if str(dataset) == PHOTOS:
        raise UsageError("The photographs are not pairs.", f"Name {', '.join(PAIR_SETS)} or a folder.")
    if not has_records() and (folder := _local_folder(str(dataset), data, download=download)):
        pairs = {pair.name: pair for pair in find_pairs(folder)}
        names = select_split(load_splits(folder, list(pairs)), split, list(pairs), origin=str(dataset))
        return PairSource.from_files([pairs[name] for name in names])
    prepared = prepare(dataset, data=data, tfds_dir=tfds_dir, download=download)
    if prepared.folder is None:
        splits = standard_splits(prepared.dataset, prepared.names)
    else:
        splits = load_splits(prepared.folder, prepared.names)
    names = select_split(splits, split, prepared.names, origin=prepared.dataset)
    ir, vis = (RecordSource(prepared, key, names) for key in ("ir", "vis"))
    return PairSource(names, ir, vis)


def photo_source(
    *,
    data: Path | None = None,
    tfds_dir: Path,
    folders: Sequence[str] | None = None,
    download: bool = False,
    count: int = 0,
) -> "RecordSource | FileSource":
    """The photographs, prepared first if need be.

    Args:
        data: As for `prepare`.
        tfds_dir: As for `prepare`.
        folders: Only those below these folders of the data folder, e.g. `["coco"]`; None means all.
        download: As for `prepare`.
        count: Only the first so many; 0 means all.

    Returns:
        The photographs, folder after folder by name, decoded at each access.

    Raises:
        InputError: As for `prepare`, or no photograph lies below `folders`.
        ResourceError: As for `prepare`.
    """
    prepared, files = None, {}
    if not has_records() and (folder := _local_folder(PHOTOS, data, download=download)):
        files = dict(photo_files(folder))
    else:
        prepared = prepare(PHOTOS, data=data, tfds_dir=tfds_dir, download=download)
    every = files if prepared is None else prepared.names
    names = [name for name in every if folders is None or name.split("/")[0] in folders]
    if not names:
        raise InputError(f"No photographs below {', '.join(folders or ())}.", "Name other folders.")
    names = names[: count or None]
    return FileSource([files[name] for name in names]) if prepared is None else RecordSource(prepared, "image", names)


def has_records() -> bool:
    """True where the extra `train` is installed."""
    try:
        import array_record.python.array_record_module  # noqa: F401
        import tensorflow_datasets  # noqa: F401
    except ImportError:
        return False
    return True


class RecordSource:
    """Images of prepared records by number, decoded as `read_gray` decodes files.

    Args:
        prepared: The set.
        key: The image's key in a record.
        names: Which examples, in order.
    """

    def __init__(self, prepared: Prepared, key: str, names: Sequence[str]):
        self.names, self.key, self._dataset = list(names), key, prepared.dataset
        where = dict(zip(prepared.names, prepared.positions, strict=True))
        self._positions = [where[name] for name in names]
        with _quietly():
            decoders = _skip_decoding(prepared.builder)
            splits = sorted({split for split, _ in self._positions})
            self._records = {split: prepared.builder.as_data_source(split, decoders=decoders) for split in splits}
        # The reader's own safety from threads is not documented; decoding, the long part, is done outside the lock.
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Number of images."""
        return len(self.names)

    def __getitem__(self, index: int) -> GrayImage:
        """Decode one image, uint8 (h, w)."""
        if not 0 <= index < len(self.names):
            raise IndexError(f"image {index} of {len(self.names)}")
        split, number = self._positions[index]
        with self._lock:
            data = self._records[split][number][self.key]
        return read_gray(data, name=f"{self._dataset}: {self.names[index]} ({self.key})")


def fingerprint(folder: Path, files: Sequence[Path]) -> str:
    """Twelve hex digits that change with the files' names, sizes or times of change, and with `splits.json`.

    Args:
        folder: The data set's folder.
        files: Its image files.
    """
    digest = hashlib.sha256()
    for path in files:
        state = path.stat()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    splits = folder / SPLITS_FILE
    if splits.is_file():
        digest.update(splits.read_bytes())
    return digest.hexdigest()[:12]


def _local_folder(name: str, data: Path | None, *, download: bool) -> Path | None:
    """The set's folder; None where it is to be downloaded."""
    if name not in (PHOTOS, *PAIR_SETS):
        if not Path(name).is_dir():
            known = ", ".join((*PAIR_SETS, PHOTOS))
            raise InputError(f"{name} is neither a data set nor a folder.", f"Known data sets: {known}.")
        return Path(name)
    try:
        root = data_root(data)
    except InputError:
        if download and data is None:
            return None
        raise
    if name == PHOTOS:
        present = any((root / folder).is_dir() for folder in ("coco", "natural", "photos"))
        folder = root
    else:
        folder = root / name
        present = folder.is_dir()
    if present:
        return folder
    if download:
        return None
    raise InputError(f"{root} holds no {name}.", "Give another folder with --data, or allow the download.")


def _files_of(name: str, folder: Path | None) -> list[Path]:
    if folder is None:
        return []
    if name == PHOTOS:
        return [path for _, path in photo_files(folder)]
    return [path for pair in find_pairs(folder) for path in (pair.ir, pair.vis)]


def _builder(name: str, folder: Path | None, config: str, tfds_dir: Path) -> Any:
    import tensorflow_datasets as tfds

    from camfuse_jax.data import builders

    kinds = {"tno": builders.Tno, "roadscene": builders.RoadScene, PHOTOS: builders.CocoPhotos}
    kind = kinds.get(name, builders.FolderPairs)
    named = tfds.core.BuilderConfig(name=config, version=kind.VERSION, description="Fingerprint of the source files.")
    return kind(folder=folder, data_dir=tfds_dir, config=named)


def _build(builder: Any, name: str) -> None:
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.util import DownloadError

    # No checksum is enforced: see `camfuse_jax.data.splits`.
    config = tfds.download.DownloadConfig(try_download_gcs=False, force_checksums_validation=False)
    try:
        builder.download_and_prepare(download_config=config)
    except (OSError, DownloadError) as error:
        raise ResourceError(
            f"Preparing {name} under {builder.data_dir} failed: {error}.",
            "Check the connection, rights and free space.",
        ) from error


def _skip_decoding(builder: Any) -> dict[str, Any]:
    import tensorflow_datasets as tfds

    return {key: tfds.decode.SkipDecoding() for key in builder.IMAGES}


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep the library's progress bars, banners and log lines off the terminal; errors are raised as ever."""
    import tensorflow_datasets as tfds
    from absl import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(before)


NAMED = ("tno", "roadscene")
SYNTHETIC = "synthetic"


@dataclasses.dataclass(frozen=True)
class Workdir:
    """Folders of a run.

    Attributes:
        workdir: Results: `ae/`, `cls-DATASET/`, `data/` (prepared records), `fused/`, `eval/`.
        dataset: `tno`, `roadscene`, `synthetic`, or a folder with `ir/NAME.*` and `vis/NAME.*`.
        data: Folder that holds `tno/`, `roadscene/`, `coco/`; None leaves it to CAMFUSE_DATA.
        download: Fetch named data sets that are not in `data`.
    """

    workdir: pathlib.Path
    dataset: str
    data: pathlib.Path | None = None
    download: bool = False

    @property
    def label(self) -> str:
        """Short name of the data set, used in folder names."""
        return self.dataset if self.dataset in (*NAMED, SYNTHETIC) else pathlib.Path(self.dataset).resolve().name

    @property
    def ae_folder(self) -> pathlib.Path:
        """Checkpoints of the auto-encoder."""
        return self.workdir / "ae"

    @property
    def cls_folder(self) -> pathlib.Path:
        """Checkpoints of this data set's classifier."""
        return self.workdir / f"cls-{self.label}"

    @property
    def trained(self) -> pathlib.Path:
        """Weights for `load_params`, written when the classifier is trained."""
        return self.cls_folder / "params.safetensors"

    @property
    def records(self) -> pathlib.Path:
        """Data sets as tensorflow-datasets prepared them."""
        return self.workdir / "data"

    def pairs(self, split: str) -> PairSource:
        """Pairs of a split of the data set."""
        return self._pairs(self.dataset, split)

    def photo_parts(self) -> list[str]:
        """What the auto-encoder is trained on besides the pairs' own images, for the stage's config."""
        if self.dataset in NAMED:
            return ["photos", *NAMED]
        return [SYNTHETIC] if self.dataset == SYNTHETIC else [self.label]

    def photos(self, count: int = 0) -> Source | None:
        """The first `count` photographs for the auto-encoder (0: all); None for a user's own folder, which has none."""
        if self.dataset not in NAMED:
            return None
        return CachedSource(photo_source(data=self.data, tfds_dir=self.records, download=self.download, count=count))

    def pairs_for_autoencoder(self) -> list[PairSource]:
        """Training pairs whose images the auto-encoder sees: of both named data sets, whichever is asked for."""
        names = NAMED if self.dataset in NAMED else (self.dataset,)
        return [self._pairs(name, "train") for name in names]

    def _pairs(self, dataset: str, split: str) -> PairSource:
        folder = str(self._synthetic()) if dataset == SYNTHETIC else dataset
        if dataset not in (*NAMED, SYNTHETIC) and not pathlib.Path(dataset).is_dir():
            raise InputError(
                f"There is no data set '{dataset}'.",
                f"Give {', '.join(NAMED)}, {SYNTHETIC}, or a folder with ir/ and vis/.",
            )
        return pair_source(folder, split=split, data=self.data, tfds_dir=self.records, download=self.download)

    def _synthetic(self) -> pathlib.Path:
        folder = self.workdir / "synthetic"
        if not (folder / "splits.json").exists():
            write_synthetic_dataset(folder, pairs=8, seed=0, height=160, width=192)
        return folder
