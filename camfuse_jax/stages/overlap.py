"""Reading, computing and writing at the same time: threads read ahead and write behind, the caller computes."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

_Item = TypeVar("_Item")


def overlapped(
    items: Iterable[_Item],
    *,
    load: Callable[[_Item], Any],
    compute: Callable[[_Item, Any], Any],
    save: Callable[[_Item, Any], None],
    expected: tuple[type[Exception], ...] = (),
    ahead: int = 2,
) -> Iterator[tuple[_Item, Exception | None]]:
    """Loads, computes and saves each item, in order.

    No more than `ahead` loaded items and `ahead` results wait, so that memory does not grow with the number of items.
    If something raises that is not expected, or the caller is interrupted, nothing more is begun, what was computed is
    saved, and it is raised.

    Args:
        items: What to work on.
        load: Called in a thread.
        compute: Called by the caller with an item and what was loaded.
        save: Called in another thread with an item and what was computed.
        expected: Errors that belong to one item; the others are gone on with.
        ahead: Items that are loaded before they are needed, and results that wait to be saved; 0 for one after the
            other.

    Yields:
        Each item with its error, or None, once it is saved.
    """
    waiting = iter(items)
    loading: deque[tuple[_Item, Future]] = deque()
    saving: deque[tuple[_Item, Future]] = deque()
    with _thread(cancel=False) as writer, _thread(cancel=True) as reader:

        def load_more() -> None:
            while len(loading) <= ahead:
                item = next(waiting, _NOTHING)
                if item is _NOTHING:
                    return
                loading.append((item, reader.submit(load, item)))

        load_more()
        while loading:
            item, loaded = loading.popleft()
            saving.append((item, _computed(item, loaded, compute, save, writer, expected)))
            del loaded  # what was loaded is large
            while len(saving) > ahead:
                yield _outcome(*saving.popleft(), expected)
            load_more()
        while saving:
            yield _outcome(*saving.popleft(), expected)


_NOTHING: Any = object()


def _computed(item, loaded: Future, compute, save, writer: ThreadPoolExecutor, expected) -> Future:
    try:
        return writer.submit(save, item, compute(item, loaded.result()))
    except expected as error:
        failed: Future = Future()
        failed.set_exception(error)
        return failed


def _outcome(item: _Item, saved: Future, expected: tuple[type[Exception], ...]) -> tuple[_Item, Exception | None]:
    try:
        saved.result()
    except expected as error:
        return item, error
    return item, None


@contextlib.contextmanager
def _thread(*, cancel: bool) -> Iterator[ThreadPoolExecutor]:
    """A thread that at the end finishes what it has begun, and does or leaves out (`cancel`) the rest."""
    pool = ThreadPoolExecutor(1)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=cancel)
