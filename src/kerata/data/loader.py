"""`DataLoader`: batches of samples, made by workers where asked, for one's own loop and for `fit`."""

from __future__ import annotations

import functools
import itertools
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from kerata import errors, tree
from kerata.core.rng import make_seed
from kerata.data.arrays import on_host
from kerata.data.parallel import Workers
from kerata.data.rows import narrowed

__all__ = ["DataLoader", "WorkerInfo", "batch_random", "collate", "get_worker_info"]


def collate(samples: list[Any]) -> Any:
    """Stack samples of the same structure into a batch; double precision becomes the default float dtype.

    Example:
        >>> x, label = kerata.data.collate([(numpy.zeros(3), "cat"), (numpy.ones(3), "dog")])
        >>> x.shape, label.tolist()
        ((2, 3), ['cat', 'dog'])
    """

    def stack(*leaves: Any) -> Any:
        if leaves[0] is None:
            return None
        if isinstance(leaves[0], (str, bytes)):
            return np.array(leaves, dtype=object)
        arrays = [on_host(leaf) for leaf in leaves]
        shapes = {a.shape for a in arrays}
        if len(shapes) > 1:
            raise errors.ShapeMismatch(
                "the samples of a batch are of unequal shapes.", where="collate", got=sorted(shapes)[:4],
                expected="one shape", hint="bring them to one shape, or give DataLoader a collate_fn that pads them",
            )  # fmt: skip
        batch = np.stack(arrays)
        return batch.astype(narrowed(batch.dtype), copy=False)

    return tree.map_structure(stack, *samples)


class WorkerInfo:
    """Who is asking: the number of the worker, how many there are, and the data set that it reads.

    Args:
        id: from 0 to `num_workers - 1`.
        seed: differs for each worker and each reading of the data.
    """

    def __init__(self, id: int, num_workers: int, seed: int, dataset: Any) -> None:
        self.id, self.num_workers, self.seed, self.dataset = id, num_workers, seed, dataset

    def __repr__(self) -> str:
        return f"WorkerInfo(id={self.id}, num_workers={self.num_workers}, seed={self.seed})"


class _Here(threading.local):
    """What holds in this thread."""

    worker: WorkerInfo | None = None
    asked = False
    batch: tuple[int, ...] | None = None


_here = _Here()


def get_worker_info() -> WorkerInfo | None:
    """Return what the worker of a `DataLoader` that runs this code is; None outside of one.

    An iterable data set that asks gives each worker its own part of the data.

    Example:
        >>> class Numbers:
        ...     def __iter__(self):
        ...         info = kerata.data.get_worker_info()
        ...         return iter(range(10)) if info is None else iter(range(info.id, 10, info.num_workers))
        >>> loader = kerata.data.DataLoader(Numbers(), batch_size=2, num_workers=2)
        >>> [batch.tolist() for batch in loader]
        [[0, 2], [1, 3], [4, 6], [5, 7], [8], [9]]
    """
    _here.asked = True
    return _here.worker


def batch_random() -> np.random.Generator:
    """Return a generator for the batch that is being made: it draws the same whichever worker makes the batch.

    Example:
        >>> class Noisy:
        ...     def __len__(self):
        ...         return 8
        ...     def __getitem__(self, i):
        ...         return i + kerata.data.batch_random().normal()
        >>> one, two = (kerata.data.DataLoader(Noisy(), 4, seed=3, num_workers=n) for n in (0, 2))
        >>> all((a == b).all() for a, b in zip(one, two))
        True
    """
    if _here.batch is None:
        return np.random.default_rng(make_seed())
    if not hasattr(_here, "random"):
        _here.random = np.random.default_rng(_here.batch)
    return _here.random


def _begin_batch(*key: int) -> None:
    _here.batch = key
    vars(_here).pop("random", None)


class DataLoader:
    """Batches of samples: of a data set with `__len__` and `__getitem__`, or of an iterable of samples.

    The batches and their order are the same whatever the number of workers. Each reading is another epoch, with an
    order of its own.

    Args:
        dataset: has `__len__` and `__getitem__` (and, for speed, `rows(indices)`), or is an iterable of samples.
        batch_size: samples in a batch; None where the data set gives whole batches.
        shuffle: a new order for each reading, from `seed`.
        sampler: gives the numbers of the samples, in place of `shuffle`.
        batch_sampler: gives lists of numbers, one for each batch, in place of all the above.
        num_workers: how many threads (or processes) make batches ahead; 0 for none. Of an iterable, each worker reads
            all and keeps what is its turn, unless the data set asks `get_worker_info` and reads its own part alone.
        collate_fn: makes a batch of a list of samples.
        pin_memory: taken for PyTorch's sake, and without effect.
        drop_last: leave out a last batch that is not full.
        timeout: seconds to wait for a batch of a worker; 0 for as long as it takes.
        worker_init_fn: called in each worker with its number.
        multiprocessing_context: "fork", "spawn" or "forkserver": processes, started in this way.
        generator: a source of the seed: of PyTorch or NumPy.
        prefetch_factor: how many batches each worker makes ahead.
        persistent_workers: keep the workers for the next reading.
        use_multiprocessing: processes instead of threads. Each has a copy of the data set, taken when it starts, and
            should compute with NumPy alone; Python's and NumPy's own generators are seeded there for each batch.
        seed: draws the orders; None for a fresh one.

    Example:
        >>> data = kerata.data.ArrayDataset(numpy.zeros((100, 3)), numpy.arange(100))
        >>> [len(y) for x, y in kerata.data.DataLoader(data, batch_size=32, shuffle=True)]
        [32, 32, 32, 4]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        use_multiprocessing: bool = False,
        seed: int | None = None,
    ) -> None:
        self._mapped = hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
        _check(locals(), self._mapped)
        self.dataset, self.batch_size, self.shuffle, self.drop_last = dataset, batch_size, bool(shuffle), drop_last
        self.sampler, self.batch_sampler, self.num_workers = sampler, batch_sampler, num_workers
        self.collate_fn, self.timeout, self.worker_init_fn = collate_fn or collate, timeout, worker_init_fn
        self.prefetch_factor, self.persistent_workers = prefetch_factor or 2, persistent_workers
        self.multiprocessing_context = multiprocessing_context
        self.use_multiprocessing = use_multiprocessing or multiprocessing_context is not None
        self._default_collate = collate_fn is None
        if seed is None and generator is not None:
            is_torch = hasattr(generator, "initial_seed")
            seed = int(generator.initial_seed() if is_torch else generator.integers(2**31))
        self.seed = make_seed() if seed is None else seed
        self._epoch = self._read = 0
        self._workers: Workers | None = None

    def __len__(self) -> int:
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]
        if not self._mapped:
            raise errors.InvalidType("an iterable has no known length.", where="DataLoader")
        samples = len(self.dataset if self.sampler is None else self.sampler)  # type: ignore[arg-type]
        whole = samples / (self.batch_size or 1)
        return math.floor(whole) if self.drop_last else math.ceil(whole)

    def __iter__(self) -> Iterator[Any]:
        return _Reading(self._batches())

    def state_dict(self) -> dict[str, int]:
        """Return where the reading stands, to go on from there another time.

        It counts the batches that were given out: of a loader inside `fit`, also the few that are waiting their turn.

        Example:
            >>> loader = kerata.data.DataLoader(range(6), batch_size=2, shuffle=True, seed=1)
            >>> batches = iter(loader)
            >>> first, state = next(batches), loader.state_dict()
            >>> later = kerata.data.DataLoader(range(6), batch_size=2, shuffle=True)
            >>> later.load_state_dict(state)
            >>> [b.tolist() for b in later] == [b.tolist() for b in batches]
            True
        """
        return {"seed": self.seed, "epoch": self._epoch, "batches": self._read}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next reading go on where `state_dict` was asked for."""
        self.seed, self._epoch, self._read = (int(state[name]) for name in ("seed", "epoch", "batches"))
        self._resumed = True

    _resumed = False

    def _batches(self) -> Iterator[Any]:
        if self._read and not self._resumed:  # the last reading was broken off
            self._epoch, self._read = self._epoch + 1, 0
        self._resumed = False
        epoch, skipped = self._epoch, self._read
        for number, batch in enumerate(self._made(epoch, skipped), skipped + 1):
            self._read = number
            yield batch
        self._epoch, self._read = epoch + 1, 0

    def _made(self, epoch: int, skipped: int) -> Iterator[Any]:
        """Yield the batches of an epoch from number `skipped` on."""
        numbered: Any = enumerate(self._numbers(epoch)) if self._mapped else ((i, None) for i in itertools.count())
        tasks = ((epoch, number, chosen) for number, chosen in itertools.islice(numbered, skipped, None))
        if not self.num_workers:
            make = _Maker(self, 0, 1)
            results: Iterator[Any] = map(make, tasks)
        else:
            if self._workers is None:
                start = functools.partial(_in_worker, self)
                self._workers = Workers(
                    start, self.num_workers, self.use_multiprocessing, self.multiprocessing_context, self.timeout
                )
            results = self._workers.results(tasks, self.num_workers * self.prefetch_factor, skipped)
        ended: set[int] = set()
        try:
            for number, batch in enumerate(results, skipped):
                if not isinstance(batch, _End):
                    yield batch
                    continue
                ended.add(number % max(self.num_workers, 1))
                if len(ended) == max(self.num_workers, 1):
                    return
        finally:
            if self._workers is not None:
                results.close()  # type: ignore[attr-defined]
                if not self.persistent_workers:
                    self._workers.close()
                    self._workers = None

    def _numbers(self, epoch: int) -> Iterator[Any]:
        """Yield the numbers of the samples of each batch."""
        if self.batch_sampler is not None:
            yield from self.batch_sampler
            return
        if self.sampler is not None:
            order: Any = iter(self.sampler)
        elif self.shuffle:
            order = iter(np.random.default_rng([self.seed, epoch]).permutation(len(self.dataset)).tolist())
        else:
            order = iter(range(len(self.dataset)))
        if self.batch_size is None:
            yield from order
            return
        while chosen := list(itertools.islice(order, self.batch_size)):
            if self.drop_last and len(chosen) < self.batch_size:
                return
            yield chosen

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_workers": None}

    def __del__(self) -> None:
        if getattr(self, "_workers", None) is not None:
            self._workers.close()  # type: ignore[union-attr]


class _End:
    """Given in place of a batch: this worker has no more."""


class _Reading:
    """One reading of a loader; exceptions leave it without kerata's own frames."""

    def __init__(self, batches: Iterator[Any]) -> None:
        self._batches = batches

    def __iter__(self) -> _Reading:
        return self

    @errors.user_facing
    def __next__(self) -> Any:
        return next(self._batches)

    def close(self) -> None:
        """End the workers."""
        self._batches.close()  # type: ignore[attr-defined]


class _Maker:
    """Makes batches `(epoch, number, numbers of the samples)`: in a worker, or where there is none, for all."""

    def __init__(self, loader: DataLoader, worker: int, workers: int) -> None:
        self._loader, self._worker, self._workers = loader, worker, workers
        self._at_once = loader._default_collate and hasattr(loader.dataset, "rows")
        self._epoch: int | None = None

    def __call__(self, task: tuple[int, int, Any]) -> Any:
        epoch, number, chosen = task
        loader = self._loader
        _begin_batch(loader.seed, epoch, number)
        if not loader._mapped:
            return self._next(epoch, number)
        if loader.batch_size is None and loader.batch_sampler is None:
            return loader.dataset[chosen]
        if self._at_once:
            return loader.dataset.rows(np.asarray(chosen))
        return loader.collate_fn([loader.dataset[i] for i in chosen])

    def _next(self, epoch: int, number: int) -> Any:
        """Return batch `number` of an iterable; of the worker's own part, where the data set asked for that."""
        loader = self._loader
        if epoch != self._epoch:
            self._epoch, self._at = epoch, 0
            if _here.worker is not None:
                _here.worker.seed = hash((loader.seed, epoch, self._worker)) % 2**31
            _here.asked = False
            samples = iter(loader.dataset)
            first = list(itertools.islice(samples, 1))  # a generator asks only when it is begun
            self._samples = itertools.chain(first, samples)
            self._own = _here.asked and self._workers > 1
        wanted, size = number // self._workers if self._own else number, loader.batch_size or 1
        before = (wanted - self._at) * size
        next(itertools.islice(self._samples, before, before), None)
        self._at = wanted + 1
        found = list(itertools.islice(self._samples, size))
        if not found or loader.drop_last and len(found) < size:
            return _End()
        return loader.collate_fn(found) if loader.batch_size is not None else found[0]


def _in_worker(loader: DataLoader, worker: int) -> Callable[[Any], Any]:
    """Begin in a worker."""
    _here.worker = WorkerInfo(worker, loader.num_workers, hash((loader.seed, worker)) % 2**31, loader.dataset)
    if loader.worker_init_fn is not None:
        loader.worker_init_fn(worker)
    make = _Maker(loader, worker, loader.num_workers)
    return functools.partial(_seeded, make) if loader.use_multiprocessing else make


def _seeded(make: _Maker, task: tuple[int, int, Any]) -> Any:
    """Make a batch in a process, where the generators of Python and NumPy are ours alone."""
    import random

    seed = int(np.random.SeedSequence([make._loader.seed, *task[:2]]).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    return make(task)


def _check(given: dict[str, Any], mapped: bool) -> None:
    """Raise where the arguments of a DataLoader do not go together."""
    dataset, size, workers = given["dataset"], given["batch_size"], given["num_workers"]
    if not mapped and not isinstance(dataset, Iterable):
        raise errors.InvalidType(
            "this is no data set.", where="DataLoader", expected="__len__ and __getitem__, or an iterable",
            got=type(dataset).__name__,
        )  # fmt: skip
    if size is not None and size < 1:
        raise errors.InvalidArgument("a batch holds at least one sample.", where="DataLoader: batch_size", got=size)
    if workers < 0:
        raise errors.InvalidArgument("at least 0.", where="DataLoader: num_workers", got=workers)
    if not mapped:
        if given["shuffle"] or given["sampler"] is not None or given["batch_sampler"] is not None:
            raise errors.InvalidArgument(
                "an iterable cannot be shuffled.", where="DataLoader: shuffle", hint="give a data set with __getitem__"
            )
        if workers > 1 and iter(dataset) is dataset:
            raise errors.InvalidArgument(
                "an iterator can be read by one worker alone.", where="DataLoader: num_workers", got=workers,
                hint="give an object whose __iter__ begins anew, or num_workers=1",
            )  # fmt: skip
    if given["sampler"] is not None and given["shuffle"]:
        raise errors.InvalidArgument("a sampler and `shuffle` exclude each other.", where="DataLoader: sampler")
    if given["batch_sampler"] is not None and (
        size != 1 or given["shuffle"] or given["sampler"] is not None or given["drop_last"]
    ):
        raise errors.InvalidArgument(
            "a batch_sampler excludes batch_size, shuffle, sampler and drop_last.", where="DataLoader: batch_sampler"
        )
