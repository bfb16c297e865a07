"""`StackedRNNCells`, and what a recurrent layer asks of a cell of any kind: kerata's own or a user's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerata import errors, ops, tree
from kerata.core.configurable import WithCustomObjects
from kerata.layers.base import Layer
from kerata.layers.recurrent_cells import RecurrentCell

__all__ = [
    "StackedRNNCells", "advance", "check_cell", "draw_dropout_masks", "forget_dropout_masks", "initial_state",
]  # fmt: skip


def check_cell(cell: Any, where: str) -> None:
    """Raise when `cell` lacks what a recurrent layer asks of it."""
    missing = [name for name in ("call", "state_size") if name not in dir(cell)]
    if missing:
        raise errors.InvalidType(
            "this is no cell.", where=where, got=repr(cell)[:80],
            expected="an object with `call(inputs, states)` and `state_size`",
            hint=f"it has no {' and no '.join(f'`{name}`' for name in missing)}",
        )  # fmt: skip


def initial_state(cell: Any, batch_size: Any, dtype: str) -> Any:
    """Return the state of any cell before the first step, zeros where the cell does not say."""
    if hasattr(cell, "get_initial_state"):
        return cell.get_initial_state(batch_size=batch_size)
    sizes: Any = cell.state_size
    return tree.map_structure(lambda size: ops.zeros((batch_size, size), dtype=dtype), sizes)


def advance(cell: Any, inputs: Any, states: Any, **kwargs: Any) -> tuple[Any, list[Any]]:
    """Return the output and the list of new states of one step of any cell."""
    step: Any = cell if callable(cell) else cell.call
    output, new = step(inputs, states, **kwargs)
    return output, list(new) if tree.is_nested(new) else [new]


class StackedRNNCells(WithCustomObjects, Layer):
    """Cells on top of each other as one cell: each takes the output of the one before, and keeps its own states.

    Args:
        cells: cells, the first of which takes the inputs.

    Example:
        >>> cells = [kerata.layers.LSTMCell(4), kerata.layers.GRUCell(3)]
        >>> kerata.layers.RNN(cells)(numpy.ones((2, 5, 6))).shape
        (2, 3)
    """

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for cell in cells:
            check_cell(cell, "StackedRNNCells")
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        """The state sizes of the cells."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:
        """The number of features out, those of the last cell."""
        return _output_size(self.cells[-1])

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Return the states of the cells before the first step."""
        return [initial_state(cell, batch_size, self.compute_dtype) for cell in self.cells]

    def build(self, input_shape: Any) -> None:
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
                cell.built = True
            input_shape = (input_shape[0], _output_size(cell))

    def call(
        self, inputs: Any, states: Sequence[Any], training: bool = False, **kwargs: Any
    ) -> tuple[Any, list[Any]]:
        new_states: list[Any] = []
        for cell, before in zip(self.cells, states):
            several = tree.is_nested(before)
            inputs, new = advance(cell, inputs, list(before) if several else [before], **kwargs)
            new_states.append(new if several else new[0])
        return inputs, new_states


def _output_size(cell: Any) -> int:
    size = getattr(cell, "output_size", None) or cell.state_size
    return size[0] if isinstance(size, (list, tuple)) else size


def draw_dropout_masks(cell: Any, inputs: Any, states: Any) -> None:
    """Draw the masks before the loop, so that all steps share them."""
    if isinstance(cell, RecurrentCell):
        cell.get_dropout_mask(inputs)
        cell.get_recurrent_dropout_mask(tree.flatten(states)[0])
    elif isinstance(cell, StackedRNNCells):
        for one, state in zip(cell.cells, states):
            draw_dropout_masks(one, inputs, state)
            inputs = tree.flatten(state)[0]  # the output, which the next cell takes, is alike


def forget_dropout_masks(cell: Any) -> None:
    """Let the next batch have masks of its own."""
    for one in cell.cells if isinstance(cell, StackedRNNCells) else [cell]:
        if isinstance(one, RecurrentCell):
            one.reset_dropout_mask()
            one.reset_recurrent_dropout_mask()
