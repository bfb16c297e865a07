"""Axes rearranged by a picture of them."""

from __future__ import annotations

import math
import re
from typing import Any

from kerata import errors
from kerata.core.op import Array, op
from kerata.engine import xp

__all__ = ["rearrange"]


@op
def rearrange(tensor: Array, pattern: str, **axes_lengths: Any) -> Array:
    """Return a tensor with its axes in another order, split or joined, as a pattern shows: "b h w c -> b (h w) c".

    Each name is an axis; names in parentheses are one axis of the tensor, the last of them the fastest; `...` stands
    for all axes not named, `1` for an axis of length 1 (Rogozhnikov 2022, https://openreview.net/forum?id=oapKSVM2bcj).

    Args:
        axes_lengths: lengths of axes; in each pair of parentheses on the left one may be left out.

    Raises:
        InvalidArgument: when the two sides do not have the same names.
        ShapeMismatch: when the tensor does not have the axes on the left.

    Example:
        >>> import numpy
        >>> kerata.ops.rearrange(numpy.ones((2, 30, 40, 3)), "b (h s) w c -> b h w (s c)", s=2).shape
        (2, 15, 40, 6)
    """
    left, right = _sides(pattern)
    spread = tensor.ndim - len(left) + 1
    names = [f"... {i}" for i in range(spread)]
    left, right = (_spread(side, names) for side in (left, right))
    if len(left) != tensor.ndim:
        raise _mismatch(tensor, pattern, f"{len(left)} axes")
    lengths: dict[str, int] = {}
    for group, size in zip(left, tensor.shape):
        lengths |= _split(group, size, axes_lengths, tensor, pattern)
    before, after = sum(left, []), sum(right, [])
    if sorted(before) != sorted(after) or len(set(before)) < len(before) or not set(axes_lengths) <= set(before):
        raise errors.InvalidArgument(
            "each axis stands once on the left and once on the right.", where="ops.rearrange",
            expected=f"the names {', '.join(before)}", got=" ".join([repr(pattern), *axes_lengths]),
        )  # fmt: skip
    x = xp.reshape(tensor, tuple(lengths[name] for name in before))
    x = xp.transpose(x, tuple(before.index(name) for name in after))
    return xp.reshape(x, tuple(math.prod(lengths[name] for name in group) for group in right))


def _sides(pattern: str) -> list[list[list[str]]]:
    """Return, for each side of the arrow, the names that make up each axis."""
    sides = pattern.split("->")
    plain = r"(\s|\w+|\.\.\.|\([\w\s]*\))*"
    if len(sides) != 2 or not all(re.fullmatch(plain, side) for side in sides):
        raise errors.InvalidArgument(
            "this pattern cannot be read.", where="ops.rearrange", expected="such as 'b h w c -> b (h w) c'",
            got=repr(pattern),
        )  # fmt: skip
    found = [re.findall(r"\([^)]*\)|\w+|\.\.\.", side) for side in sides]
    return [[[name for name in axis.strip("()").split() if name != "1"] for axis in side] for side in found]


def _spread(side: list[list[str]], names: list[str]) -> list[list[str]]:
    """Return a side with `...` replaced by an axis for each of `names`."""
    return [group for axis in side for group in ([[name] for name in names] if axis == ["..."] else [axis])]


def _split(group: list[str], size: int, given: dict[str, Any], tensor: Any, pattern: str) -> dict[str, int]:
    """Return the lengths of the names that make up an axis of a size."""
    unknown = [name for name in group if name not in given]
    known = math.prod(int(given[name]) for name in group if name in given)
    if len(unknown) > 1:
        raise errors.InvalidArgument(
            "at most one length of an axis can be worked out.", where="ops.rearrange", got=repr(pattern),
            hint=f"give {' or '.join(f'{name}=…' for name in unknown)}",
        )  # fmt: skip
    if size % known if unknown else size != known:
        raise _mismatch(tensor, pattern, f"{'a multiple of ' if unknown else ''}{known} along ({' '.join(group)})")
    return {name: int(given[name]) if name in given else size // known for name in group}


def _mismatch(tensor: Any, pattern: str, expected: str) -> errors.ShapeMismatch:
    return errors.ShapeMismatch(
        "the tensor does not fit the pattern.", where="ops.rearrange", expected=expected,
        got=f"shape {tuple(tensor.shape)} for {pattern!r}",
    )  # fmt: skip
