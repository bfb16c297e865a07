"""One layer twice, ours and Keras's, with the same weights and inputs; what the table of test_layers.py is run by."""

from __future__ import annotations

import functools
import json
import zlib
from dataclasses import dataclass, field
from typing import Any

import jax
import keras
import numpy as np

import kerata


@dataclass(frozen=True, eq=False)
class Row:
    """A layer's class, its constructor's arguments, and the shape of its input (a list for several)."""

    layer: str
    kwargs: dict[str, Any]
    shape: Any
    training: bool = False
    masked: bool = False
    """Whether the last of the time steps is masked in the first half of the batch."""
    integers: int | None = None
    """For inputs that are ints below this number."""
    tolerance: float = 2e-5
    differs: dict[str, str] = field(default_factory=dict)
    """Where Keras is wrong: which fact (by the name of its test), and why."""

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return self.shape if isinstance(self.shape, list) else [self.shape]

    def __str__(self) -> str:
        arguments = ",".join(f"{k}={v}" for k, v in self.kwargs.items())
        flags = "".join(f" {name}" for name in ("training", "masked") if getattr(self, name))
        return f"{self.layer}({arguments}){flags} on {self.shape}".replace(" ", "")

    @functools.cached_property
    def inputs(self) -> list[np.ndarray]:
        rng = np.random.default_rng(zlib.crc32(str(self).encode()))
        if self.integers is not None:
            return [rng.integers(0, self.integers, s).astype("int32") for s in self.shapes]
        return [rng.normal(size=s).astype("float32") for s in self.shapes]

    @property
    def mask(self) -> np.ndarray | None:
        if not self.masked:
            return None
        steps = self.shapes[0][2 if self.kwargs.get("data_format") == "channels_first" else 1]
        mask = np.ones((self.shapes[0][0], steps), "bool")
        mask[: len(mask) // 2, -1] = False
        return mask

    def nested(self, items: list[Any]) -> Any:
        return items if isinstance(self.shape, list) else items[0]

    @property
    def call_arguments(self) -> dict[str, Any]:
        return {**({"training": True} if self.training else {}), **({"mask": self.mask} if self.masked else {})}

    def build(self, layer: Any) -> None:
        layer.build(self.nested(self.shapes))

    def call(self, layer: Any, inputs: list[Any]) -> Any:
        return layer(self.nested(inputs), **self.call_arguments)

    def ours(self, **more: Any) -> Any:
        return getattr(kerata.layers, self.layer)(**self.kwargs, **more)

    def theirs(self, **more: Any) -> Any:
        return getattr(keras.layers, self.layer)(**self.kwargs, **more)


@dataclass
class Found:
    """What one of the two frameworks makes of a row."""

    outputs: Any
    gradients: list[Any]
    """By the trainable weights in their order, then by the inputs; none by ints."""
    state: list[Any]
    """The non-trainable weights after the call."""
    losses: list[Any]


def row(layer: str, shape: Any, **given: Any) -> Row:
    """Return a row; what is no field of `Row` among the keywords is an argument of the layer's constructor."""
    options = {
        name: given.pop(name) for name in ("training", "masked", "integers", "tolerance", "differs") if name in given
    }
    return Row(layer, given, shape, **options)


def start_values(row: Row, weights: list[Any]) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [rng.uniform(0.2, 1.0, tuple(w.shape)).astype(w.dtype) for w in weights]


@functools.cache
def built(row: Row) -> tuple[Any, Any]:
    """Return the pair, built for the row's shape, with the same weights."""
    theirs, ours = row.theirs(name="it"), row.ours(name="it")
    row.build(theirs)
    row.build(ours)
    values = start_values(row, theirs.weights)
    theirs.set_weights(values)
    ours.set_weights(values)
    if hasattr(theirs, "finalize_state"):
        theirs.finalize_state()  # Keras's Normalization keeps copies of its weights
    return ours, theirs


def weighted_sum(outputs: Any, product: Any) -> Any:
    weights = np.random.default_rng(3).normal(size=tuple(outputs.shape)).astype("float32")
    return product(outputs, weights)


@functools.cache
def their_results(row: Row) -> Found:
    _, theirs = built(row)
    floating = row.integers is None

    def loss(trainable: Any, inputs: Any) -> Any:
        # Not `stateless_call`, which leaves out the casts and the losses of the outputs.
        with keras.StatelessScope(zip(theirs.trainable_variables, trainable), collect_losses=True) as scope:
            y = row.call(theirs, inputs)
            losses = theirs.losses
        state = [scope.get_current_value(v) for v in theirs.non_trainable_variables]
        return weighted_sum(y, lambda y, r: (y.astype("float32") * r).sum()), (y, state, losses)

    trainable = [v.value for v in theirs.trainable_variables]
    gradient = jax.value_and_grad(loss, argnums=(0, 1) if floating else 0, has_aux=True)
    (_, (y, state, losses)), gradients = jax.jit(gradient)(trainable, [jax.numpy.asarray(x) for x in row.inputs])
    flat = [*gradients[0], *gradients[1]] if floating else gradients
    kept = zip(theirs.non_trainable_variables, state)
    return Found(y, flat, [v if new is None else new for v, new in kept if "seed" not in v.path], losses)


@functools.cache
def our_results(row: Row) -> Found:
    ours, _ = built(row)
    wrt = list(ours.trainable_variables)
    inputs: list[Any] = row.inputs
    if row.integers is None:
        inputs = [kerata.Variable(x) for x in inputs]
        wrt += inputs

    def loss() -> Any:
        y = row.call(ours, [x.value if isinstance(x, kerata.Variable) else x for x in inputs])
        return weighted_sum(y, lambda y, r: kerata.ops.sum(kerata.ops.cast(y, "float32") * r)), (y, ours.losses)

    (_, (y, losses)), gradients = kerata.jit(lambda: kerata.value_and_grad(loss, wrt, has_aux=True)())()
    return Found(y, gradients, [v.numpy() for v in ours.non_trainable_weights], losses)


def as_json(config: Any) -> Any:
    """Return `config` as a file has it; but with six digits, since Keras rounds some numbers to float32."""
    return json.loads(json.dumps(config), parse_float=lambda text: float(f"{float(text):.6g}"))
