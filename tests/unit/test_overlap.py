"""Work that overlaps: order, errors, interruption, and how much is in memory at once."""

import threading

import pytest

from camfuse_jax.batch.run import overlapped


def _run(items, **changed):
    calls = {"load": lambda i: i, "compute": lambda i, x: x, "save": lambda i, x: None, "expected": (ValueError,)}
    return overlapped(items, **{**calls, **changed})


@pytest.mark.parametrize("ahead", [0, 1, 5])
def test_each_item_is_loaded_computed_and_saved_in_order(ahead):
    saved = []
    done = _run(
        range(9), ahead=ahead, load=lambda i: 2 * i, compute=lambda i, x: (i, x + 1), save=lambda i, x: saved.append(x)
    )
    assert list(done) == [(i, None) for i in range(9)]
    assert saved == [(i, 2 * i + 1) for i in range(9)]


@pytest.mark.parametrize("where", ["load", "compute", "save"])
def test_an_expected_error_belongs_to_its_item(where):
    def fail(item, *_):
        if item == 2:
            raise ValueError("two")
        return item

    done = list(_run(range(5), **{where: fail}))
    assert [item for item, _ in done] == list(range(5))
    assert [str(error) for _, error in done if error] == ["two"]
    assert done[2][1] is not None


@pytest.mark.parametrize("where", ["load", "compute", "save"])
def test_what_is_not_expected_ends_it_and_what_was_computed_is_saved(where):
    computed, saved = [], []

    def fail(item, *_):
        if item == 3:
            raise KeyboardInterrupt if where == "compute" else OSError("disk")
        return item

    parts = {
        "compute": lambda i, x: computed.append(i),
        "save": lambda i, x: saved.append(i),
    }
    if where == "compute":
        parts["compute"] = lambda i, x: (fail(i), computed.append(i))
    elif where == "save":
        parts["save"] = lambda i, x: (fail(i), saved.append(i))
    else:
        parts["load"] = fail
    threads = threading.active_count()
    with pytest.raises((KeyboardInterrupt, OSError)):
        list(_run(range(100), **parts))
    assert threading.active_count() == threads
    assert saved == [item for item in computed if item != 3]
    assert len(computed) < 10


def test_no_more_than_a_few_items_are_in_memory():
    lock, held, most = threading.Lock(), set(), []

    def load(item):
        with lock:
            held.add(item)
            most.append(len(held))

    def save(item, _):
        with lock:
            held.remove(item)

    assert len(list(_run(range(50), load=load, save=save, ahead=2))) == 50
    assert max(most) <= 6


def test_reading_and_writing_go_on_while_computing():
    """While the second item is computed the third is read and the first is written."""
    read, written = threading.Event(), threading.Event()

    def compute(item, _):
        if item == 1:
            assert read.wait(10)
            assert written.wait(10)

    done = _run(
        range(4),
        load=lambda i: read.set() if i == 2 else None,
        compute=compute,
        save=lambda i, _: written.set() if i == 0 else None,
    )
    assert len(list(done)) == 4
