"""Recurrent layers: a cell, run over the time steps of a sequence.

Shapes: B batch, T time steps, I features in, U units. The cells with their equations are in recurrent_cells.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from kerata import activations, engine, errors, ops, tree
from kerata.core.configurable import WithCustomObjects
from kerata.core.symbolic import snake_case
from kerata.core.variable import Variable
from kerata.layers.arguments import Named
from kerata.layers.base import Layer
from kerata.layers.input_spec import InputSpec
from kerata.layers.recurrent_cells import GRUCell, LSTMCell, RecurrentCell, SimpleRNNCell
from kerata.layers.stacked_cells import (
    StackedRNNCells,
    advance,
    check_cell,
    draw_dropout_masks,
    forget_dropout_masks,
    initial_state,
)

__all__ = ["GRU", "LSTM", "RNN", "SimpleRNN"]


class RNN(WithCustomObjects, Layer):
    """Runs a cell over time, each step with the states of the one before: (B, T, …) -> (B, U), or (B, T, U).

    A masked step changes no state, and gives out what the step before gave. Called with `initial_state=[…]`, the
    first step starts from there instead of zeros.

    Args:
        cell: an object with `call(inputs, states) -> (output, new_states)` and `state_size`, an int or several; the
            first state is the output, where masks are to be used. A list of cells is stacked.
        return_sequences: whether the outputs of all steps are given out, or the last one's.
        return_state: whether the last states follow the output.
        go_backwards: whether the last step is taken first; the outputs come in the order in which they are made.
        stateful: whether a batch starts from the states in which the one before ended, until `reset_state()`. The
            size of the batch is then fixed.
        unroll: whether the steps are written out one by one instead of in a loop; faster for few steps, slow to
            compile for many.
        zero_output_for_mask: whether a masked step gives out zeros.

    Example:
        >>> rnn = kerata.layers.RNN(kerata.layers.LSTMCell(4), return_sequences=True)
        >>> rnn(numpy.ones((2, 5, 3))).shape
        (2, 5, 4)
    """

    supports_masking = True
    _not_members = Layer._not_members | {"states"}  # no weights: they come and go with the data, and are in no file

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        self.cell = StackedRNNCells(cell) if isinstance(cell, (list, tuple)) else cell
        check_cell(self.cell, type(self).__name__)
        self.states: list[Any] | None = None

    @property
    def state_size(self) -> list[Any]:
        """The sizes of the states."""
        size = self.cell.state_size
        return list(size) if isinstance(size, (list, tuple)) else [size]

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((sequences_shape[0], *sequences_shape[2:]))
            self.cell.built = True
        if self.stateful and self.states is None:
            self.states = self._state_variables(sequences_shape)

    def _state_variables(self, sequences_shape: Any) -> list[Any]:
        if sequences_shape[0] is None:
            raise errors.ShapeMismatch(
                "a stateful layer keeps a state for each sample, so the size of the batch is fixed.",
                where=self._where(), expected="a known batch size", got=f"shape {tuple(sequences_shape)}",
                hint="give `batch_size` in Input(shape, batch_size), or call the layer on data first",
            )  # fmt: skip

        return tree.map_structure(
            lambda s: Variable("zeros", tuple(s.shape), self.variable_dtype, trainable=False, name="rnn_state"),
            self.get_initial_state(sequences_shape[0]),
        )

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """Return the states before the first step."""
        state = initial_state(self.cell, batch_size, getattr(self.cell, "compute_dtype", self.compute_dtype))
        return list(state) if tree.is_nested(state) else [state]

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        states = self._first_states(sequences, initial_state)
        if training:
            draw_dropout_masks(self.cell, sequences[:, 0], states)
        try:
            last, outputs, states = self.inner_loop(sequences, states, mask, training)
        finally:
            forget_dropout_masks(self.cell)
        if self.stateful:
            tree.map_structure(lambda variable, state: variable.assign(state), self.states, states)
        output = ops.cast(outputs if self.return_sequences else last, self.compute_dtype)
        if not self.return_state:
            return output
        return output, *tree.map_structure(lambda state: ops.cast(state, self.compute_dtype), states)

    def _first_states(self, sequences: Any, given: Any) -> list[Any]:
        if self.stateful and tree.flatten(self.states)[0].shape[0] != sequences.shape[0]:
            raise errors.ShapeMismatch(
                "a stateful layer keeps a state for each sample of the batch.", where=self._where(),
                expected=f"a batch of {tree.flatten(self.states)[0].shape[0]}", got=f"shape {tuple(sequences.shape)}",
            )  # fmt: skip
        if given is None:
            given = self.states if self.stateful else self.get_initial_state(sequences.shape[0])
        dtype = getattr(self.cell, "compute_dtype", self.compute_dtype)
        states = list(given) if tree.is_nested(given) else [given]
        return tree.map_structure(lambda state: ops.convert_to_tensor(state, dtype=dtype), states)

    # The steps --------------------------------------------------------------------------------------------------

    def inner_loop(
        self, sequences: Any, initial_state: Any, mask: Any, training: bool = False
    ) -> tuple[Any, Any, list[Any]]:
        """Return the last output, all outputs (B, T, …) where they are wanted, and the last states."""
        xs = ops.swapaxes(sequences, 0, 1)
        real = None if mask is None else _of_steps(tree.flatten(mask)[0])
        if (found := self._by_kernel(xs, real, initial_state, training)) is not None:
            return found
        xs, one_step = self._projected(xs, training)
        # A cell of our own gives out its first state, so that a loop need not keep what nobody asks for.
        needed = self.return_sequences or self.zero_output_for_mask or not _is_plain(self.cell)

        def step(states: list[Any], now: tuple[Any, Any]) -> tuple[list[Any], Any]:
            x, real = now
            output, new = one_step(x, states)
            if real is not None:
                new = tree.map_structure(lambda n, s: _where(real, n, s), new, states)
                output = _where(real, output, self._output_without(states, output)) if needed else None
            return new, output if needed else None

        run = _unrolled if self.unroll else ops.scan
        states, outputs = run(step, initial_state, (xs, real), reverse=self.go_backwards)
        if not needed:
            return states[0], None, states
        if self.go_backwards:
            outputs = ops.flip(outputs, axis=0)
        return outputs[-1], ops.swapaxes(outputs, 0, 1), states

    def _by_kernel(self, xs: Any, real: Any, states: list[Any], training: bool) -> tuple[Any, Any, list[Any]] | None:
        """Return what the loop would, if the engine has a kernel for all steps of just this cell."""
        cell: Any = self.cell
        way = engine.active().fast_ways.get(f"{type(cell).__module__}.{type(cell).__qualname__}")
        if way is None or (cell.compute_dtype, cell.variable_dtype) != (self.compute_dtype, self.variable_dtype):
            return None
        if self.unroll or getattr(self, "use_cudnn", "auto") is False or (self.go_backwards and real is not None):
            return None
        usual = cell.activation is activations.tanh and cell.recurrent_activation is activations.sigmoid
        if not usual or (training and (cell.dropout or cell.recurrent_dropout)):
            return None
        bias = None if cell.bias is None else cell.bias.value
        weights = cell.kernel.value, cell.recurrent_kernel.value, bias
        found = way(cell, ops.flip(xs, axis=0) if self.go_backwards else xs, states, *weights, real)
        if found is NotImplemented:
            return None
        outputs, states = found
        if real is None:
            return states[0], ops.swapaxes(outputs, 0, 1), states
        # No step comes after those that are left out.
        outputs = ops.where(real[..., None], outputs, self._output_without(states, states[0]))
        return outputs[-1], ops.swapaxes(outputs, 0, 1), states

    def _projected(self, xs: Any, training: bool) -> tuple[Any, Callable[[Any, list[Any]], Any]]:
        """Return what is looped over, and one step; on a GPU all steps' inputs meet the weights before the loop."""
        cell = self.cell
        if _is_plain(cell) and (cell.compute_dtype, cell.variable_dtype) == (self.compute_dtype, self.variable_dtype):
            if _at_once():
                return cell.project(xs, training), lambda x, states: cell.recur(x, states, training)
            return xs, lambda x, states: cell.recur(cell.project(x, training), states, training)
        return xs, lambda x, states: advance(cell, x, states)

    def _output_without(self, states: list[Any], output: Any) -> Any:
        """Return what a masked step gives out: zeros, or the output before, which is the (last) cell's state."""
        if self.zero_output_for_mask:
            return ops.zeros_like(output)
        before = tree.flatten(states[-1] if tree.is_nested(states[0]) else states)[0]
        if before.shape != output.shape:
            raise errors.ShapeMismatch(
                "a masked step repeats the output before, which the first state is to be.", where=self._where(),
                expected=f"a first state of shape {tuple(output.shape)}", got=f"shape {tuple(before.shape)}",
                hint="`zero_output_for_mask=True` gives out zeros instead",
            )  # fmt: skip
        return before

    # Masks and state --------------------------------------------------------------------------------------------

    def compute_mask(self, _: Any, mask: Any) -> Any:
        mask = tree.flatten(mask)[0] if self.return_sequences else None
        return [mask, *(None for _ in self.state_size)] if self.return_state else mask

    @property
    def variables(self) -> list[Variable]:
        """The weights, the states of seed generators, and those that a stateful layer keeps between batches."""
        return [*super().variables, *tree.flatten(self.states or [])]

    def reset_state(self) -> None:
        """Set the states of a stateful layer to zeros."""
        for variable in tree.flatten(self.states or []):
            variable.assign(ops.zeros(variable.shape, variable.dtype))

    def reset_states(self) -> None:
        """Do as `reset_state`, of which this is an older name."""
        self.reset_state()


def _is_plain(cell: Any) -> bool:
    """Return whether the step of `cell` is the two halves of a cell of ours, whatever they are."""
    return isinstance(cell, RecurrentCell) and type(cell).call is RecurrentCell.call


def _at_once() -> bool:
    # A CPU is faster with each step's product in its cache: LSTM(128) on (32, 64, 64), gradient, 19 ms against 27.
    return not engine.devices.names()[0].startswith("cpu")


def _of_steps(mask: Any) -> Any:
    """Return a mask (B, T), or (B, T, 1), as booleans (T, B)."""
    mask = ops.cast(mask, "bool")
    if mask.ndim > 2:
        mask = ops.any(mask, axis=tuple(range(2, mask.ndim)))
    return ops.swapaxes(mask, 0, 1)


def _where(real: Any, x: Any, otherwise: Any) -> Any:
    return ops.where(ops.reshape(real, (-1,) + (1,) * (x.ndim - 1)), x, otherwise)


def _unrolled(step: Callable[..., Any], states: Any, rows: tuple[Any, Any], reverse: bool) -> tuple[Any, Any]:
    """Do as `ops.scan`, with the steps written out."""
    xs, real = rows
    steps, outputs = range(xs.shape[0]), []
    for t in reversed(steps) if reverse else steps:
        states, output = step(states, (xs[t], None if real is None else real[t]))
        outputs.append(output)
    outputs = outputs[::-1] if reverse else outputs
    return states, (None if outputs[0] is None else ops.stack(outputs))


# A cell and its loop as one layer -------------------------------------------------------------------------------


class CellLayer(RNN):
    """An RNN that makes its cell: `class LSTM(CellLayer, cell=LSTMCell)` has the cell's arguments among its own."""

    _cell_class: type[RecurrentCell]

    def __init_subclass__(cls, cell: type[RecurrentCell] | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cell is not None:
            cls._cell_class = cell
            for name in _arguments(cell):
                setattr(cls, name, property(lambda self, name=name: getattr(self.cell, name), doc=f"`{name}`."))

    def _make(self, given: dict[str, Any]) -> None:
        """Make the cell and the loop around it of the constructor's `locals()`."""
        kwargs, cell_class = given["kwargs"], self._cell_class
        passed = {name: kwargs[name] for name in ("dtype", "trainable", "implementation") if name in kwargs}
        kwargs.pop("implementation", None)
        of_cell = {name: given[name] for name in _arguments(cell_class)}
        cell = cell_class(**of_cell, **passed, name=snake_case(cell_class.__name__))
        loop = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll", "activity_regularizer")
        RNN.__init__(self, cell, **{name: given[name] for name in loop if name in given}, **kwargs)
        self.use_cudnn = given.get("use_cudnn", False)
        self.input_spec = InputSpec(ndim=3)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:  # a cell of its own: no custom objects
        return super().from_config(config)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("use_cudnn", None)  # how it is computed, not what
        of_every = {name: getattr(self, name) for name in ("unroll", "zero_output_for_mask")}
        return {"activity_regularizer": None, **of_every, **config}


def _arguments(cell: type[RecurrentCell]) -> list[str]:
    return [name for name in inspect.signature(cell.__init__).parameters if name not in ("self", "kwargs")]


class SimpleRNN(CellLayer, cell=SimpleRNNCell):
    """A fully connected recurrent network: h[t] = activation(x[t] kernel + h[t-1] R + bias); (B, T, I) -> (B, U).

    The arguments are those of `SimpleRNNCell` and `RNN`.

    Example:
        >>> kerata.layers.SimpleRNN(4, return_sequences=True)(numpy.ones((2, 5, 3))).shape
        (2, 5, 4)
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
        activity_regularizer: Named = None,
        kernel_constraint: Named = None,
        recurrent_constraint: Named = None,
        bias_constraint: Named = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        self._make(locals())


class LSTM(CellLayer, cell=LSTMCell):
    """A long short-term memory over a sequence, (B, T, I) -> (B, U); the equations are at `LSTMCell`.

    The arguments are those of `LSTMCell` and `RNN`; `use_cudnn=False` takes each step by itself, even where the
    engine has a kernel for all of them, such as cuDNN's.

    Example:
        >>> lstm = kerata.layers.LSTM(4, return_sequences=True, return_state=True)
        >>> outputs, h, c = lstm(numpy.ones((2, 5, 3)))
        >>> outputs.shape, c.shape
        ((2, 5, 4), (2, 4))
    """

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
        activity_regularizer: Named = None,
        kernel_constraint: Named = None,
        recurrent_constraint: Named = None,
        bias_constraint: Named = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        self._make(locals())


class GRU(CellLayer, cell=GRUCell):
    """Gated recurrent units over a sequence, (B, T, I) -> (B, U); the equations are at `GRUCell`.

    The arguments are those of `GRUCell` and of `RNN`; `use_cudnn=False` takes each step by itself, even where
    the engine has a kernel for all of them.

    Example:
        >>> kerata.layers.GRU(4)(numpy.ones((2, 5, 3))).shape
        (2, 4)
    """

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
        activity_regularizer: Named = None,
        kernel_constraint: Named = None,
        recurrent_constraint: Named = None,
        bias_constraint: Named = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        self._make(locals())
