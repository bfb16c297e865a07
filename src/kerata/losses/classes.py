"""The loss classes: each is one function of this package, with weights, masks and reduction around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerata import errors
from kerata.losses.base import FunctionLoss, Loss
from kerata.losses.margin import categorical_hinge, hinge, squared_hinge
from kerata.losses.probabilistic import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    kl_divergence,
    poisson,
    sparse_categorical_crossentropy,
)
from kerata.losses.regression import (
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from kerata.losses.structured import circle, ctc, dice, tversky

__all__ = [
    "BinaryCrossentropy", "BinaryFocalCrossentropy", "CTC", "CategoricalCrossentropy", "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy", "CategoricalHinge", "Circle", "CosineSimilarity", "Dice", "Hinge", "Huber",
    "KLDivergence", "LogCosh", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError",
    "MeanSquaredLogarithmicError", "Poisson", "SparseCategoricalCrossentropy", "SquaredHinge", "Tversky",
]  # fmt: skip

# Numbers ---------------------------------------------------------------------------------------------------


class MeanSquaredError(FunctionLoss):
    """The mean of squared differences; see `mean_squared_error`.

    Example:
        >>> round(float(kerata.losses.MeanSquaredError()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]])), 4)
        0.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_squared_error, reduction, name, dtype)


class MeanAbsoluteError(FunctionLoss):
    """The mean of absolute differences; see `mean_absolute_error`.

    Example:
        >>> round(float(kerata.losses.MeanAbsoluteError()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]])), 4)
        0.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_absolute_error, reduction, name, dtype)


class MeanAbsolutePercentageError(FunctionLoss):
    """The mean of differences in percent of the targets; see `mean_absolute_percentage_error`.

    Example:
        >>> round(float(kerata.losses.MeanAbsolutePercentageError()([[2.0, 4.0]], [[1.0, 4.0]])), 4)
        25.0
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_percentage_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_absolute_percentage_error, reduction, name, dtype)


class MeanSquaredLogarithmicError(FunctionLoss):
    """The mean of squared differences of logarithms; see `mean_squared_logarithmic_error`.

    Example:
        >>> round(float(kerata.losses.MeanSquaredLogarithmicError()([[0.0, 1.0]], [[1.0, 1.0]])), 4)
        0.2402
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_logarithmic_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)


class Huber(FunctionLoss):
    """Squares near zero, absolute values beyond `delta`; see `huber`.

    Example:
        >>> round(float(kerata.losses.Huber(delta=2.0)([[0.0, 0.0]], [[1.0, 3.0]])), 4)
        2.25
    """

    _unlisted = Loss._unlisted | {"delta"}

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(huber, reduction, name, dtype, delta=delta)


class LogCosh(FunctionLoss):
    """The logarithm of the hyperbolic cosine of the difference; see `log_cosh`.

    Example:
        >>> round(float(kerata.losses.LogCosh()([[0.0, 1.0]], [[1.0, 1.0]])), 4)
        0.2169
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "log_cosh", dtype: Any = None
    ) -> None:
        super().__init__(log_cosh, reduction, name, dtype)


class CosineSimilarity(FunctionLoss):
    """Minus the cosine of the angle between target and prediction; see `cosine_similarity`.

    Example:
        >>> round(float(kerata.losses.CosineSimilarity()([[0.0, 1.0]], [[0.0, 2.0]])), 4)
        -1.0
    """

    _unlisted = Loss._unlisted | {"axis"}

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "cosine_similarity",
        dtype: Any = None,
    ) -> None:
        super().__init__(cosine_similarity, reduction, name, dtype, axis=axis)


# Probabilities ---------------------------------------------------------------------------------------------


class BinaryCrossentropy(FunctionLoss):
    """The cross-entropy of yes-no labels; see `binary_crossentropy`.

    Example:
        >>> round(float(kerata.losses.BinaryCrossentropy(from_logits=True)([0, 1], [-2.0, 3.0])), 4)
        0.0878
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            binary_crossentropy, reduction, name, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class BinaryFocalCrossentropy(FunctionLoss):
    """The cross-entropy of yes-no labels, easy samples weighed down; see `binary_focal_crossentropy`.

    Example:
        >>> round(float(kerata.losses.BinaryFocalCrossentropy(gamma=2.0, from_logits=True)([0, 1], [-2.0, 3.0])), 4)
        0.001
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            binary_focal_crossentropy, reduction, name, dtype, apply_class_balancing=apply_class_balancing,
            alpha=alpha, gamma=gamma, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class CategoricalCrossentropy(FunctionLoss):
    """The cross-entropy of one-hot labels; see `categorical_crossentropy`.

    Example:
        >>> loss = kerata.losses.CategoricalCrossentropy(label_smoothing=0.1)
        >>> round(float(loss([[0, 1, 0]], [[0.05, 0.9, 0.05]])), 4)
        0.2981
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            categorical_crossentropy, reduction, name, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class CategoricalFocalCrossentropy(FunctionLoss):
    """The cross-entropy of one-hot labels, easy samples weighed down; see `categorical_focal_crossentropy`.

    Example:
        >>> loss = kerata.losses.CategoricalFocalCrossentropy(alpha=[0.2, 0.3, 0.5])
        >>> round(float(loss([[0, 1, 0]], [[0.05, 0.9, 0.05]])), 4)
        0.0003
    """

    def __init__(
        self,
        alpha: float | Sequence[float] = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            categorical_focal_crossentropy, reduction, name, dtype, alpha=alpha, gamma=gamma,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class SparseCategoricalCrossentropy(FunctionLoss):
    """The cross-entropy of labels that are class numbers; see `sparse_categorical_crossentropy`.

    Example:
        >>> loss = kerata.losses.SparseCategoricalCrossentropy(ignore_class=-1)
        >>> round(float(loss([1, -1], [[0.1, 0.9], [0.6, 0.4]])), 4)
        0.1054
    """

    _unlisted = Loss._unlisted | {"axis"}

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            sparse_categorical_crossentropy, reduction, name, dtype,
            from_logits=from_logits, ignore_class=ignore_class, axis=axis,
        )  # fmt: skip


class CategoricalGeneralizedCrossEntropy(FunctionLoss):
    """A cross-entropy that forgives wrong labels; see `categorical_generalized_cross_entropy`.

    Example:
        >>> round(float(kerata.losses.CategoricalGeneralizedCrossEntropy(q=0.5)([1], [[0.1, 0.9]])), 4)
        0.1026
    """

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_generalized_cross_entropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(categorical_generalized_cross_entropy, reduction, name, dtype, q=q)
        if not 0 < q < 1:
            raise errors.InvalidArgument("`q` is between 0 and 1.", where=f"loss {self.name!r}", got=q)


class KLDivergence(FunctionLoss):
    """How far one distribution is from another; see `kl_divergence`.

    Example:
        >>> round(float(kerata.losses.KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]])), 4)
        0.1438
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "kl_divergence",
        dtype: Any = None,
    ) -> None:
        super().__init__(kl_divergence, reduction, name, dtype)


class Poisson(FunctionLoss):
    """How badly rates explain counts; see `poisson`.

    Example:
        >>> round(float(kerata.losses.Poisson()([[0.0, 2.0]], [[1.0, 1.0]])), 4)
        1.0
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "poisson", dtype: Any = None
    ) -> None:
        super().__init__(poisson, reduction, name, dtype)


# Margins ---------------------------------------------------------------------------------------------------


class Hinge(FunctionLoss):
    """The shortfall from a margin of one; see `hinge`.

    Example:
        >>> round(float(kerata.losses.Hinge()([[1.0, -1.0]], [[0.5, -2.0]])), 4)
        0.25
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "hinge", dtype: Any = None
    ) -> None:
        super().__init__(hinge, reduction, name, dtype)


class SquaredHinge(FunctionLoss):
    """The squared shortfall from a margin of one; see `squared_hinge`.

    Example:
        >>> round(float(kerata.losses.SquaredHinge()([[1.0, -1.0]], [[0.5, -2.0]])), 4)
        0.125
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "squared_hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(squared_hinge, reduction, name, dtype)


class CategoricalHinge(FunctionLoss):
    """The shortfall of the right class's score over the best wrong one; see `categorical_hinge`.

    Example:
        >>> round(float(kerata.losses.CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.75]])), 4)
        0.75
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(categorical_hinge, reduction, name, dtype)


# Images, embeddings, sequences -----------------------------------------------------------------------------


class Dice(FunctionLoss):
    """How little two regions overlap; see `dice`.

    Example:
        >>> round(float(kerata.losses.Dice()([[[1.0], [0.0]]], [[[1.0], [1.0]]])), 4)
        0.3333
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "dice",
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dice, reduction, name, dtype, axis=axis)


class Tversky(FunctionLoss):
    """How little two regions overlap, misses and false marks weighed apart; see `tversky`.

    Example:
        >>> round(float(kerata.losses.Tversky(beta=1.0)([[[1.0], [0.0]]], [[[1.0], [1.0]]])), 4)
        0.5
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "tversky",
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)


class Circle(FunctionLoss):
    """How badly embeddings of one class keep together; see `circle`.

    Example:
        >>> round(float(kerata.losses.Circle(gamma=1.0)([0, 0, 1], [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])), 4)
        0.789
    """

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "circle",
        dtype: Any = None,
    ) -> None:
        super().__init__(circle, reduction, name, dtype, gamma=gamma, margin=margin, remove_diagonal=remove_diagonal)


class CTC(FunctionLoss):
    """Minus the log-likelihood of label sequences under all alignments; see `ctc`.

    Example:
        >>> round(float(kerata.losses.CTC()([[1, 0]], numpy.zeros((1, 2, 3)))), 4)
        1.0986
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "ctc", dtype: Any = None
    ) -> None:
        super().__init__(ctc, reduction, name, dtype)
