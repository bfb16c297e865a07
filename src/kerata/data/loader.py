"""`DataLoader`: batches from any data set with `__len__` and `__getitem__`, or from an iterable, for one's own loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from kerata import errors, tree
from kerata.core.rng import make_seed

__all__ = ["ArrayDataset", "DataLoader", "collate"]


class ArrayDataset:
    """Rows of arrays of the same length: item `i` is the tuple of their rows `i`.

    Example:
        >>> data = kerata.data.ArrayDataset(numpy.zeros((100, 3)), numpy.arange(100))
        >>> len(data), data[7]
        (100, (array([0., 0., 0.]), np.int64(7)))
    """

    def __init__(self, *arrays: Any) -> None:
        if not arrays:
            raise errors.InvalidArgument("needs at least one array.", where="ArrayDataset")
        self.arrays = tuple(np.asarray(a) for a in arrays)
        lengths = [len(a) for a in self.arrays]
        if len(set(lengths)) > 1:
            raise errors.ShapeMismatch(
                "the arrays differ in their numbers of rows.", where="ArrayDataset", got=lengths,
                expected="the same number for each",
            )  # fmt: skip

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> tuple[np.ndarray, ...]:
        return tuple(a[index] for a in self.arrays)

    def rows(self, indices: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the rows at `indices` at once."""
        return tuple(a[indices] for a in self.arrays)


def collate(samples: list[Any]) -> Any:
    """Stack samples of the same structure into a batch; float64 becomes the default float dtype."""

    def stack(*leaves: Any) -> np.ndarray:
        batch = np.stack([np.asarray(leaf) for leaf in leaves])
        return batch.astype(np.float32) if batch.dtype == np.float64 else batch

    return tree.map_structure(stack, *samples)


class DataLoader:
    """Iterates over a data set in batches.

    Args:
        dataset: has `__len__` and `__getitem__` (and, for speed, `rows(indices)`), or is an iterable of samples.
        batch_size: samples in a batch.
        shuffle: a new order for each pass, from `seed`.
        drop_last: leave out a last batch that is not full.
        collate_fn: makes a batch of a list of samples.
        seed: draws the orders; None for a fresh one.

    Example:
        >>> data = kerata.data.ArrayDataset(numpy.zeros((100, 3)), numpy.arange(100))
        >>> [len(y) for x, y in kerata.data.DataLoader(data, batch_size=32, shuffle=True)]
        [32, 32, 32, 4]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        seed: int | None = None,
    ) -> None:
        if batch_size < 1:
            raise errors.InvalidArgument("a batch holds at least one sample.", where="DataLoader", got=batch_size)
        self.dataset, self.batch_size, self.shuffle, self.drop_last = dataset, batch_size, shuffle, drop_last
        self.collate_fn = collate_fn or collate
        self._default_collate = collate_fn is None
        self._random = np.random.default_rng(make_seed() if seed is None else seed)
        self._mapped = hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
        if not self._mapped and not isinstance(dataset, Iterable):
            raise errors.InvalidType(
                "this is no data set.", where="DataLoader", expected="__len__ and __getitem__, or an iterable",
                got=type(dataset).__name__,
            )  # fmt: skip
        if shuffle and not self._mapped:
            raise errors.InvalidArgument(
                "an iterable cannot be shuffled.", where="DataLoader: shuffle", hint="give a data set with __getitem__"
            )

    def __len__(self) -> int:
        if not self._mapped:
            raise errors.InvalidType("an iterable has no known length.", where="DataLoader")
        whole = len(self.dataset) / self.batch_size
        return math.floor(whole) if self.drop_last else math.ceil(whole)

    def __iter__(self) -> Iterator[Any]:
        if not self._mapped:
            yield from self._from_iterable()
            return
        count = len(self.dataset)
        order = self._random.permutation(count) if self.shuffle else np.arange(count)
        at_once = self._default_collate and hasattr(self.dataset, "rows")
        for start in range(0, count, self.batch_size):
            chosen = order[start : start + self.batch_size]
            if self.drop_last and len(chosen) < self.batch_size:
                return
            yield self.dataset.rows(chosen) if at_once else self.collate_fn([self.dataset[int(i)] for i in chosen])

    def _from_iterable(self) -> Iterator[Any]:
        samples: list[Any] = []
        for sample in self.dataset:
            samples.append(sample)
            if len(samples) == self.batch_size:
                yield self.collate_fn(samples)
                samples = []
        if samples and not self.drop_last:
            yield self.collate_fn(samples)
