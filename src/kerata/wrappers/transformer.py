"""`SKLearnTransformer`: a model whose outputs are the features of the next step."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerata.wrappers.base import Estimator, sklearn

__all__ = ["SKLearnTransformer"]


class SKLearnTransformer(
    sklearn("base").ClassNamePrefixFeaturesOutMixin, sklearn("base").TransformerMixin, Estimator
):  # fmt: skip
    """A model as a transformer of scikit-learn: a step before others in a pipeline.

    For a model that is trained already, wrap the fitted estimator in `sklearn.frozen.FrozenEstimator`.

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
        >>> model = kerata.Sequential([kerata.layers.Input((3,)), kerata.layers.Dense(2)])
        >>> model.compile("adam", "mse")
        >>> X, y = numpy.random.rand(20, 3), numpy.random.rand(20, 2)
        >>> kerata.wrappers.SKLearnTransformer(model, fit_kwargs={"verbose": 0}).fit(X, y).transform(X).shape
        (20, 2)
    """

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any) -> Any:
        """Train a model and return the estimator; without `y`, a model whose own `train_step` needs none."""
        return super().fit(X, y, sample_weight, **kwargs)

    def transform(self, X: Any) -> np.ndarray:
        """Return the model's outputs, (n_samples, n_columns)."""
        return self._outputs(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags
