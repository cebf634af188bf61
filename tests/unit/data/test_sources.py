"""Sources: order, caching, threads, faults."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from camfuse_jax.data.sources import CachedSource, ConcatSource, FileSource, PairSource, Source
from camfuse_jax.data.splits import find_pairs
from camfuse_jax.errors import InputError
from camfuse_jax.images.write import write_picture


def _images(count, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (3 + number, 5), dtype=np.uint8) for number in range(count)]


class _Counting:
    def __init__(self, images):
        self.images, self.reads, self._lock = images, [0] * len(images), threading.Lock()

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        with self._lock:
            self.reads[index] += 1
        return self.images[index].copy()


def test_files_in_order(tmp_path):
    images = _images(3)
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, image in zip(paths, images, strict=True):
        write_picture(path, image)
    source = FileSource(paths)
    assert isinstance(source, Source)
    assert len(source) == 3
    for number, image in enumerate(images):
        assert np.array_equal(source[number], image)


@pytest.mark.parametrize("wrap", [CachedSource, FileSource])
@pytest.mark.parametrize("index", [-1, 2])
def test_numbers_outside_are_refused(wrap, index):
    source = wrap(_images(2) if wrap is not FileSource else ["a", "b"])
    with pytest.raises(IndexError, match=f"image {index} of 2"):
        source[index]


def test_cache_reads_once_from_many_threads():
    counting = _Counting(_images(20))
    cached = CachedSource(counting)
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(20), 10)).tolist()
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(cached.__getitem__, order))
    assert counting.reads == [1] * 20
    assert all(np.array_equal(image, counting.images[number]) for number, image in zip(order, read, strict=True))
    assert cached.nbytes == sum(image.nbytes for image in counting.images)


def test_cached_images_cannot_be_overwritten_and_the_original_can():
    images = _images(1)
    cached = CachedSource(images)
    with pytest.raises(ValueError, match="read-only"):
        cached[0][0, 0] = 1
    images[0][0, 0] = 1


def test_a_failed_read_is_tried_again(tmp_path):
    path = tmp_path / "a.png"
    cached = CachedSource(FileSource([path]))
    with pytest.raises(InputError, match="does not exist"):
        cached[0]
    write_picture(path, _images(1)[0])
    assert np.array_equal(cached[0], _images(1)[0])


def test_concat_counts_through_empty_ones():
    first, second = _images(2), _images(3, seed=1)
    source = ConcatSource(first, [], second)
    assert len(source) == 5
    for number, image in enumerate(first + second):
        assert np.array_equal(source[number], image)
    with pytest.raises(IndexError):
        source[5]
    assert len(ConcatSource()) == 0


def test_pairs_from_files(tmp_path):
    for side, seed in (("ir", 0), ("vis", 1)):
        for number, image in enumerate(_images(2, seed)):
            write_picture(tmp_path / side / f"n{number}.png", image)
    source = PairSource.from_files(find_pairs(tmp_path))
    for pairs in (source, source.cached()):
        assert pairs.names == ["n0", "n1"]
        name, ir, vis = pairs[1]
        assert name == "n1"
        assert np.array_equal(ir, _images(2, 0)[1])
        assert np.array_equal(vis, _images(2, 1)[1])


def test_pairs_of_two_sizes_are_refused_by_name():
    pairs = PairSource(["odd"], [np.zeros((2, 3), np.uint8)], [np.zeros((3, 2), np.uint8)])
    with pytest.raises(InputError, match="Pair odd: ir is 2 x 3, vis is 3 x 2"):
        pairs[0]


def test_pairs_need_both_sides():
    with pytest.raises(InputError, match="1 names, 1 infrared and 0 visible"):
        PairSource(["a"], _images(1), [])
