"""Arrays: what people hold data in, as arrays that an engine takes.

Other libraries are known by what their objects can do, and never imported. What lies on disk or is sparse stays there,
as `Rows`.
"""

from __future__ import annotations

import array as python_array
import decimal
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kerata import engine, errors, tree
from kerata.data import columns
from kerata.data.rows import Rows, float_dtype, narrowed

__all__ = ["arrays_of", "as_array", "count_rows", "is_array_data", "joined", "on_host", "standardize"]

_TENSOR_WAYS = ("shape", "to_numpy", "__array__", "__array_interface__", "tocsr")


def on_host(x: Any) -> np.ndarray:
    """Return a tensor or table of another library, or plain numbers, as a NumPy array."""
    if hasattr(x, "detach"):  # PyTorch
        x = x.detach().cpu()
        x = x.to_dense() if str(x.layout) != "torch.strided" else x
        return (x.float() if str(x.dtype) == "torch.bfloat16" else x).numpy()  # which NumPy does not know
    if columns.is_table(x):
        return np.asarray(joined(x, "data"))
    if columns.is_column(x):
        return np.asarray(columns.column(x))
    if hasattr(x, "tocsr"):  # SciPy
        return x.toarray()
    if hasattr(x, "dense_shape") and hasattr(x, "indices"):  # TensorFlow
        dense = np.zeros(tuple(int(size) for size in x.dense_shape), np.asarray(x.values).dtype)
        dense[tuple(np.asarray(x.indices).T)] = np.asarray(x.values)
        return dense
    if hasattr(x, "todense"):  # JAX
        return np.asarray(x.todense())
    return np.asarray(x)


def as_array(x: Any, where: str) -> Any:
    """Return one leaf of the data as an array (of the engine, of NumPy, or `Rows`): of numbers or of text."""
    if isinstance(x, Rows):
        return x
    if type(x) is np.ndarray:
        return _checked(x, where)
    if isinstance(x, np.memmap) or hasattr(x, "chunks") and hasattr(x, "shape"):  # h5py, zarr
        return Rows(x.__getitem__, x.shape, narrowed(x.dtype)) if len(x.shape) else np.asarray(x[()])
    if hasattr(x, "tocsr") and len(x.shape) == 2:
        by_row = x.tocsr()
        return Rows(lambda rows: by_row[rows].toarray(), x.shape, narrowed(x.dtype))
    if hasattr(x, "row_splits") and hasattr(x, "to_tensor"):
        raise errors.ShapeMismatch(
            "the rows are of unequal lengths.", where=where, got=type(x).__name__, hint="x.to_tensor() fills them up"
        )
    if engine.arrays.is_array(x) and not isinstance(x, np.ndarray):
        if hasattr(x, "detach") and str(x.layout) != "torch.strided":
            x = x.to_dense()
        return engine.arrays.cast(x, float_dtype()) if str(x.dtype).endswith("float64") else x
    if columns.is_table(x):
        return joined(x, where)
    if columns.is_column(x):
        return _checked(columns.column(x, where), where)
    if isinstance(x, np.ndarray):
        return _checked(x, where)
    if isinstance(x, (list, tuple)) and any(isinstance(i, (str, bytes)) for i in tree.flatten(x)):
        return _checked(np.array(x, dtype=object), where)
    try:
        return _checked(on_host(x), where)
    except ValueError as error:  # rows of unequal lengths: NumPy says "inhomogeneous"
        if isinstance(error, errors.KerataError) or not isinstance(x, (list, tuple)):
            raise
        return _checked(_objects(x), where)


def joined(table: Any, where: str) -> Any:
    """Return a table as one array, a column of it for each of the table; as a dict where cells are arrays.

    Several columns of numbers meet in one dtype. Text alone makes an array of text.
    """
    pairs = columns.parts(table)
    arrays = [as_array(c, f"{where}[{name!r}]") for name, c in pairs]
    if not arrays:
        raise errors.InvalidArgument("the table has no columns.", where=where)
    if all(len(a.shape) == 1 for a in arrays):
        text = [name for (name, _), a in zip(pairs, arrays) if a.dtype.kind in "OUST"]
        if text and len(text) < len(arrays):
            raise errors.InvalidType(
                "some columns are text, and the model takes numbers.", where=where, got=f"text in {text}",
                expected="numbers in every column", hint="leave them out, or encode them; or name the inputs of the "
                'model as the columns: kerata.Input((1,), dtype="string", name=...)',
            )  # fmt: skip
        return np.stack([np.asarray(a) for a in arrays], axis=1)
    return arrays[0] if len(arrays) == 1 else {name: a for (name, _), a in zip(pairs, arrays)}


def standardize(x: Any, where: str) -> Any:
    """Return one leaf of the data as an array of numbers, floats in the dtype of the engine."""
    array = as_array(x, where)
    if isinstance(array, dict):
        return {name: standardize(part, f"{where}[{name!r}]") for name, part in array.items()}
    kind = getattr(array.dtype, "kind", "")
    if kind in ("O", "U", "S", "T"):
        raise errors.InvalidType(
            "the data are text, and the model takes numbers.", where=where, got=f"an array of dtype {array.dtype}",
            expected="numbers", hint="turn text and categories into numbers first, or start the model with "
            'kerata.Input((1,), dtype="string") and TextVectorization or StringLookup',
        )  # fmt: skip
    if kind in ("i", "u") and array.dtype.itemsize == 8 and isinstance(array, np.ndarray) and array.size:
        least, most = int(array.min()), int(array.max())
        if least < -(2**31) or most >= (2**31 if kind == "i" else 2**32):
            kept = engine.arrays.as_array(np.zeros((), array.dtype)).dtype
            if "64" not in str(kept):
                raise errors.InvalidArgument(
                    f"these whole numbers do not fit into the engine's {kept}.", where=where, expected="|x| < 2**31",
                    got=f"from {least} to {most}", hint="x.astype('float32') if they are amounts; number them anew "
                    "(numpy.unique(x, return_inverse=True)) if they are names",
                )  # fmt: skip
    return array


def _checked(array: np.ndarray, where: str) -> np.ndarray:
    """Return an array of numbers in the dtypes of the engine, or of text."""
    if array.dtype == object:
        array = _plain(array, where)
    kind, dtype = array.dtype.kind, narrowed(array.dtype)
    if kind in "Mm":
        raise errors.InvalidType(
            "dates and times are no numbers.", where=where, got=f"an array of dtype {array.dtype}", expected="numbers",
            hint="take what matters of them: the year, the weekday, the hours since a start",
        )  # fmt: skip
    return array if dtype == array.dtype else array.astype(dtype)


def _objects(cells: Any) -> np.ndarray:
    array = np.empty(len(cells), dtype=object)
    array[:] = list(cells)
    return array


def is_missing(x: Any) -> bool:
    """Return whether a cell is empty: None, NaN, or what pandas says for them."""
    return x is None or type(x).__name__ in ("NAType", "NaTType") or isinstance(x, float) and x != x


def _plain(array: np.ndarray, where: str) -> np.ndarray:
    """Return an array of objects as what its cells are: numbers, text, or arrays of one shape."""
    cells = list(array.ravel())
    kinds = {type(c) for c in cells if not is_missing(c)}
    empty = any(is_missing(c) for c in cells)
    if all(issubclass(kind, (str, bytes)) for kind in kinds):
        if empty and kinds:
            raise errors.InvalidArgument(
                "some of the text is missing.", where=where, got=f"{sum(map(is_missing, cells))} empty cells",
                hint='put a text in their place: fillna(""), fill_null("")',
            )  # fmt: skip
        return array if kinds else np.full(array.shape, np.nan, float_dtype())
    if all(issubclass(kind, (bool, int, float, np.number, np.bool_, decimal.Decimal)) for kind in kinds):
        if empty or decimal.Decimal in kinds:
            cells = [math.nan if is_missing(c) else float(c) for c in cells]
        return np.array(cells).reshape(array.shape)
    if array.ndim == 1 and not empty and not any(issubclass(kind, (str, bytes)) for kind in kinds):
        rows = [on_host(c) if not isinstance(c, (list, tuple)) else _row(c, where) for c in cells]
        shapes = {row.shape for row in rows}
        if len(shapes) > 1:
            some = ", ".join(map(str, sorted(shapes, key=repr)[:4]))
            raise errors.ShapeMismatch(
                "the rows are of unequal shapes.", where=where, got=f"{some}{', …' if len(shapes) > 4 else ''}",
                expected="one shape", hint="keras.utils.pad_sequences fills up lists of numbers; pictures are resized",
            )  # fmt: skip
        if rows[0].dtype != object or rows[0].ndim:
            stacked = np.stack(rows)
            return _plain(stacked, where) if stacked.dtype == object else stacked
    names = sorted(kind.__name__ for kind in kinds) + ["empty cells"] * empty
    raise errors.InvalidType(
        "the data are no numbers.", where=where, got=f"objects: {', '.join(names)}", expected="numbers of one kind",
        hint="turn text and categories into numbers first",
    )  # fmt: skip


def _row(cells: Any, where: str) -> np.ndarray:
    try:
        return np.asarray(cells) if not any(isinstance(c, str) for c in cells) else np.array(cells, dtype=object)
    except ValueError:
        return _plain(_objects(cells), where)


def _is_leaf_list(x: Any) -> bool:
    """Return whether a list holds numbers (or lists of them), not arrays."""
    return isinstance(x, (list, tuple)) and not any(
        isinstance(i, dict) or len(getattr(i, "shape", ())) or columns.is_column(i) or columns.is_table(i)
        for i in tree.flatten(x)
    )


def arrays_of(x: Any, where: str, leaf: Callable[[Any, str], Any] = standardize) -> Any:
    """Return a nest of data as a nest of arrays; a list of plain numbers is one array."""
    if x is None:
        return None
    if isinstance(x, dict):
        if type(x).__name__ == "DatasetDict":
            raise errors.InvalidType(
                "these are several data sets.", where=where, got=f"parts {sorted(x)}", hint='choose one: data["train"]'
            )
        return {key: arrays_of(part, f"{where}[{key!r}]", leaf) for key, part in x.items()}
    if isinstance(x, (list, tuple)) and not _is_leaf_list(x):
        parts = [arrays_of(part, f"{where}[{i}]", leaf) for i, part in enumerate(x)]
        return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
    if tree.is_nested(x) and not isinstance(x, (list, tuple)):  # a nest of another kind
        return tree.map_structure(lambda part: None if part is None else leaf(part, where), x)
    return leaf(x, where)


def is_array_data(x: Any) -> bool:
    """Return whether `x` is arrays (in any nest), not an iterable of batches."""
    if isinstance(x, (np.ndarray, dict, list, tuple, range, python_array.array)):
        return True
    if columns.is_table(x) or columns.is_column(x):
        return True
    if isinstance(x, (str, bytes)) or x is None or hasattr(x, "_epochs") or hasattr(x, "__next__"):
        return False
    return any(hasattr(x, way) for way in _TENSOR_WAYS)


def count_rows(batch: Any, where: str) -> int:
    """Return the number of rows that all arrays of `(x, y, sample_weight)` have."""
    counts: dict[str, int] = {}
    for part, name in zip(batch, ("x", "y", "sample_weight")):
        for path, leaf in tree.flatten_with_path(part):
            if leaf is None:
                continue
            label = name + "".join(f"[{p!r}]" for p in path)
            if len(leaf.shape) == 0:
                raise errors.ShapeMismatch(
                    "the data have no rows.", where=f"{where}: {label}", got="a single number", expected="an array",
                    hint="if single samples come where batches should: batch them, .batch(32) or "
                    "kerata.data.DataLoader(data, batch_size=32)",
                )  # fmt: skip
            counts[label] = int(leaf.shape[0])
    if not counts:
        raise errors.InvalidArgument("there are no data.", where=where, got="None")
    if len(set(counts.values())) > 1:
        raise errors.ShapeMismatch(
            "the data differ in their numbers of rows.", where=where, expected="the same number for each",
            got=", ".join(f"{name}: {n}" for name, n in list(counts.items())[:8]),
            hint="print the shapes: the first axis is that of the rows",
        )  # fmt: skip
    rows = next(iter(counts.values()))
    if rows == 0:
        raise errors.InvalidArgument(
            "the data are empty.", where=where, expected="one row at least", got="0 rows",
            hint="print x.shape: a filter may have let nothing through",
        )  # fmt: skip
    return rows
