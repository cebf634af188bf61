"""Batches in a seeded order, decoded and augmented by threads while training runs; the state is one number."""

import concurrent.futures
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from camfuse_jax.errors import InputError


class Indexed(Protocol):
    """Anything with a length that can be indexed."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...


Example = dict[str, np.ndarray]


class Loader:
    """An endless iterator of batches in which batch number s depends on the seed and s alone.

    Each epoch is a new permutation of the source; what does not fill a batch is left for other epochs. Because no
    batch depends on the one before, resuming is exact: restore the number of the next batch.

    Args:
        source: Records by index.
        example: Makes the images of one record with a random generator: arrays with a leading axis of images.
        batch_size: Records per batch.
        seed: Seed of order and augmentation.
        step: Number of the first batch.
        threads: Threads that decode and augment.
        ahead: Batches prepared in advance.

    Raises:
        InputError: If the source has fewer records than a batch needs.
    """

    def __init__(
        self,
        source: Indexed,
        example: Callable[[Any, np.random.Generator], Example],
        *,
        batch_size: int,
        seed: int,
        step: int = 0,
        threads: int = 2,
        ahead: int = 4,
    ):
        if not 0 < batch_size <= len(source):
            raise InputError(
                f"A batch of {batch_size} needs at least as many records; the source has {len(source)}.",
                "Give more images or a smaller batch size.",
            )
        self._source, self._example = source, example
        self._batch_size, self._seed = batch_size, seed
        self._step, self._ahead = step, ahead
        self._pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="loader")
        self._pending: dict[int, concurrent.futures.Future[Example]] = {}
        self._order: tuple[int, np.ndarray] | None = None

    @property
    def batches_per_epoch(self) -> int:
        """Whole batches in one pass over the source."""
        return len(self._source) // self._batch_size

    def state(self) -> dict[str, int]:
        """What `restore` needs to go on with the next batch."""
        return {"seed": self._seed, "step": self._step}

    def restore(self, state: dict[str, int]) -> None:
        """Goes to where `state` was taken.

        Raises:
            ValueError: If the state belongs to another seed.
        """
        if state["seed"] != self._seed:
            raise ValueError(f"The saved order has seed {state['seed']}, this loader has {self._seed}.")
        self._cancel()
        self._step = state["step"]

    def __iter__(self) -> Iterator[Example]:
        """Returns the loader itself."""
        return self

    def __next__(self) -> Example:
        """Returns the next batch: the images of `batch_size` records, joined along their leading axis."""
        for step in range(self._step, self._step + self._ahead):
            if step not in self._pending:
                self._pending[step] = self._pool.submit(self._batch, step, self._indices(step))
        batch = self._pending.pop(self._step).result()
        self._step += 1
        return batch

    def close(self) -> None:
        """Stops the threads."""
        self._cancel()
        self._pool.shutdown()

    def __enter__(self) -> "Loader":
        """Returns the loader itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Stops the threads."""
        self.close()

    def _cancel(self) -> None:
        for future in self._pending.values():
            future.cancel()
        self._pending.clear()

    def _indices(self, step: int) -> np.ndarray:
        epoch, place = divmod(step, self.batches_per_epoch)
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, np.random.default_rng([self._seed, epoch]).permutation(len(self._source)))
        return self._order[1][place * self._batch_size : (place + 1) * self._batch_size]

    def _batch(self, step: int, indices: np.ndarray) -> Example:
        rng = np.random.default_rng([self._seed, 1, step])
        examples = [self._example(self._source[int(i)], rng) for i in indices]
        return {name: np.concatenate([example[name] for example in examples]) for name in examples[0]}
