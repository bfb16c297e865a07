"""Layouts of images: single ones and batches, channels last and first. The other rooms see (B, *S, C) only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kerata import config, errors
from kerata.engine import xp

__all__ = ["channel_axis", "channels_last"]


def _check_rank(images: Any, axes: int, where: str) -> None:
    if images.ndim not in (axes + 1, axes + 2):
        raise errors.ShapeMismatch(
            "these are no images.", where=f"ops.image.{where}",
            expected=f"{axes + 1} axes for one, {axes + 2} for a batch", got=f"shape {tuple(images.shape)}",
        )  # fmt: skip


def channel_axis(images: Any, data_format: str | None, where: str) -> int:
    """Return which axis of images holds the colors, counted from the end."""
    _check_rank(images, 2, where)
    return -1 if config.standardize_data_format(data_format) == "channels_last" else -3


def channels_last(images: Any, data_format: str | None, where: str, axes: int = 2) -> tuple[Any, Callable[[Any], Any]]:
    """Return images as (B, *S, C), with `axes` axes S, and the function that gives a result the layout they had."""
    _check_rank(images, axes, where)
    single = images.ndim == axes + 1
    first = config.standardize_data_format(data_format) == "channels_first"
    batch = images[None] if single else images

    def back(result: Any) -> Any:
        result = xp.moveaxis(result, axes + 1, 1) if first else result
        return result[0] if single else result

    return xp.moveaxis(batch, 1, -1) if first else batch, back
