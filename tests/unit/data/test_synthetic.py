"""The drawn scenes: deterministic, of any size, and different in the two bands as the bands are."""

import json

import numpy as np
import pytest
from demo_scene.things import WORDS, word_bitmap, word_mask

from camfuse_jax.data.splits import find_pairs, read_split
from camfuse_jax.data.synthetic import synthetic_pair, write_synthetic_dataset
from camfuse_jax.errors import InputError
from camfuse_jax.images.read import read_gray


def test_same_seed_same_bytes_other_seed_other_scene():
    first, again, other = synthetic_pair(3, 60, 80), synthetic_pair(3, 60, 80), synthetic_pair(4, 60, 80)
    for side in range(2):
        assert np.array_equal(first[side], again[side])
        assert np.mean(np.abs(first[side].astype(int) - other[side])) > 3


@pytest.mark.parametrize("shape", [(16, 16), (17, 33), (16, 120), (120, 16)])
def test_any_size_from_16(shape):
    for image in synthetic_pair(1, *shape):
        assert image.shape == shape
        assert image.dtype == np.uint8
        assert image.std() > 5


def test_too_small_is_refused():
    with pytest.raises(InputError, match="15 x 40"):
        synthetic_pair(0, 15, 40)


def test_a_seed_is_one_scene_at_every_size():
    for large, small in zip(synthetic_pair(5, 192, 256), synthetic_pair(5, 96, 128), strict=True):
        halved = large.reshape(96, 2, 128, 2).mean(axis=(1, 3))
        assert np.corrcoef(halved.ravel(), small.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("seed", range(4))
def test_the_bands_differ_as_bands_do(seed):
    ir, vis = (image.astype(float) for image in synthetic_pair(seed, 120, 160))
    sky, ground = np.s_[:12, 60:100], np.s_[90:, :]
    assert ir[sky].mean() < ir[ground].mean() - 25  # the sky is cold
    assert np.percentile(ir, 99.5) > ir[ground].mean() + 50  # people, engines

    def roughness(image):
        return np.abs(np.diff(image[ground], axis=1)).mean() / image[ground].mean()

    assert roughness(vis) > 1.5 * roughness(ir)  # asphalt and markings
    assert abs(np.corrcoef(ir.ravel(), vis.ravel())[0, 1]) < 0.85


def test_dataset_on_disk(tmp_path):
    write_synthetic_dataset(tmp_path, pairs=6, seed=2, height=24, width=32, photos=3)
    names = [pair.name for pair in find_pairs(tmp_path)]
    assert len(names) == 6
    assert read_split(tmp_path, "test", names) == [names[4]]
    assert read_split(tmp_path, "train", names) == [name for name in names if name != names[4]]
    ir, vis = synthetic_pair(3, 24, 32)
    assert np.array_equal(read_gray(tmp_path / "ir" / f"{names[1]}.png"), ir)
    assert np.array_equal(read_gray(tmp_path / "vis" / f"{names[1]}.png"), vis)
    assert len(list((tmp_path / "photos").glob("*.png"))) == 3


def test_two_pairs_give_one_for_each_split(tmp_path):
    write_synthetic_dataset(tmp_path, pairs=2, height=16, width=16)
    splits = json.loads((tmp_path / "splits.json").read_text())
    assert splits == {"all": ["scene_0000", "scene_0001"], "train": ["scene_0000"], "test": ["scene_0001"]}
    assert not (tmp_path / "photos").exists()
    with pytest.raises(InputError, match="1 synthetic pairs"):
        write_synthetic_dataset(tmp_path, pairs=1)


def test_every_word_can_be_written():
    for word in WORDS:
        assert word_bitmap(word).shape == (7, 6 * len(word) - 1)
    columns, rows = np.meshgrid(np.linspace(-0.5, 1.5, 61), np.linspace(-0.5, 1.5, 61))
    mask = word_mask("BAR", columns, rows)
    assert 0.2 < mask[(columns > 0) & (columns < 1) & (rows > 0) & (rows < 1)].mean() < 0.8
    assert not mask[(columns < 0) | (columns >= 1) | (rows < 0) | (rows >= 1)].any()
