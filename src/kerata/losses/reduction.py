"""How many loss values become one: ranks that meet, masks, sample weights, and the reduction itself."""

from __future__ import annotations

from typing import Any

from kerata import errors, ops

__all__ = [
    "REDUCTIONS", "apply_mask", "check_reduction", "over_leading_axes", "reduce_values", "reduce_weighted_values",
    "squeeze_or_expand_to_same_rank",
]  # fmt: skip

REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None)


def check_reduction(reduction: Any, where: str) -> Any:
    """Return `reduction` if it is one of `REDUCTIONS`."""
    if reduction not in REDUCTIONS:
        raise errors.UnknownName("reduction", reduction, [str(r) for r in REDUCTIONS], where=where)
    return reduction


def squeeze_or_expand_to_same_rank(x1: Any, x2: Any, expand_rank_1: bool = True) -> tuple[Any, Any]:
    """Return both with one rank where they differ by a last axis of length one.

    (B, 1) and (B,) both become (B, 1), unless `expand_rank_1` is off; (B, T, 1) and (B, T) both become (B, T).
    """
    if len(x1.shape) == len(x2.shape) + 1:
        return _meet(x1, x2, expand_rank_1)
    if len(x2.shape) == len(x1.shape) + 1:
        x2, x1 = _meet(x2, x1, expand_rank_1)
    return x1, x2


def _meet(longer: Any, shorter: Any, expand_rank_1: bool) -> tuple[Any, Any]:
    if longer.shape[-1] != 1:
        return longer, shorter
    if len(shorter.shape) == 1 and expand_rank_1:
        return longer, ops.expand_dims(shorter, -1)
    return ops.squeeze(longer, -1), shorter


def over_leading_axes(weights: Any, values: Any, where: str = "sample_weight") -> Any:
    """Return weights such that they multiply `values`: (B,) and (B, 1) become (B, 1, 1) for values (B, T, S).

    Raises:
        ShapeMismatch: when the weights match neither the leading axes nor the whole.
    """
    ours, theirs = tuple(weights.shape), tuple(values.shape)
    is_leading = 0 < len(ours) < len(theirs) and ours[0] == theirs[0]
    if is_leading and all(a in (b, 1) for a, b in zip(ours, theirs)):
        return ops.reshape(weights, (*ours, *(1,) * (len(theirs) - len(ours))))
    if not broadcastable(ours, theirs):
        raise errors.ShapeMismatch(
            "the weights do not fit the values that they weigh.", where=where,
            expected=f"one weight a sample, {theirs[:1]}, or one a value, {theirs}", got=f"shape {ours}",
        )  # fmt: skip
    return weights


def broadcastable(one: tuple[int | None, ...], other: tuple[int | None, ...]) -> bool:
    """Return whether arrays of the two shapes combine elementwise; an unknown dimension fits anything."""
    return all(a == b or 1 in (a, b) or None in (a, b) for a, b in zip(one[::-1], other[::-1]))


def apply_mask(sample_weight: Any, mask: Any, dtype: Any, reduction: str | None) -> Any:
    """Return weights that are zero where `mask` is False; None when there is neither weight nor mask.

    For a mean the kept weights grow by total / kept, so that masked values count for nothing in it.
    """
    if mask is None:
        return sample_weight
    kept = ops.cast(mask, dtype)
    if reduction in ("mean", "sum_over_batch_size"):
        kept = kept * ops.divide_no_nan(ops.cast(ops.size(mask), dtype), ops.sum(kept))
    if sample_weight is None:
        return kept
    kept, weights = squeeze_or_expand_to_same_rank(kept, ops.cast(sample_weight, dtype))
    if len(weights.shape) < len(kept.shape):
        weights = over_leading_axes(weights, kept)
    return weights * over_leading_axes(kept, weights, "mask")


def reduce_values(values: Any, sample_weight: Any = None, reduction: str | None = "sum_over_batch_size") -> Any:
    """Return the sum or mean of `values`, or the values themselves for the reductions "none" and None."""
    if reduction in ("none", None) or tuple(values.shape) in ((), (0,)):
        return values
    if reduction == "sum" or 0 in values.shape:
        return ops.sum(values)
    if reduction == "mean_with_sample_weight" and sample_weight is not None:
        return ops.divide_no_nan(ops.sum(values), ops.cast(ops.sum(sample_weight), values.dtype))
    return ops.mean(values)  # and no division of the sum, which 16 bits may not hold


def reduce_weighted_values(
    values: Any,
    sample_weight: Any = None,
    mask: Any = None,
    reduction: str | None = "sum_over_batch_size",
    dtype: Any = None,
) -> Any:
    """Return `values` weighted, masked and reduced.

    Args:
        values: loss values, (B,) or (B, T …).
        sample_weight: one weight a sample, (B,) or (B, 1), or one a value.
        mask: booleans, one a value; False takes a value out.
        reduction: one of `REDUCTIONS`.
        dtype: the dtype of the result.
    """
    values = ops.convert_to_tensor(values, dtype=dtype)
    if sample_weight is not None:
        sample_weight = ops.convert_to_tensor(sample_weight, dtype=values.dtype)
    weights = apply_mask(sample_weight, mask, values.dtype, reduction)
    if weights is not None:
        values, weights = squeeze_or_expand_to_same_rank(values, weights)
        values = values * over_leading_axes(weights, values)
    return reduce_values(values, weights, reduction)
