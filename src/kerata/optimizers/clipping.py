"""Clipping: gradients that are too long become shorter."""

from __future__ import annotations

from typing import Any

from kerata.engine import xp
from kerata.optimizers.joining import jointly

__all__ = ["clipped"]


def clipped(gradients: list[Any], norm: float | None, value: float | None, global_norm: float | None) -> list[Any]:
    """Return `gradients` within the one limit that is set.

    Args:
        norm: the largest norm of each.
        value: the largest magnitude of an element.
        global_norm: the largest norm of all together.
    """
    if norm and norm > 0:
        return [g * norm / xp.maximum(xp.sqrt(xp.sum(xp.square(g))), norm) for g in gradients]
    if global_norm and global_norm > 0:
        length = xp.sqrt(xp.sum(xp.stack([xp.sum(xp.square(g)) for g in gradients])))
        scale = global_norm * xp.minimum(1.0 / length, 1.0 / global_norm)
        scale = scale + (length - length)  # an infinite length gives NaN, and not, silently, zeros
        return [g for (g,) in jointly(lambda g: (g * scale,), [(g,) for g in gradients])]
    if value and value > 0:
        return [g for (g,) in jointly(lambda g: (xp.clip(g, -value, value),), [(g,) for g in gradients])]
    return gradients
