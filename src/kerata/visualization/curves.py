"""Curves of metrics over the epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kerata import errors
from kerata.visualization.figures import delivered, figure
from kerata.visualization.gallery import grid

__all__ = ["draw_curves", "paired", "plot_curves"]


def plot_curves(
    history: Mapping[str, Sequence[Any]],
    epochs: Mapping[str, Sequence[int]],
    names: Sequence[str] | str | None = None,
    path: Any = None,
    show: bool | None = None,
    where: str = "plot_curves",
) -> Any:
    """Return a figure with a field for each metric, in which its validation curve stands too.

    Args:
        history: the values of each metric, "val_…" being those of the validation.
        epochs: the epochs, counted from 0, after which each metric was measured; without them it was after all.
        names: which metrics, without "val_"; all by default.
        path, show: see `plot_image_gallery`.
    """
    pairs = paired(history)
    chosen = list(pairs) if names is None else [names] if isinstance(names, str) else list(names)
    for name in chosen:
        if name not in pairs:
            raise errors.UnknownName("metric", name, pairs, where=where)
    if not chosen:
        raise errors.StateError("there is no epoch to show yet.", where=where, hint="train with model.fit first")
    rows, columns = grid(len(chosen), None, min(len(chosen), 3))
    made = figure(4.2 * columns, 3.2 * rows, where, path, show, layout="constrained")
    fields = made.subplots(rows, columns, squeeze=False).flat
    for i, ax in enumerate(fields):
        if i < len(chosen):
            draw_curves(ax, chosen[i], {name: history[name] for name in pairs[chosen[i]]}, epochs)
        else:
            ax.axis("off")
    return delivered(made, path, show, dpi=120)


def paired(names: Any) -> dict[str, list[str]]:
    """Return for each metric its own name and that of its validation, as far as they are among `names`."""
    found: dict[str, list[str]] = {}
    for name in names:
        metric = name.removeprefix("val_")
        found.setdefault(metric, []).append(name)
    return {metric: sorted(both, key=len) for metric, both in found.items()}


def draw_curves(
    ax: Any, title: str, curves: Mapping[str, Sequence[Any]], epochs: Mapping[str, Sequence[int]]
) -> None:
    """Draw the curves of one metric; epochs are shown from 1, and what is no number leaves a gap."""
    for name, values in curves.items():
        validation = name.startswith("val_")
        at = epochs.get(name, ())
        at = at if len(at) == len(values) else range(len(values))
        ax.plot(
            [epoch + 1 for epoch in at], [_number(v) for v in values], label="validation" if validation else "training",
            linestyle="--" if validation else "-", marker="o" if len(values) < 12 else None, markersize=3,
        )  # fmt: skip
    ax.set_title(title)
    ax.set_xlabel("epoch")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(alpha=0.3)
    if len(curves) > 1:
        ax.legend()


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
