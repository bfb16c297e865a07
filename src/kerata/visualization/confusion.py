"""Which classes are taken for which."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerata import errors
from kerata.visualization.figures import delivered, figure
from kerata.visualization.gallery import named
from kerata.visualization.labels import class_pairs

__all__ = ["confusion_matrix", "plot_confusion_matrix"]

NORMALIZATIONS = ("true", "pred", "all")


@errors.user_facing
def confusion_matrix(
    y_true: Any, y_pred: Any, num_classes: int | None = None, normalize: str | None = None
) -> np.ndarray:
    """Count how often each class was taken for each: row t, column p is how many of class t were called p.

    Args:
        y_true: (N,) class numbers, or (N, C) one-hot rows.
        y_pred: (N,) class numbers, (N, C) scores, or (N,) or (N, 1) probabilities of class 1.
        num_classes: C, where the last classes do not occur.
        normalize: "true" for shares of each row (the diagonal is the recall of each class), "pred" for shares of each
            column (precision), "all" for shares of everything. A class that does not occur has zeros.

    Returns:
        (C, C), int64; with `normalize` float64.

    Example:
        >>> kerata.visualization.confusion_matrix([0, 1, 1, 2], [0, 1, 2, 2]).tolist()
        [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
    """
    where = "confusion_matrix"
    true, predicted = class_pairs(y_true, y_pred, where)
    both = np.concatenate([true, predicted])
    count = int(both.max(initial=-1)) + 1 if num_classes is None else num_classes
    if both.size and (both.min() < 0 or both.max() >= count):
        raise errors.InvalidArgument(
            "there are classes that cannot be.", where=where, expected=f"0 … {count - 1}",
            got=f"{both.min()} … {both.max()}",
        )  # fmt: skip
    matrix = np.bincount(true * count + predicted, minlength=count * count).reshape(count, count)
    if normalize is None:
        return matrix
    if normalize not in NORMALIZATIONS:
        raise errors.UnknownName("normalization", normalize, NORMALIZATIONS, where=where)
    total = matrix.sum(axis={"true": 1, "pred": 0, "all": None}[normalize], keepdims=True)
    return matrix / np.maximum(total, 1)


@errors.user_facing
def plot_confusion_matrix(
    y_true: Any,
    y_pred: Any,
    class_names: Any = None,
    normalize: str | None = None,
    path: Any = None,
    show: bool | None = None,
) -> Any:
    """Show how often each class (row) was taken for each (column): the darker, the more of the row.

    Args:
        y_true, y_pred, normalize: see `confusion_matrix`.
        class_names: a list or dictionary of the classes' names.
        path, show: see `plot_image_gallery`.

    Returns:
        The figure of matplotlib.

    Example:
        >>> true, predicted = [0, 1, 1], [0, 1, 0]
        >>> figure = kerata.visualization.plot_confusion_matrix(true, predicted, ["cat", "dog"], path="confusion.png")
    """
    where = "plot_confusion_matrix"
    count = max(class_names, default=-1) + 1 if isinstance(class_names, dict) else len(class_names or ())
    matrix = confusion_matrix(y_true, y_pred, count or None, normalize)
    names = named(range(len(matrix)), class_names)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    side = min(max(3.0, 1.5 + 0.5 * len(matrix)), 16.0)
    made = figure(side, side, where, path, show, layout="tight")
    ax = made.subplots()
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ax.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names), default=0) > 3 else 0)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="predicted", ylabel="true")
    right = np.trace(matrix) / matrix.sum() if normalize in (None, "all") and matrix.sum() else None
    ax.set_title("" if right is None else f"{right:.1%} right")
    for (row, column), value in np.ndenumerate(matrix):
        if value and len(matrix) <= 40:  # more would be too small to read
            text = f"{value}" if normalize is None else f"{value:.2f}"
            ink = "white" if shares[row, column] > 0.5 else "black"
            ax.text(column, row, text, ha="center", va="center", color=ink, fontsize=8)
    return delivered(made, path, show, dpi=120)
