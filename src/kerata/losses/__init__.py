"""Losses: how wrong predictions are, as functions (a value for each sample) and as classes (one number)."""

from __future__ import annotations

from typing import Any

from kerata.core.registry import Vocabulary, serialize_keras_object
from kerata.losses.base import Loss
from kerata.losses.checks import check_labels as check_labels
from kerata.losses.classes import (
    CTC,
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    CategoricalHinge,
    Circle,
    CosineSimilarity,
    Dice,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
    Tversky,
)
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

# `check_labels` is for callers, not a loss that a name may mean, so it is not listed.
# Functions first: a name such as "mean_squared_error" means the function, "MeanSquaredError" the class.
__all__ = [
    "binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy", "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy", "categorical_hinge", "circle", "cosine_similarity", "ctc", "dice",
    "hinge", "huber", "kl_divergence", "log_cosh", "mean_absolute_error", "mean_absolute_percentage_error",
    "mean_squared_error", "mean_squared_logarithmic_error", "poisson", "sparse_categorical_crossentropy",
    "squared_hinge", "tversky",
    "BinaryCrossentropy", "BinaryFocalCrossentropy", "CTC", "CategoricalCrossentropy", "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy", "CategoricalHinge", "Circle", "CosineSimilarity", "Dice", "Hinge", "Huber",
    "KLDivergence", "LogCosh", "Loss", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError",
    "MeanSquaredLogarithmicError", "Poisson", "SparseCategoricalCrossentropy", "SquaredHinge", "Tversky",
    "deserialize", "get", "serialize",
]  # fmt: skip

# What people still write from earlier versions; the short ones in capitals too.
OLD_NAMES = {
    "bce": "binary_crossentropy", "kld": "kl_divergence", "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error", "mse": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error", "kullback_leibler_divergence": "kl_divergence", "logcosh": "log_cosh",
}  # fmt: skip
OLD_NAMES |= {old.upper(): name for old, name in OLD_NAMES.items() if len(old) < 5}

_vocabulary = Vocabulary("loss", __name__, Loss, OLD_NAMES)


def __getattr__(name: str) -> Any:
    """Return the function that an old name such as `kerata.losses.MSE` means."""
    if name in OLD_NAMES:
        return globals()[OLD_NAMES[name]]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def get(identifier: Any) -> Any:
    """Return the loss for a name, a config, a class, a function or a `Loss`; None for None.

    A function's name gives the function, a class's name an instance with default arguments.

    Raises:
        UnknownName: for a name that is no loss, with the nearest that is.

    Example:
        >>> kerata.losses.get("mse") is kerata.losses.mean_squared_error
        True
    """
    return _vocabulary.get(identifier)


def serialize(loss: Any) -> Any:
    """Return a loss, an object or a function, as data."""
    return serialize_keras_object(loss)


def deserialize(name: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the loss that `serialize` described."""
    return _vocabulary.deserialize(name, custom_objects)
