"""Activation functions by name. Each is an op; `kerata.ops` has them too."""

from __future__ import annotations

from typing import Any

from kerata import ops
from kerata.core.op import Array, FloatArray, op
from kerata.core.registry import Vocabulary
from kerata.engine import xp
from kerata.ops import (
    celu,
    elu,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softmax,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    sparsemax,
    squareplus,
    swish,
    tanh,
    tanh_shrink,
    threshold,
)

__all__ = [
    "celu", "deserialize", "elu", "exponential", "gelu", "get", "glu", "hard_shrink", "hard_sigmoid", "hard_silu",
    "hard_swish", "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu",
    "serialize", "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus",
    "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh", "tanh_shrink", "threshold",
]  # fmt: skip


def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """Return max(x, 0), or with its constants set: max_value where x >= max_value, x where x > threshold,
    negative_slope · (x - threshold) elsewhere.

    Example:
        >>> kerata.activations.relu([-1.0, 3.0, 9.0], max_value=6.0).tolist()
        [0.0, 3.0, 6.0]
    """
    if not (negative_slope or threshold) and max_value is None:
        return ops.relu(x)
    return bounded_relu(x, negative_slope, max_value, threshold)


@op
def bounded_relu(
    x: FloatArray, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Array:
    """Return `relu` with its constants set."""
    below = negative_slope * (x - threshold) if negative_slope else xp.zeros_like(x)
    y = xp.where(x > threshold, x, below)
    return y if max_value is None else xp.where(x >= max_value, xp.full_like(x, max_value), y)


def gelu(x: Any, approximate: bool = False) -> Any:
    """Return x Φ(x), Φ being the normal distribution; by tanh when approximate (https://arxiv.org/abs/1606.08415)."""
    return ops.gelu(x, approximate)


@op
def mish(x: FloatArray) -> Array:
    """Return x · tanh(softplus(x)) (https://arxiv.org/abs/1908.08681)."""
    return x * xp.tanh(xp.logaddexp(x, xp.zeros_like(x)))


def exponential(x: Any) -> Any:
    """Return eˣ."""
    return ops.exp(x)


def linear(x: Any) -> Any:
    """Return x as it is."""
    return x


_vocabulary = Vocabulary("activation", __name__, None)


def get(identifier: Any) -> Any:
    """Return the function for a name, a config or a function; `linear` for None.

    Example:
        >>> kerata.activations.get("relu") is kerata.activations.relu
        True
    """
    return linear if identifier is None else _vocabulary.get(identifier)


def serialize(activation: Any) -> Any:
    """Return an activation as data: the name of one of these functions, or a config."""
    return _vocabulary.serialize(activation)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the activation that `serialize` described."""
    return _vocabulary.deserialize(config, custom_objects)
