"""The loss classes: each is one function of this package, with weights, masks and reduction around it."""

from __future__ import annotations

from kerata import errors
from kerata.losses.base import FunctionLoss
from kerata.losses.hinge import categorical_hinge, hinge, squared_hinge
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


# Numbers


class MeanSquaredError(FunctionLoss, fn=mean_squared_error):
    """The mean of squared differences; see `mean_squared_error`."""


class MeanAbsoluteError(FunctionLoss, fn=mean_absolute_error):
    """The mean of absolute differences; see `mean_absolute_error`."""


class MeanAbsolutePercentageError(FunctionLoss, fn=mean_absolute_percentage_error):
    """The mean of differences in percent of the targets; see `mean_absolute_percentage_error`."""


class MeanSquaredLogarithmicError(FunctionLoss, fn=mean_squared_logarithmic_error):
    """The mean of squared differences of logarithms; see `mean_squared_logarithmic_error`."""


class Huber(FunctionLoss, fn=huber, name="huber_loss", unlisted=("delta",)):
    """Squares near zero, absolute values beyond `delta`; see `huber`."""


class LogCosh(FunctionLoss, fn=log_cosh):
    """The logarithm of the hyperbolic cosine of the difference; see `log_cosh`."""


class CosineSimilarity(FunctionLoss, fn=cosine_similarity, unlisted=("axis",)):
    """Minus the cosine of the angle between target and prediction; see `cosine_similarity`."""


# Probabilities


class BinaryCrossentropy(FunctionLoss, fn=binary_crossentropy):
    """The cross-entropy of yes-no labels; see `binary_crossentropy`."""


class BinaryFocalCrossentropy(FunctionLoss, fn=binary_focal_crossentropy):
    """The cross-entropy of yes-no labels, easy samples weighed down; see `binary_focal_crossentropy`."""


class CategoricalCrossentropy(FunctionLoss, fn=categorical_crossentropy):
    """The cross-entropy of one-hot labels; see `categorical_crossentropy`."""


class CategoricalFocalCrossentropy(FunctionLoss, fn=categorical_focal_crossentropy):
    """The cross-entropy of one-hot labels, easy samples weighed down; see `categorical_focal_crossentropy`."""


class SparseCategoricalCrossentropy(
    FunctionLoss, fn=sparse_categorical_crossentropy, unlisted=("axis",),
    order="from_logits ignore_class reduction axis name dtype",
):  # fmt: skip
    """The cross-entropy of labels that are class numbers; see `sparse_categorical_crossentropy`."""


class CategoricalGeneralizedCrossEntropy(FunctionLoss, fn=categorical_generalized_cross_entropy, q=0.5):
    """A cross-entropy that forgives wrong labels; see `categorical_generalized_cross_entropy`."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        if not 0 < self.q < 1:  # type: ignore[attr-defined]
            raise errors.InvalidArgument("`q` is between 0 and 1.", where=f"loss {self.name!r}", got=self.q)  # type: ignore[attr-defined]


class KLDivergence(FunctionLoss, fn=kl_divergence):
    """How far one distribution is from another; see `kl_divergence`."""


class Poisson(FunctionLoss, fn=poisson):
    """How badly rates explain counts; see `poisson`."""


# Margins


class Hinge(FunctionLoss, fn=hinge):
    """The shortfall from a margin of one; see `hinge`."""


class SquaredHinge(FunctionLoss, fn=squared_hinge):
    """The squared shortfall from a margin of one; see `squared_hinge`."""


class CategoricalHinge(FunctionLoss, fn=categorical_hinge):
    """The shortfall of the right class's score over the best wrong one; see `categorical_hinge`."""


# Images, embeddings, sequences


class Dice(FunctionLoss, fn=dice, order="reduction name axis dtype"):
    """How little two regions overlap; see `dice`."""


class Tversky(FunctionLoss, fn=tversky, order="alpha beta reduction name axis dtype"):
    """How little two regions overlap, misses and false marks weighed apart; see `tversky`."""


class Circle(FunctionLoss, fn=circle, gamma=80.0, order="gamma margin remove_diagonal reduction name dtype"):
    """How badly embeddings of one class keep together; see `circle`."""


class CTC(FunctionLoss, fn=ctc):
    """Minus the log-likelihood of label sequences under all alignments; see `ctc`."""
