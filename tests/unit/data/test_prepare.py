"""Prepared records hold exactly what the files mean, follow the files' changes, and refuse damaged ones."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from camfuse_jax.data.records import pair_source, photo_source, prepare
from camfuse_jax.errors import CamfuseError, InputError, UsageError
from camfuse_jax.images.read import read_gray
from camfuse_jax.images.write import write_picture

REAL = Path(os.environ.get("CAMFUSE_DATA", Path(__file__).resolve().parents[3].parent / "shared" / "data"))
needs_data = pytest.mark.skipif(not REAL.is_dir(), reason="no data folder: set CAMFUSE_DATA")


@pytest.fixture
def records(tmp_path):
    return tmp_path / "records"


@pytest.fixture
def mixed(tmp_path):
    """Pairs whose files are gray, color, palette, rotated and 16 bit."""
    rng = np.random.default_rng(0)
    root = tmp_path / "mixed"
    for side in ("ir", "vis"):
        (root / side).mkdir(parents=True)
    gray, rgb = rng.integers(0, 256, (9, 12), dtype=np.uint8), rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(gray).save(root / "ir" / "a.png")
    Image.fromarray(rgb).save(root / "vis" / "a.jpg")
    Image.fromarray(gray).convert("P").save(root / "ir" / "b.png")
    Image.fromarray(rgb).save(root / "vis" / "b.tif")
    Image.fromarray(gray).save(root / "ir" / "c.jpg", exif=exif)
    Image.fromarray(gray.T.astype(np.uint16) * 257).save(root / "vis" / "c.png")
    return root


def _equal_to_files(pairs, root):
    for name, ir, vis in (pairs[number] for number in range(len(pairs))):
        for side, image in (("ir", ir), ("vis", vis)):
            (path,) = (root / side).glob(f"{name}.*")
            assert np.array_equal(image, read_gray(path)), f"{side}/{name}"


def test_every_kind_of_file_keeps_its_gray_levels(mixed, records, capfd):
    pairs = pair_source(mixed, split="all", tfds_dir=records)
    assert pairs.names == ["a", "b", "c"]
    _equal_to_files(pairs, mixed)
    assert capfd.readouterr() == ("", "")


def test_plain_tfds_decoding_gives_the_same(mixed, records):
    prepared = prepare(mixed, tfds_dir=records)
    for split, number in prepared.positions:
        record = prepared.builder.as_data_source(split)[number]
        name = record["name"] if isinstance(record["name"], str) else record["name"].decode()
        (path,) = (mixed / "ir").glob(f"{name}.*")
        assert record["ir"].shape[-1] == 1
        assert np.array_equal(record["ir"][..., 0], read_gray(path))


@pytest.mark.parametrize("name", ["tno", "road_scene", "folder_pairs"])
def test_tfds_finds_the_builders_by_name(mixed, records, name):
    tfds = pytest.importorskip("tensorflow_datasets")
    import camfuse_jax.data.builders  # noqa: F401

    (mixed / "splits.json").write_text(json.dumps({"train": ["a", "b"], "test": ["c"]}))
    builder = tfds.builder(name, folder=str(mixed), data_dir=records)
    builder.download_and_prepare()
    source = builder.as_data_source("train")
    assert (len(source), len(builder.as_data_source("test"))) == (2, 1)
    assert np.array_equal(source[0]["ir"][..., 0], read_gray(mixed / "ir" / "a.png"))


def test_splits_follow_the_file(mixed, records):
    (mixed / "splits.json").write_text(json.dumps({"train": ["c", "a"], "test": ["b"], "mine": ["a", "b"]}))
    assert pair_source(mixed, split="train", tfds_dir=records).names == ["c", "a"]
    mine = pair_source(mixed, split="mine", tfds_dir=records)
    assert mine.names == ["a", "b"]
    _equal_to_files(mine, mixed)
    assert set(prepare(mixed, tfds_dir=records).builder.info.splits) == {"train", "test"}
    with pytest.raises(InputError, match=r"no split 'x'.*all, mine, test, train"):
        pair_source(mixed, split="x", tfds_dir=records)


def test_changed_files_are_never_read_from_old_records(mixed, records):
    before = prepare(mixed, tfds_dir=records)
    assert prepare(mixed, tfds_dir=records).builder.data_dir == before.builder.data_dir
    path = mixed / "vis" / "b.tif"  # uncompressed: other content, same size
    size, time = path.stat().st_size, path.stat().st_mtime_ns
    with Image.open(path) as image:
        other = Image.fromarray(255 - np.asarray(image))
    other.save(path)
    assert path.stat().st_size == size
    os.utime(path, ns=(time + 10**6, time + 10**6))
    _equal_to_files(pair_source(mixed, split="all", tfds_dir=records), mixed)
    assert prepare(mixed, tfds_dir=records).builder.data_dir != before.builder.data_dir
    for side in ("ir", "vis"):
        write_picture(mixed / side / "d.png", np.full((4, 4), 9, np.uint8))
    assert pair_source(mixed, split="all", tfds_dir=records).names == ["a", "b", "c", "d"]
    (mixed / "ir" / "a.png").unlink()
    (mixed / "vis" / "a.jpg").unlink()
    assert pair_source(mixed, split="all", tfds_dir=records).names == ["b", "c", "d"]


def test_a_damaged_file_is_named_and_leaves_no_records(mixed, records):
    path = mixed / "vis" / "b.tif"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    for _ in range(2):
        with pytest.raises(InputError, match=r"vis/b\.tif"):
            prepare(mixed, tfds_dir=records)
    path.write_bytes(whole)
    _equal_to_files(pair_source(mixed, split="all", tfds_dir=records), mixed)


def test_sizes_that_differ_are_found_when_read(mixed, records):
    write_picture(mixed / "ir" / "a.png", np.zeros((9, 11), np.uint8))
    with pytest.raises(InputError, match="Pair a: ir is 9 x 11, vis is 9 x 12"):
        pair_source(mixed, split="all", tfds_dir=records)[0]


def test_photographs(tmp_path, records):
    rng = np.random.default_rng(0)
    for name in ("coco/000/2.png", "coco/001/1.png", "natural/x/y/3.png", "photos/0.png"):
        write_picture(tmp_path / "data" / name, rng.integers(0, 256, (5, 6), dtype=np.uint8))
    source = photo_source(data=tmp_path / "data", tfds_dir=records)
    assert source.names == ["coco/000/2.png", "coco/001/1.png", "natural/x/y/3.png", "photos/0.png"]
    for number, name in enumerate(source.names):
        assert np.array_equal(source[number], read_gray(tmp_path / "data" / name))
    coco = photo_source(data=tmp_path / "data", tfds_dir=records, folders=["coco"])
    assert coco.names == ["coco/000/2.png", "coco/001/1.png"]
    for index in (-1, 4):
        with pytest.raises(IndexError, match=f"image {index} of 4"):
            source[index]
    with pytest.raises(InputError, match="below nature"):
        photo_source(data=tmp_path / "data", tfds_dir=records, folders=["nature"])


def test_what_is_absent_is_said(tmp_path, records):
    (tmp_path / "data").mkdir()
    for dataset in ("tno", "roadscene", "photos"):
        with pytest.raises(InputError, match=f"holds no {dataset}"):
            prepare(dataset, data=tmp_path / "data", tfds_dir=records)
    with pytest.raises(InputError, match="Known data sets: tno, roadscene, photos"):
        prepare("tnp", data=tmp_path / "data", tfds_dir=records)
    with pytest.raises(UsageError, match="not pairs"):
        pair_source("photos", split="all", tfds_dir=records)
    (tmp_path / "data" / "coco").mkdir()
    with pytest.raises(InputError, match="no photographs"):
        prepare("photos", data=tmp_path / "data", tfds_dir=records)


def test_records_that_cannot_be_written(mixed, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CamfuseError, match="file"):
        prepare(mixed, tfds_dir=tmp_path / "file")


def test_importing_the_package_imports_no_record_library():
    code = (
        "import sys, camfuse_jax.data.records, camfuse_jax.data.synthetic, camfuse_jax.data.sources;"
        "assert not {'tensorflow_datasets', 'array_record', 'tensorflow'} & sys.modules.keys()"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


@needs_data
@pytest.mark.parametrize("name", ["tno", "roadscene"])
def test_real_pairs(name, tmp_path, records):
    splits = json.loads((REAL / name / "splits.json").read_text())
    chosen = {"train": splits["train"][:2], "test": splits["test"][:3]}
    for side in ("ir", "vis"):
        (tmp_path / name / side).mkdir(parents=True)
        for stem in chosen["train"] + chosen["test"]:
            (path,) = (REAL / name / side).glob(f"{stem}.*")
            shutil.copy(path, tmp_path / name / side)
    (tmp_path / name / "splits.json").write_text(json.dumps(chosen))
    for split, names in chosen.items():
        pairs = pair_source(name, split=split, data=tmp_path, tfds_dir=records)
        assert pairs.names == names
        _equal_to_files(pairs, REAL / name)
