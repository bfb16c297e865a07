"""How much work a model is: operations and bytes counted from shapes, with nothing computed."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from kerata import engine, errors, tree
from kerata.core import dtypes
from kerata.core.scopes import StateScope
from kerata.core.symbolic import KerasTensor
from kerata.engine.protocol import Spec

__all__ = ["count_flops"]


class Cost(NamedTuple):
    """What one call or one training step takes at least."""

    operations: int
    bytes: int


def count_flops(model: Any, batch_size: int = 1, training: bool = False, inputs: Any = None) -> Cost:
    """Return the operations that one batch takes, and the bytes that must be read or written for it.

    Counted are the multiplications and additions of matrix products and convolutions (2 m n k for a product), from
    shapes alone, as the textbook has them: no engine's tricks, padding counted as data, a scan once for each step, a
    loop of unknown length once, what `remat` computes again not at all. With `training` the gradients by weights and
    by what depends on weights are added: thrice the forward pass, less the first layer's gradient by its input.

    The bytes are those of the model's inputs and outputs and of each weight read; with `training` each trainable
    weight, and each slot of the optimizer that the model was compiled with, is also written. What lies between the
    layers is not counted, as it may never leave a cache: this is a floor and no forecast.

    Args:
        model: a built layer or model, of kerata's own ops throughout; tracing it takes JAX, whatever engine is in use.
        inputs: a nest of arrays or symbolic tensors like those of a call; by default the model's own.

    Raises:
        InvalidArgument: when a size beside the batch's is unknown.
        NotBuilt: for a subclassed model, when `inputs` is not given.

    Example:
        >>> model = kerata.Sequential([kerata.Input((784,)), kerata.layers.Dense(10)])
        >>> kerata.utils.count_flops(model, batch_size=32).operations  # 2 · 32 · 784 · 10
        501760
    """
    from kerata.engine.jax import counting

    if inputs is None:
        inputs = getattr(model, "inputs", None)
        if not inputs:
            raise errors.NotBuilt(
                "the shapes of its inputs are not known.", where=f"count_flops of {model.name!r}",
                hint="count_flops(model, inputs=kerata.KerasTensor((32, 784))), or an example batch",
            )  # fmt: skip
        inputs = inputs[0] if len(inputs) == 1 else inputs
    specs, structure = tree.flatten_with_spec(tree.map_structure(lambda x: _spec(x, batch_size), inputs))
    trainable = list(model.trainable_variables)
    others = [v for v in model.variables if not any(v is t for t in trainable)]

    def call(trained: Any, fixed: Any, values: Any) -> Any:
        with StateScope([*zip(trainable, trained), *zip(others, fixed)]):
            outputs = model(structure.unflatten(values), training=training)
        return tree.flatten(outputs)

    with engine.using("jax"):
        weights = [[Spec(tuple(v.shape), v.raw_value().dtype) for v in group] for group in (trainable, others)]
        forward, backward, results = counting.products(call, weights[0], weights[1], specs)
    size = _bytes(specs) + _bytes(results) + _bytes(weights[0]) + _bytes(weights[1])
    if not training:
        return Cost(forward, size)
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        optimizer.build(trainable)
    slots = [Spec(tuple(v.shape), np.dtype("float32")) for v in optimizer.variables] if optimizer is not None else []
    return Cost(forward + backward, size + _bytes(weights[0]) + 2 * _bytes(slots))


def _spec(x: Any, batch_size: int) -> Spec:
    symbolic = isinstance(x, KerasTensor)
    shape = tuple(x.shape)
    if symbolic and shape and shape[0] is None:
        shape = (batch_size, *shape[1:])
    if None in shape:
        raise errors.InvalidArgument(
            "a size of an input is unknown, so its work is.", where="count_flops", got=f"shape={shape}",
            hint="give `inputs` of the shape that is meant",
        )  # fmt: skip
    return Spec(shape, _dtype(dtypes.standardize(x.dtype)))


def _dtype(name: str) -> Any:
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, name, name))


def _bytes(arrays: Any) -> int:
    return sum(math.prod(x.shape) * np.dtype(x.dtype).itemsize for x in arrays)
