"""`PyDataset`: batches by number, made by threads or processes while the model trains."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from kerata import errors
from kerata.data.parallel import in_order

__all__ = ["PyDataset"]


class PyDataset:
    """Base class for data that come batch by batch: a subclass gives `__getitem__(index)` and `__len__()`.

    `__getitem__` returns a whole batch, `x`, `(x, y)` or `(x, y, sample_weight)`; `__len__` is the number of batches.
    `fit` draws them in another order in each epoch (`shuffle=False`: as numbered), each once. `on_epoch_begin` and
    `on_epoch_end` may change the data.

    Args:
        workers: how many batches are made at the same time, where it is more than 1.
        use_multiprocessing: make them in processes instead of threads. A process has a copy of the data set, taken
            at the start of the epoch; it should compute with NumPy alone, not with an engine.
        max_queue_size: how many batches may wait.

    Example:
        >>> class Squares(kerata.utils.PyDataset):
        ...     def __len__(self):
        ...         return 4
        ...     def __getitem__(self, index):
        ...         x = numpy.arange(8 * index, 8 * index + 8)
        ...         return x, x**2
        >>> data = Squares(workers=2)
        >>> data[1][1].tolist()
        [64, 81, 100, 121, 144, 169, 196, 225]
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self._workers, self._use_multiprocessing, self._max_queue_size = workers, use_multiprocessing, max_queue_size

    def _setting(self, name: str, default: Any) -> Any:
        if name not in self.__dict__:
            warnings.warn(
                f"the constructor of {type(self).__name__} does not call super().__init__(**kwargs); `workers`, "
                "`use_multiprocessing` and `max_queue_size` are as by default.", stacklevel=3,
            )  # fmt: skip
            PyDataset.__init__(self)
        return self.__dict__.get(name, default)

    @property
    def workers(self) -> int:
        """How many batches are made at the same time."""
        return self._setting("_workers", 1)

    @workers.setter
    def workers(self, value: int) -> None:
        self._workers = value

    @property
    def use_multiprocessing(self) -> bool:
        """Whether processes make the batches, not threads."""
        return self._setting("_use_multiprocessing", False)

    @use_multiprocessing.setter
    def use_multiprocessing(self, value: bool) -> None:
        self._use_multiprocessing = value

    @property
    def max_queue_size(self) -> int:
        """How many batches may wait."""
        return self._setting("_max_queue_size", 10)

    @max_queue_size.setter
    def max_queue_size(self, value: int) -> None:
        self._max_queue_size = value

    def __getitem__(self, index: int) -> Any:
        """Return batch `index`."""
        raise errors.Unsupported("a subclass says what a batch is.", where=f"{type(self).__name__}.__getitem__")

    def __iter__(self) -> Iterator[Any]:
        try:
            count = self.num_batches
        except NotImplementedError:
            count = None
        return (self[index] for index in (itertools.count() if count is None else range(count)))

    @property
    def num_batches(self) -> int | None:
        """The number of batches; None for data without end."""
        if hasattr(self, "__len__"):
            return len(self)  # type: ignore[arg-type]
        raise errors.Unsupported(
            "the number of batches is not said.", where=type(self).__name__,
            hint="define __len__, or the property num_batches (None for data without end)",
        )  # fmt: skip

    def on_epoch_begin(self) -> None:
        """Called before each epoch."""

    def on_epoch_end(self) -> None:
        """Called after each epoch."""

    def _epochs(self, shuffle: Any, seed: int) -> Epochs | Endless:
        """Return the batches as `fit` reads them (see `sources.batches_of`)."""
        return Endless(self) if self.num_batches is None else Epochs(self, bool(shuffle), seed)


class _Batches:
    """What training asks of a PyDataset besides its batches."""

    def __init__(self, dataset: PyDataset) -> None:
        self._dataset = dataset
        self.on_epoch_begin, self.on_epoch_end = dataset.on_epoch_begin, dataset.on_epoch_end

    def _made(self, order: Iterable[int]) -> Iterator[Any]:
        """Yield the batches with these numbers, made ahead by the workers."""
        dataset = self._dataset
        workers, processes = dataset.workers, dataset.use_multiprocessing
        if workers <= 1 and not (processes and workers == 1):
            return (dataset[i] for i in order)
        return in_order(dataset.__getitem__, order, workers, processes, max(dataset.max_queue_size, 1))


class Epochs(_Batches):
    """All batches at each reading, in another order each time with `shuffle`."""

    def __init__(self, dataset: PyDataset, shuffle: bool, seed: int) -> None:
        super().__init__(dataset)
        self._random = np.random.default_rng(seed) if shuffle else None

    def __len__(self) -> int:
        return self._dataset.num_batches or 0

    def _peek(self) -> Any:
        """Return a batch without reading on (see `IterableSource.first_batch`)."""
        return self._dataset[0]

    def __iter__(self) -> Iterator[Any]:
        count = len(self)
        return self._made(range(count) if self._random is None else self._random.permutation(count).tolist())


class Endless(_Batches):
    """Batches without end: the next epoch goes on where the last one stopped."""

    def __init__(self, dataset: PyDataset) -> None:
        super().__init__(dataset)
        self._iterator = self._made(itertools.count())

    def cardinality(self) -> int:
        """Say, as tf.data does, that there is no end."""
        return -1

    def __iter__(self) -> Endless:
        return self

    def __next__(self) -> Any:
        return next(self._iterator)

    def _end(self) -> None:
        if hasattr(self._iterator, "close"):
            self._iterator.close()  # type: ignore[attr-defined]
