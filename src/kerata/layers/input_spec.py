"""What a layer expects of its inputs, checked before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerata import errors, tree
from kerata.core import dtypes

__all__ = ["InputSpec", "check"]


class InputSpec:
    """Expected rank, shape and dtype of one input; None accepts anything.

    Args:
        axes: sizes by axis, such as `{-1: 64}`.
        allow_last_axis_squeeze: whether a last axis of length one may be missing or extra.
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Any = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Mapping[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = None if dtype is None else dtypes.standardize(dtype)
        self.shape = None if shape is None else tuple(shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.axes = {int(k): v for k, v in (axes or {}).items()}
        self.allow_last_axis_squeeze, self.name, self.optional = allow_last_axis_squeeze, name, optional

    def get_config(self) -> dict[str, Any]:
        """Return the arguments to make this spec anew."""
        names = ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes", "optional")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InputSpec:
        """Make a spec from its config."""
        return cls(**config)

    def __repr__(self) -> str:
        shown = {k: v for k, v in self.get_config().items() if v not in (None, {}, False)}
        return f"InputSpec({', '.join(f'{k}={v!r}' for k, v in shown.items())})"


def check(spec: Any, inputs: Any, where: str) -> None:
    """Raise `ShapeMismatch` when `inputs` do not satisfy `spec`, naming the layer as `where`."""
    specs, tensors = tree.flatten(spec), tree.flatten(inputs)
    if isinstance(inputs, dict) and all(s.name for s in specs):
        by_name = {s.name: s for s in specs}
        if set(by_name) <= set(inputs):
            specs, tensors = list(by_name.values()), [inputs[name] for name in by_name]
    if len(specs) != len(tensors):
        raise errors.ShapeMismatch(
            "the number of inputs is wrong.", where=where, expected=f"{len(specs)} tensor(s)",
            got=f"{len(tensors)}: {', '.join(str(getattr(t, 'shape', t)) for t in tensors[:8])}",
            hint="plain lists are no tensors: numpy.array(x)" if any(isinstance(t, (int, float)) for t in tensors) else
            "several tensors come in a list only where a layer takes several",
        )  # fmt: skip
    for one, tensor in zip(specs, tensors):
        if tensor is None or not hasattr(tensor, "shape"):
            if tensor is None and one.optional:
                continue
            raise errors.InvalidType("an input is no tensor.", where=where, got=repr(tensor)[:80])
        _check_one(one, tuple(tensor.shape), tensor, where)


def _advice_on_axes(rank: int, wanted: int) -> str:
    if rank > wanted:
        return "the batch and a last axis of channels or features are all: layers.Flatten() or Reshape takes axes away"
    if wanted - rank > 1:
        return "axes were lost before: by Flatten, by pooling, or by a recurrent layer without return_sequences=True"
    if wanted == 3:
        return (
            "sequences are (batch, time, features): x[..., None] for one feature a step; between recurrent layers "
            "return_sequences=True"
        )
    return "add the missing axis: x[..., None] for a channel axis, x[None] for a batch of one sample"


def _check_one(spec: InputSpec, shape: tuple, tensor: Any, where: str) -> None:
    def mismatch(what: str, expected: Any, hint: str | None = None) -> errors.ShapeMismatch:
        return errors.ShapeMismatch(what, where=where, expected=expected, got=f"shape {shape}", hint=hint)

    rank = len(shape)
    if spec.shape is not None and spec.allow_last_axis_squeeze:
        if shape and shape[-1] == 1 and rank == len(spec.shape) + 1:
            shape = shape[:-1]
        elif spec.shape and spec.shape[-1] == 1 and rank == len(spec.shape) - 1:
            shape = (*shape, 1)
        rank = len(shape)
    if spec.ndim is not None and rank != spec.ndim:
        raise mismatch(
            "the input has the wrong number of axes.", f"{spec.ndim} axes, the batch included",
            _advice_on_axes(rank, spec.ndim),
        )  # fmt: skip
    if spec.max_ndim is not None and rank > spec.max_ndim:
        raise mismatch("the input has too many axes.", f"at most {spec.max_ndim} axes")
    if spec.min_ndim is not None and rank < spec.min_ndim:
        raise mismatch(
            "the input has too few axes.", f"at least {spec.min_ndim} axes, the batch included",
            "is the batch axis missing? x[None] makes a batch of one sample",
        )  # fmt: skip
    if spec.dtype is not None and dtypes.dtype_of(tensor) != spec.dtype:
        raise errors.InvalidType("the input has the wrong dtype.", where=where, expected=spec.dtype, got=tensor.dtype)
    for axis, size in spec.axes.items():
        if not -rank <= axis < rank:
            raise mismatch("the input has too few axes.", f"an axis {axis}")
        if size is not None and shape[axis] not in (size, None):
            raise mismatch("the input has the wrong size along an axis.", f"{size} along axis {axis}")
    if spec.shape is not None:
        for size, actual in zip(spec.shape, shape):
            if size is not None and actual is not None and size != actual:
                raise mismatch("the input has the wrong shape.", f"shape {spec.shape}")
