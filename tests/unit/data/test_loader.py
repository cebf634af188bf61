"""Loader: batch s depends on the seed and s alone."""

import threading
import time

import numpy as np
import pytest

from camfuse_jax.data.batches import Loader
from camfuse_jax.errors import InputError


def _example(record, rng):
    time.sleep(0.002 * (record % 3))  # threads finish out of order
    return {"record": np.array([record]), "draw": rng.random((1, 2))}


def _loader(count=10, *, batch_size=5, seed=0, **options):
    return Loader(range(count), _example, batch_size=batch_size, seed=seed, **options)


def _take(loader, count):
    with loader:
        return [next(loader) for _ in range(count)]


def _same(a, b):
    for left, right in zip(a, b, strict=True):
        assert left.keys() == right.keys()
        for name in left:
            np.testing.assert_array_equal(left[name], right[name])


@pytest.mark.parametrize(("threads", "ahead"), [(1, 1), (2, 4), (5, 9)])
def test_threads_and_prefetch_do_not_change_batches(threads, ahead):
    _same(_take(_loader(), 7), _take(_loader(threads=threads, ahead=ahead), 7))


@pytest.mark.parametrize("start", [1, 2, 5])
def test_a_batch_does_not_depend_on_where_the_iterator_started(start):
    _same(_take(_loader(), 8)[start:], _take(_loader(step=start), 8 - start))


def test_state_counts_batches_taken_and_not_those_prepared():
    expected = _take(_loader(), 6)
    with _loader(ahead=5) as loader:
        assert loader.state() == {"seed": 0, "step": 0}
        for _ in range(3):
            next(loader)
        state = loader.state()
        assert state == {"seed": 0, "step": 3}
        _same([next(loader) for _ in range(2)], expected[3:5])
        loader.restore(state)
        _same([next(loader) for _ in range(3)], expected[3:])
        loader.restore({"seed": 0, "step": 0})
        _same([next(loader)], expected[:1])
    other = _loader()
    other.restore(state)
    _same(_take(other, 3), expected[3:])


def test_a_state_of_another_seed_is_refused():
    with _loader() as loader, pytest.raises(ValueError, match=r"has seed 4.* has 0"):
        loader.restore({"seed": 4, "step": 1})


def test_every_epoch_is_a_new_permutation():
    batches = [batch["record"] for batch in _take(_loader(12, batch_size=4), 9)]
    epochs = [np.concatenate(batches[i : i + 3]).tolist() for i in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert list(range(12)) not in epochs


def test_what_does_not_fill_a_batch_is_left_for_other_epochs():
    loader = _loader(11, batch_size=4)
    assert loader.batches_per_epoch == 2
    batches = [batch["record"] for batch in _take(loader, 20)]
    epochs = [np.concatenate(batches[i : i + 2]) for i in range(0, 20, 2)]
    assert all(len(set(epoch.tolist())) == 8 for epoch in epochs)
    assert set(np.concatenate(epochs).tolist()) == set(range(11))


def test_another_seed_gives_another_order_and_other_draws():
    first, second = _take(_loader(50, batch_size=50), 1)[0], _take(_loader(50, batch_size=50, seed=1), 1)[0]
    assert sorted(first["record"]) == sorted(second["record"])
    assert not np.array_equal(first["record"], second["record"])
    assert not np.intersect1d(first["draw"], second["draw"]).size


def test_every_example_has_its_own_draws():
    draws = np.concatenate([batch["draw"].ravel() for batch in _take(_loader(), 4)])
    assert len(np.unique(draws)) == draws.size == 40


@pytest.mark.parametrize(("count", "batch_size"), [(3, 4), (0, 1), (3, 0), (3, -1)])
def test_too_small_a_source_is_refused(count, batch_size):
    with pytest.raises(ValueError, match=rf"A batch of {batch_size} .* has {count}"):
        _loader(count, batch_size=batch_size)


def test_an_error_in_a_record_reaches_the_caller():
    def broken(record, rng):
        raise InputError(f"record {record} is damaged")

    with Loader(range(4), broken, batch_size=4, seed=0) as loader, pytest.raises(InputError, match="is damaged"):
        next(loader)


def test_close_cancels_what_has_not_begun():
    begun = []

    def slow(record, rng):
        begun.append(record)
        if len(begun) > 1:
            time.sleep(0.2)
        return {"record": np.array([record])}

    before = threading.active_count()
    loader = Loader(range(40), slow, batch_size=1, seed=0, threads=1, ahead=20)
    next(loader)
    loader.close()
    assert len(begun) <= 3  # of the twenty that were ordered
    assert threading.active_count() == before
