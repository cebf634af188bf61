"""Threads ahead and behind: order, bounds, errors and ends."""

import threading
import time

import pytest

from camfuse_jax.video.fuse import Behind, ahead


def _counted(count, taken, error=None):
    try:
        for index in range(count):
            taken.append(index)
            yield index
        if error:
            raise error
    finally:
        taken.append("closed")


@pytest.mark.parametrize("waiting", [0, 1, 3])
def test_all_items_come_in_order(waiting):
    taken = []
    assert list(ahead(_counted(20, taken), waiting)) == list(range(20))
    assert taken[-1] == "closed"
    assert list(ahead(_counted(0, []), waiting)) == []


@pytest.mark.parametrize("waiting", [0, 1, 3])
def test_no_more_are_made_than_may_wait(waiting):
    taken = []
    items = ahead(_counted(100, taken), waiting)
    for index in range(3):
        assert next(items) == index
        time.sleep(0.05)
        assert len(taken) == index + 1 + waiting
    items.close()
    assert taken[-1] == "closed"
    assert len(taken) <= 4 + waiting


def test_items_are_made_while_the_caller_works():
    threads = set()

    def items():
        for _ in range(3):
            threads.add(threading.get_ident())
            yield

    list(ahead(items(), 2))
    assert threading.get_ident() not in threads
    list(ahead(items(), 0))
    assert threading.get_ident() in threads


@pytest.mark.parametrize("waiting", [0, 2])
def test_an_error_comes_after_the_items_before_it(waiting):
    items = ahead(_counted(3, [], OSError("cut off")), waiting)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="cut off"):
        next(items)


def test_calls_are_made_in_order_and_bounded():
    done, release = [], threading.Event()

    def slow(index):
        release.wait(5)
        done.append(index)

    with Behind(slow, waiting=2) as call:
        call(0), call(1)
        threading.Timer(0.1, release.set).start()
        begun = time.monotonic()
        call(2)  # waits for the first
        assert time.monotonic() - begun > 0.05
    assert done == [0, 1, 2]


def test_an_error_of_a_call_is_raised_and_the_rest_is_left_out():
    done = []

    def work(index):
        if index == 1:
            raise OSError("disk full")
        done.append(index)

    with pytest.raises(OSError, match="disk full"), Behind(work, waiting=1) as call:
        for index in range(10):
            call(index)
    assert len(done) < 9
    with pytest.raises(OSError, match="disk full"), Behind(work, waiting=5) as call:
        call(1)  # told when the block is left, at the latest


def test_an_error_of_the_caller_ends_the_calls():
    done, begun = [], threading.Event()

    def work(index):
        begun.set()
        time.sleep(0.1)
        done.append(index)

    with pytest.raises(KeyboardInterrupt), Behind(work, waiting=9) as call:
        for index in range(5):
            call(index)
        begun.wait(5)
        raise KeyboardInterrupt
    assert done == [0]
