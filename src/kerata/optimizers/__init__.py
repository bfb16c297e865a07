"""Optimizers: how gradients change weights. Each is its update rule; what surrounds the rule is in `Optimizer`."""

from __future__ import annotations

import contextlib
from typing import Any

from kerata import errors
from kerata.core import registry
from kerata.core.registry import Vocabulary
from kerata.optimizers import legacy as legacy
from kerata.optimizers import schedules as schedules
from kerata.optimizers.adam import Adam, Adamax, AdamW, Lamb, Nadam, ScheduleFreeAdamW
from kerata.optimizers.adaptive import Adadelta, Adafactor, Adagrad, Ftrl, RMSprop
from kerata.optimizers.base import Optimizer
from kerata.optimizers.loss_scale import LossScaleOptimizer
from kerata.optimizers.multi import MultiOptimizer, OptimizerMap
from kerata.optimizers.muon import Muon
from kerata.optimizers.sgd import SGD, Lion

__all__ = [
    "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion", "LossScaleOptimizer",
    "MultiOptimizer", "Muon", "Nadam", "Optimizer", "OptimizerMap", "RMSprop", "SGD", "ScheduleFreeAdamW",
    "deserialize", "get", "legacy", "schedules", "serialize",
]  # fmt: skip

def _advise_on_loss(name: str) -> str | None:
    """Return what to do about the name of a loss in the place of an optimizer's."""
    with contextlib.suppress(errors.UnknownName):
        registry.resolve("losses", name)
        return f"{name!r} is a loss: compile(optimizer='adam', loss={name!r})"
    return None


_vocabulary = Vocabulary("optimizer", __name__, Optimizer)


def get(identifier: Any) -> Any:
    """Return the optimizer for a name, a config, a class or an `Optimizer`; None for None.

    Example:
        >>> kerata.optimizers.get("adam").beta_1
        0.9
    """
    if isinstance(identifier, str):
        try:
            return _vocabulary.get(identifier if identifier in _vocabulary.names else identifier.lower())
        except errors.UnknownName:
            hint = _advise_on_loss(identifier)
            if hint is None:
                raise
            raise errors.UnknownName("optimizer", identifier, (), hint=hint) from None
    found = _vocabulary.get(identifier)
    if found is not None and not isinstance(found, Optimizer):
        raise errors.InvalidArgument(
            "this is no optimizer.", where="optimizers.get", expected="a name, a config, or an Optimizer",
            got=repr(identifier),
        )  # fmt: skip
    return found


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Return an optimizer as data, without its state."""
    return _vocabulary.serialize(optimizer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Optimizer:
    """Return the optimizer that `serialize` described."""
    return _vocabulary.deserialize(config, custom_objects)
