"""`Bidirectional`: a recurrent layer and its twin that goes backwards."""

from __future__ import annotations

from typing import Any

from kerata import errors, ops
from kerata.core import registry
from kerata.layers.base import Layer

__all__ = ["Bidirectional"]

_MERGED = {
    "concat": lambda y, z: ops.concatenate([y, z], axis=-1),
    "sum": lambda y, z: y + z,
    "mul": lambda y, z: y * z,
    "ave": lambda y, z: (y + z) / 2,
    None: lambda y, z: (y, z),
}


class Bidirectional(Layer):
    """Reads a sequence in both directions and merges what the two make of it: (B, T, I) -> (B, 2 U), or (B, T, 2 U).

    Both directions are new layers, made of the config of `layer`; where sequences are returned the backward one's
    are turned around, so that both speak of the same time step.

    Args:
        layer: a recurrent layer, such as `LSTM(64)`.
        merge_mode: "concat", "sum", "mul", "ave", or None for a tuple of both.
        weights: the weights to start from, the forward layer's first.
        backward_layer: a layer with `go_backwards=True`, instead of a twin.

    Example:
        >>> layer = kerata.layers.Bidirectional(kerata.layers.LSTM(4, return_sequences=True))
        >>> layer(numpy.ones((2, 5, 3))).shape
        (2, 5, 8)

    Source: Schuster and Paliwal (1997), Bidirectional recurrent neural networks.
    """

    supports_masking = True

    def __init__(
        self, layer: Layer, merge_mode: str | None = "concat", weights: Any = None, backward_layer: Any = None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        _check_recurrent("layer", layer)
        if backward_layer is not None:
            _check_recurrent("backward_layer", backward_layer)
        if merge_mode not in _MERGED:
            raise errors.UnknownName("merge mode", merge_mode, [str(m) for m in _MERGED], where="Bidirectional")
        super().__init__(**kwargs)
        self.merge_mode, self._start = merge_mode, weights
        self.forward_layer = _twin(layer, "forward")
        self.backward_layer = _twin(layer, "backward", go_backwards=True) if backward_layer is None else backward_layer
        self._check_pair()
        self.stateful, self.return_sequences, self.return_state = (getattr(layer, name) for name in _SHARED)
        for one in (self.forward_layer, self.backward_layer):
            if hasattr(one, "zero_output_for_mask"):
                one.zero_output_for_mask = self.return_sequences
        self.input_spec = layer.input_spec

    def _check_pair(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            raise errors.InvalidArgument(
                "the two layers go in the same direction.", where="Bidirectional",
                got=f"go_backwards={forward.go_backwards} in both",
                hint="`layer` goes forward, `backward_layer` has go_backwards=True",
            )  # fmt: skip
        for name in _SHARED:
            if getattr(forward, name) != getattr(backward, name):
                raise errors.InvalidArgument(
                    f"the two layers differ in `{name}`.", where="Bidirectional",
                    got=f"{getattr(forward, name)} and {getattr(backward, name)}",
                )  # fmt: skip

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        for one in (self.forward_layer, self.backward_layer):
            if not one.built:
                one.build(sequences_shape)
        if self._start:
            self.set_weights(self._start)

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool | None = None) -> Any:
        first = second = None
        if initial_state is not None:
            half = len(initial_state) // 2
            first, second = initial_state[:half], initial_state[half:]
        y = self.forward_layer(sequences, initial_state=first, mask=mask, training=training)
        z = self.backward_layer(sequences, initial_state=second, mask=mask, training=training)
        states: tuple[Any, ...] = ()
        if self.return_state:
            y, z, states = y[0], z[0], (*y[1:], *z[1:])
        if self.return_sequences:
            z = ops.flip(z, axis=1)
        merged = _MERGED[self.merge_mode](ops.cast(y, self.compute_dtype), ops.cast(z, self.compute_dtype))
        if not self.return_state:
            return merged
        return (*merged, *states) if self.merge_mode is None else (merged, *states)

    def compute_mask(self, _: Any, mask: Any) -> Any:
        mask = mask[0] if isinstance(mask, list) else mask
        mask = mask if self.return_sequences else None
        return (mask, mask) if self.merge_mode is None else mask

    # State ------------------------------------------------------------------------------------------------------

    @property
    def states(self) -> tuple[Any, ...] | None:
        """The state Variables of both layers, the forward one's first; None before they exist."""
        forward, backward = self.forward_layer.states, self.backward_layer.states
        return (*forward, *backward) if forward and backward else None

    def reset_state(self) -> None:
        """Set the states of stateful layers to zeros."""
        if not self.stateful:
            raise errors.StateError(
                "only a stateful layer has a state to reset.", where=self._where(), hint="stateful=True makes it one"
            )
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    def reset_states(self) -> None:
        """Set the states of stateful layers to zeros; an older name of `reset_state`."""
        self.reset_state()

    # Config -----------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        config = {name: value for name, value in super().get_config().items() if name != "weights"}
        pair = {"layer": self.forward_layer, "backward_layer": self.backward_layer}
        return {**config, **{name: registry.serialize_keras_object(one) for name, one in pair.items()}}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        with registry.CustomObjectScope(custom_objects):
            return super().from_config(config)


_SHARED = ("stateful", "return_sequences", "return_state")


def _check_recurrent(name: str, layer: Any) -> None:
    missing = [attribute for attribute in ("go_backwards", *_SHARED) if not hasattr(layer, attribute)]
    if missing or not isinstance(layer, Layer):
        raise errors.InvalidType(
            f"`{name}` is a recurrent layer.", where="Bidirectional", expected="a layer such as LSTM or GRU",
            got=repr(layer)[:80],
            hint="for other layers Bidirectional has no meaning: leave it out" if isinstance(layer, Layer) else
            "give the layer itself: Bidirectional(layers.LSTM(8))",
        )  # fmt: skip


def _twin(layer: Layer, direction: str, **changes: Any) -> Any:
    """Return a new layer of the config of `layer`, without its state."""
    data = registry.serialize_keras_object(layer)
    name = f"{direction}_{layer.name.removeprefix(f'{direction}_')}"
    data["config"] = {**data["config"], **changes, "name": name}
    data.pop("build_config", None)
    return registry.deserialize_keras_object(data)
