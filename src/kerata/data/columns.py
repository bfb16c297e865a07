"""Tables of pandas, polars, Arrow and Hugging Face: their columns as arrays, known by their methods alone.

Empty cells among numbers are NaN. `arrays.joined` makes one array of a table.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kerata import errors
from kerata.data.rows import Rows, narrowed

__all__ = ["Table", "column", "is_column", "is_stream", "is_table", "named", "parts"]


class Table:
    """Some columns of a table, with their names."""

    def __init__(self, pairs: list[tuple[Any, Any]]) -> None:
        self.pairs = pairs


def _is_hub(x: Any) -> bool:
    return hasattr(x, "with_format") and hasattr(x, "num_rows") and hasattr(x, "features")


def is_stream(x: Any) -> bool:
    """Return whether `x` is a Hugging Face data set that is read from front to back."""
    return hasattr(x, "with_format") and hasattr(x, "features") and hasattr(x, "iter") and not hasattr(x, "num_rows")


def is_table(x: Any) -> bool:
    """Return whether `x` is a table of columns with names."""
    frame = hasattr(x, "iloc") and hasattr(x, "columns") or hasattr(x, "get_columns") or hasattr(x, "collect_schema")
    arrow = hasattr(x, "num_rows") and hasattr(x, "column") and hasattr(x, "schema")
    return isinstance(x, Table) or not isinstance(x, type) and (frame or arrow or _is_hub(x))


def is_column(x: Any) -> bool:
    """Return whether `x` is one column of a table."""
    return hasattr(x, "to_numpy") and not is_table(x) or hasattr(x, "column_name") and hasattr(x, "source")


def parts(table: Any) -> list[tuple[Any, Any]]:
    """Return the names of the columns, and the columns."""
    if isinstance(table, Table):
        return table.pairs
    if _is_hub(table):
        return [(name, _HubColumn(table, name)) for name in table.column_names]
    if hasattr(table, "iloc"):  # pandas, where names may repeat
        return [(name, table.iloc[:, i]) for i, name in enumerate(table.columns)]
    if hasattr(table, "collect_schema") and hasattr(table, "collect"):  # polars, lazy
        table = table.collect()
    if hasattr(table, "get_columns"):
        return [(c.name, c) for c in table.get_columns()]
    return [(name, table.column(i)) for i, name in enumerate(table.schema.names)]


class _HubColumn:
    """A column of a Hugging Face data set."""

    def __init__(self, source: Any, column_name: str) -> None:
        self.source, self.column_name = source, column_name


def column(x: Any, where: str = "data") -> Any:
    """Return one column as an array: of numbers (empty cells as NaN), of text, or of objects."""
    if hasattr(x, "column_name"):
        return _hub_array(x.source, x.column_name, where) if _is_hub(x.source) else np.array(x[:])
    if hasattr(x, "type") and not hasattr(x, "iloc"):  # Arrow copies only where it is allowed to
        try:
            return np.asarray(x.to_numpy(zero_copy_only=False))
        except TypeError:
            pass
    return np.asarray(x.to_numpy())


def _hub_array(table: Any, name: str, where: str) -> Any:
    """Return a column in memory; pictures, and what the user's own transform makes, row by row."""
    transformed = table.format["type"] == "custom"
    ready = table if transformed else table.with_format("numpy", columns=[name])
    if not len(table) or not transformed and not hasattr(table.features[name], "decode_example"):
        return np.asarray(ready[:][name] if len(table) else [])

    def read(rows: Any) -> np.ndarray:
        found = [np.asarray(cell) for cell in ready[rows if isinstance(rows, slice) else rows.tolist()][name]]
        shapes = {cell.shape for cell in found}
        if len(shapes) > 1:
            raise errors.ShapeMismatch(
                "the rows are of unequal shapes.", where=where, got=", ".join(map(str, sorted(shapes)[:4])),
                expected="one shape", hint="resize pictures with data.map or data.with_transform",
            )  # fmt: skip
        return np.stack(found)

    first = read(slice(0, 1))
    return Rows(read, (len(table), *first.shape[1:]), narrowed(first.dtype))


def named(x: Any, names: dict[str, str], where: str) -> tuple[Any, dict[str, Any]]:
    """Take the columns `names` (such as `{"y": "label"}`) out of a table or a dict: returns what is left, and them."""
    pairs = list(x.items()) if isinstance(x, dict) else parts(x) if is_table(x) else None
    if pairs is None:
        raise errors.InvalidType(
            "a column is named, and the data are no table.", where=where, got=type(x).__name__,
            expected="a table, a dict of columns, or batches that are dicts",
        )  # fmt: skip
    found = dict(pairs)
    for part, name in names.items():
        if name not in found:
            raise errors.UnknownName("column", name, map(str, found), where=f"{where}: {part}")
    taken = {part: found[name] for part, name in names.items()}
    rest = [pair for pair in pairs if pair[0] not in names.values()]
    if isinstance(x, dict):
        return (rest[0][1] if len(rest) == 1 else dict(rest)), taken
    return Table(rest), taken
