"""`TimeDistributed`: one layer, applied to each time step by itself."""

from __future__ import annotations

from typing import Any

from kerata import errors, ops, tree
from kerata.layers.base import Layer, _call_signature
from kerata.layers.core import Wrapper

__all__ = ["TimeDistributed"]


class TimeDistributed(Wrapper):
    """Applies a layer to each time step by itself: y[:, t] = layer(x[:, t]); (B, T, …) -> (B, T, …).

    All steps are computed at once, as one batch of B T samples. Only a layer that learns from its batch in training,
    such as BatchNormalization, sees one step after the other.

    Args:
        layer: takes one step, (B, …).

    Example:
        >>> layer = kerata.layers.TimeDistributed(kerata.layers.Conv2D(4, 3))
        >>> layer(numpy.ones((2, 5, 8, 8, 3))).shape
        (2, 5, 6, 6, 4)
    """

    supports_masking = True

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)

    def build(self, input_shape: Any) -> None:
        super().build(tree.map_shape_structure(self._of_one_step, input_shape))

    def _of_one_step(self, shape: Any) -> tuple[int | None, ...]:
        if len(shape) < 3:
            raise errors.ShapeMismatch(
                "there is no time axis besides those of a batch and its features.", where=self._where(),
                expected="at least 3 axes, (B, T, …)", got=f"shape {tuple(shape)}",
            )  # fmt: skip
        return (shape[0], *shape[2:])

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        batch, steps = tree.flatten(inputs)[0].shape[:2]
        self._check_mask(mask, (batch, steps))
        if training and any(not weight.made_trainable for weight in self.layer.weights):
            each = [self._applied(_step(inputs, t), _step(mask, t), training) for t in range(steps)]
            return tree.map_structure(lambda *ys: ops.stack(ys, axis=1), *each)
        y = self._applied(_folded(inputs), _folded(mask), training)
        return tree.map_structure(lambda y: ops.reshape(y, (batch, steps, *y.shape[1:])), y)

    def _applied(self, x: Any, mask: Any, training: bool | None) -> Any:
        names = _call_signature(type(self.layer), type(self.layer).call).names
        given = {"training": training, "mask": mask}
        return self.layer(x, **{name: given[name] for name in given if name in names and given[name] is not None})

    def _check_mask(self, mask: Any, expected: tuple[int, int]) -> None:
        for one in tree.flatten(mask):
            if one is not None and tuple(one.shape[:2]) != expected:
                raise errors.ShapeMismatch(
                    "the mask has other samples or time steps than the input.", where=self._where(),
                    expected=f"a mask (B, T) = {expected}", got=f"shape {tuple(one.shape)}",
                )  # fmt: skip


def _folded(x: Any) -> Any:
    """Return (B, T, …) as (B T, …)."""
    return tree.map_structure(lambda x: None if x is None else ops.reshape(x, (-1, *x.shape[2:])), x)


def _step(x: Any, t: int) -> Any:
    return tree.map_structure(lambda x: None if x is None else x[:, t], x)
