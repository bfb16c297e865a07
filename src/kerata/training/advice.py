"""Mistakes that would train silently on nonsense: looked for on the host, before the first step.

A compiled step sees no values, and shapes alone do not tell a softmax from a row of scores.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kerata import errors, losses, tree
from kerata.data.sources import ArraySource, Source

__all__ = ["look_at_data", "look_at_last_layers"]

_PROBABILITIES = ("softmax", "sigmoid", "hard_sigmoid")
_CROSSENTROPIES = {
    losses.sparse_categorical_crossentropy: "softmax",
    losses.categorical_crossentropy: "softmax",
    losses.binary_crossentropy: "sigmoid",
}
"""Losses that take probabilities, with the activation that gives them."""


def look_at_last_layers(model: Any) -> None:
    """Warn where the activations of the last layers do not go with the losses."""
    graph, loss = getattr(model, "_graph", None), model._compiled_loss
    if graph is None or loss is None or len(loss._parts or ()) != len(graph.outputs):
        return
    for tensor, (one, _) in zip(graph.outputs, loss._parts):
        wanted = _CROSSENTROPIES.get(getattr(one, "fn", None))
        if wanted is not None and tensor._history is not None:
            _compare(tensor._history.operation, tensor.shape, one, wanted)


def _compare(layer: Any, shape: tuple, loss: Any, wanted: str) -> None:
    activation = _activation_of(layer)
    if activation is None:
        return
    where, name = f"layer {layer.name!r}", type(loss).__name__
    if not hasattr(loss, "from_logits"):
        name = loss.fn.__name__
    from_logits = getattr(loss, "from_logits", False)
    if activation == "softmax" and shape[-1] == 1:
        errors.warn_once(
            f"{where}: softmax over a single unit is always 1, so nothing can be learned. For a yes-no question use "
            "activation='sigmoid' with binary_crossentropy."
        )
    elif from_logits and activation in _PROBABILITIES:
        errors.warn_once(
            f"{where}: it ends in {activation}, and {name}(from_logits=True) takes its outputs for scores: the "
            f"{activation} would be applied twice. Leave out one of the two."
        )
    elif not from_logits and activation == "linear":
        errors.warn_once(
            f"{where}: it has no activation, and {name} takes its outputs for probabilities. Give it "
            f"activation={wanted!r}, or the loss from_logits=True."
        )
    elif activation == "softmax" and wanted == "sigmoid":
        errors.warn_once(
            f"{where}: it ends in softmax over {shape[-1]} units, and binary_crossentropy takes each of them for a "
            "question of its own. For one class of several use categorical_crossentropy; for several answers at once "
            "activation='sigmoid'."
        )


def _activation_of(layer: Any) -> str | None:
    """Return the name of the activation at the end of `layer`; None where there is none to speak of."""
    if type(layer).__name__ == "Softmax":
        return "softmax"
    activation = getattr(layer, "activation", None)
    if activation is not None:
        return getattr(activation, "__name__", None)
    return None


def look_at_data(model: Any, source: Source) -> None:
    """Raise for labels that name no class, and for numbers that an `Embedding` at the input does not have."""
    graph = getattr(model, "_graph", None)
    if graph is None or not isinstance(source, ArraySource):
        return
    _look_at_numbers(graph, source.batch[0])
    if len(source.batch) < 2 or model._compiled_loss is None:
        return
    if tree.is_nested(source.batch[1]) or source.batch[1] is None:
        return
    parts = model._compiled_loss._parts or []
    loss = parts[0][0] if len(parts) == 1 else None
    if getattr(loss, "fn", None) is losses.sparse_categorical_crossentropy:
        classes = graph.outputs[0].shape[getattr(loss, "axis", -1)]
        losses.check_labels(
            source.batch[1], classes, ignore_class=getattr(loss, "ignore_class", None), where="fit: y, the labels"
        )


def _look_at_numbers(graph: Any, x: Any) -> None:
    try:
        given = graph.match(x)
    except errors.KerataError:
        return  # the model itself tells this when it is called
    for symbol, data in zip(graph.inputs, given):
        sizes = [
            (node.operation, node.operation.input_dim)
            for node in graph.nodes
            if hasattr(node.operation, "embeddings_initializer") and node.inputs and node.inputs[0] is symbol
        ]
        if not sizes or not isinstance(data, np.ndarray) or not data.size or data.dtype.kind not in "iuf":
            continue
        low, high = data.min(), data.max()
        for layer, size in sizes:
            if low < 0 or high >= size:
                raise errors.InvalidArgument(
                    "a number is not in the table.", where=layer._where(), expected=f"ints from 0 to {size - 1}",
                    got=f"from {low} to {high}",
                    hint="`input_dim` is the size of the vocabulary: the largest number plus one",
                )  # fmt: skip
