"""Cells: what a recurrent layer does at one time step. `RNN` in recurrent.py runs them over a sequence.

Shapes: B batch, T time steps, I features in, U units. R is `recurrent_kernel`, h the output of the step before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from kerata import ops, random, tree
from kerata.core.scopes import around
from kerata.layers.arguments import Named, known_size, positive
from kerata.layers.base import Layer

__all__ = ["GRUCell", "LSTMCell", "RecurrentCell", "SimpleRNNCell"]


# What all cells share -------------------------------------------------------------------------------------------


class _Drawn(NamedTuple):
    """Dropout masks, and the transform inside which they were drawn: they mean nothing after it."""

    masks: Any
    scope: Any

    def usable(self) -> bool:
        scope = around.state
        while scope is not None and scope is not self.scope:
            scope = scope.parent
        return scope is self.scope


class RecurrentCell(Layer):
    """A step in two halves: `project` needs the inputs alone, so that a sequence is projected at once; `recur`.

    Dropout masks are drawn once and serve every step until they are reset, as Gal and Ghahramani (2016), A
    theoretically grounded application of dropout in recurrent neural networks, have it.
    """

    gates = 1
    """How many blocks of U columns the kernels have."""
    dropout_mask_count: int | None = None
    """How many masks there are, one for each gate; None for one that all gates share."""
    _dropout_drawn: _Drawn | None = None
    _recurrent_dropout_drawn: _Drawn | None = None

    implementation = 2
    """Keras's name for whether each gate has dropout masks of its own: 1 for yes."""

    def _keep_cell(self, arguments: dict[str, Any]) -> None:
        self._keep(arguments)
        self.dropout = min(1.0, max(0.0, self.dropout))
        self.recurrent_dropout = min(1.0, max(0.0, self.recurrent_dropout))
        if self.gates > 1 and (self.implementation == 1 or self.recurrent_dropout):
            self.dropout_mask_count = self.gates
        self.seed_generator = random.SeedGenerator(self.seed)

    def build(self, input_shape: Any) -> None:
        columns = self.gates * self.units
        self.kernel = self._named_weight("kernel", (known_size(self, input_shape, -1), columns))
        self.recurrent_kernel = self._named_weight("recurrent_kernel", (self.units, columns), of="recurrent")
        self.bias = self._bias(columns) if self.use_bias else None

    def _bias(self, columns: int) -> Any:
        return self._named_weight("bias", (columns,))

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        several = tree.is_nested(states)
        output, new = self.recur(self.project(inputs, training), states if several else [states], training)
        return output, (new if several else new[0])

    def project(self, inputs: Any, training: bool = False) -> Any:
        """Return inputs kernel + bias, for one step (B, I) or for all, (T, B, I)."""
        masks = self.get_dropout_mask(inputs) if training else None
        return self._with_bias(self._masked(self._product, inputs, self.kernel, masks))

    def recur(self, x: Any, states: Sequence[Any], training: bool = False) -> tuple[Any, list[Any]]:
        """Return the output and the new states, the first of which it is, of projected inputs and the states before."""
        raise NotImplementedError

    def _from_before(self, h: Any, training: bool) -> Any:
        """Return h R."""
        masks = self.get_recurrent_dropout_mask(h) if training else None
        return self._masked(self._recurrent_product, h, self.recurrent_kernel, masks)

    def _with_bias(self, x: Any) -> Any:
        return x if self.bias is None else x + self.bias

    def _product(self, x: Any, kernel: Any) -> Any:
        return ops.matmul(x, kernel)

    _recurrent_product = _product
    _gate_axis = -1

    def _split(self, x: Any) -> list[Any]:
        return ops.split(x, self.gates, axis=self._gate_axis)

    def _masked(self, product: Any, x: Any, kernel: Any, masks: Any) -> Any:
        """Return the product of x and the kernel; under several masks each gate sees an x of its own."""
        if masks is None:
            return product(x, kernel)
        if not isinstance(masks, list):
            return product(x * masks, kernel)
        kernels = ops.split(kernel, len(masks), axis=-1)
        return ops.concatenate([product(x * m, k) for m, k in zip(masks, kernels)], axis=self._gate_axis)

    # State and dropout ------------------------------------------------------------------------------------------

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Return the states before the first step: zeros (B, U)."""
        sizes = self.state_size if isinstance(self.state_size, list) else [self.state_size]
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in sizes]

    def get_dropout_mask(self, step_input: Any) -> Any:
        """Return what a step's inputs are multiplied with in training, drawn at the first call; None without."""
        if self.dropout > 0 and (self._dropout_drawn is None or not self._dropout_drawn.usable()):
            self._dropout_drawn = self._drawn(step_input, self.dropout)
        return self._dropout_drawn and self._dropout_drawn.masks

    def get_recurrent_dropout_mask(self, step_input: Any) -> Any:
        """Return what the output before is multiplied with in training, drawn at the first call; None without."""
        drawn = self._recurrent_dropout_drawn
        if self.recurrent_dropout > 0 and (drawn is None or not drawn.usable()):
            self._recurrent_dropout_drawn = drawn = self._drawn(step_input, self.recurrent_dropout)
        return drawn and drawn.masks

    def _drawn(self, like: Any, rate: float) -> _Drawn:
        ones, count = ops.ones_like(like), self.dropout_mask_count
        masks = [random.dropout(ones, rate, seed=self.seed_generator) for _ in range(count or 1)]
        return _Drawn(masks if count else masks[0], around.state)

    def reset_dropout_mask(self) -> None:
        """Let the next call draw a new mask."""
        self._dropout_drawn = None

    def reset_recurrent_dropout_mask(self) -> None:
        """Let the next call draw a new mask."""
        self._recurrent_dropout_drawn = None


# The cells ------------------------------------------------------------------------------------------------------


class SimpleRNNCell(RecurrentCell):
    """A step of a fully connected recurrent network: h' = activation(x kernel + h R + bias); (B, I), [(B, U)].

    Args:
        units: U, the number of features out.
        dropout: the fraction of the inputs that training sets to 0.
        recurrent_dropout: the same of h.
        seed: an int for the same masks each time the program runs.

    Example:
        >>> cell = kerata.layers.SimpleRNNCell(4)
        >>> output, states = cell(numpy.ones((2, 3)), [numpy.zeros((2, 4))])
        >>> output.shape
        (2, 4)

    Source: Elman (1990), Finding structure in time.
    """

    def __init__(
        self,
        units: int,
        activation: Named = "tanh",
        use_bias: bool = True,
        kernel_initializer: Named = "glorot_uniform",
        recurrent_initializer: Named = "orthogonal",
        bias_initializer: Named = "zeros",
        kernel_regularizer: Named = None,
        recurrent_regularizer: Named = None,
        bias_regularizer: Named = None,
        kernel_constraint: Named = None,
        recurrent_constraint: Named = None,
        bias_constraint: Named = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep_cell(locals())
        self.state_size = self.output_size = positive(self, "units", units)

    def call(self, sequence: Any, states: Any, training: bool = False) -> Any:  # Keras's name for the inputs
        return super().call(sequence, states, training)

    def recur(self, x: Any, states: Sequence[Any], training: bool = False) -> tuple[Any, list[Any]]:
        h = self.activation(x + self._from_before(states[0], training))
        return h, [h]


class LSTMCell(RecurrentCell):
    """A step of a long short-term memory, which keeps c beside its output h; (B, I), [(B, U), (B, U)].

    i, f, g, o = x kernel + h R + bias, four parts of U columns, and s for `recurrent_activation`:
    c' = s(f) c + s(i) activation(g);  h' = s(o) activation(c')

    Args:
        units: U, the number of features out.
        unit_forget_bias: whether the bias of f starts at 1, so that the cell remembers at first.
        dropout, recurrent_dropout, seed: as of `SimpleRNNCell`; with recurrent dropout each part has its own masks.

    Example:
        >>> cell = kerata.layers.LSTMCell(4)
        >>> output, (h, c) = cell(numpy.ones((2, 3)), cell.get_initial_state(2))
        >>> output.shape
        (2, 4)

    Source: Hochreiter and Schmidhuber (1997), Long short-term memory; with Gers et al. (2000), Learning to forget.
    """

    gates = 4

    def __init__(
        self,
        units: int,
        activation: Named = "tanh",
        recurrent_activation: Named = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Named = "glorot_uniform",
        recurrent_initializer: Named = "orthogonal",
        bias_initializer: Named = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Named = None,
        recurrent_regularizer: Named = None,
        bias_regularizer: Named = None,
        kernel_constraint: Named = None,
        recurrent_constraint: Named = None,
        bias_constraint: Named = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        implementation = kwargs.pop("implementation", 2)
        super().__init__(**kwargs)
        self._keep_cell(locals())
        self.output_size = positive(self, "units", units)
        self.state_size = [self.units, self.units]

    def recur(self, x: Any, states: Sequence[Any], training: bool = False) -> tuple[Any, list[Any]]:
        h, c = states
        i, f, g, o = self._split(x + self._from_before(h, training))
        c = self.recurrent_activation(f) * c + self.recurrent_activation(i) * self.activation(g)
        h = self.recurrent_activation(o) * self.activation(c)
        return h, [h, c]

    def _bias(self, columns: int) -> Any:
        if not self.unit_forget_bias:
            return super()._bias(columns)
        return self.add_weight(
            (columns,), self._remembering, regularizer=self.bias_regularizer, constraint=self.bias_constraint,
            name="bias",
        )  # fmt: skip

    def _remembering(self, shape: Sequence[int], dtype: Any = None) -> Any:
        units = shape[0] // self.gates
        i, rest = (self.bias_initializer((n,), dtype=dtype) for n in (units, 2 * units))
        return ops.concatenate([i, ops.ones((units,), dtype), rest])


class GRUCell(RecurrentCell):
    """A step of a gated recurrent unit; (B, I), [(B, U)].

    z, r, g = x kernel + bias, three parts of U columns; R_z, R_r, R_g those of R; s for `recurrent_activation`:
    z = s(z + h R_z);  r = s(r + h R_r);  g = activation(g + r (h R_g + b_g));  h' = z h + (1 - z) g

    Args:
        units: U, the number of features out.
        reset_after: whether r weighs the product h R_g, with a second bias (2, 3 U), which is faster, or h before it:
            (r h) R_g.
        dropout, recurrent_dropout, seed: as of `SimpleRNNCell`; with recurrent dropout each part has its own masks.

    Example:
        >>> cell = kerata.layers.GRUCell(4)
        >>> output, states = cell(numpy.ones((2, 3)), cell.get_initial_state(2))
        >>> output.shape
        (2, 4)

    Source: Cho et al. (2014), Learning phrase representations using RNN encoder-decoder.
    """

    gates = 3

    def __init__(
        self,
        units: int,
        activation: Named = "tanh",
        recurrent_activation: Named = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Named = "glorot_uniform",
        recurrent_initializer: Named = "orthogonal",
        bias_initializer: Named = "zeros",
        kernel_regularizer: Named = None,
        recurrent_regularizer: Named = None,
        bias_regularizer: Named = None,
        kernel_constraint: Named = None,
        recurrent_constraint: Named = None,
        bias_constraint: Named = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        implementation = kwargs.pop("implementation", 2)
        super().__init__(**kwargs)
        self._keep_cell(locals())
        self.state_size = self.output_size = positive(self, "units", units)

    def recur(self, x: Any, states: Sequence[Any], training: bool = False) -> tuple[Any, list[Any]]:
        h, sigma = states[0], self.recurrent_activation
        if self.reset_after:
            x_z, x_r, x_g = self._split(x)
            before = self._from_before(h, training)
            h_z, h_r, h_g = self._split(before if self.bias is None else before + self.bias[1])
            z, r = sigma(x_z + h_z), sigma(x_r + h_r)
            g = self.activation(x_g + r * h_g)
        else:
            z, r, g = self._reset_before(x, h, training)
        h = z * h + (1 - z) * g
        return h, [h]

    def _reset_before(self, x: Any, h: Any, training: bool) -> tuple[Any, Any, Any]:
        masks = self.get_recurrent_dropout_mask(h) if training else None
        of_gates, of_candidate = (None, None) if masks is None else (masks[:2], masks[2:])
        kernel, both = self.recurrent_kernel, 2 * self.units
        gates = x[..., :both] + self._masked(self._product, h, kernel[:, :both], of_gates)
        z, r = ops.split(self.recurrent_activation(gates), 2, axis=-1)
        g = self.activation(x[..., both:] + self._masked(self._product, r * h, kernel[:, both:], of_candidate))
        return z, r, g

    def _bias(self, columns: int) -> Any:
        return self._named_weight("bias", (2, columns) if self.reset_after else (columns,))

    def _with_bias(self, x: Any) -> Any:
        return x if self.bias is None else x + (self.bias[0] if self.reset_after else self.bias)
