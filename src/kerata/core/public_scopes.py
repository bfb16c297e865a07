"""The scopes that a user enters: state given from outside, gradients that compute again, the symbolic stage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kerata import errors
from kerata.core.op import convert
from kerata.core.scopes import StateScope, around
from kerata.core.variable import Variable
from kerata.engine import arrays

__all__ = ["RematScope", "StatelessScope", "SymbolicScope"]


class StatelessScope(StateScope):
    """Inside it Variables have the values given here, and what is assigned to them stays here.

    Args:
        state_mapping: pairs of a Variable and its value inside; other Variables keep theirs.
        collect_losses: note in `losses` what layers add with `add_loss`.
        initialize_variables: without effect, because a Variable has its value from the start.

    Example:
        >>> weight = kerata.Variable(1.0)
        >>> with kerata.StatelessScope([(weight, 5.0)]) as scope:
        ...     _ = weight.assign(weight + 2)
        >>> float(scope.get_current_value(weight)), float(weight)
        (7.0, 1.0)
    """

    def __init__(
        self,
        state_mapping: Iterable[tuple[Variable, Any]] | None = None,
        collect_losses: bool = False,
        initialize_variables: bool = True,
    ) -> None:
        super().__init__()
        self.collect_losses, self.initialize_variables = collect_losses, initialize_variables
        self.losses: list[Any] = []
        for variable, value in state_mapping or ():
            if not isinstance(variable, Variable):
                raise errors.InvalidArgument(
                    "state is given as pairs of a Variable and a value.", where="StatelessScope", got=repr(variable)
                )
            array = arrays.as_array(convert(value), variable.dtype)
            if tuple(array.shape) != variable.shape:
                raise errors.ShapeMismatch(
                    "a Variable keeps its shape.", where=f"StatelessScope, Variable {variable.path!r}",
                    expected=variable.shape, got=tuple(array.shape),
                )  # fmt: skip
            self.values[variable] = array

    def add_loss(self, loss: Any) -> None:
        """Note a loss."""
        self.losses.append(loss)

    def add_update(self, update: tuple[Variable, Any]) -> None:
        """Set the value that a Variable has inside: `(variable, value)`."""
        self.write(*update)

    def get_current_value(self, variable: Variable) -> Any:
        """Return the value given for `variable` or assigned to it inside; None where neither happened."""
        return self.values.get(variable)


class SymbolicScope:
    """Marks that shapes are looked for, not values. Nothing of kerata behaves differently inside; programs may ask."""

    def __enter__(self) -> SymbolicScope:
        self._outside, around.symbolic = around.symbolic, True
        return self

    def __exit__(self, *_: object) -> None:
        around.symbolic = self._outside


class RematScope:
    """Layers made inside it have their insides computed again for gradients, and not kept in memory.

    Args:
        mode: "full" for every layer; "activations" for the activation functions that layers hold; "larger_than" for
            layers whose outputs have more than `output_size_threshold` elements (an unknown batch counts as 1);
            "list_of_layers" for those named in `layer_names`; None for none.
        output_size_threshold: see `mode`.
        layer_names: see `mode`.

    Example:
        >>> with kerata.RematScope("list_of_layers", layer_names=["wide"]):
        ...     layer = kerata.layers.Dense(4096, name="wide")
    """

    def __init__(
        self, mode: str | None = "full", output_size_threshold: int = 1024, layer_names: Sequence[str] | None = None
    ) -> None:
        modes = ("full", "activations", "larger_than", "list_of_layers", None)
        if mode not in modes:
            raise errors.InvalidArgument("the mode is unknown.", where="RematScope", expected=modes, got=repr(mode))
        self.mode, self.output_size_threshold, self.layer_names = mode, output_size_threshold, list(layer_names or ())

    def __enter__(self) -> RematScope:
        self._outside, around.remat = around.remat, self
        return self

    def __exit__(self, *_: object) -> None:
        around.remat = self._outside
