"""Data sets of samples by number: rows of arrays, parts of another data set, several behind each other."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kerata import errors
from kerata.core.rng import make_seed

__all__ = ["ArrayDataset", "ConcatDataset", "Subset", "random_split"]


class ArrayDataset:
    """Rows of arrays of the same length: item `i` is the tuple of their rows `i`.

    `fit` takes one as it takes its arrays.

    Example:
        >>> data = kerata.data.ArrayDataset(numpy.zeros((100, 3)), numpy.arange(100))
        >>> len(data), data[7]
        (100, (array([0., 0., 0.]), np.int64(7)))
    """

    def __init__(self, *arrays: Any) -> None:
        if not arrays:
            raise errors.InvalidArgument("needs at least one array.", where="ArrayDataset")
        self.arrays = tuple(a if isinstance(a, np.ndarray) else np.asarray(a) for a in arrays)
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


class Subset:
    """The samples of a data set that have the given numbers.

    Example:
        >>> even = kerata.data.Subset(kerata.data.ArrayDataset(numpy.arange(10)), range(0, 10, 2))
        >>> len(even), even[4]
        (5, (np.int64(8),))
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]


class ConcatDataset:
    """Several data sets as one, behind each other.

    Example:
        >>> a, b = kerata.data.ArrayDataset(numpy.zeros(3)), kerata.data.ArrayDataset(numpy.ones(2))
        >>> both = kerata.data.ConcatDataset([a, b])
        >>> len(both), both[3], both[-1]
        (5, (np.float64(1.0),), (np.float64(1.0),))
    """

    def __init__(self, datasets: Sequence[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise errors.InvalidArgument("needs at least one data set.", where="ConcatDataset")
        self.cumulative_sizes = list(itertools.accumulate(len(data) for data in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        index = range(len(self))[index]  # which counts from the end and knows where it is
        which = bisect.bisect_right(self.cumulative_sizes, index)
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]


def random_split(dataset: Any, lengths: Sequence[float], seed: int | None = None) -> list[Subset]:
    """Return parts of a data set, without overlap, drawn at random.

    Args:
        lengths: how many samples each part has, in all as many as there are; or fractions that add up to 1.
        seed: draws the parts; None for a fresh one.

    Example:
        >>> data = kerata.data.ArrayDataset(numpy.arange(10))
        >>> [len(part) for part in kerata.data.random_split(data, [0.8, 0.2], seed=1)]
        [8, 2]
    """
    count, total = len(dataset), sum(lengths)
    if total != count and math.isclose(total, 1):
        sizes = [math.floor(count * part) for part in lengths]
        for i in range(count - sum(sizes)):  # what rounding down has left over
            sizes[i % len(sizes)] += 1
        lengths = sizes
    if sum(lengths) != count or any(part < 0 for part in lengths):
        raise errors.InvalidArgument(
            "the parts do not add up.", where="random_split: lengths", got=list(lengths),
            expected=f"numbers that add up to {count}, or fractions that add up to 1",
        )  # fmt: skip
    order = np.random.default_rng(make_seed() if seed is None else seed).permutation(count).tolist()
    ends = list(itertools.accumulate(int(part) for part in lengths))
    return [Subset(dataset, order[end - int(part) : end]) for part, end in zip(lengths, ends)]
