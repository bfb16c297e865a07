"""`SKLearnRegressor`: a model that predicts numbers."""

from __future__ import annotations

from typing import Any

from kerata.wrappers.base import Estimator, sklearn

__all__ = ["SKLearnRegressor"]


class SKLearnRegressor(sklearn("base").RegressorMixin, Estimator):
    """A model as a regressor of scikit-learn, for one target or several.

    Args:
        model: a compiled model, of which every `fit` trains a new copy; or a function `(X, y, **model_kwargs)` that
            returns one, where `y` has a column for each target.
        warm_start: go on with the weights of the last `fit`; a model that was given is then trained itself.
        model_kwargs: more arguments for the function.
        fit_kwargs: arguments for `model.fit`.

    Attributes:
        model_: the trained model.
        history_: what its `fit` returned.

    Example:
        >>> def network(X, y, units=8):
        ...     model = kerata.Sequential([kerata.layers.Dense(units), kerata.layers.Dense(y.shape[1])])
        ...     model.compile("adam", "mse")
        ...     return model
        >>> X, y = numpy.random.rand(20, 3), numpy.random.rand(20)
        >>> regressor = kerata.wrappers.SKLearnRegressor(network, fit_kwargs={"epochs": 2, "verbose": 0})
        >>> regressor.fit(X, y).predict(X).shape
        (20,)
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.regressor_tags.poor_score = True  # nobody knows, before the model is there
        return tags
