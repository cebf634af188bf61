"""tensorflow-datasets builders for the photographs, TNO, RoadScene and a folder of one's own; TensorFlow is not needed.

Importing this module registers them: `tfds.builder("tno", folder="data/tno")`, and likewise `road_scene`,
`coco_photos` and `folder_pairs`; without a folder they download. It imports tensorflow-datasets; nothing imports it but
the functions of `camfuse_jax.data.records`.

Records are array_record files. Every image is stored as 8-bit gray, PNG or the original JPEG, so that any reader
decodes the same picture: a file that is gray already is stored byte for byte, any other as a PNG of what `read_gray`
makes of it.
"""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from camfuse_jax.data import splits
from camfuse_jax.data.pairs import Pair
from camfuse_jax.data.splits import find_pairs, load_splits, photo_files, unpack_zip
from camfuse_jax.errors import UsageError
from camfuse_jax.images.read import read_gray

PHOTO_SIDE = 256


def stored_bytes(path: Path) -> bytes:
    """What is kept of an image file; raises InputError if it cannot be decoded whole."""
    gray = read_gray(path)
    with Image.open(path) as image:
        plain = image.format in ("PNG", "JPEG") and image.mode == "L" and image.getexif().get(0x0112, 1) == 1
    return path.read_bytes() if plain else png_bytes(gray)


def png_bytes(gray: np.ndarray) -> bytes:
    """The image as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(gray).save(buffer, format="PNG", compress_level=1)  # a third of the time, a little larger
    return buffer.getvalue()


class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A builder that reads `folder`, or downloads where it is None."""

    VERSION = tfds.core.Version("1.0.0")
    # Where a checksum file would lie. To find it tensorflow-datasets 4.9.10 imports importlib_resources, which it does
    # not depend on; there is no such file here, so there is nothing to find.
    code_path = None
    HOMEPAGE: ClassVar[str] = ""
    CITATION: ClassVar[str] = ""
    IMAGES: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, folder: str | Path | None = None, **kwargs: Any):
        self.folder = None if folder is None else Path(folder)
        super().__init__(file_format="array_record", **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        image = {key: tfds.features.Image(shape=(None, None, 1)) for key in self.IMAGES}
        return tfds.core.DatasetInfo(
            builder=self,
            description=type(self).__doc__,
            features=tfds.features.FeaturesDict({"name": tfds.features.Text(), **image}),
            homepage=self.HOMEPAGE,
            citation=self.CITATION,
            disable_shuffling=True,
        )


class _Pairs(_Builder, skip_registration=True):
    """Pairs; the splits `train`, `test` and `other` are disjoint and together hold every pair once."""

    IMAGES = ("ir", "vis")

    def _pairs(self, dl_manager: tfds.download.DownloadManager) -> tuple[list[Pair], dict[str, list[str]]]:
        assert self.folder is not None
        pairs = find_pairs(self.folder)
        return pairs, load_splits(self.folder, [pair.name for pair in pairs])

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        pairs, lists = self._pairs(dl_manager)
        train = set(lists.get("train", ()))
        test = set(lists.get("test", ())) - train
        parts: dict[str, list[Pair]] = {"train": [], "test": [], "other": []}
        for pair in pairs:
            parts["train" if pair.name in train else "test" if pair.name in test else "other"].append(pair)
        return {part: self._generate_examples(chosen) for part, chosen in parts.items() if chosen}

    def _generate_examples(self, pairs: Iterable[Pair]) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, ir, vis in pairs:
            yield name, {"name": name, "ir": stored_bytes(ir), "vis": stored_bytes(vis)}


class Tno(_Pairs):
    """The TNO Image Fusion Dataset: 134 registered thermal and visible pairs of military-relevant scenes at night.

    From a local folder (`ir`, `vis`, `splits.json`), or from TNO's archive on figshare, with seven files of the usual
    test list that are not in it from the repository that publishes that list. The download could not be tried where it
    was written.
    """

    HOMEPAGE = "https://figshare.com/articles/dataset/TNO_Image_Fusion_Dataset/1008029"
    CITATION = "A. Toet, The TNO multiband image data collection, Data in Brief 15 (2017) 249-251."

    def _pairs(self, dl_manager: tfds.download.DownloadManager) -> tuple[list[Pair], dict[str, list[str]]]:
        if self.folder is not None:
            return super()._pairs(dl_manager)
        outside: Any = dl_manager.download(splits.tno_outside_urls())
        archive = unpack_zip(Path(dl_manager.download(splits.TNO_URL)))
        pairs = splits.tno_pairs(archive, {key: Path(path) for key, path in outside.items()})
        return pairs, splits.standard_splits("tno", [pair.name for pair in pairs])


class RoadScene(_Pairs):
    """RoadScene: 221 registered thermal and visible pairs of road scenes, cropped and aligned from FLIR's ADAS video.

    From a local folder (`ir`, `vis`, `splits.json`), or from the authors' repository at the commit in use. The download
    could not be tried where it was written.
    """

    HOMEPAGE = "https://github.com/hanna-xu/RoadScene"
    CITATION = "H. Xu, J. Ma, J. Jiang, X. Guo, H. Ling, U2Fusion, IEEE TPAMI 2020."

    def _pairs(self, dl_manager: tfds.download.DownloadManager) -> tuple[list[Pair], dict[str, list[str]]]:
        if self.folder is not None:
            return super()._pairs(dl_manager)
        pairs = splits.roadscene_pairs(unpack_zip(Path(dl_manager.download(splits.ROADSCENE_URL))))
        return pairs, splits.standard_splits("roadscene", [pair.name for pair in pairs])


class FolderPairs(_Pairs):
    """A folder of one's own: `ir/NAME.*` and `vis/NAME.*`, with `splits.json` if there is one."""

    def __init__(self, *, folder: str | Path | None = None, **kwargs: Any):
        if folder is None:
            raise UsageError("FolderPairs needs a folder.", "Give one with ir/ and vis/ in it.")
        super().__init__(folder=folder, **kwargs)


class CocoPhotos(_Builder):
    """Gray photographs of everyday things, 256 x 256, for the auto-encoder; one split, `train`.

    From a local folder (`coco/*/*.jpg` and, where present, `natural/**`; any size), or 8,000 photographs of COCO's own
    archives, squeezed to 256 x 256. That download is 20 GB and could not be tried where it was written.
    """

    HOMEPAGE = "https://cocodataset.org"
    CITATION = "T.-Y. Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014."
    IMAGES = ("image",)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        if self.folder is not None:
            return {"train": self._generate_examples(photo_files(self.folder), resize=False)}
        archives: Any = dl_manager.download(splits.COCO_URLS)
        folders = {name: unpack_zip(Path(archives[name]), first=splits.COCO_COUNT) for name in splits.COCO_URLS}
        files = splits.coco_files(folders)
        return {"train": self._generate_examples(files, resize=True)}

    def _generate_examples(
        self, files: Iterable[tuple[str, Path]], *, resize: bool
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, path in files:
            yield name, {"name": name, "image": squeezed_bytes(path) if resize else stored_bytes(path)}


def squeezed_bytes(path: Path) -> bytes:
    """The photograph as a 256 x 256 gray PNG: luma first, then Lanczos; the aspect ratio is not kept."""
    image = Image.fromarray(read_gray(path)).resize((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.LANCZOS)
    return png_bytes(np.asarray(image))
