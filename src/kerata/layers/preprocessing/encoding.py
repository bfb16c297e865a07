"""How the layers for categories give back their indices: as they are, one-hot, multi-hot, counted, or weighted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerata import errors, ops

__all__ = ["check_output_mode", "encode_categories"]


def encode_categories(
    indices: Any, output_mode: str, depth: int, dtype: Any, count_weights: Any = None, idf_weights: Any = None
) -> Any:
    """Return `indices`, ints from 0 to depth - 1, in the form that `output_mode` names.

    Args:
        indices: a sample is a row: (..., n), or (n,) for a single one, or a scalar.
        output_mode: "int" for the indices as they are, (..., n); "one_hot" for a vector for each of them,
            (..., n, depth), where a last axis of size 1 is left out; "multi_hot" for one vector for a sample with a one
            at each index that it holds, (..., depth); "count" for one with the number of times; "tf_idf" for that
            number times the weight of the index.
        depth: how many categories there are.
        dtype: the dtype of the result.
        count_weights: for "count", what an index counts instead of 1; shaped like `indices`.
        idf_weights: for "tf_idf", a weight for each category, (depth,).

    An index out of range leaves only zeros.

    Example:
        >>> from kerata.layers.preprocessing.encoding import encode_categories
        >>> encode_categories(numpy.array([[0, 2, 2]]), "count", 4, "float32").tolist()
        [[1.0, 0.0, 2.0, 0.0]]
    """
    if output_mode == "int":
        return ops.cast(indices, dtype)
    if output_mode == "one_hot" and ops.ndim(indices) > 1 and ops.shape(indices)[-1] == 1:
        indices = ops.squeeze(indices, -1)
    elif ops.ndim(indices) == 0:
        indices = ops.expand_dims(indices, -1)
    hot = ops.one_hot(indices, depth, dtype=dtype)
    if output_mode == "one_hot":
        return hot
    if output_mode == "multi_hot":
        return ops.max(hot, axis=-2, initial=0)
    if count_weights is not None:
        hot = hot * ops.expand_dims(ops.cast(count_weights, dtype), -1)
    counts = ops.sum(hot, axis=-2)
    return counts * ops.cast(idf_weights, dtype) if output_mode == "tf_idf" else counts


def check_output_mode(where: str, output_mode: str, allowed: Sequence[str], sparse: bool = False) -> None:
    """Raise where a layer cannot give its output in this mode, or is asked for a sparse tensor."""
    if output_mode not in allowed:
        raise errors.UnknownName("output_mode", output_mode, allowed, where=where)
    if sparse:
        raise errors.Unsupported(
            "sparse tensors do not exist here.", where=where, got="sparse=True",
            hint="leave `sparse` out: the same output comes as a dense tensor",
        )  # fmt: skip
