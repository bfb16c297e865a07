"""Data in two parts, such as one for training and one for testing."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from kerata import errors, tree
from kerata.data import sources
from kerata.data.dataset import Dataset, _arrays
from kerata.data.loader import DataLoader
from kerata.data.py_dataset import PyDataset

__all__ = ["split_dataset"]


@errors.user_facing
def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Dataset, Dataset]:
    """Return data in two parts, as data sets of single samples.

    Args:
        dataset: an array; a list, tuple or dict of arrays of the same length; a `Dataset`, `DataLoader` or `PyDataset`
            (one of batches is taken apart, and its parts come in batches of the same size); anything with `__len__`
            and `__getitem__`, or that can be iterated over.
        left_size, right_size: a fraction of the samples, or their number. The left part is the first so many, the right
            one the last; where one is not given it has all the rest.
        shuffle: shuffle the samples first, as Python's `random.shuffle` does with `seed`.
        preferred_backend: no effect; one kind of data set serves all engines.

    Example:
        >>> left, right = kerata.utils.split_dataset(numpy.arange(10), left_size=0.8)
        >>> len(left), [int(x) for x in right]
        (8, [8, 9])
    """
    where = "split_dataset"
    count, part, batch_size = _samples(dataset, where)
    left, right = _sizes(left_size, right_size, count, where)
    order = list(range(count))
    if shuffle:
        random.Random(seed).shuffle(order)
    parts = part(order[:left]), part(order[count - right :])
    return parts if batch_size is None else tuple(p.batch(batch_size) for p in parts)  # type: ignore[return-value]


def _samples(dataset: Any, where: str) -> tuple[int, Callable[[list[int]], Dataset], int | None]:
    """Return the number of samples, a function that makes a data set of some, and the size of their batches."""
    if isinstance(dataset, (list, tuple)) and dataset and isinstance(dataset[0], (str, bytes, int, float)):
        dataset = np.asarray(dataset, dtype=object if isinstance(dataset[0], (str, bytes)) else None)
    if sources.is_array_data(dataset):
        arrays = _arrays(tuple(dataset) if isinstance(dataset, list) else dataset)
        leaves = tree.flatten(arrays)
        if not leaves or len({len(leaf) for leaf in leaves}) != 1:
            raise errors.ShapeMismatch(
                "the arrays differ in their numbers of rows.", where=where, got=[len(leaf) for leaf in leaves],
                expected="the same number for each, and at least one array",
            )  # fmt: skip
        return (
            len(leaves[0]),
            lambda rows: Dataset.from_tensor_slices(tree.map_structure(lambda a: a[np.asarray(rows, int)], arrays)),
            None,
        )
    batch_size = None
    if isinstance(dataset, (DataLoader, PyDataset)) or getattr(dataset, "_batched", False):
        batches = Dataset(dataset)
        batch_size = len(tree.flatten(batches._first(where))[0])
        dataset = batches.unbatch()
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        if not hasattr(dataset, "__iter__"):
            raise errors.InvalidType(
                "this cannot be split.", where=where, got=type(dataset).__name__,
                expected="arrays, a data set, or something that can be iterated over",
            )  # fmt: skip
        dataset = list(dataset)
    samples = dataset
    return len(samples), lambda rows: Dataset(lambda: (samples[i] for i in rows), len(rows)), batch_size


def _sizes(left: float | None, right: float | None, total: int, where: str) -> tuple[int, int]:
    """Return both sizes as numbers of samples."""
    if left is None and right is None:
        raise errors.InvalidArgument("one size must be given.", where=f"{where}: left_size, right_size", got="None")
    counts: list[int | None] = []
    for name, size in (("left_size", left), ("right_size", right)):
        if size is None:
            counts.append(None)
            continue
        if isinstance(size, bool) or not isinstance(size, (int, float, np.integer, np.floating)):
            raise errors.InvalidType(
                "a size is a number.", where=f"{where}: {name}", expected="an int, a float or None", got=repr(size)
            )
        whole = isinstance(size, (int, np.integer))
        if not 0 < size < (total if whole else 1):
            raise errors.InvalidArgument(
                "this is no part of the data.", where=f"{where}: {name}", got=size,
                expected=f"a number below {total}, or a fraction between 0 and 1",
            )  # fmt: skip
        counts.append(int(size) if whole else round(float(size) * total))
    first, second = counts
    first = total - second if first is None else first  # type: ignore[operator]
    second = total - first if second is None else second
    if first + second > total or not first or not second:
        raise errors.InvalidArgument(
            "the parts do not fit.", where=where, expected=f"two parts of {total} samples",
            got=f"{first} and {second}",
        )  # fmt: skip
    return first, second
