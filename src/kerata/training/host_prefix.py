"""The part of a model that runs on the host, in front of the compiled step: layers for text.

No engine computes with text, so a graph that starts with it is cut in two. The *host prefix* is every layer with
`runs_on_host` that the model's inputs reach through nothing but such layers. `fit`, `evaluate` and `predict` compute
it with NumPy (all rows at once where each row's result is of one shape, and else batch by batch), and the step gets
what it gave, in a dictionary that the model knows: `prefix.resume` runs the rest of the graph from there. A model
inside a model is cut in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from kerata import engine, errors, tree
from kerata.core.symbolic import KerasTensor
from kerata.data import sources
from kerata.data.arrays import arrays_of, as_array, count_rows, is_array_data
from kerata.data.batches import mapped
from kerata.data.rows import Rows
from kerata.data.sources import ArraySource, IterableSource, Source
from kerata.training import inputs

__all__ = ["HostPrefix", "computed", "make_source", "of", "run", "split_validation"]

LARGEST = 2 << 30
"""Results up to so many bytes are computed at once, before the first step; larger ones batch by batch."""

PART = 4096
"""Rows that are computed together."""


class HostPrefix:
    """The cut through a model's graph.

    Args:
        model: a Sequential or functional model.
    """

    def __init__(self, model: Any) -> None:
        self._model, self._graph = model, model._graph
        known = {id(t) for t in self._graph.inputs}
        self._host: list[Any] = []
        self._nested: list[Any] = []
        for node in self._graph.nodes:
            if not node.inputs or not all(id(t) in known for t in node.inputs):
                continue
            if getattr(node.operation, "runs_on_host", False):
                self._host.append(node)
                known |= {id(t) for t in node.outputs}
            elif of(node.operation) is not None:
                self._nested.append(node)
        done = {id(node) for node in (*self._host, *self._nested)}
        self._rest = [node for node in self._graph.nodes if id(node) not in {id(n) for n in self._host}]
        used = [t for node in self._rest if id(node) not in done for t in node.inputs] + self._graph.outputs
        self._cut: list[KerasTensor] = list({id(t): t for t in used if id(t) in known}.values())
        self._keys = [f"host_prefix_{i}" for i in range(len(self._cut) + len(self._nested))]

    def __bool__(self) -> bool:
        return bool(self._host or self._nested)

    def arrays(self, x: Any, where: str) -> Any:
        """Return data for the model's inputs as arrays in a list, text included."""
        x, _ = inputs.fitted(self._model, x, None)
        if isinstance(x, (list, tuple)) and len(x) == len(self._graph.inputs) > 1:  # plain lists, one for each input
            return self._graph.match([arrays_of(part, where, as_array) for part in x])
        return self._graph.match(arrays_of(x, where, as_array))

    def __call__(self, arrays: list[Any]) -> dict[str, Any]:
        """Compute the prefix for `arrays`, one for each input of the model."""
        values: dict[int, Any] = {id(t): x for t, x in zip(self._graph.inputs, arrays)}
        fitted: dict[int, Any] = {}

        def fill(x: Any) -> Any:
            if not isinstance(x, KerasTensor):
                return x
            if id(x) not in fitted:
                fitted[id(x)] = self._model._fit_input(x, values[id(x)]) if id(x) in inputs else values[id(x)]
            return fitted[id(x)]

        inputs = set(values)
        for node in self._host:
            args, kwargs = tree.map_structure(fill, (node.args, node.kwargs))
            for symbol, value in zip(node.outputs, tree.flatten(node.operation(*args, **kwargs))):
                values[id(symbol)] = _as(value, symbol.dtype)
        results = [values[id(t)] for t in self._cut]
        for node in self._nested:
            inner: Any = of(node.operation)
            results.append(inner(inner.arrays(tree.map_structure(fill, node.args[0]), node.operation.name)))
        return dict(zip(self._keys, results))

    def has_run(self, given: Any) -> bool:
        """Return whether `given` is what the prefix gave."""
        return isinstance(given, dict) and list(given) and set(given) == set(self._keys)  # type: ignore[return-value]

    def resume(self, results: dict[str, Any]) -> Any:
        """Run the rest of the graph on what the prefix gave."""
        inputs = {id(t) for t in self._graph.inputs}
        values: dict[int, Any] = {}
        for key, t in zip(self._keys, self._cut):
            values[id(t)] = self._model._fit_input(t, results[key]) if id(t) in inputs else results[key]
        inner = {id(node): results[key] for key, node in zip(self._keys[len(self._cut) :], self._nested)}

        def fill(x: Any) -> Any:
            return values[id(x)] if isinstance(x, KerasTensor) else x

        for node in self._rest:
            given = inner.get(id(node))
            first, rest = (node.args[:1], node.args[1:]) if given is None else ((given,), node.args[1:])
            args, kwargs = tree.map_structure(fill, (rest, node.kwargs))
            first = tuple(tree.map_structure(fill, x) if given is None else x for x in first)
            for symbol, value in zip(node.outputs, tree.flatten(node.operation(*first, *args, **kwargs))):
                values[id(symbol)] = value
        return tree.map_structure(fill, self._graph._outputs_struct)

    def row_bytes(self) -> float:
        """Return how many bytes the result for one row takes; infinity where rows differ in shape."""
        made = [t for t in self._cut if all(t is not x for x in self._graph.inputs)]
        sizes = [
            math.inf if None in t.shape[1:] or not t.shape else 8 * math.prod(d or 0 for d in t.shape[1:]) for t in made
        ]
        return sum(sizes) + sum(of(node.operation).row_bytes() for node in self._nested)  # type: ignore[union-attr]

    def refuse_text(self, where: str) -> None:
        """Raise where text would have to enter the compiled step."""
        for t in self._cut:
            if t.dtype == "string":
                raise errors.Unsupported(
                    "text goes where only numbers can: into a layer that is compiled, or out of the model.",
                    where=f"{where}: model {self._model.name!r}", got=f"{t!r}",
                    hint="StringLookup, TextVectorization and Hashing make numbers of it; an inverted StringLookup is "
                    "called on what `predict` returns",
                )  # fmt: skip


def of(model: Any) -> HostPrefix | None:
    """Return the host prefix of a model, or None."""
    graph = getattr(model, "_graph", None)
    if graph is None or not any(
        getattr(op, "runs_on_host", False) or (hasattr(op, "_graph") and of(op)) for op in graph.operations
    ):
        return None
    return HostPrefix(model) or None


def run(model: Any, inputs: Any) -> Any:
    """Return the outputs of a model with a host prefix; None for a model without, and inside a compiled function."""
    prefix = of(model)
    if prefix is None:
        return None
    if not prefix.has_run(inputs):
        if any(engine.arrays.is_traced(x) for x in tree.flatten(inputs)):
            return None
        inputs = prefix(prefix.arrays(inputs, "call"))
    return prefix.resume(inputs)


def computed(model: Any, x: Any, y: Any, sample_weight: Any, where: str) -> tuple[Any, Any, Any]:
    """Return one batch as the compiled step takes it."""
    x, y, sample_weight = sources.opened(x, y, sample_weight, where=where)
    x, y = inputs.fitted(model, x, y)
    prefix = _ready(model, x, where)
    if prefix is not None:
        prefix.refuse_text(where)
        x = prefix(prefix.arrays(x, where))
    return x, y, sample_weight


def make_source(
    model: Any, x: Any, y: Any = None, sample_weight: Any = None, batch_size: int | None = None,
    steps: int | None = None, shuffle: bool | str = False, class_weight: dict[int, float] | None = None, seed: int = 0,
    where: str = "fit",
) -> Source:  # fmt: skip
    """Return the source of batches for `model`: of `x`, or of what its host prefix makes of `x`."""
    if isinstance(x, Source):
        return x
    x, y, sample_weight = sources.opened(x, y, sample_weight, batch_size, shuffle, seed, where)
    x, y = inputs.fitted(model, x, y)
    prefix = _ready(model, x, where)
    if prefix is None:
        return sources.make_source(x, y, sample_weight, batch_size, steps, shuffle, class_weight, seed, where)
    prefix.refuse_text(where)
    if not is_array_data(x):

        def through(batch: Any) -> tuple:
            first, *rest = sources.batch_parts(batch)
            return prefix(prefix.arrays(first, where)), *rest

        x = mapped(x, through)
        return sources.make_source(x, y, sample_weight, batch_size, steps, shuffle, class_weight, seed, where)
    arrays = prefix.arrays(x, where)
    rows = count_rows((arrays,), where)
    if prefix.row_bytes() * rows <= LARGEST:
        parts = [prefix([_rows(a, slice(i, i + PART)) for a in arrays]) for i in range(0, rows, PART)]
        x = tree.map_structure(lambda *p: p[0] if p[0] is None or len(p) == 1 else np.concatenate(p), *parts)
        return sources.make_source(x, y, sample_weight, batch_size, steps, shuffle, class_weight, seed, where)
    numbered = ArraySource(np.arange(rows), y, sample_weight, batch_size, shuffle, class_weight, seed, where)
    return IterableSource(_Batches(prefix, arrays, numbered), steps, where=where)


def split_validation(model: Any, data: tuple, fraction: float) -> tuple[tuple, tuple]:
    """Return what `sources.split_validation` does, for text too."""
    x, y, weight = sources.opened(*data)
    x, *rest = data = (*inputs.fitted(model, x, y), weight)
    prefix = _ready(model, x, "fit")
    if prefix is None or not is_array_data(x):
        return sources.split_validation(data, fraction)
    arrays = prefix.arrays(x, "fit")
    rows = np.arange(count_rows((arrays,), "fit"))
    parts = sources.split_validation((rows, *rest), fraction)
    first, second = (([_rows(a, chosen) for a in arrays], *others) for chosen, *others in parts)
    return first, second


def _ready(model: Any, x: Any, where: str) -> HostPrefix | None:
    """Return the prefix of a model, which is built first where it starts with a layer for text."""
    layers = getattr(model, "_layers", None)
    if not getattr(model, "built", True) and layers and getattr(layers[0], "runs_on_host", False):
        if not is_array_data(x):
            raise errors.NotBuilt(
                "the shape of the text is not known.", where=where, hint='start with kerata.Input((1,), dtype="string")'
            )
        model.build((None, *as_array(x, where).shape[1:]))
    return of(model)


class _Batches:
    """Batches of arrays in the order that `numbered` draws, run through the prefix."""

    def __init__(self, prefix: HostPrefix, arrays: list[Any], numbered: ArraySource) -> None:
        self._prefix, self._arrays, self._numbered = prefix, arrays, numbered

    def __len__(self) -> int:
        return self._numbered.steps or 0

    def __iter__(self) -> Iterator[Any]:
        source = self._numbered
        order = source.order()
        order = np.arange(source.rows) if order is None else order
        for start in range(0, source.rows, source.batch_size):
            chosen = order[start : start + source.batch_size]
            rest = tree.map_structure(lambda a: _rows(a, chosen), source.batch[1:])  # noqa: B023  (used at once)
            yield (self._prefix([_rows(a, chosen) for a in self._arrays]), *rest)


def _rows(array: Any, chosen: Any) -> Any:
    return None if array is None else np.asarray(array[chosen]) if isinstance(array, Rows) else array[chosen]


def _as(value: Any, dtype: str) -> np.ndarray:
    if dtype == "string":
        return np.asarray(value)
    import ml_dtypes

    array = np.asarray(engine.arrays.to_numpy(value) if engine.arrays.is_array(value) else value)
    return array.astype(np.dtype(getattr(ml_dtypes, dtype, dtype)))


