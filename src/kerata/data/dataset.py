"""`Dataset`: a stream of elements that can be read again and again, and is built up step by step.

Its methods have the names and arguments of TensorFlow's `tf.data`, for those that Keras scripts use. Elements are
NumPy arrays, or tuples or dicts of them; nothing is computed before somebody reads.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from kerata import errors, tree
from kerata.core.rng import make_seed
from kerata.core.symbolic import KerasTensor
from kerata.data.arrays import on_host
from kerata.data.loader import DataLoader, collate
from kerata.data.parallel import in_order
from kerata.data.prefetch import prefetched

__all__ = ["AUTOTUNE", "Dataset", "HostArray"]

AUTOTUNE = -1
"""Lets a data set choose for itself how many threads work, and how far ahead."""

INFINITE, UNKNOWN = -1, -2  # what `cardinality` says, as tf.data does


class HostArray(np.ndarray):
    """A NumPy array that, as a tensor does, has `numpy()`: scripts call it on what a data set gives them."""

    def numpy(self) -> Any:
        """Return the values as a plain array, or a plain number."""
        return np.asarray(self)[()]

    def __getitem__(self, key: Any) -> Any:
        chosen = super().__getitem__(key)
        return np.asarray(chosen).view(HostArray) if isinstance(chosen, np.generic) else chosen


class Dataset:
    """A stream of elements that can be read any number of times.

    `fit`, `evaluate`, `predict` and the `adapt` of preprocessing layers take one whose elements are batches.

    Args:
        elements: an iterable, or a function that returns a new iterator each time.
        length: how many elements there are, where known and `elements` does not tell.

    Example:
        >>> data = kerata.data.Dataset.from_tensor_slices((numpy.arange(10), numpy.arange(10) % 2))
        >>> batches = data.map(lambda x, y: (x / 10, y)).shuffle(10, seed=1).batch(4)
        >>> len(batches), next(iter(batches))[0].shape
        (3, (4,))
    """

    class_names: list[str] | None  # of a data set of files, in the order of their labels
    file_paths: list[str]

    def __init__(self, elements: Iterable[Any] | Callable[[], Iterable[Any]], length: float | None = None) -> None:
        self._make: Callable[[], Iterable[Any]] = elements if callable(elements) else lambda: elements  # type: ignore
        if length is None and not callable(elements):
            try:
                length = len(elements)  # type: ignore[arg-type]
            except TypeError:
                length = None
        self._length = length
        self._batched = False

    def _derived(
        self, elements: Callable[[], Iterable[Any]], length: float | None, batched: bool | None = None
    ) -> Dataset:
        derived = Dataset(elements, length)
        derived._batched = self._batched if batched is None else batched
        return derived

    # Reading ----------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Any]:
        return (tree.map_structure(_as_seen, element) for element in self._make())

    def __len__(self) -> int:
        if self._length is None or self._length == np.inf:
            what = "no known length." if self._length is None else "no end."
            raise errors.InvalidType(f"this data set has {what}", where="len(dataset)")
        return int(self._length)

    def __bool__(self) -> bool:
        return True  # also where the length is not known

    def as_numpy_iterator(self) -> Iterator[Any]:
        """Iterate over the elements as plain NumPy arrays."""
        return (tree.map_structure(lambda a: a.numpy() if isinstance(a, HostArray) else a, e) for e in self)

    def cardinality(self) -> int:
        """Return the number of elements; -1 for a stream without end, -2 where it is not known."""
        if self._length is None:
            return UNKNOWN
        return INFINITE if self._length == np.inf else int(self._length)

    @property
    def element_spec(self) -> Any:
        """Shapes and dtypes of an element, as symbolic tensors: those of the first one, which is read for this."""

        def spec(leaf: Any) -> KerasTensor:
            array = np.asarray(leaf)
            dtype = "string" if array.dtype.kind in "OUS" else str(array.dtype)
            return KerasTensor((None, *array.shape[1:]) if self._batched else array.shape, dtype)

        return tree.map_structure(spec, self._first("element_spec"))

    def _first(self, where: str) -> Any:
        for element in self._make():
            return element
        raise errors.InvalidArgument("the data set is empty.", where=where)

    # Beginning --------------------------------------------------------------------------------------------------

    @staticmethod
    def from_tensor_slices(tensors: Any, name: str | None = None) -> Dataset:
        """Return the rows of arrays, or of a tuple or dict of arrays, one by one."""
        arrays = _arrays(tensors)
        lengths = {len(leaf) if leaf.ndim else 0 for leaf in tree.flatten(arrays)}
        if len(lengths) != 1:
            raise errors.ShapeMismatch(
                "the arrays differ in their numbers of rows.", where="Dataset.from_tensor_slices", got=sorted(lengths),
                expected="the same number for each",
            )  # fmt: skip
        (rows,) = lengths
        return Dataset(lambda: (_row(arrays, i) for i in range(rows)), rows)

    @staticmethod
    def from_tensors(tensors: Any, name: str | None = None) -> Dataset:
        """Return the arrays as the one element."""
        return Dataset([_arrays(tensors)])

    @staticmethod
    def from_generator(
        generator: Callable[..., Iterable[Any]], output_types: Any = None, output_shapes: Any = None,
        args: Any = None, output_signature: Any = None, name: str | None = None,
    ) -> Dataset:  # fmt: skip
        """Return what `generator(*args)` yields; types and shapes are read off it, whatever is said of them."""
        return Dataset(lambda: generator(*(args or ())))

    @staticmethod
    def range(*args: int, output_type: Any = "int64", name: str | None = None) -> Dataset:
        """Return the whole numbers of Python's `range(*args)`."""
        kind = np.dtype(output_type).type
        return Dataset(lambda: map(kind, range(*args)), len(range(*args)))

    @staticmethod
    def zip(*args: Any, datasets: Any = None, name: str | None = None) -> Dataset:
        """Return tuples (or a dict) of an element of each data set, up to the end of the shortest."""
        nest = datasets if datasets is not None else args[0] if len(args) == 1 else args
        parts, pack = tree.unflatten_function(nest)
        lengths = [part._length for part in parts]
        length = None if None in lengths else min(lengths)
        return Dataset(lambda: (pack(elements) for elements in zip(*(part._make() for part in parts))), length)

    # One by one -------------------------------------------------------------------------------------------------

    def map(
        self, map_func: Callable[..., Any], num_parallel_calls: int | None = None, deterministic: bool | None = None,
        synchronous: bool | None = None, use_unbounded_threadpool: bool = False, name: str | None = None,
    ) -> Dataset:  # fmt: skip
        """Return `map_func` of each element, the parts of a tuple as several arguments; always in order.

        Args:
            num_parallel_calls: how many threads work; AUTOTUNE for as many as there are processors.
        """

        def call(element: Any) -> Any:
            return map_func(*element) if isinstance(element, tuple) else map_func(element)

        def parallel() -> Iterator[Any]:
            workers = num_parallel_calls if (num_parallel_calls or 0) > 0 else min(os.cpu_count() or 1, 16)
            return in_order(call, self._make(), workers, ahead=2 * workers)  # type: ignore[operator]

        one_by_one = num_parallel_calls is None
        return self._derived(lambda: map(call, self._make()) if one_by_one else parallel(), self._length)

    def filter(self, predicate: Callable[..., Any], name: str | None = None) -> Dataset:
        """Return the elements for which `predicate` holds."""

        def keeps(element: Any) -> bool:
            return bool(predicate(*element) if isinstance(element, tuple) else predicate(element))

        return self._derived(lambda: filter(keeps, self._make()), None)

    def enumerate(self, start: int = 0, name: str | None = None) -> Dataset:
        """Return pairs of a number, counted from `start`, and an element."""
        return self._derived(lambda: enumerate(self._make(), start), self._length)

    # Batches ----------------------------------------------------------------------------------------------------

    def batch(
        self, batch_size: int, drop_remainder: bool = False, num_parallel_calls: int | None = None,
        deterministic: bool | None = None, name: str | None = None,
    ) -> Dataset:  # fmt: skip
        """Return `batch_size` elements at a time, stacked; the last batch may be smaller unless it is dropped."""
        return self._grouped(int(batch_size), drop_remainder, _stacked)

    def padded_batch(
        self, batch_size: int, padded_shapes: Any = None, padding_values: Any = None, drop_remainder: bool = False,
        name: str | None = None,
    ) -> Dataset:  # fmt: skip
        """As `batch`, for elements of unequal shapes: each is filled up at the end of its axes to the batch's largest.

        Args:
            padded_shapes: None, or -1 for all axes: no other shapes can be given.
            padding_values: a number; 0 by default.
        """
        if any(size not in (None, -1) for size in tree.flatten(padded_shapes)):
            raise errors.Unsupported(
                "batches are padded to their longest element.", where="padded_batch: padded_shapes", got=padded_shapes
            )
        fill = 0 if padding_values is None else padding_values
        return self._grouped(int(batch_size), drop_remainder, lambda group: _stacked(group, fill))

    def _grouped(self, size: int, drop: bool, collate_fn: Callable[[list[Any]], Any]) -> Dataset:
        if size < 1:
            raise errors.InvalidArgument("a batch holds at least one element.", where="Dataset.batch", got=size)

        def elements() -> Iterator[Any]:
            return iter(DataLoader(self._make(), size, drop_last=drop, collate_fn=collate_fn, seed=0))

        length = self._length
        if length not in (None, np.inf):
            length = length // size if drop else -(-length // size)  # type: ignore[operator]
        return self._derived(elements, length, batched=True)

    def unbatch(self, name: str | None = None) -> Dataset:
        """Return the rows of the elements one by one."""

        def rows() -> Iterator[Any]:
            for element in self._make():
                for i in range(len(tree.flatten(element)[0])):
                    yield _row(element, i)

        return self._derived(rows, None, batched=False)

    # Order and amount -------------------------------------------------------------------------------------------

    def shuffle(
        self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool | None = None,
        name: str | None = None,
    ) -> Dataset:  # fmt: skip
        """Return the elements in another order at each reading.

        Args:
            buffer_size: from how many elements the next one is drawn: the length for a wholly random order.
            seed: draws the orders; None for a fresh one.
            reshuffle_each_iteration: False for the same order at each reading.
        """
        if buffer_size < 1:
            raise errors.InvalidArgument("at least one element is held.", where="Dataset.shuffle", got=buffer_size)
        seed = make_seed() if seed is None else seed
        running = np.random.default_rng(seed)

        def elements() -> Iterator[Any]:
            random = np.random.default_rng(seed) if reshuffle_each_iteration is False else running
            held: list[Any] = []
            for element in self._make():
                if len(held) < buffer_size:
                    held.append(element)
                    continue
                i = random.integers(buffer_size)
                yield held[i]
                held[i] = element
            for i in random.permutation(len(held)):
                yield held[i]

        return self._derived(elements, self._length)

    def repeat(self, count: int | None = None, name: str | None = None) -> Dataset:
        """Return the elements `count` times over; without end for None or -1."""
        endless = count is None or count < 0

        def elements() -> Iterator[Any]:
            for _ in itertools.count() if endless else range(count):  # type: ignore[arg-type]
                empty = True
                for element in self._make():
                    empty = False
                    yield element
                if empty:
                    return

        length = np.inf if endless else None if self._length is None else self._length * count  # type: ignore[operator]
        return self._derived(elements, length)

    def take(self, count: int, name: str | None = None) -> Dataset:
        """Return the first `count` elements; all for -1."""
        if count < 0:
            return self
        length = None if self._length is None else min(self._length, count)
        return self._derived(lambda: itertools.islice(self._make(), count), length)

    def skip(self, count: int, name: str | None = None) -> Dataset:
        """Return what comes after the first `count` elements; nothing for -1."""
        if count < 0:
            return self.take(0)
        length = None if self._length is None else max(self._length - count, 0)
        return self._derived(lambda: itertools.islice(self._make(), count, None), length)

    def concatenate(self, dataset: Dataset, name: str | None = None) -> Dataset:
        """Return these elements and then those of `dataset`."""
        length = None if None in (self._length, dataset._length) else self._length + dataset._length  # type: ignore
        return self._derived(lambda: itertools.chain(self._make(), dataset._make()), length)

    # Speed ------------------------------------------------------------------------------------------------------

    def cache(self, filename: str = "", name: str | None = None) -> Dataset:
        """Keep the elements in memory from the first full reading on."""
        if filename:
            raise errors.Unsupported("elements are kept in memory alone.", where="Dataset.cache", hint="cache()")
        kept: list[list[Any]] = []

        def elements() -> Iterator[Any]:
            if kept:
                yield from kept[0]
                return
            seen = []
            for element in self._make():
                seen.append(element)
                yield element
            kept[:] = [seen]

        return self._derived(elements, self._length)

    def prefetch(self, buffer_size: int, name: str | None = None) -> Dataset:
        """Return the same elements, made ready by a thread while others are worked on (`fit` does so by itself)."""
        depth = buffer_size if buffer_size > 0 else 2
        return self._derived(lambda: prefetched(lambda: iter(self._make()), depth), self._length)


def _arrays(tensors: Any) -> Any:
    """Return a nest of arrays; a list is one array."""
    if isinstance(tensors, tuple):
        parts = [_arrays(part) for part in tensors]
        return type(tensors)(*parts) if hasattr(tensors, "_fields") else tuple(parts)
    if isinstance(tensors, dict):
        return {key: _arrays(part) for key, part in tensors.items()}
    if isinstance(tensors, list) and any(isinstance(leaf, (str, bytes)) for leaf in tree.flatten(tensors)):
        return np.array(tensors, dtype=object)
    return on_host(tensors)


def _row(arrays: Any, i: int) -> Any:
    return tree.map_structure(lambda a: a[i], arrays)


def _as_seen(leaf: Any) -> Any:
    if isinstance(leaf, HostArray):
        return leaf
    if isinstance(leaf, np.ndarray) and not isinstance(leaf, np.memmap):
        return leaf.view(HostArray)
    return np.asarray(leaf).view(HostArray) if isinstance(leaf, (np.generic, int, float)) else leaf


def _stacked(group: list[Any], fill: Any = None) -> Any:
    """Stack elements of the same structure; with `fill`, those of unequal shapes too."""

    def stack(*leaves: Any) -> Any:
        if isinstance(leaves[0], (str, bytes)):
            return np.array(leaves, dtype=object)
        arrays = [on_host(leaf) for leaf in leaves]
        shapes = {a.shape for a in arrays}
        if len(shapes) == 1:
            return collate(arrays)
        if fill is None or len({len(shape) for shape in shapes}) > 1:
            raise errors.ShapeMismatch(
                "the elements of a batch are of unequal shapes.", where="Dataset.batch", got=sorted(shapes),
                hint="map them to one shape, or use padded_batch",
            )  # fmt: skip
        batch = np.full((len(arrays), *np.max(list(shapes), axis=0)), fill, arrays[0].dtype)
        for row, a in zip(batch, arrays):
            row[tuple(map(slice, a.shape))] = a
        return batch

    return tree.map_structure(stack, *group)
