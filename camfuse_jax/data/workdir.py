"""Where a run finds its data and keeps its results."""

import dataclasses
import pathlib

from camfuse_jax.data.records import pair_source, photo_source
from camfuse_jax.data.sources import CachedSource, PairSource, Source
from camfuse_jax.data.synthetic import write_synthetic_dataset
from camfuse_jax.errors import InputError

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
