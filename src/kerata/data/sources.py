"""Sources: what `fit`, `evaluate` and `predict` draw batches from.

A source gives an epoch as blocks. A block is a tree of arrays on the device and a matrix of row numbers, one row for
each step: the compiled loop gathers its own batches. A ragged last batch is a block of its own, so that no sample is
dropped, doubled or weighted wrongly.
"""

from __future__ import annotations

import dataclasses
import math
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from kerata import config, engine, errors, tree

__all__ = ["ArraySource", "Block", "IterableSource", "Source", "make_source", "split_validation"]

RESIDENT_BYTES = 4 << 30
"""Arrays up to this size in all are held on the device; larger ones are streamed."""

STREAM_BYTES = 64 << 20
"""The size of a streamed block."""


@dataclasses.dataclass
class Block:
    """Some steps of an epoch: step i takes the rows `index[i]` of `data`."""

    data: Any
    index: Any
    steps: int
    batch_size: int


class Source:
    """Gives the blocks of an epoch, as often as asked."""

    steps: int | None = None  # batches in an epoch, where known

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks of one epoch."""
        raise NotImplementedError

    def first_batch(self) -> Any:
        """Return one batch (or its specs), to build the model by."""
        raise NotImplementedError

    def on_epoch_begin(self) -> None:
        """Called before the blocks of an epoch are asked for."""

    def on_epoch_end(self) -> None:
        """Called after the last block of an epoch."""


def _on_host(x: Any) -> np.ndarray:
    """Return a tensor or table of another library, or plain numbers, as a NumPy array."""
    if hasattr(x, "detach"):  # PyTorch
        x = x.detach().cpu()
        return (x.float() if str(x.dtype) == "torch.bfloat16" else x).numpy()  # which NumPy does not know
    if hasattr(x, "to_numpy"):  # pandas, polars
        return np.asarray(x.to_numpy())
    if hasattr(x, "toarray"):  # SciPy sparse
        return x.toarray()
    return np.asarray(x)


def standardize(x: Any, name: str) -> Any:
    """Return one leaf of the data as an array that the engine takes as it is."""
    if isinstance(x, np.ndarray):
        array: Any = x
    elif engine.arrays.is_array(x):
        return x
    else:
        array = _on_host(x)
    if array.dtype == object or array.dtype.kind in "USMm":
        raise errors.InvalidType(
            "the data are no numbers.", where=name, got=f"an array of dtype {array.dtype}",
            hint="turn text and categories into numbers first; rows of unequal length can be padded",
        )  # fmt: skip
    if array.dtype == np.float64 and config.floatx() != "float64" and not isinstance(array, np.memmap):
        array = array.astype(np.dtype(config.floatx()) if config.floatx() != "bfloat16" else np.float32)
    return array


def _is_leaf_list(x: Any) -> bool:
    return isinstance(x, (list, tuple)) and bool(x) and not any(hasattr(i, "shape") for i in tree.flatten(x))


def _arrays(x: Any, name: str) -> Any:
    if x is None:
        return None
    if _is_leaf_list(x):  # plain numbers in lists
        return standardize(x, name)
    return tree.map_structure(lambda leaf: None if leaf is None else standardize(leaf, name), x)


class ArraySource(Source):
    """Batches of arrays in memory (or memory-mapped).

    Args:
        x, y, sample_weight: arrays, or nests of arrays, of the same number of rows.
        batch_size: rows in a batch; the last one may hold fewer.
        shuffle: True for a new order in each epoch, "batch" to shuffle whole batches.
        class_weight: weights by class number, multiplied into the sample weights.
        seed: draws the orders.
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        batch_size: int | None = None,
        shuffle: bool | str = False,
        class_weight: dict[int, float] | None = None,
        seed: int = 0,
        where: str = "fit",
    ) -> None:
        x, y = _arrays(x, f"{where}: x"), _arrays(y, f"{where}: y")
        sample_weight = _arrays(sample_weight, f"{where}: sample_weight")
        if class_weight is not None:
            sample_weight = _with_class_weight(y, sample_weight, class_weight, where)
        self.batch = (x,) if y is None and sample_weight is None else (x, y)
        if sample_weight is not None:
            self.batch = (x, y, sample_weight)
        self.leaves, self._spec = tree.flatten_with_spec(_packed(self.batch))
        self._present = [i for i, leaf in enumerate(self.leaves) if leaf is not None]
        self.rows = _count_rows(self.batch, where)
        self.batch_size = int(batch_size or 32)
        if self.batch_size < 1:
            raise errors.InvalidArgument(
                "a batch holds at least one row.", where=f"{where}: batch_size", got=batch_size
            )
        self.batch_size = min(self.batch_size, max(self.rows, 1))
        self.shuffle = shuffle
        self.steps = math.ceil(self.rows / self.batch_size)
        self._random = np.random.default_rng(seed)
        size = sum(self.leaves[i].nbytes for i in self._present)
        mapped = any(isinstance(self.leaves[i], np.memmap) for i in self._present)
        self.resident = size <= RESIDENT_BYTES and not mapped
        self._on_device: list[Any] | None = None

    def first_batch(self) -> Any:
        return self._spec.unflatten([None if leaf is None else leaf[: self.batch_size] for leaf in self.leaves])

    def order(self) -> np.ndarray | None:
        """Draw the order of rows for one epoch; None for the order as given."""
        if not self.shuffle:
            return None
        if self.shuffle == "batch":
            whole = self.rows // self.batch_size
            batches = self._random.permutation(whole)[:, None] * self.batch_size + np.arange(self.batch_size)
            return np.concatenate([batches.ravel(), np.arange(whole * self.batch_size, self.rows)])
        return self._random.permutation(self.rows)

    def blocks(self) -> Iterator[Block]:
        order = self.order()
        rows = np.arange(self.rows, dtype=np.int32) if order is None else order.astype(np.int32)
        whole = self.rows // self.batch_size
        parts = [rows[: whole * self.batch_size].reshape(whole, self.batch_size)] if whole else []
        if whole * self.batch_size < self.rows:
            parts.append(rows[whole * self.batch_size :][None])
        if self.resident:
            if self._on_device is None:
                self._on_device = [None if a is None else engine.devices.put(a) for a in self.leaves]
            data = self._spec.unflatten(self._on_device)
            for index in parts:
                yield Block(data, engine.arrays.as_array(index), *index.shape)
        else:
            yield from prefetched(lambda: self._streamed(parts))

    def _streamed(self, parts: list[np.ndarray]) -> Iterator[Block]:
        row_bytes = sum(self.leaves[i].nbytes for i in self._present) / self.rows
        per_block = max(1, int(STREAM_BYTES / row_bytes / self.batch_size))
        for index in parts:
            for start in range(0, len(index), per_block):
                chosen = index[start : start + per_block]
                flat = chosen.ravel()
                gathered = [
                    None if a is None else engine.arrays.as_array(_take(a, flat, self.shuffle)) for a in self.leaves
                ]
                local = np.arange(flat.size, dtype=np.int32).reshape(chosen.shape)
                yield Block(self._spec.unflatten(gathered), engine.arrays.as_array(local), *chosen.shape)


def _take(array: Any, rows: np.ndarray, shuffled: Any) -> np.ndarray:
    taken = np.asarray(array[rows[0] : rows[-1] + 1] if not shuffled else array[rows])
    return taken.astype(config.floatx()) if taken.dtype == np.float64 else taken


class IterableSource(Source):
    """Batches from an iterable: a generator, a `PyDataset`, a `DataLoader`, anything that yields batches.

    Each batch is x, or a tuple (x, y) or (x, y, sample_weight).
    """

    def __init__(
        self,
        iterable: Iterable[Any],
        steps: int | None = None,
        class_weight: dict[int, float] | None = None,
        where: str = "fit",
    ) -> None:
        self._iterable, self._class_weight, self._where = iterable, class_weight, where
        self._once = iter(iterable) is iterable  # a generator goes on where it stopped
        nothing = lambda: None  # noqa: E731
        self.on_epoch_begin = getattr(iterable, "on_epoch_begin", nothing)
        self.on_epoch_end = getattr(iterable, "on_epoch_end", nothing)
        self._iterator: Iterator[Any] | None = None
        self._first: Any = None
        try:
            self.steps = steps or (len(iterable) if hasattr(iterable, "__len__") else None)  # type: ignore[arg-type]
        except (TypeError, NotImplementedError):
            self.steps = steps

    def _next_iterator(self) -> Iterator[Any]:
        if self._once:
            if self._iterator is None:
                self._iterator = iter(self._iterable)
            return self._iterator
        return iter(self._iterable)

    def first_batch(self) -> Any:
        first = self._first
        if first is None:
            iterator = self._next_iterator()
            try:
                first = self._standardize(next(iterator))
            except StopIteration:
                raise errors.InvalidArgument("the data are empty.", where=self._where) from None
            if self._once or not hasattr(self._iterable, "on_epoch_begin"):  # which may change all batches
                self._first, self._iterator = first, iterator
        return _packed(first)

    def blocks(self) -> Iterator[Block]:
        yield from prefetched(self._blocks)

    def _blocks(self) -> Iterator[Block]:
        first, iterator = self._first, self._iterator
        self._first = None
        if first is None or iterator is None:
            iterator = self._next_iterator()
        else:
            yield self._block(first)
        if not self._once:
            self._iterator = None
        for batch in iterator:
            yield self._block(self._standardize(batch))

    def _standardize(self, batch: Any) -> Any:
        if not isinstance(batch, tuple):
            batch = tuple(batch) if isinstance(batch, list) and 2 <= len(batch) <= 3 else (batch,)
        if len(batch) > 3:
            raise errors.InvalidArgument(
                "a batch has too many parts.", where=self._where, expected="x, (x, y) or (x, y, sample_weight)",
                got=f"a tuple of {len(batch)}",
            )  # fmt: skip
        x, y, weight = (*batch, None, None)[:3]
        x, y, weight = (_arrays(part, f"{self._where}: batch") for part in (x, y, weight))
        if self._class_weight is not None:
            weight = _with_class_weight(y, weight, self._class_weight, self._where)
        return (x, y, weight) if weight is not None else (x, y)[: len(batch)]

    def _block(self, batch: Any) -> Block:
        rows = _count_rows(batch, self._where)
        batch = _packed(batch)
        index = engine.arrays.as_array(np.arange(rows, dtype=np.int32)[None])
        data = tree.map_structure(lambda a: None if a is None else engine.arrays.as_array(a), batch)
        return Block(data, index, 1, rows)


def prefetched(make: Callable[[], Iterator[Block]], depth: int = 2) -> Iterator[Block]:
    """Yield from `make()`, run by a thread that keeps up to `depth` blocks ready."""
    ready: queue.Queue[Any] = queue.Queue(maxsize=depth)
    stop = threading.Event()
    active = engine.active()

    def work() -> None:
        try:
            with engine.using(active.name):
                for block in make():
                    while not stop.is_set():
                        try:
                            ready.put((block, None), timeout=0.1)
                            break
                        except queue.Full:
                            continue
                    if stop.is_set():
                        return
            ready.put((None, None))
        except BaseException as error:  # the caller raises it, with the user's frames
            ready.put((None, error))

    thread = threading.Thread(target=work, name="kerata-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            block, error = ready.get()
            if error is not None:
                raise error
            if block is None:
                return
            yield block
    finally:
        stop.set()
        thread.join(timeout=1.0)


def _packed(batch: tuple) -> Any:
    """Return a batch as a step receives it: x alone, where x is one array or a dict, or the tuple."""
    return batch[0] if len(batch) == 1 and not isinstance(batch[0], (tuple, list)) else batch


def _count_rows(batch: Any, where: str) -> int:
    counts: dict[str, int] = {}
    for part, name in zip(batch, ("x", "y", "sample_weight")):
        for path, leaf in tree.flatten_with_path(part):
            if leaf is None:
                continue
            label = name + "".join(f"[{p!r}]" for p in path)
            if leaf.ndim == 0:
                raise errors.ShapeMismatch(
                    "the data have no rows.", where=f"{where}: {label}", got="a single number", expected="an array"
                )
            counts[label] = int(leaf.shape[0])
    if not counts:
        raise errors.InvalidArgument("there are no data.", where=where, got="None")
    if len(set(counts.values())) > 1:
        raise errors.ShapeMismatch(
            "the data differ in their numbers of rows.", where=where, expected="the same number for each",
            got=", ".join(f"{name}: {n}" for name, n in counts.items()),
        )  # fmt: skip
    rows = next(iter(counts.values()))
    if rows == 0:
        raise errors.InvalidArgument("the data are empty.", where=where, got="0 rows")
    return rows


def _with_class_weight(y: Any, sample_weight: Any, class_weight: dict[int, float], where: str) -> np.ndarray:
    if y is None or tree.is_nested(y):
        raise errors.InvalidArgument(
            "`class_weight` needs one output with class labels.", where=where, hint="use sample_weight instead"
        )
    y = np.asarray(y)
    if y.ndim >= 2 and y.shape[-1] > 1:
        classes = y.argmax(-1)
    else:
        classes = y.reshape(y.shape[0], -1)[:, 0] if y.ndim == 2 else y
    classes = np.round(classes).astype(np.int64)
    weights = np.ones(classes.shape, "float32")
    for number, weight in class_weight.items():
        weights[classes == int(number)] = weight
    if sample_weight is None:
        return weights
    sample_weight = np.asarray(sample_weight)
    return sample_weight * weights.reshape(weights.shape + (1,) * (sample_weight.ndim - weights.ndim))


def is_array_data(x: Any) -> bool:
    """Return whether `x` is arrays (in any nest), not an iterable of batches."""
    if isinstance(x, (dict, list, tuple)):
        return True
    if isinstance(x, (str, bytes)) or x is None:
        return False
    return hasattr(x, "shape") or (hasattr(x, "to_numpy") and hasattr(x, "columns")) or hasattr(x, "to_numpy")


def batches_of(x: Any, shuffle: Any, seed: int) -> Any:
    """Return data as they are, or the batches of a `PyDataset` in the order and by the workers that it is read with."""
    return x._epochs(shuffle, seed) if hasattr(x, "_epochs") else x


def make_source(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool | str = False,
    class_weight: dict[int, float] | None = None,
    seed: int = 0,
    where: str = "fit",
) -> Source:
    """Return the source for what was given as data."""
    if isinstance(x, Source):
        return x
    if is_array_data(x):
        return ArraySource(x, y, sample_weight, batch_size, shuffle, class_weight, seed, where)
    x = batches_of(x, shuffle, seed)
    if hasattr(x, "__iter__") or hasattr(x, "__getitem__"):
        if y is not None or sample_weight is not None:
            raise errors.InvalidArgument(
                "an iterable of batches brings its own targets.", where=where, expected="y=None, sample_weight=None",
                hint="let it yield (x, y) or (x, y, sample_weight)",
            )  # fmt: skip
        if not hasattr(x, "__iter__"):
            length = len(x)
            return IterableSource(_Indexed(x, length), steps, class_weight, where)
        return IterableSource(x, steps, class_weight, where)
    raise errors.InvalidType(
        "these data are not understood.", where=f"{where}: x", got=type(x).__name__,
        expected="an array, a nest of arrays, or an iterable that yields batches",
    )  # fmt: skip


class _Indexed:
    """Iterates over what has only `__getitem__` and `__len__`."""

    def __init__(self, items: Any, length: int) -> None:
        self._items, self._length = items, length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Any]:
        return (self._items[i] for i in range(self._length))


def split_validation(data: tuple, fraction: float) -> tuple[tuple, tuple]:
    """Return (x, y, sample_weight) for training and the last `fraction` of the rows for validation."""
    if not 0 < fraction < 1:
        raise errors.InvalidArgument(
            "`validation_split` is a fraction.", where="fit", expected="between 0 and 1", got=fraction
        )
    x = data[0]
    if not is_array_data(x):
        raise errors.InvalidArgument(
            "`validation_split` needs arrays.", where="fit", got=type(x).__name__, hint="give validation_data instead"
        )
    arrays = tuple(_arrays(part, "fit") for part in data)
    rows = _count_rows(arrays, "fit")
    at = int(math.floor(rows * (1 - fraction)))
    if at in (0, rows):
        raise errors.InvalidArgument(
            "the split leaves one side empty.", where="fit: validation_split", got=f"{fraction} of {rows} rows"
        )

    def part(rows_slice: slice) -> tuple:
        return tuple(
            None if a is None else tree.map_structure(lambda leaf: None if leaf is None else leaf[rows_slice], a)
            for a in arrays
        )

    return part(slice(0, at)), part(slice(at, rows))
