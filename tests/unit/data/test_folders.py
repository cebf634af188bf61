"""Pairing, splits and the search for the data folder."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from camfuse_jax.data.splits import data_root, find_pairs, load_splits, pair_paths, read_split
from camfuse_jax.errors import InputError
from camfuse_jax.images.write import picture_bytes

REAL = Path(os.environ.get("CAMFUSE_DATA", Path(__file__).resolve().parents[3].parent / "shared" / "data"))


def _folder(root, ir, vis):
    for side, names in (("ir", ir), ("vis", vis)):
        (root / side).mkdir(parents=True)
        for name in names:
            (root / side / name).write_bytes(picture_bytes(np.zeros((2, 2), np.uint8)))
    return root


def test_pairs_are_sorted_and_extensions_may_differ(tmp_path):
    pairs = find_pairs(_folder(tmp_path, ["b.png", "A.PNG", "c.d.jpg"], ["A.bmp", "b.tiff", "c.d.png"]))
    assert [pair.name for pair in pairs] == ["A", "b", "c.d"]
    assert pairs[0].ir == tmp_path / "ir" / "A.PNG"
    assert pairs[0].vis == tmp_path / "vis" / "A.bmp"


def test_other_files_are_passed_over(tmp_path):
    root = _folder(tmp_path, ["a.png"], ["a.png"])
    (root / "ir" / "notes.txt").write_text("x")
    (root / "ir" / ".b.png").write_text("x")
    (root / "vis" / "c.png").mkdir()
    assert [pair.name for pair in find_pairs(root)] == ["a"]


def test_every_orphan_is_listed(tmp_path):
    root = _folder(tmp_path, ["a.png", "b.png"], ["b.png", "c.jpg"])
    with pytest.raises(InputError, match=r"2 images .* ir/a\.png, vis/c\.jpg"):
        find_pairs(root)


def test_case_matters(tmp_path):
    with pytest.raises(InputError, match=r"ir/Scene\.png, vis/scene\.png"):
        find_pairs(_folder(tmp_path, ["Scene.png"], ["scene.png"]))


def test_a_long_list_is_cut(tmp_path):
    with pytest.raises(InputError, match=r"14 images .* and 4 more"):
        find_pairs(_folder(tmp_path, [f"{i}.png" for i in range(14)], []))


def test_duplicate_stems_are_listed(tmp_path):
    with pytest.raises(InputError, match=r"a\.jpg and a\.png"):
        find_pairs(_folder(tmp_path, ["a.png", "a.jpg"], ["a.png"]))


def test_empty_and_absent_folders(tmp_path):
    with pytest.raises(InputError, match="hold no images"):
        find_pairs(_folder(tmp_path / "empty", [], []))
    with pytest.raises(InputError, match="does not exist"):
        find_pairs(tmp_path / "absent")


@pytest.mark.parametrize("names", [("thermal", "visible"), ("ir", "rgb")])
def test_folders_of_other_names_are_to_be_renamed(tmp_path, names):
    for name in names:
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=rf"holds {names[0]}/ and {names[1]}/\. Rename them ir/ and vis/\."):
        find_pairs(tmp_path)


def test_two_files_are_one_pair_named_by_the_visible(tmp_path):
    root = _folder(tmp_path, ["heat.png"], ["street.png"])
    pairs = pair_paths(root / "ir" / "heat.png", root / "vis" / "street.png")
    assert pairs == [("street", root / "ir" / "heat.png", root / "vis" / "street.png")]


def test_two_folders_equal_find_pairs(tmp_path):
    root = _folder(tmp_path, ["a.png", "b.png"], ["b.png", "a.png"])
    assert pair_paths(root / "ir", root / "vis") == find_pairs(root)


def test_file_with_folder_and_absent_are_refused(tmp_path):
    root = _folder(tmp_path, ["a.png"], ["a.png"])
    with pytest.raises(InputError, match=r"ir is a folder but .*a\.png is a file"):
        pair_paths(root / "ir", root / "vis" / "a.png")
    with pytest.raises(InputError, match=r"a\.bmp does not exist"):
        pair_paths(root / "ir" / "a.png", root / "vis" / "a.bmp")


@pytest.mark.parametrize(("count", "test"), [(1, []), (2, [1]), (4, [3]), (5, [4]), (11, [4, 9])])
def test_split_without_file(tmp_path, count, test):
    names = [f"n{i:02}" for i in range(count)]
    splits = load_splits(tmp_path, reversed(names))
    assert splits["all"] == names
    assert splits["test"] == [names[i] for i in test]
    assert sorted(splits["train"] + splits["test"]) == names


def test_split_from_file_keeps_its_order(tmp_path):
    (tmp_path / "splits.json").write_text(json.dumps({"train": ["c", "a"], "mine": ["b"]}))
    assert read_split(tmp_path, "train", ["a", "b", "c"]) == ["c", "a"]
    assert read_split(tmp_path, "mine", ["a", "b", "c"]) == ["b"]
    assert read_split(tmp_path, "all", ["c", "b", "a"]) == ["a", "b", "c"]


def test_split_faults(tmp_path):
    file = tmp_path / "splits.json"
    file.write_text(json.dumps({"train": ["a", "x", "y"], "none": []}))
    with pytest.raises(InputError, match=r"no split 'test'.*all, none, train"):
        read_split(tmp_path, "test", ["a"])
    with pytest.raises(InputError, match=r"2 of 3 names .* x, y"):
        read_split(tmp_path, "train", ["a"])
    with pytest.raises(InputError, match=r"'none' .* is empty"):
        read_split(tmp_path, "none", ["a"])
    for text, reason in [("{", "JSON"), ("[]", "object"), ('{"a": [1]}', "object"), ('{"a": ["b", "b"]}', "twice: b")]:
        file.write_text(text)
        with pytest.raises(InputError, match=reason):
            read_split(tmp_path, "all", ["a"])


def test_data_root_order(tmp_path, monkeypatch):
    here, given, named = (tmp_path / name for name in ("work/repo", "given", "named"))
    for folder in (here, given, named):
        folder.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.delenv("CAMFUSE_DATA", raising=False)
    with pytest.raises(InputError, match="--data DIR or the environment variable CAMFUSE_DATA"):
        data_root()
    (tmp_path / "work" / "shared" / "data").mkdir(parents=True)
    assert data_root() == (tmp_path / "work" / "shared" / "data").resolve()
    monkeypatch.setenv("CAMFUSE_DATA", str(named))
    assert data_root() == named
    assert data_root(given) == given
    with pytest.raises(InputError, match=r"--data names .*absent"):
        data_root(tmp_path / "absent")
    monkeypatch.setenv("CAMFUSE_DATA", str(tmp_path / "gone"))
    with pytest.raises(InputError, match=r"CAMFUSE_DATA names .*gone"):
        data_root()


@pytest.mark.skipif(not REAL.is_dir(), reason="no data folder: set CAMFUSE_DATA")
@pytest.mark.parametrize(("name", "sizes"), [("tno", (134, 34, 25)), ("roadscene", (221, 171, 50))])
def test_real_sets(name, sizes):
    names = [pair.name for pair in find_pairs(REAL / name)]
    chosen = [read_split(REAL / name, split, names) for split in ("all", "train", "test")]
    assert tuple(map(len, chosen)) == sizes
    assert not set(chosen[1]) & set(chosen[2])
