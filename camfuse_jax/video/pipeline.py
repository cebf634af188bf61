"""Decoding, fusing and encoding at the same time: threads run ahead and behind, memory stays flat."""

import contextlib
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

_Item = TypeVar("_Item")
_END: Any = object()


def ahead(items: Generator[_Item, None, None], waiting: int) -> Generator[_Item, None, None]:
    """The items, made in a thread of their own while the caller works; closing it closes `items`.

    Args:
        items: A generator; its errors are raised here.
        waiting: Most items that are made before they are taken; 0 for one after the other, without a thread.
    """
    with contextlib.closing(items):
        if not waiting:
            yield from items
            return
        pool = ThreadPoolExecutor(1)
        try:
            made = deque(pool.submit(next, items, _END) for _ in range(waiting))
            while (item := made.popleft().result()) is not _END:
                made.append(pool.submit(next, items, _END))
                yield item
        finally:
            pool.shutdown(wait=True, cancel_futures=True)  # before `items` is closed: it must not be running


class Behind:
    """Calls a function in a thread of its own, in order, while the caller goes on; a context manager.

    Leaving the block waits for what is left, and leaves it out after an error.

    Args:
        function: Its errors are raised at one of the next calls, or when the block is left.
        waiting: Calls that may wait; more make the caller wait.
    """

    def __init__(self, function: Callable[..., None], waiting: int = 2):
        self._function, self._waiting = function, waiting
        self._calls: deque[Future] = deque()
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        return self

    def __call__(self, *arguments: Any) -> None:
        """Queues a call."""
        while len(self._calls) >= self._waiting:
            self._calls.popleft().result()
        self._calls.append(self._pool.submit(self._function, *arguments))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        try:
            while self._calls and kind is None:
                self._calls.popleft().result()
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)
