"""The optimizers of old Keras: they are refused, with what to use instead."""

from __future__ import annotations

from typing import Any

from kerata import errors

__all__ = ["SGD", "Adagrad", "Adam", "Ftrl", "Optimizer", "RMSprop"]


class _Legacy:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        name = type(self).__name__
        raise LegacyOptimizer(
            "the optimizers of old Keras do not exist any more.", where=f"optimizers.legacy.{name}",
            hint=f"kerata.optimizers.{name}",
        )  # fmt: skip


class LegacyOptimizer(errors.Unsupported, ImportError):
    """An optimizer of old Keras was made; an ImportError, as in Keras."""


class Optimizer(_Legacy):
    """Refused; see `kerata.optimizers.Optimizer`."""


class Adagrad(_Legacy):
    """Refused; see `kerata.optimizers.Adagrad`."""


class Adam(_Legacy):
    """Refused; see `kerata.optimizers.Adam`."""


class Ftrl(_Legacy):
    """Refused; see `kerata.optimizers.Ftrl`."""


class RMSprop(_Legacy):
    """Refused; see `kerata.optimizers.RMSprop`."""


class SGD(_Legacy):
    """Refused; see `kerata.optimizers.SGD`."""
