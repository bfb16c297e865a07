"""Data as the inputs of a model: columns by the names of the inputs, rows that people hold in a list."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerata import errors, tree
from kerata.data import columns
from kerata.data.arrays import on_host

__all__ = ["fitted"]


def fitted(model: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Return `x` and `y` in the structure of the inputs and outputs of `model`, where it has a graph.

    A table becomes a dict of the columns that the inputs are named after, if there are such columns. A list with an
    array for each row is one array for a model with one input (or output).
    """
    graph = getattr(model, "_graph", None)
    if graph is None:
        return x, y
    return _columns(model, graph, _stacked(x, graph.inputs)), _stacked(y, graph.outputs)


def _columns(model: Any, graph: Any, x: Any) -> Any:
    if not columns.is_table(x):
        return x
    struct = graph._inputs_struct
    names = list(struct) if isinstance(struct, dict) else graph.input_names
    found = dict(columns.parts(x))
    missing = [name for name in names if name not in found]
    if not missing:
        return {name: found[name] for name in names}
    if len(names) > 1:
        raise errors.InvalidArgument(
            "the table lacks columns that the inputs of the model are named after.", where=f"model {model.name!r}",
            expected=f"columns {names}", got=f"columns {list(found)}",
        )  # fmt: skip
    return x


def _stacked(x: Any, tensors: list[Any]) -> Any:
    if not isinstance(x, list) or len(x) < 2 or len(tensors) != 1 or any(tree.is_nested(row) for row in x):
        return x
    shapes = {getattr(row, "shape", None) for row in x}
    (shape,) = shapes if len(shapes) == 1 else (None,)
    if not shape or len(shape) != len(tensors[0].shape) - 1:
        return x
    return np.stack([on_host(row) for row in x])
