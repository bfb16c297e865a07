"""Activation functions as layers, with their constants as arguments. Those without arguments: `Activation("gelu")`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerata import activations, errors, ops
from kerata.layers.arguments import Named, known_size
from kerata.layers.base import Layer
from kerata.layers.input_spec import InputSpec
from kerata.layers.shapes import known_shape

__all__ = ["ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax"]


def _not_negative(layer: Layer, name: str, value: Any) -> None:
    if value is None or value < 0:
        raise errors.InvalidArgument(
            f"`{name}` is a number of 0 or more.", where=type(layer).__name__, got=f"{name}={value!r}"
        )


class ReLU(Layer):
    """y = max_value where x >= max_value, x where x > threshold, negative_slope (x - threshold) elsewhere.

    Example:
        >>> kerata.layers.ReLU(max_value=6.0)(numpy.array([-1.0, 3.0, 9.0])).tolist()
        [0.0, 3.0, 6.0]
    """

    built = supports_masking = True

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        for name in ("negative_slope", "threshold") + (("max_value",) if max_value is not None else ()):
            _not_negative(self, name, getattr(self, name))

    def call(self, inputs: Any) -> Any:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(Layer):
    """y = x where x >= 0, negative_slope x elsewhere.

    Example:
        >>> kerata.layers.LeakyReLU(0.5)(numpy.array([-1.0, 2.0])).tolist()
        [-0.5, 2.0]
    """

    built = supports_masking = True

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        negative_slope = kwargs.pop("alpha", negative_slope)  # the old spelling
        super().__init__(**kwargs)
        self._keep(locals())
        _not_negative(self, "negative_slope", negative_slope)

    def call(self, inputs: Any) -> Any:
        return activations.leaky_relu(inputs, self.negative_slope)


class PReLU(Layer):
    """y = x where x >= 0, alpha x elsewhere, with an alpha for each feature that is learned.

    Args:
        shared_axes: axes along which alpha is the same, such as (1, 2) for images; None for none.

    Example:
        >>> kerata.layers.PReLU(shared_axes=(1, 2))(numpy.ones((2, 8, 8, 3))).shape
        (2, 8, 8, 3)

    Source: He et al. (2015), Delving deep into rectifiers.
    """

    supports_masking = True

    def __init__(
        self,
        alpha_initializer: Named = "Zeros",
        alpha_regularizer: Named = None,
        alpha_constraint: Named = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        if shared_axes is not None:
            self.shared_axes = [shared_axes] if isinstance(shared_axes, int) else list(shared_axes)

    def build(self, input_shape: Any) -> None:
        shared = [axis % len(input_shape) for axis in self.shared_axes or ()]
        own = [axis for axis in range(1, len(input_shape)) if axis not in shared]
        sizes = {axis: known_size(self, input_shape, axis) for axis in own}
        self.alpha = self._named_weight("alpha", tuple(sizes.get(axis, 1) for axis in range(1, len(input_shape))))
        self.input_spec = InputSpec(ndim=len(input_shape), axes=sizes)

    def call(self, inputs: Any) -> Any:
        return activations.relu(inputs) - self.alpha * activations.relu(-inputs)


class ELU(Layer):
    """y = x where x >= 0, alpha (exp(x) - 1) elsewhere.

    Example:
        >>> kerata.layers.ELU()(numpy.array([0.0, 2.0])).tolist()
        [0.0, 2.0]

    Source: Clevert et al. (2016), Fast and accurate deep network learning by exponential linear units.
    """

    built = supports_masking = True

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def call(self, inputs: Any) -> Any:
        return activations.elu(inputs, alpha=self.alpha)


class Softmax(Layer):
    """y = exp(x) / sum(exp(x)) along `axis`, an axis or several; masked entries are 0.

    Example:
        >>> kerata.layers.Softmax()(numpy.zeros((1, 4))).tolist()
        [[0.25, 0.25, 0.25, 0.25]]
    """

    built = supports_masking = True

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return self._softmax(inputs)
        self._check_mask(known_shape(mask), known_shape(inputs))
        mask = mask if mask.dtype == "bool" else mask > 0.5
        lowest = -3e4 if inputs.dtype == "float16" else -1e9
        return ops.where(mask, self._softmax(ops.where(mask, inputs, lowest)), 0.0)

    def _softmax(self, x: Any) -> Any:
        return activations.softmax(x, axis=self.axis)

    def _check_mask(self, mask: tuple, inputs: tuple) -> None:
        pairs = zip(reversed(mask), reversed(inputs))
        if len(mask) > len(inputs) or any(m not in (1, None, x) and x is not None for m, x in pairs):
            raise errors.ShapeMismatch(
                "the mask does not fit the input.", where=self._where(), expected=f"what broadcasts to {inputs}",
                got=f"shape {mask}",
            )  # fmt: skip
