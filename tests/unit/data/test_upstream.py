"""The download code, run against imitations of the owners' archives served on this machine."""

import functools
import http.server
import json
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image

from camfuse_jax.data import splits
from camfuse_jax.data.records import pair_source, photo_source
from camfuse_jax.data.splits import data_root, unpack_zip
from camfuse_jax.errors import InputError, ResourceError
from camfuse_jax.images.read import read_gray


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A working folder from which no data folder can be seen."""
    folder = tmp_path / "deep" / "down"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("CAMFUSE_DATA", raising=False)
    with pytest.raises(InputError):
        data_root()
    return tmp_path


@pytest.fixture
def served(tmp_path):
    """A folder and the address under which it is served."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def _picture(path, level, shape=(6, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape, level, np.uint8)).save(path)
    return path


def _zip(source, target):
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(source.rglob("*")):
            archive.write(path, path.relative_to(source))


def test_manifest_agrees_with_itself():
    lists = splits.manifest()
    names = lists["tno"]["files"].keys()
    assert (len(names), len(lists["tno"]["train"]), len(lists["tno"]["test"])) == (134, 34, 25)
    assert set(lists["tno"]["train"] + lists["tno"]["test"]) <= names
    assert not set(lists["tno"]["train"]) & set(lists["tno"]["test"])
    assert len(set(lists["roadscene"]["test"])) == 50
    # Frames of a sequence are nearly one picture: one frame of the sequence that has no test pair, none of the others.
    frames = {name for name in names if name.startswith("FEL_")}
    assert len(frames) == 74
    assert frames & set(lists["tno"]["train"]) == {"FEL_Duine_7403"}
    assert not [name for name in lists["tno"]["test"] if name.startswith("FEL_Duine")]
    assert len(splits.tno_outside_urls()) == 7
    assert all(url.startswith("https://") and " " not in url for url in splits.tno_outside_urls().values())


def test_standard_splits_are_the_lists_of_the_package():
    lists = splits.manifest()
    names = sorted(lists["tno"]["files"])
    tno = splits.standard_splits("tno", names)
    assert (tno["all"], tno["train"], tno["test"]) == (names, lists["tno"]["train"], lists["tno"]["test"])
    road = splits.standard_splits("roadscene", [*lists["roadscene"]["test"], "FLIR_b", "FLIR_a"])
    assert (road["train"], road["test"]) == (["FLIR_a", "FLIR_b"], lists["roadscene"]["test"])


def test_local_copies_have_the_same_splits(data_root):
    for dataset in ("tno", "roadscene"):
        local = json.loads((data_root / dataset / "splits.json").read_text())
        standard = splits.standard_splits(dataset, local["all"])
        assert {split: sorted(local[split]) for split in standard} == {k: sorted(v) for k, v in standard.items()}


def test_tno_from_its_archive(nowhere, served, monkeypatch):
    folder, address = served
    files = splits.manifest()["tno"]["files"]
    unpacked = nowhere / "TNO" / "TNO_Image_Fusion_Dataset"
    for number, (_, pair) in enumerate(sorted(files.items())):
        for side, path in enumerate(pair):
            inside = not path.startswith("cddfuse:")
            place = unpacked / path if inside else folder / path.removeprefix("cddfuse:")
            _picture(place, number if side else 255 - number)
    _zip(nowhere / "TNO", folder / "1475454")
    monkeypatch.setattr(splits, "TNO_URL", f"{address}/1475454")
    monkeypatch.setattr(splits, "CDDFUSE_URL", f"{address}/{{path}}")
    pairs = pair_source("tno", split="test", tfds_dir=nowhere / "records", download=True)
    assert pairs.names == splits.manifest()["tno"]["test"]
    for index, name in enumerate(pairs.names):
        number = sorted(files).index(name)
        _, ir, vis = pairs[index]
        assert (ir[0, 0], vis[0, 0]) == (255 - number, number)


def test_roadscene_from_its_repository(nowhere, served, monkeypatch):
    folder, address = served
    test = splits.manifest()["roadscene"]["test"]
    for number, name in enumerate([*test, "FLIR_a", "FLIR_b"]):
        _picture(nowhere / "zip" / "RoadScene-ab71420" / "cropinfrared" / f"{name}.jpg", number)
        _picture(nowhere / "zip" / "RoadScene-ab71420" / "crop_LR_visible" / f"{name}.jpg", 255 - number)
    _zip(nowhere / "zip", folder / "ab71420.zip")
    monkeypatch.setattr(splits, "ROADSCENE_URL", f"{address}/ab71420.zip")
    options = {"tfds_dir": nowhere / "records", "download": True}
    assert pair_source("roadscene", split="test", **options).names == test
    train = pair_source("roadscene", split="train", **options)
    assert train.names == ["FLIR_a", "FLIR_b"]
    assert train[1][1][0, 0] == 51


def test_coco_from_its_archives(nowhere, served, monkeypatch):
    folder, address = served
    for name, count in (("val2017", 2), ("train2017", 3)):
        for number in range(count):
            _picture(nowhere / name / name / f"{number:012}.jpg", 40 * number, shape=(30, 50))
        _zip(nowhere / name, folder / f"{name}.zip")
    monkeypatch.setattr(splits, "COCO_URLS", {n: f"{address}/{n}.zip" for n in ("val2017", "train2017")})
    photos = photo_source(tfds_dir=nowhere / "records", download=True)
    names = [f"coco/val2017/{number:012}.jpg" for number in range(2)]
    names += [f"coco/train2017/{number:012}.jpg" for number in range(3)]
    assert photos.names == names
    assert photos[4].shape == (256, 256)
    assert np.all(photos[4] == 80)
    files = splits.coco_files({n: nowhere / n for n in ("val2017", "train2017")}, 3)
    assert [name for name, _ in files] == names[:3]
    assert read_gray(files[2][1]).shape == (30, 50)


def test_a_failed_download_is_a_resource_error(nowhere, served, monkeypatch):
    _, address = served
    monkeypatch.setattr(splits, "ROADSCENE_URL", f"{address}/absent.zip")
    with pytest.raises(ResourceError, match="roadscene"):
        pair_source("roadscene", split="all", tfds_dir=nowhere / "records", download=True)
    (served[0] / "broken.zip").write_bytes(b"PK not a zip")
    monkeypatch.setattr(splits, "ROADSCENE_URL", f"{address}/broken.zip")
    with pytest.raises(ResourceError, match=r"broken.*\.zip was damaged and has been removed"):
        pair_source("roadscene", split="all", tfds_dir=nowhere / "records", download=True)


def test_unpacking_is_done_once_and_bounded(tmp_path):
    for number in range(3):
        _picture(tmp_path / "in" / "d" / f"{number}.png", number)
    _zip(tmp_path / "in", tmp_path / "a.zip")
    folder = unpack_zip(tmp_path / "a.zip", first=2)
    assert sorted(path.name for path in folder.rglob("*.png")) == ["0.png", "1.png"]
    (tmp_path / "a.zip").write_bytes(b"")
    assert unpack_zip(tmp_path / "a.zip") == folder
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "a.zip.unpacked", "in"]


def test_a_cut_archive_is_removed_and_leaves_nothing(tmp_path):
    _picture(tmp_path / "in" / "0.png", 3, shape=(200, 200))
    _zip(tmp_path / "in", tmp_path / "a.zip")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[60] ^= 255  # inside the picture: the check sum no longer fits
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ResourceError, match=r"a\.zip was damaged"):
        unpack_zip(tmp_path / "a.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_nothing_is_downloaded_unasked(nowhere):
    with pytest.raises(InputError, match="No data folder is known"):
        pair_source("tno", split="all", tfds_dir=nowhere / "records")


def test_archives_that_have_changed_are_refused(tmp_path):
    with pytest.raises(InputError, match="no folder Athena_images"):
        splits.tno_pairs(tmp_path, {})
    with pytest.raises(InputError, match="no cropinfrared"):
        splits.roadscene_pairs(tmp_path)
    (tmp_path / "x" / "Athena_images").mkdir(parents=True)
    outside = {key: tmp_path / key for key in splits.tno_outside_urls()}
    with pytest.raises(InputError, match=r"268 TNO files are absent.* and 258 more"):
        splits.tno_pairs(tmp_path, outside)
    _picture(tmp_path / "cropinfrared" / "a.jpg", 1)
    _picture(tmp_path / "crop_LR_visible" / "b.jpg", 1)
    with pytest.raises(InputError, match="without partner: a, b"):
        splits.roadscene_pairs(tmp_path)
