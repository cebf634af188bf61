"""Without the extra `train`, the image files are read as they are: the same names and the same pixels."""

import sys

import numpy as np
import pytest

from camfuse_jax.data.records import pair_source, photo_source, prepare
from camfuse_jax.data.synthetic import write_synthetic_dataset
from camfuse_jax.errors import UsageError


@pytest.fixture
def folders(tmp_path):
    """A folder of pairs, and the same images as photographs."""
    write_synthetic_dataset(tmp_path / "pairs", pairs=5, seed=1, height=24, width=32)
    (tmp_path / "photos").mkdir()
    for path in (tmp_path / "pairs" / "vis").iterdir():
        (tmp_path / "photos" / path.name).write_bytes(path.read_bytes())
    return tmp_path


def _read(root):
    pairs = pair_source(root / "pairs", split="train", tfds_dir=root / "records")
    photos = photo_source(data=root, tfds_dir=root / "records")
    images = [pairs.ir[i] for i in range(len(pairs))] + [pairs.vis[i] for i in range(len(pairs))]
    return pairs.names, images + [photos[i] for i in range(len(photos))]


def test_files_give_what_records_give(folders, monkeypatch):
    pytest.importorskip("array_record")
    names, images = _read(folders)
    assert (folders / "records").is_dir()
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    plain_names, plain = _read(folders)
    assert plain_names == names
    assert len(plain) == len(images)
    assert all(np.array_equal(a, b) for a, b in zip(plain, images, strict=True))


def test_what_needs_the_extra_names_it(folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "array_record", None)
    for call in (
        lambda: prepare(folders / "pairs", tfds_dir=folders / "records"),
        lambda: pair_source("tno", split="train", data=folders, tfds_dir=folders / "records", download=True),
    ):
        with pytest.raises(UsageError, match=r"train"):
            call()
    assert not (folders / "records").exists()
