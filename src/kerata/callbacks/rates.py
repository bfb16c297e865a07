"""The learning rates of a model's optimizer, of which there may be several."""

from __future__ import annotations

from typing import Any

__all__ = ["inner", "learning_rates", "rate_of"]


def inner(optimizer: Any) -> list[Any]:
    """Return the optimizers that do the work: those of a `MultiOptimizer`, the one in a `LossScaleOptimizer`."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    return list(getattr(optimizer, "optimizers", [optimizer]))


def rate_of(optimizer: Any) -> float:
    """Return the learning rate of an optimizer as a number."""
    return float(optimizer.learning_rate)


def learning_rates(optimizer: Any) -> dict[str, float]:
    """Return `learning_rate`, or `learning_rate_<name>` for each of several optimizers."""
    several = hasattr(getattr(optimizer, "inner_optimizer", optimizer), "optimizers")
    return {f"learning_rate_{o.name}" if several else "learning_rate": rate_of(o) for o in inner(optimizer)}
