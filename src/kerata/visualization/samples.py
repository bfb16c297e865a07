"""Samples with what they are and what they were taken for."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerata import errors, ops
from kerata.visualization.figures import delivered, figure
from kerata.visualization.gallery import draw_image, grid, in_bytes, named
from kerata.visualization.labels import class_numbers, class_pairs

__all__ = ["plot_samples"]


@errors.user_facing
def plot_samples(
    x: Any,
    y_true: Any = None,
    y_pred: Any = None,
    class_names: Any = None,
    count: int = 25,
    columns: int | None = None,
    only_wrong: bool = False,
    path: Any = None,
    show: bool | None = None,
) -> Any:
    """Show the first samples with their true and predicted classes; wrong predictions have a red frame.

    Args:
        x: images (N, H, W) or (N, H, W, C) with one, three or four channels, or curves (N, T). Floats in 0 … 1 are
            shown as they are, other floats from the lowest to the highest.
        y_true: (N,) class numbers, or (N, C) one-hot rows.
        y_pred: (N,) class numbers, (N, C) scores, or (N,) or (N, 1) probabilities of class 1, as `predict` returns.
        class_names: a list or dictionary of the classes' names.
        count: how many at most.
        columns: how many side by side.
        only_wrong: show those alone that were taken for something else.
        path, show: see `plot_image_gallery`.

    Returns:
        The figure of matplotlib.

    Example:
        >>> (_, _), (x, y) = kerata.datasets.mnist.load_data()
        >>> figure = kerata.visualization.plot_samples(x, y, count=9, path="samples.png")
    """
    where = "plot_samples"
    x = ops.convert_to_numpy(x)
    images = x.ndim == 3 or (x.ndim == 4 and x.shape[-1] in (1, 3, 4))
    if not images and x.ndim != 2:
        raise errors.ShapeMismatch(
            "samples are images or curves.", where=where, got=f"shape {x.shape}",
            expected="(N, H, W), (N, H, W, C) with C 1, 3 or 4, or (N, T)",
        )  # fmt: skip
    wrong = np.zeros(len(x), bool)
    if y_true is not None and y_pred is not None:
        true, predicted = class_pairs(y_true, y_pred, where)
        wrong = true != predicted
    elif only_wrong:
        raise errors.InvalidArgument("`only_wrong` needs y_true and y_pred.", where=where)
    answers = {
        word: class_numbers(y, argument, where)
        for word, argument, y in (("true", "y_true", y_true), ("pred", "y_pred", y_pred))
        if y is not None
    }
    for word, numbers in answers.items():
        if len(numbers) != len(x):
            raise errors.ShapeMismatch(
                "each sample needs an answer.", where=f"{where}: y_{word}", expected=len(x), got=len(numbers)
            )
    chosen = (np.flatnonzero(wrong) if only_wrong else np.arange(len(x)))[:count]
    captions = {word: named(numbers[chosen], class_names) for word, numbers in answers.items()}
    pictures = _as_images(x[chosen]) if images else x[chosen]
    rows, columns = grid(len(chosen), None, columns)
    made = figure(1.6 * columns, 1.8 * rows, where, path, show, layout="tight")
    for i, ax in enumerate(made.subplots(rows, columns, squeeze=False).flat):
        if i >= len(chosen):
            ax.axis("off")
            continue
        if images:
            draw_image(ax, pictures[i])
        else:
            ax.plot(pictures[i])
        ax.set(xticks=[], yticks=[])
        bad = bool(wrong[chosen[i]])
        ax.set_title(_caption({word: names[i] for word, names in captions.items()}, bad), fontsize=8,
                     color="crimson" if bad else "black")  # fmt: skip
        for side in ax.spines.values():
            side.set(visible=bad or not images, color="crimson" if bad else "black", linewidth=3 if bad else 0.8)
    return delivered(made, path, show, dpi=120)


def _caption(names: dict[str, str], wrong: bool) -> str:
    """Return what stands above a sample; colour alone would not tell everyone that it is wrong."""
    if wrong:
        return f"✗ {names['pred']}, not {names['true']}"
    return names.get("pred", names.get("true", ""))


def _as_images(x: np.ndarray) -> np.ndarray:
    """Return images as bytes (N, H, W, C)."""
    x = x[..., None] if x.ndim == 3 else x
    if x.dtype.kind == "f" and x.size:
        low, high = float(np.nanmin(x)), float(np.nanmax(x))
        inside = low >= 0 and high <= 1
        return in_bytes(x, (0, 1) if inside else (low, high if high > low else low + 1))
    return in_bytes(x, (0, 1) if x.dtype == bool else (0, 255))
