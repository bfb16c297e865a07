"""Sources: what `fit`, `evaluate` and `predict` draw batches from.

A source gives an epoch as blocks. A block is a tree of arrays on the device, each a stack of batches, which the
compiled loop goes through. A ragged last batch is a block of its own, so that no sample is dropped, doubled or
weighted wrongly.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from kerata import config, engine, errors, tree
from kerata.data import columns
from kerata.data.arrays import arrays_of, count_rows, is_array_data
from kerata.data.batches import HubBatches, Indexed, mapped, number_of_batches
from kerata.data.gather import gathered, tables
from kerata.data.loader import DataLoader
from kerata.data.map_style import ArrayDataset, ConcatDataset, Subset
from kerata.data.prefetch import prefetched
from kerata.data.rows import Rows
from kerata.engine.picking import Picked

__all__ = [
    "ArraySource", "Block", "IterableSource", "KeptSource", "Source", "make_source", "split_validation",
]  # fmt: skip

BATCHES = 1 << 17
"""The batches of a block that are not gathered, at most: as many numbers as each has rows are held."""

BLOCK_BYTES = 16 << 20
"""About the size of a block: a few of them are held at a time, and a call of the compiled loop runs one at most."""


@dataclasses.dataclass
class Block:
    """Some batches of an epoch: a nest of arrays, each of shape (capacity, batch size, …).

    The first `steps` batches count. The last block of an epoch may have fewer than its capacity, so that all blocks
    are of one shape.
    """

    data: Any
    steps: int

    @functools.cached_property
    def shape(self) -> tuple[int, int]:
        """The capacity in batches, and the rows of a batch."""
        return next(tuple(a.shape[:2]) for a in tree.flatten(self.data) if a is not None)  # type: ignore[return-value]

    def batch(self, step: int) -> Any:
        """Return the batch of one step, as arrays of the engine."""
        return tree.map_structure(lambda a: None if a is None else engine.arrays.as_array(a[step]), self.data)


class Source:
    """Gives the blocks of an epoch, as often as asked."""

    steps: int | None = None  # batches in an epoch, where known
    is_read_once = False  # what a generator has yielded is gone

    def blocks(self, most: int | None = None) -> Iterator[Block]:
        """Yield the blocks of one epoch; no more than `most` batches are taken from an iterable."""
        raise NotImplementedError

    def skip_epochs(self, count: int) -> None:
        """Stand as after `count` epochs, where the order of rows is drawn for each."""

    def first_batch(self) -> Any:
        """Return one batch (or its specs), to build the model by."""
        raise NotImplementedError

    def on_epoch_begin(self) -> None:
        """Called before the blocks of an epoch are asked for."""

    def on_epoch_end(self) -> None:
        """Called after the last block of an epoch."""

    def close(self) -> None:
        """End what works in the background; called where training was cut off."""


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
        x, y = arrays_of(x, f"{where}: x"), arrays_of(y, f"{where}: y")
        sample_weight = arrays_of(sample_weight, f"{where}: sample_weight")
        if class_weight is not None:
            sample_weight = _with_class_weight(y, sample_weight, class_weight, where)
        self.batch = (x,) if y is None and sample_weight is None else (x, y)
        if sample_weight is not None:
            self.batch = (x, y, sample_weight)
        self.leaves, self._spec = tree.flatten_with_spec(_packed(self.batch))
        self._present = [i for i, leaf in enumerate(self.leaves) if leaf is not None]
        self.rows = count_rows(self.batch, where)
        self.batch_size = int(batch_size or 32)
        if self.batch_size < 1:
            raise errors.InvalidArgument(
                "a batch holds at least one row.", where=f"{where}: batch_size", got=batch_size
            )
        self.batch_size = min(self.batch_size, max(self.rows, 1))
        self.shuffle = shuffle
        self.steps = math.ceil(self.rows / self.batch_size)
        self._seed, self._random = seed, None
        self._row_bytes = sum(self.leaves[i].nbytes for i in self._present) / max(self.rows, 1)
        self._held: list[Any] | None = None

    def first_batch(self) -> Any:
        some = [None if leaf is None else leaf[: self.batch_size] for leaf in self.leaves]
        return self._spec.unflatten([np.asarray(leaf) if isinstance(leaf, Rows) else leaf for leaf in some])

    def order(self) -> np.ndarray | None:
        """Draw the order of rows for one epoch; None for the order as given."""
        if not self.shuffle:
            return None
        if self._random is None:
            self._random = np.random.default_rng(self._seed)
        if self.shuffle == "batch":
            whole = self.rows // self.batch_size
            batches = self._random.permutation(whole)[:, None] * self.batch_size + np.arange(self.batch_size)
            return np.concatenate([batches.ravel(), np.arange(whole * self.batch_size, self.rows)])
        return self._random.permutation(self.rows)

    def skip_epochs(self, count: int) -> None:
        for _ in range(count):
            self.order()

    def blocks(self, most: int | None = None) -> Iterator[Block]:
        order = self.order()
        rows = np.arange(self.rows) if order is None else order
        whole = self.rows // self.batch_size
        parts = [rows[: whole * self.batch_size].reshape(whole, self.batch_size)] if whole else []
        if whole * self.batch_size < self.rows:
            parts.append(rows[whole * self.batch_size :][None])
        arrays = self._arrays()
        # A program for all rows is one for their number: of what is small, and of what is read in order, it knows none.
        is_large = whole > 1 and order is not None and self._row_bytes * self.rows > BLOCK_BYTES
        if is_large and (found := tables(arrays)) is not None:
            yield from (self._picked(found, parts[0][i : i + BATCHES]) for i in range(0, whole, BATCHES))
            del parts[0]
        plan = [piece for part in parts for piece in self._pieces(part)]
        made = lambda: (self._gathered(arrays, *piece) for piece in plan)  # noqa: E731
        yield from prefetched(made, depth=1) if len(plan) > 2 else made()

    def only_batch(self) -> Block | None:
        """Return all the data where they lie, as a block; None for several batches and for what is no array."""
        # An engine that does not compile may write to its inputs.
        in_place = engine.transforms.compiled and all(isinstance(self.leaves[i], np.ndarray) for i in self._present)
        if self.steps != 1 or self.shuffle or not in_place:
            return None
        return Block(self._spec.unflatten([None if a is None else _narrow(a[None]) for a in self.leaves]), 1)

    def _pieces(self, index: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
        """Yield the row numbers of each block, and how many batches a block holds."""
        per_block = max(1, int(BLOCK_BYTES / max(self._row_bytes, 1) / self.batch_size))
        # Powers of two: data that grew by some rows find the program compiled.
        capacity = min(1 << (len(index) - 1).bit_length(), 1 << (per_block.bit_length() - 1))
        # The first block is small: until it is gathered nothing is trained.
        first = len(index) if len(index) <= capacity else max(1, capacity // 4)
        for start, stop in itertools.pairwise((0, *range(first, len(index), capacity), len(index))):
            yield index[start:stop], capacity

    def _arrays(self) -> list[Any]:
        """Return the arrays that are there; on a device with memory of its own, if there is room for them, once."""
        if self._held is None:
            arrays = [self.leaves[i] for i in self._present]
            if engine.devices.platform() == "cpu":
                return arrays  # looked at anew in each epoch: callbacks change what they hold
            self._held = tables(arrays) or arrays
        return self._held

    def _block(self, stacks: Iterable[Any], steps: int) -> Block:
        """Return a block with these stacks for the arrays that are there."""
        data = [None] * len(self.leaves)
        for i, stack in zip(self._present, stacks):
            data[i] = stack
        return Block(self._spec.unflatten(data), steps)

    def _picked(self, found: list[Any], index: np.ndarray) -> Block:
        numbers = engine.arrays.as_array(index)
        return self._block((Picked(table, numbers) for table in found), len(index))

    def _gathered(self, arrays: list[Any], index: np.ndarray, capacity: int) -> Block:
        return self._block((gathered(array, index, capacity) for array in arrays), len(index))


def _narrow(array: np.ndarray) -> Any:
    """Return an array in a dtype of the engine, which may count in 32 bits."""
    return engine.arrays.as_array(array) if array.dtype.itemsize == 8 else array


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
        self.is_read_once = iter(iterable) is iterable  # a generator goes on where it stopped
        nothing = lambda: None  # noqa: E731
        self.on_epoch_begin = getattr(iterable, "on_epoch_begin", nothing)
        self.on_epoch_end = getattr(iterable, "on_epoch_end", nothing)
        self._iterator: Iterator[Any] | None = None
        self._first: Any = None
        count = number_of_batches(iterable)
        if count == math.inf and steps is None and config.max_steps_per_epoch() is None:
            raise errors.InvalidArgument(
                "the data have no end.", where=where, expected="a number of steps",
                hint={"fit": "steps_per_epoch=...", "fit: validation_data": "validation_steps=..."}.get(
                    where, "steps=..."
                ),
            )  # fmt: skip
        self.steps = steps or (None if count == math.inf else count)  # type: ignore[assignment]

    def _next_iterator(self) -> Iterator[Any]:
        if self.is_read_once:
            if self._iterator is None:
                self._iterator = iter(self._iterable)
            return self._iterator
        return iter(self._iterable)

    def first_batch(self) -> Any:
        first = self._first
        if first is None and hasattr(self._iterable, "_peek"):
            return _packed(self._standardize(self._iterable._peek()))  # type: ignore[attr-defined]
        if first is None:
            iterator = self._next_iterator()
            try:
                first = self._standardize(next(iterator))
            except StopIteration:
                raise errors.InvalidArgument(
                    "the data are empty.", where=self._where, expected="one batch at least", got="none",
                    hint="try it by hand: next(iter(data)); a generator that was used up gives nothing more",
                ) from None  # fmt: skip
            if self.is_read_once or not hasattr(self._iterable, "on_epoch_begin"):  # which may change all batches
                self._first, self._iterator = first, iterator
        return _packed(first)

    def blocks(self, most: int | None = None) -> Iterator[Block]:
        yield from prefetched(lambda: self._blocks(most))

    def _blocks(self, most: int | None) -> Iterator[Block]:
        first, iterator = self._first, self._iterator
        self._first = None
        if first is None or iterator is None:
            iterator = self._next_iterator()
        else:
            yield self._block(first)
            most = most and most - 1
        if not self.is_read_once:
            self._iterator = None
        try:
            for batch in itertools.islice(iterator, most):
                yield self._block(self._standardize(batch))
        finally:
            if not self.is_read_once and hasattr(iterator, "close"):  # an iterator of our own making
                iterator.close()  # type: ignore[attr-defined]

    def close(self) -> None:
        getattr(self._iterable, "_end", lambda: None)()

    def _standardize(self, batch: Any) -> Any:
        batch = batch_parts(batch)
        if len(batch) > 3:
            raise errors.InvalidArgument(
                "a batch has too many parts.", where=self._where, expected="x, (x, y) or (x, y, sample_weight)",
                got=f"a tuple of {len(batch)}", hint="several inputs come as one: ((x1, x2), y)",
            )  # fmt: skip
        x, y, weight = (*batch, None, None)[:3]
        x, y, weight = (arrays_of(part, f"{self._where}: batch") for part in (x, y, weight))
        if self._class_weight is not None:
            weight = _with_class_weight(y, weight, self._class_weight, self._where)
        return (x, y, weight) if weight is not None else (x, y)[: len(batch)]

    def _block(self, batch: Any) -> Block:
        count_rows(batch, self._where)
        return Block(tree.map_structure(lambda a: None if a is None else _alone(a), _packed(batch)), 1)


def _alone(batch: Any) -> Any:
    """Return a stack of one batch, on the device."""
    if isinstance(batch, np.ndarray):
        return engine.arrays.as_array(batch[None])
    return engine.arrays.as_array(batch)[None]


class KeptSource(Source):
    """Gives the blocks of its first epoch again in each later one, so that a generator can validate every epoch."""

    def __init__(self, source: Source) -> None:
        self._source, self.steps = source, source.steps
        self._kept: list[Block] | None = None

    def first_batch(self) -> Any:
        return self._source.first_batch()

    def blocks(self, most: int | None = None) -> Iterator[Block]:
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[Block] = []
        try:
            for block in self._source.blocks(most):
                kept.append(block)
                yield block
        finally:
            self._kept = kept

    def close(self) -> None:
        self._source.close()


def batch_parts(batch: Any) -> tuple:
    """Return what an iterable yielded as a tuple: a list of arrays (or of nests of them) is one."""
    if isinstance(batch, tuple):
        return batch
    plain = (int, float, complex, str, bytes, np.generic)
    several = isinstance(batch, list) and 1 <= len(batch) <= 3 and not any(isinstance(part, plain) for part in batch)
    return tuple(batch) if several else (batch,)


def _packed(batch: tuple) -> Any:
    """Return a batch as a step receives it: x alone, where x is one array or a dict, or the tuple."""
    return batch[0] if len(batch) == 1 and not isinstance(batch[0], (tuple, list)) else batch


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


def opened(
    x: Any, y: Any, sample_weight: Any, batch_size: int | None = None, shuffle: Any = False, seed: int = 0,
    where: str = "fit",
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Return data as arrays, or as an iterable of batches.

    A `PyDataset` is read in the order and by the workers that it asks for, a data set of single samples by a
    `DataLoader`. `y` and `sample_weight` may be names: of columns of a table, or of entries of batches that are dicts.
    """
    if hasattr(x, "_epochs"):
        x = x._epochs(shuffle, seed)
    elif isinstance(x, ArrayDataset) and y is None and sample_weight is None and len(x.arrays) <= 3:
        x, y, sample_weight = (*x.arrays, None, None)[:3]
    elif columns.is_stream(x):
        x = HubBatches(x, batch_size or 32)
    elif _gives_samples(x):
        x = DataLoader(x, batch_size or 32, shuffle=bool(shuffle) and hasattr(x, "__getitem__"), seed=seed)
    given = {"y": y, "sample_weight": sample_weight}
    names = {part: name for part, name in given.items() if isinstance(name, str)}
    if not names:
        return x, y, sample_weight
    if is_array_data(x):
        x, taken = columns.named(x, names, where)
        given.update(taken)
        return x, given["y"], given["sample_weight"]

    def split(batch: Any) -> tuple:
        rest, taken = columns.named(batch, names, f"{where}: batch")
        return rest, taken.get("y"), taken.get("sample_weight")

    y, sample_weight = (None if part in names else value for part, value in given.items())
    return mapped(x, split), y, sample_weight


def _gives_samples(x: Any) -> bool:
    """Return whether `x` is a data set as PyTorch has them: of single samples."""
    return isinstance(x, (Subset, ConcatDataset, ArrayDataset)) or any(
        base.__module__ == "torch.utils.data.dataset" for base in type(x).__mro__
    )


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
    x, y, sample_weight = opened(x, y, sample_weight, batch_size, shuffle, seed, where)
    if is_array_data(x):
        return ArraySource(x, y, sample_weight, batch_size, shuffle, class_weight, seed, where)
    if hasattr(x, "__iter__") or hasattr(x, "__getitem__"):
        if y is not None or sample_weight is not None:
            raise errors.InvalidArgument(
                "an iterable of batches brings its own targets.", where=where, expected="y=None, sample_weight=None",
                hint='let it yield (x, y) or (x, y, sample_weight); or dicts, and y="..." names the entry',
            )  # fmt: skip
        return IterableSource(x if hasattr(x, "__iter__") else Indexed(x), steps, class_weight, where)
    raise errors.InvalidType(
        "these data are not understood.", where=f"{where}: x", got=type(x).__name__,
        expected="an array, a nest of arrays, or an iterable that yields batches",
        hint="the parentheses are missing: call the generator function" if inspect.isgeneratorfunction(x) else
        "turn it into arrays first: numpy.asarray(x)",
    )  # fmt: skip


def split_validation(data: tuple, fraction: float) -> tuple[tuple, tuple]:
    """Return (x, y, sample_weight) for training and the last `fraction` of the rows for validation."""
    if not 0 < fraction < 1:
        raise errors.InvalidArgument(
            "`validation_split` is a fraction.", where="fit", expected="between 0 and 1", got=fraction,
            hint="validation_split=0.2 keeps the last 20 % of the rows",
        )
    x, *_ = data = opened(*data)
    if not is_array_data(x):
        raise errors.InvalidArgument(
            "`validation_split` needs arrays.", where="fit", got=type(x).__name__, hint="give validation_data instead"
        )
    arrays = tuple(arrays_of(part, f"fit: {name}") for part, name in zip(data, ("x", "y", "sample_weight")))
    rows = count_rows(arrays, "fit")
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
