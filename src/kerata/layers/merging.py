"""Layers of several inputs: sums, products, extremes and means of them, joined along an axis, multiplied as matrices.

Each is there as a layer, `Add()([x, y])`, and as a function, `add([x, y])`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from kerata import errors, ops
from kerata.layers.base import Layer
from kerata.layers.shapes import known_shape

__all__ = [
    "Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract", "add", "average",
    "concatenate", "dot", "maximum", "minimum", "multiply", "subtract",
]  # fmt: skip


class _Merge(Layer):
    """A layer of a list of tensors, elementwise; sizes of 1 and missing axes after the batch are stretched.

    An output step is masked where it is masked in every input; when an input has no mask, so has the output.
    """

    built = supports_masking = True
    _count: int | None = None  # how many inputs; any number for None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def call(self, inputs: Any) -> Any:
        shapes = self._shapes(inputs)
        for shape in shapes[1:]:
            self._check_elementwise(shapes[0], shape)
        rank = max(x.ndim for x in inputs)
        return self._merge([ops.expand_dims(x, tuple(range(1, 1 + rank - x.ndim))) for x in inputs])

    def _merge(self, inputs: list[Any]) -> Any:
        raise NotImplementedError

    def _shapes(self, inputs: Any) -> list[tuple[int | None, ...]]:
        """Return the shapes of `inputs`, which are a list of tensors with one batch size."""
        if not isinstance(inputs, (list, tuple)) or not inputs or len(inputs) != (self._count or len(inputs)):
            expected = f"a list of {self._count} tensors" if self._count else "a list of tensors"
            several = isinstance(inputs, (list, tuple))
            got = f"{len(inputs)} of them" if several else f"one tensor of shape {known_shape(inputs)}"
            raise errors.InvalidArgument(
                "the input is not what is merged here.", where=self._where(), expected=expected, got=got,
                hint=f"{type(self).__name__}()([x, y])",
            )  # fmt: skip
        shapes = [known_shape(x) for x in inputs]
        if len({s[0] for s in shapes if s} - {None}) > 1:
            raise self._mismatch("the inputs have different batch sizes.", shapes)
        return shapes

    def _check_elementwise(self, a: tuple, b: tuple) -> None:
        for m, n in zip(reversed(a[1:]), reversed(b[1:])):
            if m != n and 1 not in (m, n) and None not in (m, n):
                raise self._mismatch("the shapes of the inputs do not go together.", [a, b])

    def _mismatch(self, what: str, shapes: Sequence[Any]) -> errors.ShapeMismatch:
        return errors.ShapeMismatch(
            what, where=self._where(), expected="equal sizes, or 1, along the other axes",
            got=f"shapes {', '.join(map(str, shapes))}",
            hint="bring one to the shape of the other: Dense for the last axis, Reshape or pooling for those before",
        )  # fmt: skip

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None or any(one is None for one in mask):
            return None
        return reduce(ops.logical_or, mask)


class Add(_Merge):
    """The sum of its inputs: y = x1 + x2 + …

    Example:
        >>> kerata.layers.Add()([numpy.array([[1.0]]), numpy.array([[2.0]])]).tolist()
        [[3.0]]
    """

    def _merge(self, inputs: list[Any]) -> Any:
        return reduce(ops.add, inputs)


class Subtract(_Merge):
    """The difference of its two inputs: y = x1 - x2.

    Example:
        >>> kerata.layers.Subtract()([numpy.array([[1.0]]), numpy.array([[2.0]])]).tolist()
        [[-1.0]]
    """

    _count = 2

    def _merge(self, inputs: list[Any]) -> Any:
        return ops.subtract(*inputs)


class Multiply(_Merge):
    """The product of its inputs: y = x1 x2 …

    Example:
        >>> kerata.layers.Multiply()([numpy.array([[2.0]]), numpy.array([[3.0]])]).tolist()
        [[6.0]]
    """

    def _merge(self, inputs: list[Any]) -> Any:
        return reduce(ops.multiply, inputs)


class Average(_Merge):
    """The mean of its inputs: y = (x1 + x2 + …) / n.

    Example:
        >>> kerata.layers.Average()([numpy.array([[1.0]]), numpy.array([[2.0]])]).tolist()
        [[1.5]]
    """

    def _merge(self, inputs: list[Any]) -> Any:
        return reduce(ops.add, inputs) / len(inputs)


class Maximum(_Merge):
    """The largest of its inputs, cell by cell: y = max(x1, x2, …).

    Example:
        >>> kerata.layers.Maximum()([numpy.array([[1.0]]), numpy.array([[2.0]])]).tolist()
        [[2.0]]
    """

    def _merge(self, inputs: list[Any]) -> Any:
        return reduce(ops.maximum, inputs)


class Minimum(_Merge):
    """The smallest of its inputs, cell by cell: y = min(x1, x2, …).

    Example:
        >>> kerata.layers.Minimum()([numpy.array([[1.0]]), numpy.array([[2.0]])]).tolist()
        [[1.0]]
    """

    def _merge(self, inputs: list[Any]) -> Any:
        return reduce(ops.minimum, inputs)


class Concatenate(_Merge):
    """Its inputs one after the other along `axis`; their other sizes are equal.

    Example:
        >>> kerata.layers.Concatenate()([numpy.ones((2, 3)), numpy.ones((2, 5))]).shape
        (2, 8)
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def call(self, inputs: Any) -> Any:
        shapes = self._shapes(inputs) if self.axis != 0 else [known_shape(x) for x in inputs]
        rank = len(shapes[0])
        if any(len(s) != rank for s in shapes) or not -rank <= self.axis < rank:
            raise self._mismatch(f"the inputs do not all have the axis {self.axis} and the same rank.", shapes)
        differ = [axis for axis in range(rank) if len({s[axis] for s in shapes} - {None}) > 1]
        for axis in differ:
            if axis != self.axis % rank:
                raise errors.ShapeMismatch(
                    f"only along axis {self.axis} may the sizes differ; axis {axis} does.", where=self._where(),
                    expected=f"one size along axis {axis}", got=f"shapes {', '.join(map(str, shapes))}",
                    hint=f"join along that axis: axis={axis}" if len(differ) == 1 else
                    "bring the inputs to one size along all axes but one",
                )  # fmt: skip
        return ops.concatenate(inputs, axis=self.axis)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None or all(one is None for one in mask):
            return None

        def filled(x: Any, mask: Any) -> Any:
            """Return a mask in the shape of `x`."""
            everywhere = ops.ones_like(x, dtype="bool")
            if mask is None or len(mask.shape) == len(x.shape):
                return everywhere if mask is None else mask
            return ops.logical_and(ops.expand_dims(mask, -1), everywhere)

        masks = [filled(x, one) for x, one in zip(inputs, mask)]
        return ops.any(ops.concatenate(masks, axis=self.axis), axis=-1)


class Dot(_Merge):
    """The product of two tensors, summed along an axis of each, sample by sample: (B, …, K, …), (B, …, K, …).

    Args:
        axes: the axis of both, or a pair with the axis of each; never the batch.
        normalize: whether both are first scaled to length 1 along the axis, which gives the cosine.

    Example:
        >>> kerata.layers.Dot(axes=(2, 1))([numpy.ones((2, 5, 8)), numpy.ones((2, 8, 3))]).shape
        (2, 5, 3)
    """

    _count = 2

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        both = (axes, axes) if isinstance(axes, int) else axes
        if not isinstance(both, (list, tuple)) or len(both) != 2 or not all(isinstance(a, int) and a for a in both):
            raise errors.InvalidArgument(
                "`axes` cannot be this.", where="Dot", expected="an axis or a pair of axes, not the batch's, 0",
                got=f"axes={axes!r}",
            )  # fmt: skip

    def call(self, inputs: Any) -> Any:
        shapes = self._shapes(inputs)
        both = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        if any(len(s) < 2 or not -len(s) < axis < len(s) for axis, s in zip(both, shapes)):
            raise self._mismatch(f"the inputs do not have the axes {self.axes} besides the batch.", shapes)
        k, n = (axis % len(s) for axis, s in zip(both, shapes))
        if shapes[0][k] != shapes[1][n] and None not in (shapes[0][k], shapes[1][n]):
            raise self._mismatch(f"the sizes along the axes {self.axes} differ.", shapes)
        x, y = inputs
        if self.normalize:
            x, y = ops.normalize(x, axis=k), ops.normalize(y, axis=n)
        left = [0, *range(1, x.ndim)]
        right = [0, *range(x.ndim, x.ndim + y.ndim - 1)]
        right[n] = left[k]
        kept = [a for a in left + right[1:] if a != left[k]]
        z = ops.einsum(f"{_letters(left)},{_letters(right)}->{_letters(kept)}", x, y)
        return z if z.ndim > 1 else ops.expand_dims(z, 1)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None


def _letters(axes: Sequence[int]) -> str:
    return "".join(chr(ord("a") + axis) for axis in axes)


# Functions ------------------------------------------------------------------------------------------------------


def add(inputs: Any, **kwargs: Any) -> Any:
    """Return the sum of `inputs`, a list of tensors; see `Add`."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Any:
    """Return the difference of the two `inputs`; see `Subtract`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Any:
    """Return the product of `inputs`, a list of tensors; see `Multiply`."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Any:
    """Return the mean of `inputs`, a list of tensors; see `Average`."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Any) -> Any:
    """Return the largest of `inputs`, cell by cell; see `Maximum`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Any) -> Any:
    """Return the smallest of `inputs`, cell by cell; see `Minimum`."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """Return `inputs`, a list of tensors, one after the other along `axis`; see `Concatenate`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Any, axes: int | Sequence[int] = -1, **kwargs: Any) -> Any:
    """Return the product of the two `inputs` summed along `axes`; see `Dot`."""
    return Dot(axes=axes, **kwargs)(inputs)
